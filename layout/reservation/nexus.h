/*
 * The I_T nexus that a registration belongs to: an initiator port and the target port that it came
 * by (SAM-5), or the host of an NVMe namespace. Reservation keys are registered by nexuses, not by
 * clients: two clients on one machine share one, and a machine with two paths has two.
 *
 * A nexus is kept as the disk names it (SPC-4 7.6.4, TransportID), without what carries no name.
 * Pure; what a disk says is bounded here.
 */
#ifndef LAYOUT_RESERVATION_NEXUS_H
#define LAYOUT_RESERVATION_NEXUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_NEXUS_MAX = 251, KEY_NEXUS_TEXT = 320, KEY_NEXUS_NVME = 0x10 };

struct key_nexus {
    uint8_t protocol; /* SPC-4 table 361's number, or KEY_NEXUS_NVME */
    uint8_t len;      /* of the name; no nexus at all: 0 */
    uint16_t port;    /* the target's relative port identifier; 0: not said */
    uint8_t name[KEY_NEXUS_MAX];
};

/* What is registered on a disk: each nexus once. */
struct key_registration {
    uint64_t key;
    struct key_nexus nexus;
};

/*
 * Registrations of READ FULL STATUS parameter data (SPC-4 6.16.5). -EOVERFLOW: there are more than
 * max, or more than the data holds: what is not read is not seen to be gone. -EBADMSG: it makes no
 * sense.
 */
int key_nexus_read_full_status(const uint8_t *data, size_t len, struct key_registration *out,
                               size_t max, size_t *count, uint32_t *generation);
void key_nexus_from_host(const uint8_t *host, size_t len, struct key_nexus *out);

bool key_nexus_equal(const struct key_nexus *a, const struct key_nexus *b);
/* As far as names tell: one iSCSI initiator's sessions, one initiator port at several target ports.
 * Two ports of one Fibre Channel host have nothing in common. */
bool key_nexus_of_one_machine(const struct key_nexus *a, const struct key_nexus *b);
/* For people: "iqn.2026-11.lab:one,i,0x00023d000001 (target port 1)". No byte of it can hurt a
 * terminal. */
void key_nexus_text(const struct key_nexus *nexus, char *text, size_t size);

#endif
