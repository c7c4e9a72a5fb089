/* Persistent reservations, the part that is the same for SCSI and NVMe: see reservation.h. */
#include "layout/reservation/reservation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { KEY_PREFIX = 0x5ea1, SERVER_BITS = 24, NUMBER_BITS = 24 };

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

int reservation_remove(const struct reservation_ops *ops, int fd, uint64_t own, uint64_t victim,
                       struct reservation_view *view, bool *preempted)
{
    enum { TRIES = 3 };
    int err = -EINVAL;

    *preempted = false;
    if (victim == own ||
        victim == 0) /* a preempt of key 0 would take the reservation from everybody */
        return -EINVAL;
    for (int i = 0; i < TRIES; i++) {
        struct reservation_loss loss;

        err = reservation_check(ops, fd, own, view, &loss);
        if (err)
            return err;
        if (!has_key(view, victim))
            return 0;
        err = ops->preempt(fd, own, victim);
        *preempted = *preempted || !err;
        /* A conflict: our path's registration is gone, or the victim's went just now. */
        if (err == -EBADE)
            err = reservation_take(ops, fd, own, view);
        if (err && err != -EAGAIN)
            return err;
    }
    err = ops->read(fd, view);
    if (err)
        return err;
    return is_ours(view, own) && !has_key(view, victim) ? 0 : -EBUSY;
}
