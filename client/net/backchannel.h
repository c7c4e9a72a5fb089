/*
 * The callback program of one session (RFC 8881 chapter 20): takes RPC calls apart, keeps the slots
 * of the backchannel and their replies, and asks its owner about layouts. No I/O, no threads: one
 * message in, one reply out. Not locked: the channel's reader is the only user.
 */
#ifndef CLIENT_NET_BACKCHANNEL_H
#define CLIENT_NET_BACKCHANNEL_H

#include "proto/nfs4/cb.h"

struct sealio_backchannel;

enum { SEALIO_CB_PROGRAM = NFS4_CALLBACK, SEALIO_CB_SLOTS = 4, SEALIO_CB_MAX_REPLY = 4096 };

/* What the owner is asked. */
struct sealio_cb_owner {
    void *arg;
    nfsstat4 (*layout_recall)(void *arg, const CB_LAYOUTRECALL4args *args);
    void (*device_changed)(void *arg, const struct nfs4_device_notify *change);
    /* CB_RECALL_ANY that asks for block layouts: return what is not in use. */
    void (*recall_any)(void *arg, uint32_t keep);
    /* Is the call that this one refers to still without its reply (RFC 8881 section 2.10.6.3)? */
    bool (*is_pending)(void *arg, const sessionid4 session, uint32_t slot, uint32_t sequence);
};

int sealio_backchannel_create(const struct sealio_cb_owner *owner, struct sealio_backchannel **out);
void sealio_backchannel_free(struct sealio_backchannel *backchannel);
/* A new session: its slots start from nothing. slots at most SEALIO_CB_SLOTS. Before any callback
 * of that session can come. */
void sealio_backchannel_reset(struct sealio_backchannel *backchannel, const sessionid4 session,
                              uint32_t slots);
/* As sealio_serve of channel.h. */
size_t sealio_backchannel_serve(void *backchannel, const uint8_t *message, size_t len,
                                uint8_t *reply, size_t size);

#endif
