/*
 * libsealio: a userspace pNFS client (NFSv4.1: RFC 8881) that moves the data of sealed files
 * straight between the program and the shared disk (block layouts: RFC 5663), or by RDMA between
 * the program and the server's memory (docs/rdma-layout.md), and everything else through the
 * server. It takes the best that there is for a file: memory, if the server offers it and the data
 * path can be reached, else the disk, else the server.
 *
 * Units: offsets, lengths and sizes are bytes; times are milliseconds unless a name says otherwise.
 * Errors: functions return 0 (or a count) or a negative errno; out-parameters are untouched on
 * error. The sentence that explains the last error of a session is in sealio_session_error().
 * Nothing is printed, nothing exits, there is no global state. Ownership: what a function hands out
 * through its last parameter is the caller's, to be closed or freed as its comment says. Strings
 * and arrays in options are copied. Threads: a session and its files may be used from several
 * threads at once; closing something while another thread still uses it is the caller's error. A
 * session runs two threads of its own: one reads the connection (replies, and callbacks from the
 * server), one renews the lease and returns recalled layouts; each connection to the server's
 * memory has one more, and a queue up to 16. They receive no signals.
 *
 * The layout promise: no byte is moved on a layout that was returned, or whose lease could have run
 * out. A recalled layout is returned after the I/O under way on it has ended.
 */
#ifndef SEALIO_H
#define SEALIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sealio_session;
struct sealio_file;

#define SEALIO_ERROR_MAX 256
#define SEALIO_PORT      2049

/* ---- where ---- */

/* nfs://host[:port]/path; an IPv6 address stands in brackets; %XX is decoded in the path. */
struct sealio_url {
    char host[256];
    uint16_t port;
    char path[4096]; /* begins with '/' */
};
bool sealio_url_is(const char *text);
/* 0; -EINVAL: not of this form; -ENAMETOOLONG. */
int sealio_url_parse(const char *text, struct sealio_url *out);

/* ---- session ---- */

struct sealio_recall {
    struct sealio_file
        *file; /* may be asked about and told to return; must not be closed from the callback */
    uint64_t offset, length; /* what is recalled; UINT64_MAX: to the end */
};

enum sealio_layouts {
    SEALIO_LAYOUTS_TRY,     /* directly where a layout can be had, else through the server */
    SEALIO_LAYOUTS_NEVER,   /* everything through the server */
    SEALIO_LAYOUTS_REQUIRE, /* -ENODATA where the data would have to go through the server */
};

/* Zeroed means the defaults. */
struct sealio_options {
    enum sealio_layouts layouts;
    uint32_t timeout_ms;        /* for one call, reconnecting included; 0: 120,000 */
    uint32_t direct_timeout_ms; /* for one piece (16 MiB at most) moved by RDMA, then it goes
                                   through the server; 0: 10,000 */
    const char *const *devices; /* block devices (or images) to look for signatures on; none: every
                                   block device of the machine */
    size_t device_count;
    /* Called on the session's own thread, before a recalled layout is returned; may be NULL. Must
     * not block for long: no lease is renewed meanwhile. */
    void (*on_recall)(void *arg, const struct sealio_recall *recall);
    void *on_recall_arg;
};

/*
 * Connects, makes a client id and a session with a backchannel. options may be NULL. Closed by
 * sealio_session_close(). On error the sentence is in error (SEALIO_ERROR_MAX bytes; may be NULL).
 */
int sealio_session_open(const char *host, uint16_t port, const struct sealio_options *options,
                        char *error, struct sealio_session **out);
/* All files must be closed. Ends the session and the client id at the server; frees in any case. */
void sealio_session_close(struct sealio_session *session);
/* The sentence for the last error of any thread of this session, or "". size bytes, terminated. */
void sealio_session_error(struct sealio_session *session, char *text, size_t size);
/* Does the server say that it gives layouts at all (EXCHANGE_ID)? */
bool sealio_session_is_pnfs(struct sealio_session *session);

struct sealio_counters {
    uint64_t reads_direct, bytes_read_direct;     /* from the device or the memory */
    uint64_t reads_server, bytes_read_server;     /* by READ */
    uint64_t bytes_read_holes;                    /* zeros the map told of: no I/O */
    uint64_t writes_direct, bytes_written_direct; /* to it */
    uint64_t writes_server, bytes_written_server; /* by WRITE */
    uint64_t bytes_read_rdma,
        bytes_written_rdma; /* of what went directly: from and to the server's memory */
    uint64_t layoutgets, layoutgets_refused, layoutcommits, layoutreturns, getdeviceinfos;
    uint64_t recalls;                /* CB_LAYOUTRECALL that matched a layout */
    uint64_t calls;                  /* COMPOUNDs sent */
    uint64_t reconnects, recoveries; /* connections made anew; sessions or client ids made anew */
};
void sealio_session_counters(struct sealio_session *session, struct sealio_counters *out);

/* ---- files ---- */

enum sealio_type { SEALIO_FILE = 1, SEALIO_DIRECTORY, SEALIO_SYMLINK, SEALIO_OTHER };
struct sealio_stat {
    enum sealio_type type;
    uint32_t mode; /* permission bits */
    uint32_t links;
    uint64_t size, fileid, change;
    int64_t mtime_s;
    uint32_t mtime_ns;
};

enum { SEALIO_READ = 1, SEALIO_WRITE = 2, SEALIO_CREATE = 4, SEALIO_TRUNCATE = 8 };

/* path begins with '/'; symbolic links are not followed (-ELOOP). mode counts with SEALIO_CREATE.
 * Closed by sealio_file_close(). */
int sealio_file_open(struct sealio_session *session, const char *path, unsigned flags,
                     uint32_t mode, struct sealio_file **out);
/* Syncs, returns the layout, closes. Frees in any case; the first error is reported. */
int sealio_file_close(struct sealio_file *file);
/* Any offset and length, any alignment. Fewer bytes than asked for only at the end of the file. */
ssize_t sealio_file_read(struct sealio_file *file, void *buf, size_t len, uint64_t offset);
/* Writes all of it or gives an error. Stable after sealio_file_sync(); what was written past the
 * end of a file that grows under its seal makes the file longer for others by then, too. */
ssize_t sealio_file_write(struct sealio_file *file, const void *buf, size_t len, uint64_t offset);
/*
 * Makes everything written so far stable: flushes the devices, LAYOUTCOMMIT, COMMIT. -EAGAIN: the
 * server restarted and lost what went through it since the last sync that succeeded: write that
 * again.
 */
int sealio_file_sync(struct sealio_file *file);
int sealio_file_stat(struct sealio_file *file, struct sealio_stat *out);

int sealio_stat(struct sealio_session *session, const char *path, struct sealio_stat *out);
int sealio_remove(struct sealio_session *session, const char *path);
/* Calls visit for every entry; stops when it returns something else than 0, and returns that. name
 * is valid during the call. */
int sealio_readdir(struct sealio_session *session, const char *path,
                   int (*visit)(void *arg, const char *name, const struct sealio_stat *st),
                   void *arg);

/* ---- asynchronous reading and writing ---- */

/*
 * A queue of reads and writes under way, on files of one session. What goes to the server's memory
 * by RDMA is posted at once; a disk, and the server, are served by up to 16 threads of the queue.
 * Layouts that are not there are got, and what loses its layout on the way (recall, fence, a
 * connection that ends) is done through the server, as by the calls above. Operations of one queue
 * may be done in any order. Any number of threads may submit and wait.
 */
struct sealio_queue;
struct sealio_completion {
    void *arg;
    ssize_t result; /* as of sealio_file_read() or sealio_file_write() */
};

/* depth: operations under way and completions not taken, together; 1 to 1024 (else -EINVAL). */
int sealio_queue_create(struct sealio_session *session, unsigned depth, struct sealio_queue **out);
/* Waits for what is under way, and forgets it. Before the files and the session are closed. */
void sealio_queue_free(struct sealio_queue *queue);
/*
 * Submit, without waiting. 0: there will be one completion with this arg; until then buf must stay,
 * and stay as it is. -EAGAIN: the queue is full; -EINVAL: the range, or a file of another session;
 * or no thread can be made.
 *
 * deadline_ms, from now (0: the session's timeout): an operation whose deadline passes before it is
 * begun, or while it is under way by RDMA, completes with -ETIMEDOUT, and nothing touches buf any
 * more (of a write, a part may have been done). That ends the connection: others that are under way
 * on it go through the server. A disk or the server that has begun is waited for.
 */
int sealio_queue_read(struct sealio_queue *queue, struct sealio_file *file, void *buf, size_t len,
                      uint64_t offset, uint32_t deadline_ms, void *arg);
int sealio_queue_write(struct sealio_queue *queue, struct sealio_file *file, const void *buf,
                       size_t len, uint64_t offset, uint32_t deadline_ms, void *arg);
/* Takes up to `most` completions, and waits for the first of them (UINT32_MAX: without end). How
 * many; 0: none in that time, or nothing is under way. */
unsigned sealio_queue_wait(struct sealio_queue *queue, struct sealio_completion *completions,
                           unsigned most, uint32_t timeout_ms);
/* A descriptor that is readable while there are completions, for poll(2); the queue's own. Or a
 * negative errno. */
int sealio_queue_fd(struct sealio_queue *queue);

/*
 * Memory that will be used often, for any read or write that lies inside it: RDMA then moves it
 * without a copy. It counts against RLIMIT_MEMLOCK while there is a connection; what cannot be
 * registered, or is the 65th, is copied. Ranges do not begin at the same address. Released while
 * nothing uses it, before it is freed and before the session is closed.
 */
struct sealio_buffer;
int sealio_buffer_register(struct sealio_session *session, void *memory, size_t size,
                           struct sealio_buffer **out);
void sealio_buffer_release(struct sealio_buffer *buffer);

/* ---- layouts, for those who want to see or steer them ---- */

enum sealio_extent_state {
    SEALIO_EXTENT_READ_WRITE,
    SEALIO_EXTENT_READ,
    SEALIO_EXTENT_INVALID,
    SEALIO_EXTENT_HOLE
};

/* A piece of a file and where it is. Pieces of striped or joined volumes appear one by one. */
struct sealio_extent {
    uint64_t offset, length; /* in the file */
    uint64_t device_offset;  /* on device, or the remote address; 0 for a hole */
    enum sealio_extent_state state;
    char device[256]; /* path of a disk, rdma://address:port of memory, "" for a hole */
};

/* Get the layout of the whole file now, for reading or for writing too, if it is not there.
 * -ENODATA: there is none to be had. */
int sealio_layout_get(struct sealio_file *file, bool for_writing);
/* The extents of the layout that is held. *extents is freed by free(). -ENODATA when there is none.
 */
int sealio_layout_extents(struct sealio_file *file, struct sealio_extent **extents, size_t *count);
/* Return it now, after the I/O on it has ended. 0 as well when there was none. */
int sealio_layout_return(struct sealio_file *file);
/*
 * While held, a recalled layout is not returned (new I/O goes through the server all the same)
 * until sealio_layout_hold(file, false) or sealio_layout_return(). The server may fence a client
 * that does so for too long: for demonstrations and tests.
 */
void sealio_layout_hold(struct sealio_file *file, bool hold);
/* Waits until the layout is recalled. 0, -ETIMEDOUT, or -ENODATA when no layout is held. */
int sealio_layout_wait_recall(struct sealio_file *file, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
