/*
 * What can be sealed: pure functions over facts that seal/fs.c gathered, each refusal with its
 * remedy.
 */
#ifndef LAYOUT_SEAL_JUDGE_H
#define LAYOUT_SEAL_JUDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout/refusal.h"
#include "layout/seal/fs.h"

struct seal_facts {
    mode_t mode;
    uint64_t size;
    const char *fs_type; /* as in mountinfo */
    bool read_only;      /* the mount */
    bool data_journal;   /* ext4 data=journal, the mount or the file */
    int options_error;   /* -errno: it could not be read how ext4 is mounted */
    bool immutable;
    bool marked; /* by a seal (seal/mark.h), known or not */
    bool encrypted;
    bool realtime;         /* XFS */
    bool reflink;          /* the file system can clone files */
    bool guarded;          /* and the caller sees to it that this one is not */
    const char *unguarded; /* why he does not; NULL: it is not said */
};

int seal_judge_file(const struct seal_facts *facts, enum seal_kind kind, struct seal_refusal *why);

/* What the kernel takes off a file when another user writes it, and a client's direct write does
 * not: set-id bits, capabilities. So a pinned file has none. */
int seal_judge_privileges(mode_t mode, bool capabilities, enum seal_kind kind,
                          struct seal_refusal *why);

/* One extent of the kernel's map; flags are FIEMAP_EXTENT_*. volume_size 0: not known. */
struct seal_extent_facts {
    uint64_t file_offset;
    uint64_t length;
    uint64_t device_offset;
    uint32_t flags;
};

int seal_judge_extent(const struct seal_extent_facts *extent, uint64_t volume_size,
                      struct seal_refusal *why);
/* The whole map: holes, which are for a frozen seal only, and there for who knows of them (sparse).
 */
int seal_judge_map(const struct seal_map *map, enum seal_kind kind, bool sparse,
                   struct seal_refusal *why);
/* Is it plain data at a known place, exclusively this file's or shared? Otherwise a re-read map
 * shows a hole there. */
bool seal_extent_is_data(uint32_t flags);

#endif
