/* See key/nexus.h. */
#include "layout/reservation/nexus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    HEAD = 8,
    DESCRIPTOR_HEAD = 24, /* of a full status descriptor, before its TransportID */
    FLAGS_AT = 12,
    ALL_TG_PT = 0x02, /* by whatever target port: the port's number is to be ignored */
    PORT_AT = 18,
    ID_LENGTH_AT = 20,
};

enum protocol { FIBRE_CHANNEL = 0, SBP = 3, SRP = 4, ISCSI = 5, SAS = 6 };

static uint64_t get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

/* SPC-4 7.6.4: where the name is in a TransportID of 24 bytes. */
struct place {
    uint8_t at, len;
};

static struct place place_of(unsigned protocol)
{
    switch (protocol) {
    case FIBRE_CHANNEL:
    case SBP:
        return (struct place){8, 8};
    case SRP:
        return (struct place){8, 16};
    case SAS:
        return (struct place){4, 8};
    default:
        return (struct place){0, 0};
    }
}

/* Two formats: the initiator's name, or that and the session's ISID ("name,i,0x..."). */
static int take_iscsi(const uint8_t *data, size_t len, struct key_nexus *out, size_t *used)
{
    enum { AT = 4 };
    size_t size, name;

    if (len < AT)
        return -EBADMSG;
    size = get(data + 2, 2);
    if (size == 0 || size > len - AT)
        return -EBADMSG;
    name = strnlen((const char *)data + AT, size);
    if (name == 0 || name > KEY_NEXUS_MAX)
        return -EBADMSG;
    out->len = (uint8_t)name;
    memcpy(out->name, data + AT, name);
    *used = AT + size;
    return 0;
}

/* Of one TransportID. *used: its length. */
static int from_transport_id(const uint8_t *data, size_t len, struct key_nexus *out, size_t *used)
{
    enum { FIXED = 24 };
    struct key_nexus nexus = {0};
    struct place place;
    int err = 0;

    if (len == 0)
        return -EBADMSG;
    nexus.protocol = data[0] & 0x0f;
    place = place_of(nexus.protocol);
    if (nexus.protocol == ISCSI) {
        err = take_iscsi(data, len, &nexus, used);
    } else if (place.len && len >= FIXED) {
        nexus.len = place.len;
        memcpy(nexus.name, data + place.at, place.len);
        *used = FIXED;
    } else if (!place.len && len <= KEY_NEXUS_MAX) { /* of a transport to come: as it is */
        nexus.len = (uint8_t)len;
        memcpy(nexus.name, data, len);
        *used = len;
    } else {
        err = -EBADMSG;
    }
    if (!err)
        *out = nexus;
    return err;
}

static int take_descriptor(const uint8_t *data, size_t len, struct key_registration *out,
                           size_t *used)
{
    size_t id_length, id_used;
    int err;

    if (len < DESCRIPTOR_HEAD)
        return -EBADMSG;
    id_length = get(data + ID_LENGTH_AT, 4);
    if (id_length > len - DESCRIPTOR_HEAD)
        return -EBADMSG;
    err = from_transport_id(data + DESCRIPTOR_HEAD, id_length, &out->nexus, &id_used);
    if (err)
        return err;
    out->key = get(data, 8);
    out->nexus.port = data[FLAGS_AT] & ALL_TG_PT ? 0 : (uint16_t)get(data + PORT_AT, 2);
    *used = DESCRIPTOR_HEAD + id_length;
    return 0;
}

int key_nexus_read_full_status(const uint8_t *data, size_t len, struct key_registration *out,
                               size_t max, size_t *count, uint32_t *generation)
{
    size_t end, n = 0, used;

    if (len < HEAD)
        return -EBADMSG;
    end = get(data + 4, 4);
    if (end > len - HEAD)
        return -EOVERFLOW;
    end += HEAD;
    for (size_t at = HEAD; at < end; at += used) {
        int err = n < max ? take_descriptor(data + at, end - at, &out[n], &used) : -EOVERFLOW;

        if (err)
            return err;
        n++;
    }
    *count = n;
    *generation = (uint32_t)get(data, 4);
    return 0;
}

void key_nexus_from_host(const uint8_t *host, size_t len, struct key_nexus *out)
{
    *out = (struct key_nexus){.protocol = KEY_NEXUS_NVME,
                              .len = (uint8_t)(len < KEY_NEXUS_MAX ? len : KEY_NEXUS_MAX)};
    memcpy(out->name, host, out->len);
}

bool key_nexus_equal(const struct key_nexus *a, const struct key_nexus *b)
{
    return a->protocol == b->protocol && a->port == b->port && a->len == b->len &&
           memcmp(a->name, b->name, a->len) == 0;
}

/* Of an iSCSI nexus the initiator's name alone, without the session ("name,i,0x..."). */
static size_t initiator_len(const struct key_nexus *nexus)
{
    for (size_t i = 0; nexus->protocol == ISCSI && i + 2 < nexus->len; i++) {
        if (memcmp(nexus->name + i, ",i,", 3) == 0)
            return i;
    }
    return nexus->len;
}

bool key_nexus_of_one_machine(const struct key_nexus *a, const struct key_nexus *b)
{
    const size_t len = initiator_len(a);

    return len > 0 && a->protocol == b->protocol && len == initiator_len(b) &&
           memcmp(a->name, b->name, len) == 0;
}

static const char *kind_of(unsigned protocol)
{
    switch (protocol) {
    case FIBRE_CHANNEL:
        return "fc.";
    case SRP:
        return "srp.";
    case SAS:
        return "sas.";
    case KEY_NEXUS_NVME:
        return "host ";
    default:
        return "id ";
    }
}

void key_nexus_text(const struct key_nexus *nexus, char *text, size_t size)
{
    bool plain = nexus->protocol == ISCSI;
    int n = snprintf(text, size, "%s", plain ? "" : kind_of(nexus->protocol));

    for (unsigned i = 0; i < nexus->len && n >= 0 && (size_t)n < size; i++) {
        unsigned byte = nexus->name[i];

        if (plain)
            n += snprintf(text + n, size - (size_t)n, "%c",
                          byte > 0x20 && byte < 0x7f && byte != '"' && byte != '\\' ? (char)byte
                                                                                    : '?');
        else
            n += snprintf(text + n, size - (size_t)n, "%02x", byte);
    }
    if (nexus->port && n >= 0 && (size_t)n < size)
        (void)snprintf(text + n, size - (size_t)n, " (target port %u)", nexus->port);
}
