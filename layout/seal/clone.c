/* See seal/clone.h. */
#include "layout/seal/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "layout/fs_abi.h"
#include "layout/seal/writers.h"

int seal_can_be_cloned(int fd, bool *can)
{
    struct fs_abi_xfs_geometry geometry;

    *can = false;
    if (ioctl(fd, FS_ABI_XFS_GEOMETRY, &geometry) != 0)
        return errno == ENOTTY ? 0 : -errno; /* ENOTTY: no XFS */
    *can = geometry.flags & FS_ABI_XFS_REFLINK;
    return 0;
}

static int refuse_reader(int fd, struct seal_refusal *why)
{
    char who[96];

    if (readers_describe(fd, who, sizeof(who)))
        return seal_refuse(why, SEAL_REFUSED_READER, EBUSY,
                           "%s, and could clone it (cp --reflink) while clients write to it; close "
                           "it there, or stop that process, and try again",
                           who);
    return seal_refuse(why, SEAL_REFUSED_READER, EBUSY,
                       "it is open or mapped by somebody else, who could clone it (cp --reflink) "
                       "while clients write to it: the kernel (a loop device, a file server), or a "
                       "process that this one may not look into (lsof names it); end that and try "
                       "again");
}

/* The kernel gives a write lease only when its descriptor is the only one: it counts those that
 * read (i_readcount) and those that write, and mappings keep theirs. */
int seal_prove_alone(int fd, struct seal_refusal *why)
{
    /* A broken lease sends SIGIO, which ends the process; SIGURG does not. */
    if (fcntl(fd, F_SETSIG, SIGURG) != 0)
        return seal_refuse_errno(why, errno, "F_SETSIG for the write lease");
    if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
        if (fcntl(fd, F_SETLEASE, F_UNLCK) == 0)
            return 0;
        return seal_refuse_errno(why, errno, "giving the write lease back");
    }
    if (errno == EAGAIN)
        return refuse_reader(fd, why);
    if (errno == EINVAL)
        return seal_refuse(why, SEAL_REFUSED_NO_LEASES, EINVAL,
                           "the kernel gives no leases, without which readers cannot be excluded; "
                           "set /proc/sys/fs/leases-enable to 1");
    return seal_refuse_errno(why, errno, "taking a lease to prove that nobody else has it open");
}
