/*
 * Persistent reservations of one disk: what RFC 8154 section 2.4.10 (SCSI) and RFC 9561 (NVMe)
 * fence by.
 *
 * A disk is reserved as Exclusive Access - Registrants Only: nobody reads or writes it but who has
 * registered a key. Each client registers the key that GETDEVICEINFO gave it; to fence it its key
 * is preempted, its commands under way aborted, and the keys read again to see it gone. (The RFC's
 * text gives that type the number 8h, which is SPC's All Registrants; its name and SPC's 6h are
 * meant.)
 *
 * reservation_of() knows how a disk speaks: SCSI by IOC_PR_* (linux/pr.h) and SG_IO, NVMe by
 * IOC_PR_* and its passthrough. The functions above the table are the same for both. All of it
 * blocks, for as long as a path that went down may take: never on a loop. No state: any thread, one
 * at a time for a disk.
 *
 * Errors beside the usual: -EBADE a reservation conflict, -EAGAIN to be tried again (unit
 * attentions are, here), -EOPNOTSUPP no persistent reservations, -ENXIO and -ENODEV the disk or its
 * last path is gone, -ETIMEDOUT.
 */
#ifndef LAYOUT_RESERVATION_RESERVATION_H
#define LAYOUT_RESERVATION_RESERVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/reservation/designator.h"
#include "layout/reservation/nexus.h"

enum { RESERVATION_KEYS_MAX = 1536 }; /* what 64 KiB of READ FULL STATUS can hold */

/* What the disk says. */
struct reservation_view {
    uint32_t generation; /* counts registrations and preemptions */
    bool held;           /* by holder_key, Exclusive Access - Registrants Only or not */
    bool exclusive_registrants;
    uint64_t holder_key;
    bool persists; /* registrations outlive a power failure, it says (PTPL_A) */
    size_t count;
    struct key_registration reg[RESERVATION_KEYS_MAX];
};

/* How a kind of disk is spoken to; fd is the whole disk's. */
struct reservation_ops {
    const char *name;
    int (*identify)(int fd, struct designator *designator);
    /* 0 when the disk can do what is needed; *persists: it can be asked to keep registrations over
     * a power failure (APTPL). */
    int (*probe)(int fd, bool *persists);
    int (*register_key)(int fd, uint64_t key, bool persists);
    int (*reserve)(int fd, uint64_t key);
    int (*preempt)(int fd, uint64_t own, uint64_t victim); /* and abort */
    int (*read)(int fd, struct reservation_view *view);
};
extern const struct reservation_ops reservation_scsi;
extern const struct reservation_ops reservation_nvme;

/* -EOPNOTSUPP: neither SCSI nor NVMe. */
int reservation_of(int fd, const struct reservation_ops **ops);

/*
 * Makes the disk ours: registers the key on our path and takes the reservation, unless both are so
 * already. -EBUSY: somebody else holds a reservation on it; the view says who.
 */
int reservation_take(const struct reservation_ops *ops, int fd, uint64_t own,
                     struct reservation_view *view);
struct reservation_loss {
    bool lost;
    uint32_t generation; /* lost: the disk's, before it was taken again */
};
/* Reads what the disk says and takes it again if the reservation was lost; loss tells. The same if
 * registrations are not kept over a power failure and could be. */
int reservation_check(const struct reservation_ops *ops, int fd, uint64_t own,
                      struct reservation_view *view, struct reservation_loss *loss);
/* What was done on the way to a key's end, however that came out. */
struct reservation_removal {
    bool sent;      /* a PREEMPT AND ABORT may have been carried out */
    bool preempted; /* one succeeded; else the key was not there to begin with, or went by itself */
    struct reservation_loss loss; /* the first that was met */
};
/*
 * Preempts the victim's key and aborts its commands. 0 only if afterwards the disk itself says that
 * the key is not registered and the reservation is ours.
 */
int reservation_remove(const struct reservation_ops *ops, int fd, uint64_t own, uint64_t victim,
                       struct reservation_view *view, struct reservation_removal *done);

/*
 * The disk is held by `before`, which is ours too: the key of an earlier version of this server.
 * Ours takes its place, and it is seen gone.
 */
int reservation_succeed(const struct reservation_ops *ops, int fd, uint64_t own, uint64_t before,
                        struct reservation_view *view);
/*
 * Takes the disk from whatever other node has it: each key of a node but ours is preempted and its
 * commands aborted. 0 only if afterwards the disk itself says that none is registered and the
 * reservation is ours. -EBUSY: it is held by somebody who is no node (the view says who), or it did
 * not do what it said. expelled: how many keys were there.
 */
int reservation_take_over(const struct reservation_ops *ops, int fd, uint64_t own,
                          struct reservation_view *view, unsigned *expelled);
/*
 * The same by who holds the disk, without registering: a node that was cut off meanwhile, and has
 * the disk's file systems mounted, is refused by the disk itself. -EBUSY: it does not hold it, too.
 */
int reservation_hold(const struct reservation_ops *ops, int fd, uint64_t own,
                     struct reservation_view *view, unsigned *expelled);

/*
 * Our keys: 16 bits that say sealnfs, 24 that say which server (drawn when its journal was made),
 * and a number that is never used twice. Number 0 was the server's own before nodes had keys.
 * Whatever does not begin with our 40 bits is somebody else's and is not touched.
 */
enum { RESERVATION_NUMBER_MAX = (1 << 24) - 1 };
uint64_t reservation_key(uint32_t server, uint32_t number);
bool reservation_key_is_ours(uint32_t server, uint64_t key);
/*
 * A node, a machine that may run the server: 16 bits that say so, and 48 of its name's hash, so
 * that who is to cut it off knows its key by its name. It has the same on every disk.
 */
uint64_t reservation_node_key(const char *node);
bool reservation_key_is_node(uint64_t key);
static inline uint32_t reservation_key_number(uint64_t key)
{
    return (uint32_t)(key & RESERVATION_NUMBER_MAX);
}

#endif
