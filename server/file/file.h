/*
 * file.h - the files that clients hold handles of, each once, with its descriptors, its open and
 * lock state and its seal word.
 *
 * Handles are name_to_handle_at's with an export id and a keyed MAC (fh.h). A file is found or made
 * by its file_key (layout/file_key.h) and is reference-counted; the table keeps unreferenced files
 * with their O_PATH descriptor in an LRU of bounded size. Hard links are one file. Directories of
 * the pseudo root are files too, without a descriptor. `file_lock` guards the open and lock state
 * hung on it (state.h) and is held for memory operations only. Any thread.
 *
 * Lock order: file table shard -> file -> nothing. No I/O under either.
 */
#ifndef SEALNFS_SERVER_FILE_FILE_H
#define SEALNFS_SERVER_FILE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "layout/file_key.h"
#include "proto/nfs4/types.h"
#include "proto/xdr.h"
#include "server/base/place.h"
#include "server/file/fh.h"

struct descriptor_plan; /* descriptors.h */
struct export_table;
struct file_state; /* state.h */
struct file_table;
struct fs_handle; /* fs_handle.h */
struct handle_cache;
struct pseudo_dir;
struct submounts;

/* Whether a file is sealed, in one atomic word beside it: unsealed files never ask the keeper.
 * Written by the keeper. */
enum seal_word { SEAL_NONE, SEAL_SEALING, SEAL_FROZEN, SEAL_PINNED, SEAL_RELEASING, SEAL_BROKEN };
#define SEAL_WORD_AT_REST 0x100u /* flag: the seal gives way by itself (policy at-rest) */
/* The word without its flags. */
static inline enum seal_word seal_kind(unsigned word)
{
    return (enum seal_word)(word & ~SEAL_WORD_AT_REST);
}

/* What the keeper shows of a pinned file and has in its journal, as the flag forbids to set it. */
struct file_overlay {
    uint64_t mtime_ns; /* 0: the file's own, and so is the change attribute */
    uint64_t change;
    bool has_size; /* it grows under its seal: its size is not that of the file on disk */
    uint64_t size;
};

/* fh_key: of the MAC of file handles; copied. The exports stay the caller's and outlive the table.
 * plan: how many descriptors of files may stay open that nobody uses. */
int file_table_create(struct export_table *exports, const uint8_t fh_key[FH_KEY_SIZE],
                      const struct descriptor_plan *plan, struct file_table **out);
void file_table_destroy(struct file_table *table);
/* Exports have come. -errno: their file systems share the threads that there are. */
int file_table_grow(struct file_table *table);
/* A worker, after an error in this export. True: it lacked space, or its user's quota was used up,
 * and is worth another try: the descriptors of files of its file system that were removed before
 * the call, by whomever, and that nobody uses, are closed, so that their space can be used. */
bool file_table_settle(struct file_table *table, const struct export *export, int error);

struct handle_cache *file_table_handles(struct file_table *table); /* handle_cache.h */
struct submounts *file_table_submounts(struct file_table *table);  /* export/submounts.h */

struct file *file_ref(struct file *file);
void file_unref(struct file *file); /* NULL is fine */

const struct file_key *file_key(const struct file *file);
struct export *file_export(const struct file *file); /* that it was first reached through; NULL: a
                                                        directory of the pseudo root */
int file_path_fd(
    const struct file *file); /* O_PATH, or -1 for pseudo directories; valid while referenced */
mode_t file_type(const struct file *file); /* S_IFMT bits */
void file_describe(const struct file *file, char *text,
                   size_t size); /* for logs: its path as last seen */

/* For fs_access.c: the ctime (ns) at which the file was seen to have no access control list; 0: not
 * known. */
uint64_t file_plain_since(const struct file *file);
void file_set_plain_since(struct file *file, uint64_t ctime_ns);

unsigned file_seal(const struct file *file); /* enum seal_word | flags */
void file_set_seal(struct file *file, unsigned word);
/* The file of this key if it is in memory, with a reference; else NULL. */
struct file *file_find(struct file_table *table, const struct file_key *key);
/* For READDIR, which learns inode numbers: the file of this number, with a reference, if it is in
 * memory and was so when file_table_now was asked. Since then the number has been its own, because
 * a file in memory keeps its inode: a name that was read after that and had the number was a name
 * of this file. NULL says nothing; always so on file systems whose handles do not tell the number.
 */
uint64_t file_table_now(const struct file_table *table);
struct file *file_find_inode(struct file_table *table, const struct export *export, uint64_t ino,
                             uint64_t now);
/* May a file of this key come into memory for a listing only? Listings fill half of the places of
 * files that nobody uses, so that they drive none out. */
bool file_table_has_room(struct file_table *table, const struct file_key *key);
/* The same as file_set_seal and file_set_overlay for a file that need not be in memory: the table
 * remembers the word and the overlay by key for as long as they are not zero, and a file that comes
 * (back) into memory takes them on. The keeper tells every seal of its journal so before clients
 * are served. -ENOMEM. */
int file_table_set_seal(struct file_table *table, const struct file_key *key, unsigned word);
int file_table_set_overlay(struct file_table *table, const struct file_key *key,
                           const struct file_overlay *overlay);

/*
 * Ways to a file; each gives a reference. may_block false (loops): -EAGAIN when the answer is not
 * in memory. Where said so, permission to search is checked by the kernel for the identity the
 * thread has taken on (fs_cred.h).
 *
 * A place is a file and the export it was reached through (place.h): where exports overlap,
 * one file has several. The reference is the caller's.
 *
 * By the wire's handle, as the server: -EBADMSG: not one of ours (BADHANDLE); -ESTALE: gone.
 */
int file_from_handle(struct file_table *table, struct xdr_bytes handle, bool may_block,
                     struct place *out);
/* Of the wire's handle; NULL: not one of ours, or the pseudo root's. */
struct export *file_export_of_handle(struct file_table *table, struct xdr_bytes handle);
/* By name in a directory, as the client. Does not follow symbolic links and does not cross mount
 * points
 * (-ENOENT); exports below a directory of the pseudo root come before what the file system has
 * there. The name is one that name_check passed. */
int file_lookup(const struct place *dir, const char *name, bool may_block, struct place *out);
/* The parent of a directory, as the client; -ENOENT at the pseudo root. Never above an export's
 * root: from there into the pseudo root. */
int file_parent(const struct place *dir, bool may_block, struct place *out);
/* By a descriptor (O_PATH or any other) of something in the export; takes over path_fd in every
 * case. Does not block. */
int file_from_fd(struct file_table *table, struct export *export, int path_fd, struct file **out);
/* The pseudo root, or the root of the export mounted there. */
int file_root(struct file_table *table, struct place *out);
/* The file at a path of this machine, inside an export; for the operator's tools. -EXDEV when it is
 * in no export. BLOCKS (workers). */
int file_from_path(struct file_table *table, const char *path, struct file **out);

/* Is the directory still below its export's root? -ENOENT: it was moved out by a local program. As
 * the server. BLOCKS. */
int file_check_inside(const struct place *dir);
/* The names that the pseudo root adds to a directory: those of the exports below it; NULL: none. */
struct pseudo_dir *file_junctions(const struct place *dir);
/* A directory of the pseudo root, or the root of the export that hangs there; -EAGAIN: that is
 * away, and has no exports below it. Does not block. */
int file_from_pseudo(struct file_table *table, struct pseudo_dir *dir, struct place *out);
/* A directory of the pseudo root (file_export is NULL). */
bool file_is_pseudo(const struct file *file);
/* The wire's handle of the place, written to wire; a view of it. */
struct xdr_bytes file_handle(const struct place *at, uint8_t wire[NFS4_FHSIZE]);
/* The same for what fs_handle_get gave (READDIR). */
struct xdr_bytes file_handle_of(const struct file_table *table, const struct export *export,
                                const struct fs_handle *handle, uint8_t wire[NFS4_FHSIZE]);
/* A worker. Its last name is gone: drop it from memory when nobody uses it any more, so that its
 * space is given back. Who has it open keeps no descriptor of data of it between two uses.
 */
void file_forget(struct file *file);

/* A descriptor for data: readable, writable, direct. Opened on first use, shared, counted;
 * file_data_close gives it back, and it is closed a second after its last use, or at once when too
 * many are open. Both BLOCK (workers). -EPERM for writing while sealed.
 * Acts as the server: call it outside fs_cred_enter .. fs_cred_leave; whether the client may was
 * OPEN's question. FILE_READ | FILE_DIRECT is an O_DIRECT descriptor of its own. */
enum file_access { FILE_READ = 1, FILE_WRITE = 2, FILE_DIRECT = 4 };
int file_data_open(struct file *file, unsigned access, int *fd);
void file_data_close(struct file *file, unsigned access);
/* As file_data_open, if the descriptor is open already: -EAGAIN when it is not. Given back by
 * file_data_leave. Neither blocks. */
int file_data_try(struct file *file, unsigned access, int *fd);
void file_data_leave(struct file *file, unsigned access);
/* Makes what was written to the file durable (data_only: all that is needed to read it again); fd
 * is one of its data. An error says that data may be lost which was written before, by whomever:
 * the write verifier of the file system has changed when anybody who flushes the file at the same
 * time hears of success, since the kernel tells of a loss once. BLOCKS (workers). */
int file_flush(struct file *file, int fd, bool data_only);
/* Close the writable descriptor now if nobody uses it, so that a seal can prove that no writer is
 * left. 0, or -EBUSY. */
int file_drop_writer(struct file *file);
/* The same for the descriptors that only read. */
int file_drop_readers(struct file *file);
/* The same for the one that reads past the page cache. */
int file_drop_direct(struct file *file);

/* A descriptor of its own for what path_fd is, by /proc/self/fd; the kernel checks the thread's
 * identity. A directory is read by one. Negative errno on failure. BLOCKS. */
int fs_reopen(int path_fd, int flags);

void file_lock(struct file *file);
void file_unlock(struct file *file);
struct file_state **
file_state_slot(struct file *file); /* under file_lock; state.c owns what hangs there */

/* statx of the file with the pinned overlay (mtime, change) applied. Does not block: the inode is
 * in memory.
 */
struct file_stat {
    struct statx stx;
    uint64_t change;
};
int file_stat(struct file *file, struct file_stat *out);
/* The same without the birth time (stx_btime), and without what only statx tells (stx_attributes,
 * stx_mnt_id): cheaper, and what operations do all the time. */
int file_stat_basic(struct file *file, struct file_stat *out);
/* file_stat after the caller did the statx itself (READDIR, relative to the directory): fills
 * change, applies the overlay. The file need not be in memory; one that is is asked again, for what
 * is told of it must be in order. */
int file_stat_finish(struct file_table *table, const struct file_key *key, struct file_stat *stat);
/* This server has just changed the file: makes `change` differ even when the kernel's clock did not
 * tick. */
void file_changed(struct file *file);
/* A zeroed overlay: none any more. */
void file_set_overlay(struct file *file, const struct file_overlay *overlay);
/* Is its size another than that of the file on disk? */
bool file_is_growing(struct file *file);

#endif
