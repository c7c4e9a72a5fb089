/*
 * Holds: for a program on the server's own machine that reads or writes a sealed file's blocks on
 * the device itself (a hypervisor, a backup, a file server of another protocol) without being an
 * NFS client. It gets the file's extents and the promise that they stay the file's until it has
 * given them back.
 *
 * Units: offsets and lengths are bytes, times are milliseconds. Errors: 0 or a negative errno,
 * out-parameters untouched on error; the sentence is in sealio_holder_error(). Ownership: a holder
 * and its holds belong to the program until they are closed. Threads: a holder and its holds are
 * used by one thread at a time; nothing here starts a thread. Calls wait for the server's answer
 * without a time-out: to give up would be to close the socket, which says that the I/O has ended.
 * The descriptor is not inherited by other programs unless the program changes that.
 *
 * The program's part of the bargain: no I/O to a hold's extents before it was granted or after it
 * was given back, was lost, or the program's fence ended it. When a hold is recalled, the I/O under
 * way is waited for and the hold is closed. I/O to the device is O_DIRECT: pages of the device in
 * the page cache are neither current nor written in time.
 */
#ifndef SEALIO_HOLD_H
#define SEALIO_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sealio_holder; /* a program and its connection to the server */
struct sealio_hold;   /* one file */

/*
 * What the program declares: how the server is to make its holds useless when it does not give them
 * back.
 *
 * CLOSE says that from the moment the socket is closed, nothing of the program touches the disk.
 * The kernel closes the socket of a process that dies, after its last thread has ended; so this is
 * true of a process that keeps the socket to itself and does its I/O by O_DIRECT reads and writes
 * of its own threads, or by Linux AIO (exit waits for it). It is not true of io_uring, of writes
 * through the page cache, of I/O by another process or a device that was given the addresses.
 */
enum sealio_fence {
    SEALIO_FENCE_CLOSE = 1,
    SEALIO_FENCE_HOOK, /* the operator's fence hook is called with "fence-local" and the name */
    SEALIO_FENCE_NONE, /* nothing does: an unseal waits until it comes back, or the operator says
                          "sealctl fenced" */
};

struct sealio_holder_options {
    const char *socket; /* the server's control socket; NULL: $SEALNFS_SOCKET, or
                           /run/sealnfs/control.sock */
    const char *name; /* 1 to 64 letters, digits and ._-:@; for the operator, need not be unique */
    enum sealio_fence fence;
    const char *
        token; /* to go on as an earlier run of this holder: its sealio_holder_token(); else NULL */
};

/*
 * Connects and declares. On error the sentence is in error (SEALIO_ERROR_MAX bytes of sealio.h; may
 * be NULL). -ENOENT with a token: nothing is held under it any more. With a token, the program
 * calls sealio_hold_open() for every file that it still holds and then sealio_holder_resumed():
 * what it did not ask for is taken as given back.
 */
int sealio_holder_open(const struct sealio_holder_options *options, char *error,
                       struct sealio_holder **out);
/* Gives back what is still held, disconnects, frees. */
void sealio_holder_close(struct sealio_holder *holder);
int sealio_holder_resumed(struct sealio_holder *holder);
/* 16 characters; valid until the holder is closed or resumes. */
const char *sealio_holder_token(const struct sealio_holder *holder);
void sealio_holder_error(const struct sealio_holder *holder, char *text, size_t size);

/*
 * The file is an absolute path on this machine. -EPERM: refused (not sealed, frozen and for
 * writing, ...); -EAGAIN: its seal is being made or released; -EALREADY: held already.
 */
int sealio_hold_open(struct sealio_holder *holder, const char *path, bool write,
                     struct sealio_hold **out);
/* Gives it back and frees it, whatever happens. -ESTALE: it had ended before, by a fence. */
int sealio_hold_close(struct sealio_hold *hold);
/* Tells the server that the file's data was changed, so that NFS clients see new times. */
int sealio_hold_wrote(struct sealio_hold *hold);

/* Where a piece of the file is on sealio_hold_device(). */
struct sealio_hold_extent {
    uint64_t offset, length; /* in the file; the last one reaches to the end of a block */
    uint64_t device_offset;
    bool hole; /* reads as zeros; device_offset means nothing */
};
/* In order, without gaps, for as long as the hold is open. */
const struct sealio_hold_extent *sealio_hold_extents(const struct sealio_hold *hold, size_t *count);
const char *
sealio_hold_device(const struct sealio_hold *hold); /* a block device's path, such as /dev/sdb1 */
uint64_t sealio_hold_size(const struct sealio_hold *hold); /* of the file */
const char *sealio_hold_path(const struct sealio_hold *hold);

enum sealio_hold_news {
    SEALIO_HOLD_RECALLED =
        1,            /* the seal has to go: end the I/O and close the hold within left_ms */
    SEALIO_HOLD_LOST, /* could not be had again: end the I/O and close the hold */
};
struct sealio_hold_event {
    enum sealio_hold_news what;
    struct sealio_hold *hold;
    uint64_t left_ms; /* until the server fences the program */
};
/* Readable when sealio_holder_next() may have something. Changes when the holder resumes. */
int sealio_holder_fd(const struct sealio_holder *holder);
/*
 * 1 and the event; 0: none within timeout_ms (0: do not wait; -1: for ever). -ENOTCONN: the server
 * is gone. The holds are still the program's, and it goes on with its I/O and calls
 * sealio_holder_resume() until that succeeds.
 */
int sealio_holder_next(struct sealio_holder *holder, int timeout_ms, struct sealio_hold_event *out);
/* After -ENOTCONN: connects and asks for all holds again. Those that cannot be had are LOST by
 * sealio_holder_next(). -ECONNREFUSED, -ENOENT, -EAGAIN, -ENOTCONN: the server is not there yet. */
int sealio_holder_resume(struct sealio_holder *holder);

#ifdef __cplusplus
}
#endif

#endif
