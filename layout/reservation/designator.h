/*
 * The name of a disk for SCSI layouts (RFC 8154 section 2.3.1, RFC 9561): a designator of VPD page
 * 0x83 that belongs to the logical unit. Pure.
 */
#ifndef LAYOUT_RESERVATION_DESIGNATOR_H
#define LAYOUT_RESERVATION_DESIGNATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DESIGNATOR_MAX = 16 };

/* Code set and type by SPC-4's numbers. */
struct designator {
    uint8_t code_set;
    uint8_t type;
    uint8_t len; /* 0: none */
    uint8_t bytes[DESIGNATOR_MAX];
};

/*
 * Designators of a VPD page 0x83 that belong to the logical unit: the best one a Linux client can
 * look up (NAA of 16 bytes, NAA of 8, EUI-64 of 16 and 8). -ENODATA: none.
 */
int designator_from_vpd(const uint8_t *page, size_t len, struct designator *out);
/* "naa.6001405...", for people. */
void designator_text(const struct designator *designator, char *text, size_t size);
bool designator_equal(const struct designator *a, const struct designator *b);

#endif
