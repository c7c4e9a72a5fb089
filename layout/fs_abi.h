/*
 * Pieces of the kernel's ioctl interface that Debian 12's uapi headers lack, or keep in development
 * packages we would need for nothing else. Layouts are fixed by the kernel; sizes are checked here.
 */
#ifndef LAYOUT_FS_ABI_H
#define LAYOUT_FS_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

/* FS_IOC_GETFSUUID, Linux 6.9. */
struct fs_abi_uuid2 {
    uint8_t len;
    uint8_t uuid[16];
};
#define FS_ABI_GETFSUUID _IOR(0x15, 0, struct fs_abi_uuid2)

/* EXT4_IOC_GETFSUUID, Linux 5.19: the head is followed by len bytes. */
struct fs_abi_ext4_uuid_head {
    uint32_t len;
    uint32_t flags;
};
union fs_abi_ext4_uuid {
    struct fs_abi_ext4_uuid_head head;
    uint8_t bytes[sizeof(struct fs_abi_ext4_uuid_head) + 16];
};
#define FS_ABI_EXT4_GETFSUUID _IOR('f', 44, struct fs_abi_ext4_uuid_head)

/* XFS_IOC_FSGEOMETRY_V1, of any kernel. */
struct fs_abi_xfs_geometry {
    uint32_t blocksize;
    uint32_t rtextsize;
    uint32_t agblocks;
    uint32_t agcount;
    uint32_t logblocks;
    uint32_t sectsize;
    uint32_t inodesize;
    uint32_t imaxpct;
    uint64_t datablocks;
    uint64_t rtblocks;
    uint64_t rtextents;
    uint64_t logstart;
    uint8_t uuid[16];
    uint32_t sunit;
    uint32_t swidth;
    int32_t version;
    uint32_t flags;
    uint32_t logsectsize;
    uint32_t rtsectsize;
    uint32_t dirblocksize;
};
_Static_assert(sizeof(struct fs_abi_xfs_geometry) == 112, "struct xfs_fsop_geom_v1 is 112 bytes");
#define FS_ABI_XFS_GEOMETRY _IOR('X', 100, struct fs_abi_xfs_geometry)
#define FS_ABI_XFS_REFLINK  (1u << 20) /* in flags */

#endif
