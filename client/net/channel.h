/*
 * One connection: calls go out from any thread, a reader thread hands replies to their callers by
 * xid and the server's own calls (the backchannel, RFC 8881 section 2.10.3.1) to a function. A
 * channel lives until its last reference is dropped; once it is broken it stays broken.
 */
#ifndef CLIENT_NET_CHANNEL_H
#define CLIENT_NET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct sealio_channel;

/*
 * A call from the server (an RPC message without record mark, at least a header's first two words).
 * Writes the reply, after RECORD_MARK_SIZE bytes for the mark, into reply (of size bytes) and
 * returns its whole length; 0: no reply. On the reader thread: must not wait for replies.
 */
typedef size_t sealio_serve(void *arg, const uint8_t *message, size_t len, uint8_t *reply,
                            size_t size);

/* The connection is gone. On the reader thread, its last act; not called after
 * sealio_channel_close(). */
typedef void sealio_broken(void *arg, const struct sealio_channel *channel);

struct sealio_channel_owner {
    sealio_serve *serve;
    sealio_broken *broken;
    void *arg;
};

enum { SEALIO_SERVE_REPLY_MAX = 16 << 10 };

/* fd is the channel's from here on, on error too. max_record bounds what is received. The caller
 * has the first reference. */
int sealio_channel_create(int fd, uint32_t max_record, const struct sealio_channel_owner *owner,
                          struct sealio_channel **out);
/* A larger reply is to be expected from now on. */
void sealio_channel_set_max_record(struct sealio_channel *channel, uint32_t max_record);
struct sealio_channel *sealio_channel_ref(struct sealio_channel *channel);
/* The last one ends the reader and frees. Not from the reader thread. */
void sealio_channel_unref(struct sealio_channel *channel);
/* Breaks the connection: calls under way get -ECONNRESET, and serve is not called once this has
 * returned. Not from the reader thread. */
void sealio_channel_close(struct sealio_channel *channel);

/* An xid not used before on this channel. */
uint32_t sealio_channel_xid(struct sealio_channel *channel);
/*
 * Sends one record (mark included) and waits for the reply with that xid. 0: *reply (malloc'ed, the
 * caller's) is the message without its mark. -ECONNRESET: broken before the reply came; -ETIMEDOUT:
 * the deadline passed, the channel is broken then too.
 */
int sealio_channel_call(struct sealio_channel *channel, uint32_t xid, struct iovec *iov,
                        unsigned count, uint64_t deadline_ms, uint8_t **reply, size_t *len);

#endif
