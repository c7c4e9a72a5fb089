/* Persistent reservations, the part that is the same for SCSI and NVMe: see reservation.h. */
#include "layout/reservation/reservation.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    KEY_PREFIX = 0x5ea1,
    NODE_PREFIX = 0x5ea2,
    SERVER_BITS = 24,
    NUMBER_BITS = 24,
    NODE_BITS = SERVER_BITS + NUMBER_BITS,
};

uint64_t reservation_key(uint32_t server, uint32_t number)
{
    return (uint64_t)KEY_PREFIX << (SERVER_BITS + NUMBER_BITS) |
           (uint64_t)(server & ((1u << SERVER_BITS) - 1)) << NUMBER_BITS |
           (number & RESERVATION_NUMBER_MAX);
}

bool reservation_key_is_ours(uint32_t server, uint64_t key)
{
    return key >> NUMBER_BITS == reservation_key(server, 0) >> NUMBER_BITS;
}

uint64_t reservation_node_key(const char *node)
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    uint64_t key = NODE_PREFIX;

    (void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)node, strlen(node), NULL, 0);
    for (int i = 0; i < NODE_BITS / 8; i++)
        key = key << 8 | hash[i];
    return key;
}

bool reservation_key_is_node(uint64_t key)
{
    return key >> NODE_BITS == NODE_PREFIX;
}

/* NVMe namespaces have "nsid" in sysfs; what answers INQUIRY is SCSI. */
int reservation_of(int fd, const struct reservation_ops **ops)
{
    char path[64];
    struct stat st;
    bool persists;
    int err;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISBLK(st.st_mode))
        return -ENOTBLK;
    (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/nsid", major(st.st_rdev),
                   minor(st.st_rdev));
    *ops = access(path, F_OK) == 0 ? &reservation_nvme : &reservation_scsi;
    err = (*ops)->probe(fd, &persists);
    return err == -ENOTTY || err == -EINVAL ? -EOPNOTSUPP : err;
}

static bool has_key(const struct reservation_view *view, uint64_t key)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->reg[i].key == key)
            return true;
    }
    return false;
}

static bool is_ours(const struct reservation_view *view, uint64_t own)
{
    return view->held && view->exclusive_registrants && view->holder_key == own;
}

/* A key that is registered may be so by a path we no longer have, so ours is registered anew: it
 * changes nothing where it was. */
int reservation_take(const struct reservation_ops *ops, int fd, uint64_t own,
                     struct reservation_view *view)
{
    bool persists = false;
    int err = ops->probe(fd, &persists);

    if (!err)
        err = ops->read(fd, view);
    if (!err && view->held && !is_ours(view, own) && view->holder_key != own)
        return -EBUSY;
    if (!err)
        err = ops->register_key(fd, own, persists);
    if (!err && !is_ours(view, own))
        err = ops->reserve(fd, own);
    if (err && err != -EBADE)
        return err;
    /* Somebody may have been quicker, or the reserve was ours all along: the disk knows. */
    err = ops->read(fd, view);
    if (err)
        return err;
    return is_ours(view, own) && has_key(view, own) ? 0 : -EBUSY;
}

int reservation_check(const struct reservation_ops *ops, int fd, uint64_t own,
                      struct reservation_view *view, struct reservation_loss *loss)
{
    int err = ops->read(fd, view);
    bool can_persist = false;

    *loss = (struct reservation_loss){.lost = false};
    if (err)
        return err;
    loss->lost = !is_ours(view, own) || !has_key(view, own);
    loss->generation = view->generation;
    if (!loss->lost && (view->persists || ops->probe(fd, &can_persist) || !can_persist))
        return 0;
    return reservation_take(ops, fd, own, view);
}

static int preempt_once(const struct reservation_ops *ops, int fd, uint64_t own, uint64_t victim,
                        struct reservation_view *view, struct reservation_removal *done)
{
    int err = ops->preempt(fd, own, victim);

    done->preempted = done->preempted || !err;
    done->sent = done->sent || err != -EBADE;
    /* A conflict: our path's registration is gone, or the victim's went just now. */
    return err == -EBADE ? reservation_take(ops, fd, own, view) : err;
}

int reservation_remove(const struct reservation_ops *ops, int fd, uint64_t own, uint64_t victim,
                       struct reservation_view *view, struct reservation_removal *done)
{
    enum { TRIES = 3 };
    int err = -EINVAL;

    *done = (struct reservation_removal){.sent = false};
    if (victim == own ||
        victim == 0) /* a preempt of key 0 would take the reservation from everybody */
        return -EINVAL;
    for (int i = 0; i < TRIES; i++) {
        struct reservation_loss loss;

        err = reservation_check(ops, fd, own, view, &loss);
        if (loss.lost && !done->loss.lost)
            done->loss = loss;
        if (err)
            return err;
        if (!has_key(view, victim))
            return 0;
        err = preempt_once(ops, fd, own, victim, view, done);
        if (err && err != -EAGAIN)
            return err;
    }
    err = ops->read(fd, view);
    if (err)
        return err;
    return is_ours(view, own) && !has_key(view, victim) ? 0 : -EBUSY;
}

int reservation_succeed(const struct reservation_ops *ops, int fd, uint64_t own, uint64_t before,
                        struct reservation_view *view)
{
    bool persists = false;
    int err = ops->probe(fd, &persists);

    /* On the same path this is all: the reservation's key is the path's. */
    if (!err)
        err = ops->register_key(fd, own, persists);
    if (!err)
        err = ops->read(fd, view);
    if (!err && has_key(view, before))
        err = ops->preempt(fd, own, before);
    if (err && err != -EBADE)
        return err;
    err = reservation_take(ops, fd, own, view);
    return err ? err : has_key(view, before) ? -EBUSY : 0;
}

static uint64_t other_node(const struct reservation_view *view, uint64_t own)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->reg[i].key != own && reservation_key_is_node(view->reg[i].key))
            return view->reg[i].key;
    }
    return 0;
}

/* A conflict: the victim went just now, or our own registration did; the next round sees which.
 * persists: how to register; NULL if we may not. */
static int expel_nodes(const struct reservation_ops *ops, int fd, uint64_t own,
                       const bool *persists, struct reservation_view *view, unsigned *expelled)
{
    enum { ROUNDS = 16 };
    int err = 0;

    *expelled = 0;
    for (unsigned i = 0; !err && i < ROUNDS; i++) {
        const uint64_t victim = other_node(view, own);

        if (!victim)
            return 0;
        err = persists ? ops->register_key(fd, own, *persists) : 0;
        if (!err)
            err = ops->preempt(fd, own, victim);
        *expelled += !err;
        if (!err || err == -EBADE)
            err = ops->read(fd, view);
    }
    return err ? err : -EBUSY;
}

int reservation_take_over(const struct reservation_ops *ops, int fd, uint64_t own,
                          struct reservation_view *view, unsigned *expelled)
{
    bool persists = false;
    int err = ops->probe(fd, &persists);

    *expelled = 0;
    if (!err)
        err = ops->read(fd, view);
    if (!err && view->held && view->holder_key != own && !reservation_key_is_node(view->holder_key))
        return -EBUSY;
    if (!err)
        err = expel_nodes(ops, fd, own, &persists, view, expelled);
    if (!err)
        err = reservation_take(ops, fd, own, view);
    return err ? err : other_node(view, own) ? -EBUSY : 0;
}

int reservation_hold(const struct reservation_ops *ops, int fd, uint64_t own,
                     struct reservation_view *view, unsigned *expelled)
{
    int err = ops->read(fd, view);

    *expelled = 0;
    if (!err && is_ours(view, own))
        err = expel_nodes(ops, fd, own, NULL, view, expelled);
    return err ? err : is_ours(view, own) && !other_node(view, own) ? 0 : -EBUSY;
}
