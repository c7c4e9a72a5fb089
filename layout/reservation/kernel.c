/* Persistent reservations by the kernel's own ioctls: see reservation/kernel.h. */
#include "layout/reservation/kernel.h"

#include <errno.h>
#include <linux/pr.h>
#include <sys/ioctl.h>

/*
 * What the ioctls return beside errno: the status of the command, in the driver's words. These
 * values are the same in all kernels (since 6.4 as PR_STS_*). Before, NVMe's own status was
 * returned as it came: a code, and flags beside it (Do Not Retry, More), below the bits where SCSI
 * has the host's part.
 */
enum {
    STATUS_CHECK_CONDITION = 0x02,
    STATUS_CONFLICT = 0x18,
    STATUS_NVME_CONFLICT = 0x83,
    STATUS_NVME_CODE = 0x7ff,
    STATUS_NVME_MAX = 0x7fff,
    STATUS_NO_CONNECT = 0x10000,
    STATUS_TRANSPORT_DISRUPTED = 0xe0000,
    STATUS_TRANSPORT_FAILFAST = 0xf0000,
};

enum { TRIES = 6 }; /* a path can have a few unit attentions waiting, one a command */

static int result(int rc)
{
    if (rc > 0 && rc <= STATUS_NVME_MAX && (rc & STATUS_NVME_CODE) == STATUS_NVME_CONFLICT)
        return -EBADE;
    switch (rc) {
    case 0:
        return 0;
    case STATUS_CONFLICT:
        return -EBADE;
    case STATUS_CHECK_CONDITION: /* of all the reasons a unit attention is the one that goes away */
    case STATUS_TRANSPORT_DISRUPTED:
        return -EAGAIN;
    case STATUS_NO_CONNECT:
    case STATUS_TRANSPORT_FAILFAST:
        return -ENXIO;
    default:
        return rc < 0 ? -errno : -EIO;
    }
}

static int command(int fd, unsigned long request, void *argument)
{
    int err = -EAGAIN;

    for (int i = 0; i < TRIES && err == -EAGAIN; i++)
        err = result(ioctl(fd, request, argument));
    return err;
}

int reservation_kernel_register(int fd, uint64_t key)
{
    struct pr_registration registration = {.new_key = key, .flags = PR_FL_IGNORE_KEY};

    return command(fd, IOC_PR_REGISTER, &registration);
}

int reservation_kernel_reserve(int fd, uint64_t key)
{
    struct pr_reservation reservation = {.key = key, .type = PR_EXCLUSIVE_ACCESS_REG_ONLY};

    return command(fd, IOC_PR_RESERVE, &reservation);
}

/* old_key is one's own, new_key the victim's. */
int reservation_kernel_preempt(int fd, uint64_t own, uint64_t victim)
{
    struct pr_preempt preempt = {
        .old_key = own, .new_key = victim, .type = PR_EXCLUSIVE_ACCESS_REG_ONLY};

    return command(fd, IOC_PR_PREEMPT_ABORT, &preempt);
}
