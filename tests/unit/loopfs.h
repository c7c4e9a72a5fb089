/*
 * A file system on a loop device for tests, mounted in a mount namespace of the test's own. The
 * image has no name, the loop device clears itself, the namespace goes with the process: a test
 * that crashes leaves nothing but an empty directory.
 */
#ifndef TESTS_LOOPFS_H
#define TESTS_LOOPFS_H

#include <stdbool.h>
#include <stdint.h>

struct loopfs_spec {
    const char *type;         /* "xfs", "ext4", "btrfs", "tmpfs" */
    const char *mkfs_options; /* "-m reflink=0"; or NULL */
    const char *tune; /* run on the volume before it is mounted: "tune2fs -o acl"; or NULL */
    const char *mount_options; /* for mount(2)'s data: "data=journal"; or NULL */
    uint64_t size;    /* of the image; 0: 320 MiB, the least that mkfs.xfs takes. Sparse. */
    uint32_t sector;  /* logical block size of the loop device; 0: 512 */
    bool partitioned; /* the file system is in a partition of the disk, from sector 2048 on */
};

struct loopfs;

/* Root, loop devices and a private mount namespace are there. Else false, and why. Call it first.
 */
bool loopfs_possible(const char **why);
/* Makes the file system and mounts it. 0, or -errno with `why` (static) saying which step failed.
 */
int loopfs_create(const struct loopfs_spec *spec, struct loopfs **out, const char **why);
void loopfs_destroy(struct loopfs *fs);

const char *loopfs_dir(const struct loopfs *fs);    /* where it is mounted */
const char *loopfs_disk(const struct loopfs *fs);   /* "/dev/loop3" */
const char *loopfs_volume(const struct loopfs *fs); /* "/dev/loop3p1", or the disk */
int loopfs_remount(struct loopfs *fs, bool read_only);
/* Unmounts and mounts again: caches are gone. */
int loopfs_cycle(struct loopfs *fs);

/* A bare loop device of this size; *fd keeps it alive. path has room for 32 bytes. 0 or -errno. */
int loopfs_bare(uint64_t size, uint32_t sector, char *path, int *fd);
/* Runs a command line by the shell, its output to /dev/null unless the environment has
 * LOOPFS_VERBOSE. Its exit code. */
int loopfs_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
