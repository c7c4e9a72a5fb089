/*
 * A refusal: why a file cannot be sealed or a device not be named, as a code for programs and a
 * sentence for people that says what to do. One is filled by every function here that returns an
 * error and takes a struct seal_refusal. Plain data, any thread.
 */
#ifndef LAYOUT_REFUSAL_H
#define LAYOUT_REFUSAL_H

#include <stdbool.h>

enum { SEAL_REFUSAL_TEXT_MAX = 320 };

enum seal_refusal_code {
    SEAL_REFUSED_NOT = 0, /* not refused */
    SEAL_REFUSED_NOT_REGULAR,
    SEAL_REFUSED_EMPTY,
    SEAL_REFUSED_ALREADY_IMMUTABLE,
    SEAL_REFUSED_FILESYSTEM,   /* tmpfs, btrfs, overlay, nfs, ... */
    SEAL_REFUSED_READ_ONLY,    /* mounted read-only: the flag cannot be set */
    SEAL_REFUSED_DATA_JOURNAL, /* ext4 data=journal: data may be in the journal only */
    SEAL_REFUSED_REALTIME,
    SEAL_REFUSED_REFLINK,    /* a pinned seal where files can be cloned, and nobody sees to it */
    SEAL_REFUSED_PRIVILEGED, /* a pinned seal of a file that is run as somebody else */
    SEAL_REFUSED_NO_SPACE,   /* fill or unshare: no space, or the quota is reached */
    SEAL_REFUSED_WRITER,     /* open for writing, or mapped writable */
    SEAL_REFUSED_READER,     /* open at all, a pinned file that could be cloned */
    SEAL_REFUSED_NO_LEASES,  /* the proof that no writer is left is not available */
    SEAL_REFUSED_UNWRITTEN,
    SEAL_REFUSED_HOLE,
    SEAL_REFUSED_SHARED,
    SEAL_REFUSED_DELALLOC,
    SEAL_REFUSED_INLINE,
    SEAL_REFUSED_ENCODED,
    SEAL_REFUSED_UNKNOWN,
    SEAL_REFUSED_MAP_BROKEN, /* the kernel's map contradicts itself or the device */
    SEAL_REFUSED_TOO_MANY_EXTENTS,
    SEAL_REFUSED_DEVICE,      /* dm, md, multi-device: not one that clients can be told to find */
    SEAL_REFUSED_SIGNATURE,   /* the device does not carry what would be told to clients */
    SEAL_REFUSED_STALE_PAGES, /* at release of a pinned seal: a local process keeps old pages mapped
                               */
    SEAL_REFUSED_CHANGED,     /* somebody changed it while it was being sealed as a growing file */
    SEAL_REFUSED_PERMISSION,  /* a capability is missing */
    SEAL_REFUSED_SYSTEM,      /* a system call failed: text has which and why */
};

struct seal_refusal {
    enum seal_refusal_code code;
    bool definite; /* of a device: it was seen to be what clients cannot be told of, and not merely
                      not seen to be anything */
    bool lost;     /* a flush failed: what was written to the file before may be lost */
    char text[SEAL_REFUSAL_TEXT_MAX];
};

/* Fills *refusal (may be NULL) and returns -err, so that callers can write `return
 * seal_refuse(...)`. err > 0. */
int seal_refuse(struct seal_refusal *refusal, enum seal_refusal_code code, int err,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A failed system call: "WHAT: strerror(err)", with the code that fits err (EROFS, ENOSPC, EDQUOT,
 * EPERM, EACCES). */
int seal_refuse_errno(struct seal_refusal *refusal, int err, const char *what);
/* The same, of a flush. */
int seal_refuse_flush(struct seal_refusal *refusal, int err, const char *what);
/* A stable word for programs and metrics: "writer", "shared", "unwritten", ... */
const char *seal_refusal_word(enum seal_refusal_code code);

#endif
