/* Names of disks: see designator.h. */
#include "layout/reservation/designator.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/layout/scsi.h"

static int rank(const struct designator *d)
{
    if (d->type == PS_DESIGNATOR_NAA)
        return d->len == 16 ? 1 : d->len == 8 ? 2 : 0;
    if (d->type == PS_DESIGNATOR_EUI64)
        return d->len == 16 ? 3 : d->len == 8 ? 4 : 0;
    return 0;
}

int designator_from_vpd(const uint8_t *page, size_t len, struct designator *out)
{
    enum { PAGE_HEAD = 4, DESCRIPTOR_HEAD = 4, PAGE_CODE = 0x83 };
    struct designator best = {0};
    size_t end;

    if (len < PAGE_HEAD || page[1] != PAGE_CODE)
        return -ENODATA;
    end = PAGE_HEAD + (size_t)(page[2] << 8 | page[3]);
    end = end < len ? end : len;
    for (size_t at = PAGE_HEAD; at + DESCRIPTOR_HEAD <= end; at += DESCRIPTOR_HEAD + page[at + 3]) {
        const uint8_t *d = page + at;
        struct designator found = {.code_set = d[0] & 0x0f, .type = d[1] & 0x0f, .len = d[3]};

        if (at + DESCRIPTOR_HEAD + d[3] > end)
            break;
        if ((d[1] & 0x30) != 0 || found.code_set != PS_CODE_SET_BINARY || !rank(&found))
            continue;
        if (best.len == 0 || rank(&found) < rank(&best)) {
            memcpy(found.bytes, d + DESCRIPTOR_HEAD, found.len);
            best = found;
        }
    }
    if (best.len == 0)
        return -ENODATA;
    *out = best;
    return 0;
}

void designator_text(const struct designator *designator, char *text, size_t size)
{
    int n = snprintf(text, size, "%s", designator->type == PS_DESIGNATOR_NAA ? "naa." : "eui.");

    for (unsigned i = 0; i < designator->len && n >= 0 && (size_t)n < size; i++)
        n += snprintf(text + n, size - (size_t)n, "%02x", designator->bytes[i]);
}

bool designator_equal(const struct designator *a, const struct designator *b)
{
    return a->code_set == b->code_set && a->type == b->type && a->len == b->len &&
           memcmp(a->bytes, b->bytes, a->len) == 0;
}
