/*
 * Layouts of a session: one per file handle, however often the file is open (a layout stateid
 * belongs to client and file, RFC 8881 section 12.5.3). Getting, using, committing, returning; what
 * recalls do to them.
 *
 * A layout is used between pin and unpin; a recalled or returning one gives no new pins, and is
 * returned when the last pin is gone.
 */
#ifndef CLIENT_LAYOUT_H
#define CLIENT_LAYOUT_H

#include "client/device.h"
#include "client/disk/map.h"
#include "client/disk/ranges.h"

/* The layout types that the library knows, the best first. */
enum sealio_layout_kind { SEALIO_KIND_MEMORY, SEALIO_KIND_DISK, SEALIO_KINDS };

/* Guarded by the session's lock. */
struct sealio_layout {
    struct sealio_layout *next;
    unsigned files; /* open files that share it */
    uint8_t fh[NFS4_FHSIZE];
    uint32_t fh_len;
    fsid4 fsid;
    bool offered[SEALIO_KINDS];
    uint32_t block; /* writes to a disk are direct only in multiples of this */

    enum sealio_layout_kind kind; /* of the layout that is held or being got */
    bool held, getting, returning;
    unsigned epoch; /* counts losses: what was asked for before one is void */
    stateid4 stateid;
    layoutiomode4 iomode;
    struct sealio_map *map;
    uint64_t size; /* of the file, as far as it is known; it is told at an OPEN and a LAYOUTGET */
    bool grows;    /* it was given past the end: writes there are direct, and move it */
    unsigned inflight;
    uint64_t refused_until[SEALIO_KINDS][3]; /* by iomode: not asked for before */

    bool recalled, announced, hold, trim;
    bool recall_early; /* a recall came before the layout it means: return it as soon as it is there
                        */
    uint32_t recall_seqid;
    unsigned recalls; /* counts */
    uint64_t recall_offset, recall_length;
    struct sealio_ranges dirty; /* written directly, not committed */
    unsigned writes;            /* counts direct writes, to see whether some came during a commit */
};

/* What one piece of I/O may do. */
struct sealio_pin {
    struct sealio_layout *layout;
    struct sealio_target target;
    uint64_t length; /* 0: at or past the end of the file */
    unsigned epoch;
};

/* ---- layout.c ---- */

struct sealio_layout *sealio_layout_share_locked(struct sealio_session *session,
                                                 const nfs_fh4 *fh); /* NULL: no memory */
/* The last file is closed: the layout must have been returned. */
void sealio_layout_release_locked(struct sealio_session *session, struct sealio_layout *layout);
/*
 * Pins the piece of the file that begins at offset, at most length bytes, getting a layout if there
 * is none. -ENODATA: none to be had, go through the server (the sentence says why).
 */
int sealio_layout_pin(struct sealio_file *file, uint64_t offset, uint64_t length, bool writing,
                      struct sealio_pin *pin);
/* The same without waiting for anything. -EAGAIN: not at hand. */
int sealio_layout_pin_now(struct sealio_file *file, uint64_t offset, uint64_t length, bool writing,
                          struct sealio_pin *pin);
/* While it is pinned: memory could not be reached on it. It is returned and got anew. */
void sealio_layout_doubt(struct sealio_session *session, const struct sealio_pin *pin);
/* written: bytes at offset reached the disk or the memory. */
void sealio_layout_unpin(struct sealio_session *session, struct sealio_pin *pin, uint64_t offset,
                         uint64_t written);
/* Have it, for reading or for both. */
int sealio_layout_have(struct sealio_file *file, layoutiomode4 iomode);
/* Layouts are offered for the file at all. */
bool sealio_layout_possible(const struct sealio_layout *layout);
layouttype4 sealio_layout_type(const struct sealio_layout *layout);

/* ---- layout_return.c ---- */

/* LAYOUTCOMMIT of what was written directly, after flushing the disks. 0 when there is nothing. */
int sealio_layout_commit(struct sealio_session *session, struct sealio_layout *layout,
                         bool reclaim);
/* Commits and returns. Under the lock with `returning` set by the caller; the lock is dropped
 * meanwhile. Clears `returning`. */
int sealio_layout_give_back_locked(struct sealio_session *session, struct sealio_layout *layout);
/* Session's lock held: every layout is gone (the client id is, or the server revoked them). */
void sealio_layouts_forget(struct sealio_session *session);
void sealio_layouts_free(struct sealio_session *session);
/* For the backchannel; take the lock. */
nfsstat4 sealio_layouts_recall(struct sealio_session *session, const CB_LAYOUTRECALL4args *args);
void sealio_layouts_trim(struct sealio_session *session, uint32_t keep);
/* After a recall of a whole file system or of everything was obeyed. */
int sealio_layouts_bulk_done(struct sealio_session *session, const CB_LAYOUTRECALL4args *args);

#endif
