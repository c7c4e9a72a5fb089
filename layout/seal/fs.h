/*
 * Sealing a file, as the file system sees it, in steps between which the engine can journal (see
 * docs on the life of a seal):
 *
 *   seal_fs_prepare -> [journal the intent] -> seal_fs_set_flag -> seal_fs_prove_no_writer ->
 * seal_fs_read_map
 *       -> [journal the map] -> sealed
 *   releasing: seal_fs_reread_map, compare -> seal_fs_clear_flag
 *
 * Every function works through the caller's O_RDONLY descriptor, keeps no state, and blocks: worker
 * threads only. One thread at a time per file. After a failure past seal_fs_set_flag the caller
 * calls seal_fs_clear_flag, and the file is as it was (seal_fs_seal does it all, for tools and
 * tests).
 *
 * Why a flag and a lease: FS_IMMUTABLE_FL keeps new writers out and survives our crash, but on XFS
 * descriptors and mappings from before it still write; that none of them is left is what a read
 * lease proves.
 */
#ifndef LAYOUT_SEAL_FS_H
#define LAYOUT_SEAL_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "layout/file_key.h"
#include "layout/refusal.h"
#include "layout/seal/map.h"

enum seal_kind {
    SEAL_KIND_FROZEN = 0, /* data does not change: READ grants; may have holes (sparse) */
    SEAL_KIND_PINNED = 1, /* data may change in place: READ and RW grants; no holes, no clones */
};

struct seal_fs_request {
    enum seal_kind kind;
    bool fill;    /* allocate holes, and write UNWRITTEN blocks out as zeros */
    bool sparse;  /* holes may stay (frozen seals only): clients read zeros there */
    bool unshare; /* give the file blocks of its own where it shares them with a clone */
    bool growing; /* it is to get a reserve (seal/reserve.h), and may be empty */
    bool guarded; /* the caller keeps clones away (seal/clone.h): a pinned seal where there are any
                   */
    const char *unguarded; /* why he does not */
};

/* What a growing file is left as: its logical size, if it is longer on disk, and not longer than
 * its reserve made it. */
struct seal_cut {
    uint64_t size, reserve;
    bool whole; /* the reserve was made: of another length the file is not ours to cut any more */
    bool immutable; /* the flag is somebody else's, and is set again */
};

/*
 * Checks that the file can be sealed and makes its map whole as asked. A file with several links
 * can be sealed: flag and map belong to the inode. Filling never changes what the file reads as,
 * also beside a writer; its times move as by a write.
 */
int seal_fs_prepare(int fd, const struct seal_fs_request *request, struct seal_refusal *why);
/*
 * Would it be sealed, as things are at this moment? Changes nothing, but that what is in memory of
 * the file is written out. Filling and a reserve are taken for done: whether there is room is not
 * asked. volume_size as below.
 */
int seal_fs_try(int fd, const struct seal_fs_request *request, uint64_t volume_size,
                struct seal_refusal *why);
/* Sets the mark (layout/seal/mark.h), then FS_IMMUTABLE_FL, and makes both durable.
 * SEAL_REFUSED_ALREADY_IMMUTABLE when the flag was set (the file is left alone). */
int seal_fs_set_flag(int fd, enum seal_kind kind, struct seal_refusal *why);
/*
 * Proves that nobody has the file open for writing or mapped writable; with a descriptor that is
 * open for writing itself, that it is the only one there is, readers' included (a mapping made by
 * it afterwards is the only writable one, then). The refusal names the process where it can be
 * found. The file's flag should be set, or the answer is only momentary. The server's own writable
 * descriptors count, but for the one that is handed in.
 */
int seal_fs_prove_no_writer(int fd, struct seal_refusal *why);
/*
 * fsync, reads the map, judges it for this kind of seal, and looks for writers again (one that was
 * between permission check and open when the flag was set). volume_size bounds the extents
 * (device_size(); 0: not checked). sparse: holes are no reason to refuse a frozen seal.
 */
int seal_fs_read_map(int fd, enum seal_kind kind, bool sparse, uint64_t volume_size,
                     struct seal_map **map, struct seal_refusal *why);
/*
 * Reads the map of a sealed file without judging it, for comparing. *shared: blocks of it are a
 * clone's too, which does a frozen file no harm.
 */
int seal_fs_reread_map(int fd, struct seal_map **map, bool *shared, struct seal_refusal *why);
/*
 * Clears FS_IMMUTABLE_FL durably, sets the modification time that was kept elsewhere while the flag
 * forbade it (NULL: none), and takes the mark off; in this order, so that a call that was cut short
 * by a crash can be made again. 0 also when the flag was not set; a flag without our mark is
 * somebody else's and stays. Before the flag goes, the cached pages of a pinned file are dropped,
 * as clients have written to the disk beneath them; -EBUSY with SEAL_REFUSED_STALE_PAGES when a
 * local process keeps stale ones mapped: the flag stays, try again later.
 */
int seal_fs_clear_flag(int fd, enum seal_kind kind, const struct timespec *mtime,
                       struct seal_refusal *why);
/* The same of a growing file: when the flag is cleared, which forbids it, the file is cut to its
 * size. Also of one that has its mark and not yet its flag, or one that somebody else has set. */
int seal_fs_clear_grown(int fd, const struct seal_cut *cut, const struct timespec *mtime,
                        struct seal_refusal *why);
/* Is FS_IMMUTABLE_FL set? */
int seal_fs_get_flag(int fd, bool *set);
/* Does the file carry the flag and our mark? *named: the key in the mark (seal_mark_find). */
int seal_fs_is_sealed(int fd, bool *sealed, enum seal_kind *kind, struct file_key *named);

/* All the steps of sealing in a row, with nothing journalled; the flag is cleared again when one
 * fails. */
int seal_fs_seal(int fd, const struct seal_fs_request *request, uint64_t volume_size,
                 struct seal_map **map, struct seal_refusal *why);

#endif
