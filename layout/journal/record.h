/*
 * What the layout engine asks its host to write down, and what comes back after a restart. Plain
 * data: the engine speaks of nothing but these, layout/journal/journal.h keeps them in SQLite,
 * tests keep them in memory.
 *
 * Pointers in a record that the engine hands out are the engine's and are valid until its next
 * event.
 */
#ifndef LAYOUT_JOURNAL_RECORD_H
#define LAYOUT_JOURNAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/device/device.h"
#include "layout/file_key.h"
#include "layout/seal/fs.h"
#include "layout/seal/map.h"

enum { JOURNAL_VERIFIER_SIZE = 8, JOURNAL_ADDRESS_MAX = 64, JOURNAL_ADDRESSES_MAX = 768 };

/* How far the file's seal has come. Values are on disk: never renumber. */
enum journal_seal_phase {
    JOURNAL_SEALING = 1, /* the flag may be set; no grant was ever given: undone after a crash */
    JOURNAL_SEALED = 2,  /* grants may be out */
    JOURNAL_RELEASING =
        3, /* no grant was left; the flag may be cleared already: finished after a crash */
    JOURNAL_BROKEN = 4, /* grants may be out, none is given: flag or map were seen to differ */
    JOURNAL_WANTED = 5, /* SEALED, and to be released as soon as no grant is out */
};

struct journal_seal {
    struct file_key key;
    const char *path; /* as last seen, for people */
    enum seal_kind kind;
    bool at_rest;
    enum journal_seal_phase phase;
    /* From SEALED on. Neither for a seal that was found on the file system (see ENGINE_EV_FOUND).
     */
    struct seal_map *map;
    uint8_t device_id[DEVICE_ID_SIZE];
    uint64_t mtime_ns, change; /* the overlay; 0: none */
    /* Of a growing seal, from SEALING on: the file's size on disk, or what it was to become; its
     * logical size, which it gets at release; who was last let past that. reserve 0: not growing.
     */
    uint64_t reserve, size, tail;
};

struct journal_device {
    uint8_t id[DEVICE_ID_SIZE];
    uint8_t fs_uuid[DEVICE_UUID_SIZE];
    const struct device_volume *volume;
};

/*
 * Who a holder is, and so what makes its grants useless when it does not give them back. A local
 * program (the control socket's hold interface) declares that itself. Values are on disk: never
 * renumber.
 */
enum journal_holder_kind {
    JOURNAL_HOLDER_NFS = 0, /* an NFS client, fenced as its layout type says */
    JOURNAL_HOLDER_CLOSE =
        1, /* a local program that cannot touch the disk once its process is gone */
    JOURNAL_HOLDER_HOOK = 2, /* a local program that the operator's fence hook can cut off */
    JOURNAL_HOLDER_NONE =
        3, /* a local program that nothing but its own word or the operator's ends */
    JOURNAL_HOLDER_KINDS
};

/*
 * How a holder's grants reach the file, and so what a fence has to cut: a client that was cut off
 * from the disk may still be let to the server's memory, and the other way round. Values are on
 * disk: never renumber.
 */
enum journal_way {
    JOURNAL_WAY_DISK = 0,
    JOURNAL_WAY_MEMORY =
        1, /* registered with an RDMA device by the server's process, and gone with it */
    JOURNAL_WAYS
};

/*
 * One run of one client: a new verifier is a new holder (RFC 8881 section 2.4). A run is named by
 * kind, owner and verifier: a local program of an NFS client's name is somebody else.
 */
struct journal_holder {
    enum journal_holder_kind kind;
    const uint8_t *owner;
    uint32_t owner_len;
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    uint64_t client_id;  /* under which it was recorded */
    const char *address; /* of a client all that are known, the newest first, with blanks between */
    uint8_t device_id[DEVICE_ID_SIZE];
    enum journal_way way;
};

enum journal_op {
    JOURNAL_SEAL_PUT,      /* seal: insert or replace */
    JOURNAL_SEAL_PHASE,    /* seal: key and phase only */
    JOURNAL_SEAL_OVERLAY,  /* seal: key, mtime_ns, change, reserve, size and tail only */
    JOURNAL_SEAL_DELETE,   /* seal: key only */
    JOURNAL_DEVICE_PUT,    /* device: insert or replace */
    JOURNAL_HOLDER_PUT,    /* holder: it may hold grants on the device, by this way, from now on */
    JOURNAL_HOLDER_DELETE, /* holder: known to hold none under ids other than client_id, on any
                              device, by any way */
    JOURNAL_HOLDER_CLEAR,  /* holder: known to hold none on its device by this way, under any id */
    JOURNAL_FENCED_PUT,    /* holder (owner, verifier, client_id, address, device, way): cut off */
    JOURNAL_FENCED_DELETE, /* holder (owner, verifier): that run is over */
    JOURNAL_DOUBT_PUT, /* fs_uuid: on this file system there may be seals and holders that are not
                        * on record
                        */
    JOURNAL_DOUBT_DELETE, /* fs_uuid: the operator says that there are none */
};

struct journal_record {
    enum journal_op op;
    union {
        struct journal_seal seal;
        struct journal_device device;
        struct journal_holder holder;
        uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
    };
};

#endif
