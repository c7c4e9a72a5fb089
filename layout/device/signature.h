/*
 * Disk signatures (RFC 5663 section 2.2.1): bytes that let a client recognise the disk by its
 * content. They are taken from the file system's superblock, from fields that do not change while
 * it is mounted, or from what LVM, md or a partition table keeps to tell disks from one another.
 *
 * The Linux client takes at most 4 components of at most 128 bytes, blkmapd at most 15, and both
 * compare them with what they read at bsc_sig_offset of the whole disk. So a partition's start is
 * added, and no negative offsets are used: they would need client and server to see the same disk
 * size.
 */
#ifndef LAYOUT_DEVICE_SIGNATURE_H
#define LAYOUT_DEVICE_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/refusal.h"

enum {
    SIGNATURE_MAX_COMPONENTS = 4,
    SIGNATURE_COMPONENT_MAX = 32,
};

enum signature_fs { SIGNATURE_XFS, SIGNATURE_EXT4 };

struct signature_component {
    int64_t offset; /* bytes from the start of the disk */
    uint32_t len;
    uint8_t bytes[SIGNATURE_COMPONENT_MAX];
};

struct signature {
    uint32_t count;
    struct signature_component component[SIGNATURE_MAX_COMPONENTS];
};

enum {
    SIGNATURE_SUPERBLOCK_SIZE = 4096,
    SIGNATURE_HEAD_SIZE = 8192, /* what the others are looked for in */
};

/*
 * Takes the signature out of the first SIGNATURE_SUPERBLOCK_SIZE bytes of the volume, which starts
 * at `start` of the disk. Pure. -EINVAL when they are not that file system's superblock, or its
 * UUID is not the one given, or is all zero.
 */
int signature_from_superblock(enum signature_fs fs, const uint8_t block[SIGNATURE_SUPERBLOCK_SIZE],
                              uint64_t start, const uint8_t uuid[16], struct signature *out);
/*
 * What tells a disk from others when no superblock is on it, from the first SIGNATURE_HEAD_SIZE
 * bytes of what LVM or md was given, which starts at `start` of the disk; and from the first bytes
 * of the disk itself. Pure. -EINVAL: it is not there.
 */
int signature_from_pv(const uint8_t *head, uint64_t start,
                      struct signature *out); /* LVM's label, the PV's UUID */
int signature_from_md(const uint8_t *head, uint64_t start,
                      struct signature *out); /* superblock 1.1, 1.2 */
int signature_from_table(const uint8_t *head,
                         struct signature *out); /* GPT's or MBR's disk identifier */
/* Reads the disk (past the page cache, as a client would) and compares. 0, -ENOENT when it is not
 * there, or -errno. */
int signature_verify(int disk_fd, const struct signature *signature);
/* Within its bounds: what comes from a journal has to be. */
bool signature_is_sane(const struct signature *signature);
bool signature_equal(const struct signature *a, const struct signature *b);

#endif
