/*
 * daemon_fixture.h - a whole daemon in the test's process, over a directory of its own, and a
 * client that speaks to it operation by operation over a socketpair: what is asked and answered is
 * in the test's hands, byte by byte if need be.
 */
#ifndef SEALNFS_TESTS_UNIT_SERVER_DAEMON_FIXTURE_H
#define SEALNFS_TESTS_UNIT_SERVER_DAEMON_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/arena.h"
#include "proto/nfs4/cb.h"
#include "proto/nfs4/ops.h"
#include "proto/rpc.h"

struct daemon;

/* Starts with these lines added to the configuration. The export "/data" is files_dir(). Two loops.
 */
struct daemon *fixture_start(const char *extra_config);
/* And these to the export. */
struct daemon *fixture_start_with(const char *extra_config, const char *export_config);
/* The same with the export in this directory, on a file system of the test's, and with layouts. */
struct daemon *fixture_start_on(const char *dir, const char *extra_config,
                                const char *export_config);
/* One line to the control socket, and its answer. */
void fixture_ask(const char *line, char *answer, size_t size);
/* Is it ok? */
bool fixture_control(const char *line);
/* A reload that changes the export's clients to these: "\"127.0.0.2\"". */
void fixture_admit(struct daemon *daemon, const char *clients);
/* The same over the same directories again: as after a crash when the old one is still there to be
 * stopped later. */
void fixture_stop(struct daemon *daemon);
/* Remove the directories. */
void fixture_clean(void);
const char *fixture_files(void);

/* A connection and what was last said on it. */
struct wire {
    int fd;
    uint32_t xid, uid;
    uint32_t gid_count, gids[RPC_MAX_GIDS]; /* that AUTH_SYS claims */
    bool anonymous;                         /* AUTH_NONE instead of AUTH_SYS */
    uint8_t *out_bytes, *in_bytes;
    uint32_t in_len;
    struct xdr_out out;
    struct xdr_in in;
    struct arena arena;
    size_t numops_at;
    uint32_t numops;
    /* of the reply */
    nfsstat4 status;
    uint32_t numres;
};

void wire_open(struct wire *w, struct daemon *daemon);
void wire_open_on(struct wire *w, struct daemon *daemon, unsigned loop);
/* Over TCP, from this address of this machine: 127.0.0.1 and 127.0.0.2 are in the export's clients,
 * 127.0.0.9 is not. From a reserved port, which takes root (else the test is skipped); or from one
 * that any user may have. */
void wire_open_from(struct wire *w, struct daemon *daemon, const char *address);
void wire_open_unprivileged(struct wire *w, struct daemon *daemon, const char *address);
/* The same by a socket that takes IPv6 and IPv4, as one that listens on "::" does: from "::1", or
 * from an IPv4 address, which it has IPv4-mapped. */
void wire_open_dual(struct wire *w, struct daemon *daemon, const char *address);
void wire_close(struct wire *w);
/* Build a call. */
void wire_begin(struct wire *w);
void wire_begin_minor(struct wire *w, uint32_t minor);
void wire_begin_tagged(struct wire *w, uint32_t minor, struct xdr_bytes tag);
void wire_op(struct wire *w, uint32_t op, const union nfs4_args *args); /* args NULL: it has none */
void wire_word(struct wire *w, uint32_t word); /* raw, not counted as an operation */
void wire_count_op(struct wire *w);
void wire_send(struct wire *w);
/* Wait for the reply to the last call; calls of the server's are answered as CB_NULL is. False: the
 * connection was closed. */
bool wire_receive(struct wire *w);
bool wire_call(struct wire *w); /* both */
/* The next result; fails the test unless it is of this operation. Its status is returned. */
nfsstat4 wire_result(struct wire *w, uint32_t op, union nfs4_res *res);
/* One operation alone. */
nfsstat4 wire_one(struct wire *w, uint32_t op, const union nfs4_args *args, union nfs4_res *res);

/* Messages that the server sends by itself. */
bool wire_next_message(struct wire *w, int timeout_ms, enum rpc_msg_type *type); /* into in */
void wire_send_raw(struct wire *w, const void *data, size_t len);

/* A client with a session. */
struct nfs_client {
    struct wire wire;
    char owner[64];
    verifier4 verifier;
    clientid4 id;
    sequenceid4 create_seq;
    sessionid4 session;
    uint32_t slot_seq[64];
    CREATE_SESSION4resok created;
};

union nfs4_args exchange_args(const char *owner, uint8_t verifier, uint32_t flags);
union nfs4_args session_args(clientid4 id, sequenceid4 seq, uint32_t flags);
/* EXCHANGE_ID, CREATE_SESSION, RECLAIM_COMPLETE. */
void nfs_client_start(struct nfs_client *client, struct daemon *daemon, const char *owner,
                      uint32_t session_flags);
void nfs_client_start_from(struct nfs_client *client, struct daemon *daemon, const char *owner,
                           const char *address);
/* Begin a COMPOUND with the right SEQUENCE on slot 0. */
void nfs_begin(struct nfs_client *client, bool cache);
/* After wire_call: SEQUENCE's result must be NFS4_OK. */
void nfs_sequence_ok(struct nfs_client *client);
/* PUTROOTFH, LOOKUP data. */
void nfs_lookup_export(struct nfs_client *client);
void nfs_lookup_export_results(struct nfs_client *client);

#endif
