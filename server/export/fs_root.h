/*
 * fs_root.h - the directory that an export serves, and what there is to know of its file system:
 * found by its path, if the file system that is meant is mounted there; never the directory
 * underneath. Finding and asking BLOCK (workers).
 */
#ifndef SEALNFS_SERVER_EXPORT_FS_ROOT_H
#define SEALNFS_SERVER_EXPORT_FS_ROOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout/file_key.h"

struct config_export;
struct fs_record;
struct fs_seen;

enum { FS_WHY_MAX = 1024 };

struct fs_root {
    int fd; /* O_RDONLY: good for open_by_handle_at */
    char *real_path;
    char *mount_point;
    int mount_id;
    dev_t fs_dev; /* the super block's */
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE];
    struct file_key key;
    uint64_t max_file_size;
    uint32_t max_links;
    bool commits_by_directory;
};

/* Where the path is, against what was served from it before. */
enum fs_place { FS_PLACE_RIGHT, FS_PLACE_NOT_MOUNTED, FS_PLACE_UNDERNEATH };

/*
 * mountpoint: the option ("true", "false", "auto" or NULL, or a path); meant: where it wants its
 * file system mounted, or below; seen: what was served from the path, or NULL; fs_uuid and point:
 * what is there now. Pure.
 */
enum fs_place fs_place_judge(const char *mountpoint, const char *meant, const struct fs_seen *seen,
                             const uint8_t fs_uuid[FILE_KEY_UUID_SIZE], const char *point);

/* 0; or -errno and `why`, a clause that ends in what to do. */
int fs_root_open(const struct config_export *config, struct fs_record *record, struct fs_root **out,
                 char why[FS_WHY_MAX]);
void fs_root_free(struct fs_root *root);

#endif
