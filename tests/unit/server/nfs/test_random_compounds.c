/*
 * test_random_compounds.c - random COMPOUNDs at a whole daemon: operations in any order with any
 * arguments, stateids and file handles that were once right, sizes at their limits, retries, wrong
 * slots, several connections with requests under way on all of them, connections cut in the middle.
 * Some of the files are sealed: pinned, frozen, or at rest, and these give way all the time;
 * recalls are obeyed, refused, answered with garbage, or not at all. Every answer is taken apart:
 * each result decodes, belongs to the operation that was sent, has an error that the operation may
 * have (errors_allowed.h), and only the last one failed. Meanwhile a polite client works as ever,
 * and in its usual time.
 *
 * RANDOM_COMPOUNDS_SECONDS says for how long, RANDOM_COMPOUNDS_SEED what: 10 and 1. The last
 * request is in /tmp/random-compounds.PID, as fuzz_conn takes it; if this test fails, keep it among
 * the seeds of tests/fuzz.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/attr.h"
#include "proto/nfs4/cb.h"
#include "proto/nfs4/wire.h"
#include "proto/record.h"
#include "tests/unit/loopfs.h"
#include "tests/unit/proto/wire_random.h"
#include "tests/unit/server/daemon_fixture.h"
#include "tests/unit/server/errors_allowed.h"

enum {
    CLIENTS = 3,
    SLOTS = 4,
    OPS_MAX = 10,
    POOL = 32,
    KEEP = 64 << 10, /* of a request and its reply, for retries */
    WAIT_MS = 60000,
    POLITE_EVERY = 2,  /* seconds */
    JUDGED_EVERY = 30, /* seconds */
    JUDGED_TURNS = 9,  /* of the polite client's, of which the best counts: the machine is shared */
    TIMES_USUAL = 10,  /* it may take so much longer, */
    MORE_MS = 200,     /* and that */
    SMALLEST_REQUEST = 8192,
    AT_REST = 4, /* files that are sealed when somebody asks */
    FILE_BYTES = 256 << 10,
};

/* The last request of a slot and its answer, from COMPOUND4res on. */
struct last {
    uint32_t request_len, reply_len;
    uint32_t ops[OPS_MAX + 1], count;
    bool cached;
    uint8_t request[KEEP], reply[KEEP];
};

/* A client that says anything. */
struct random_client {
    struct wire wire[2]; /* on both loops */
    char owner[16];
    uint8_t incarnation;
    clientid4 id;
    sequenceid4 create_seq;
    sessionid4 session;
    uint32_t max_reply, max_request;
    bool owes_return; /* it was recalled, and said that it would */
    bool rude;        /* it has answered with garbage: its connection may be closed */
    sequenceid4 seq[SLOTS];
    struct last last[SLOTS];
};

static struct daemon *daemon_of_test;
static struct random_client *clients;
static struct nfs_client polite;
static struct wire_random rnd;
static struct arena values;

/* What once came out of the server. */
static stateid4 stateids[POOL];
static struct {
    uint8_t data[NFS4_FHSIZE];
    uint32_t len;
} handles[POOL];
static clientid4 ids[POOL];
static sessionid4 sessions[POOL];
static deviceid4 devices[POOL];
static unsigned long calls, results, failures, grants, callbacks;
static uint8_t retried[2 << 20];
static char last_path[64];
static struct loopfs *disk; /* NULL: no layouts, there is none to be had here */

static uint32_t below(uint32_t limit)
{
    return wire_random_below(&rnd, limit);
}

static bool one_in(uint32_t n)
{
    return below(n) == 0;
}

/* ---- arguments ---- */

static struct xdr_bytes any_name(void)
{
    static const char *const names[] = {
        "a",   "b",      "c",      "d",         "e",     "dir",     "..",       "",
        ".",   "x/y",    "\xff",   "l\xc3\xbc", "a",     "missing", "\xc3\x28", "data",
        "dir", "pinned", "frozen", "rest0",     "rest1", "rest2",   "rest3"};
    static char longest[300];

    if (one_in(40)) {
        memset(longest, 'n', sizeof(longest));
        return (struct xdr_bytes){(const uint8_t *)longest, 254 + below(4)};
    }
    return xdr_bytes_of(names[below(sizeof(names) / sizeof(names[0]))]);
}

static uint64_t any_size(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     4095,
                                     4096,
                                     1048576,
                                     INT32_MAX,
                                     UINT32_MAX,
                                     INT64_MAX - 1,
                                     INT64_MAX,
                                     (uint64_t)INT64_MAX + 1,
                                     UINT64_MAX - 1,
                                     UINT64_MAX};

    return one_in(3) ? below(20000) : edges[below(sizeof(edges) / sizeof(edges[0]))];
}

static stateid4 any_stateid(void)
{
    stateid4 id = stateids[below(POOL)];

    switch (below(12)) {
    case 0:
        return (stateid4){0}; /* anonymous */
    case 1:
        memset(&id, 0xff, sizeof(id)); /* READ bypass */
        return id;
    case 2:
    case 3:
        return (stateid4){.seqid = 1}; /* the current one */
    case 4:
        id.seqid = 0;
        break;
    case 5:
        id.seqid += below(3) - 1;
        break;
    case 6:
        id.other[below(sizeof(id.other))] ^= (uint8_t)(1u << below(8));
        break;
    default:
        break;
    }
    return id;
}

static struct xdr_bytes any_handle(void)
{
    uint32_t i = below(POOL);
    uint8_t *copy = arena_dup(&values, handles[i].data, sizeof(handles[i].data));

    assert_non_null(copy);
    if (one_in(10))
        copy[below(NFS4_FHSIZE)] ^= (uint8_t)(1u << below(8));
    return (struct xdr_bytes){copy, one_in(20) ? below(NFS4_FHSIZE + 1) : handles[i].len};
}

static fattr4 any_attributes(void)
{
    static const uint8_t some[] = {FATTR4_SIZE,
                                   FATTR4_MODE,
                                   FATTR4_OWNER,
                                   FATTR4_OWNER_GROUP,
                                   FATTR4_TIME_ACCESS_SET,
                                   FATTR4_TIME_MODIFY_SET,
                                   FATTR4_MODE_SET_MASKED,
                                   FATTR4_TYPE,
                                   FATTR4_CHANGE,
                                   FATTR4_HIDDEN};
    struct nfs4_attrs attrs = {.size = 0};
    fattr4 fattr = {.attr_vals = {0}};

    for (uint32_t n = below(4); n > 0; n--) {
        uint8_t attr = some[below(sizeof(some))];

        assert_true(wire_random_field(&rnd, nfs4_wire_attr(attr), &attrs));
        bitmap4_set(&attrs.present, attr);
    }
    attrs.size = any_size();
    if (!one_in(6)) {
        attrs.mode &= 07777;
        attrs.owner = attrs.owner_group = xdr_bytes_of(one_in(2) ? "0" : "1000");
    }
    assert_int_equal(nfs4_attrs_pack(&attrs, &attrs.present, NULL, &values, &fattr), 0);
    if (one_in(30))
        fattr.attr_vals.len &= ~3u, fattr.attr_vals.len /= 2;
    return fattr;
}

/* Where arguments are better taken from what the server knows than from nowhere. */
enum aim {
    AIM_STATEID,
    AIM_NAME,
    AIM_SIZE,
    AIM_ATTRIBUTES,
    AIM_SESSION,
    AIM_CLIENT,
    AIM_DEVICE,
    AIM_LAYOUT_TYPE,
};

#define AT(op, what, member)                                                                       \
    {                                                                                              \
        op, what, offsetof(union nfs4_args, member)                                                \
    }

static const struct {
    uint32_t op;
    enum aim what;
    size_t at;
} aims[] = {
    AT(OP_CLOSE, AIM_STATEID, close.open_stateid),
    AT(OP_COMMIT, AIM_SIZE, commit.offset),
    AT(OP_CREATE, AIM_NAME, create.objname),
    AT(OP_CREATE, AIM_ATTRIBUTES, create.createattrs),
    AT(OP_LINK, AIM_NAME, link.newname),
    AT(OP_LOCK, AIM_SIZE, lock.offset),
    AT(OP_LOCK, AIM_SIZE, lock.length),
    AT(OP_LOCKT, AIM_SIZE, lockt.offset),
    AT(OP_LOCKT, AIM_SIZE, lockt.length),
    AT(OP_LOCKU, AIM_STATEID, locku.lock_stateid),
    AT(OP_LOCKU, AIM_SIZE, locku.offset),
    AT(OP_LOCKU, AIM_SIZE, locku.length),
    AT(OP_LOOKUP, AIM_NAME, lookup.objname),
    AT(OP_NVERIFY, AIM_ATTRIBUTES, nverify.obj_attributes),
    AT(OP_VERIFY, AIM_ATTRIBUTES, verify.obj_attributes),
    AT(OP_OPEN_DOWNGRADE, AIM_STATEID, open_downgrade.open_stateid),
    AT(OP_READ, AIM_STATEID, read.stateid),
    AT(OP_READ, AIM_SIZE, read.offset),
    AT(OP_REMOVE, AIM_NAME, remove.target),
    AT(OP_RENAME, AIM_NAME, rename.oldname),
    AT(OP_RENAME, AIM_NAME, rename.newname),
    AT(OP_SECINFO, AIM_NAME, secinfo.name),
    AT(OP_SETATTR, AIM_STATEID, setattr.stateid),
    AT(OP_SETATTR, AIM_ATTRIBUTES, setattr.obj_attributes),
    AT(OP_WRITE, AIM_STATEID, write.stateid),
    AT(OP_WRITE, AIM_SIZE, write.offset),
    AT(OP_FREE_STATEID, AIM_STATEID, free_stateid.fsa_stateid),
    AT(OP_DELEGRETURN, AIM_STATEID, delegreturn.deleg_stateid),
    AT(OP_GETDEVICEINFO, AIM_DEVICE, getdeviceinfo.gdia_device_id),
    AT(OP_GETDEVICEINFO, AIM_LAYOUT_TYPE, getdeviceinfo.gdia_layout_type),
    AT(OP_LAYOUTGET, AIM_LAYOUT_TYPE, layoutget.loga_layout_type),
    AT(OP_LAYOUTRETURN, AIM_LAYOUT_TYPE, layoutreturn.lora_layout_type),
    AT(OP_LAYOUTRETURN, AIM_STATEID, layoutreturn.lora_layoutreturn.lr_layout.lrf_stateid),
    AT(OP_LAYOUTCOMMIT, AIM_LAYOUT_TYPE, layoutcommit.loca_layoutupdate.lou_type),
    AT(OP_LAYOUTCOMMIT, AIM_SIZE, layoutcommit.loca_offset),
    AT(OP_LAYOUTCOMMIT, AIM_SIZE, layoutcommit.loca_length),
    AT(OP_LAYOUTGET, AIM_STATEID, layoutget.loga_stateid),
    AT(OP_LAYOUTGET, AIM_SIZE, layoutget.loga_offset),
    AT(OP_LAYOUTGET, AIM_SIZE, layoutget.loga_length),
    AT(OP_LAYOUTCOMMIT, AIM_STATEID, layoutcommit.loca_stateid),
    AT(OP_CREATE_SESSION, AIM_CLIENT, create_session.csa_clientid),
    AT(OP_DESTROY_CLIENTID, AIM_CLIENT, destroy_clientid.dca_clientid),
    AT(OP_DESTROY_SESSION, AIM_SESSION, destroy_session.dsa_sessionid),
    AT(OP_BIND_CONN_TO_SESSION, AIM_SESSION, bind_conn_to_session.bctsa_sessid),
};

static void aim_at(enum aim what, void *at)
{
    switch (what) {
    case AIM_STATEID:
        *(stateid4 *)at = any_stateid();
        break;
    case AIM_NAME:
        *(struct xdr_bytes *)at = any_name();
        break;
    case AIM_SIZE:
        *(uint64_t *)at = any_size();
        break;
    case AIM_ATTRIBUTES:
        *(fattr4 *)at = any_attributes();
        break;
    case AIM_SESSION:
        memcpy(at, sessions[below(POOL)], NFS4_SESSIONID_SIZE);
        break;
    case AIM_CLIENT:
        *(clientid4 *)at = ids[below(POOL)];
        break;
    case AIM_DEVICE:
        memcpy(at, devices[below(POOL)], NFS4_DEVICEID4_SIZE);
        break;
    case AIM_LAYOUT_TYPE:
        *(layouttype4 *)at = one_in(8) ? below(7) : LAYOUT4_BLOCK_VOLUME;
        break;
    }
}

static void aim_open(OPEN4args *args)
{
    createhow4 *how = &args->openhow.how;

    if (!one_in(8))
        args->share_access = 1 + below(3);
    if (!one_in(8))
        args->share_deny = one_in(4) ? below(4) : 0;
    args->owner.owner = xdr_bytes_of(one_in(2) ? "owner" : "other");
    if (args->claim.claim == CLAIM_NULL)
        args->claim.file = any_name();
    if (args->openhow.opentype != OPEN4_CREATE)
        return;
    if (how->mode == UNCHECKED4 || how->mode == GUARDED4)
        how->createattrs = any_attributes();
    else if (how->mode == EXCLUSIVE4_1)
        how->ch_createboth.cva_attrs = any_attributes();
}

static void aim_lock(LOCK4args *args)
{
    if (!one_in(8))
        args->locktype = READ_LT + below(4);
    if (!one_in(8))
        args->reclaim = false;
    if (args->locker.new_lock_owner) {
        args->locker.open_owner.open_stateid = any_stateid();
        args->locker.open_owner.lock_owner.owner = xdr_bytes_of(one_in(2) ? "l" : "m");
    } else {
        args->locker.lock_owner.lock_stateid = any_stateid();
    }
}

static void aim_exchange(EXCHANGE_ID4args *args)
{
    args->eia_clientowner.co_ownerid = xdr_bytes_of(one_in(2) ? "random 0" : "nobody else");
    if (!one_in(4))
        args->eia_flags = one_in(2) ? 0 : EXCHGID4_FLAG_UPD_CONFIRMED_REC_A;
    if (!one_in(4))
        args->eia_state_protect.spa_how = SP4_NONE;
}

/* Mostly a client's first session: who is started anew by it loses those that he has, under his
 * requests, this one too perhaps. */
static void aim_create_session(CREATE_SESSION4args *args)
{
    const clientid4 id = args->csa_clientid;

    if (!one_in(4))
        *args =
            session_args(id, 1, one_in(2) ? CREATE_SESSION4_FLAG_CONN_BACK_CHAN : 0).create_session;
    if (one_in(4))
        args->csa_sequence = below(4);
}

static void aim_backchannel_ctl(BACKCHANNEL_CTL4args *args)
{
    static callback_sec_parms4 none = {.cb_secflavor = RPC_AUTH_NONE};

    if (!one_in(4))
        *args = (BACKCHANNEL_CTL4args){
            .bca_cb_program = 0x40000000, .bca_sec_parms_count = 1, .bca_sec_parms = &none};
}

static void aim_layoutget(LAYOUTGET4args *args)
{
    if (!one_in(8))
        args->loga_iomode = one_in(2) ? LAYOUTIOMODE4_READ : LAYOUTIOMODE4_RW;
    if (!one_in(4)) {
        args->loga_offset = 0;
        args->loga_length = NFS4_UINT64_MAX;
        args->loga_minlength = one_in(2) ? 0 : 4096;
    }
    if (!one_in(8))
        args->loga_maxcount = 4096 + below(60000);
}

static void aim_layoutreturn(LAYOUTRETURN4args *args)
{
    if (!one_in(8))
        args->lora_reclaim = false;
    if (!one_in(4))
        args->lora_iomode = LAYOUTIOMODE4_ANY;
    if (!one_in(4))
        args->lora_layoutreturn.lr_returntype = one_in(2) ? LAYOUTRETURN4_FILE : LAYOUTRETURN4_ALL;
    if (!one_in(4)) {
        args->lora_layoutreturn.lr_layout.lrf_offset = 0;
        args->lora_layoutreturn.lr_layout.lrf_length = NFS4_UINT64_MAX;
        args->lora_layoutreturn.lr_layout.lrf_body.len = 0;
    }
}

static void any_args(uint32_t op, union nfs4_args *args)
{
    memset(args, 0, sizeof(*args));
    assert_true(wire_random_value(&rnd, nfs4_wire_op(op)->args, args));
    for (size_t i = 0; i < sizeof(aims) / sizeof(aims[0]); i++)
        if (aims[i].op == op && !one_in(20))
            aim_at(aims[i].what, (char *)args + aims[i].at);
    if (op == OP_OPEN)
        aim_open(&args->open);
    else if (op == OP_LOCK)
        aim_lock(&args->lock);
    else if (op == OP_PUTFH)
        args->putfh.object = any_handle();
    else if (op == OP_EXCHANGE_ID)
        aim_exchange(&args->exchange_id);
    else if (op == OP_CREATE_SESSION)
        aim_create_session(&args->create_session);
    else if (op == OP_BACKCHANNEL_CTL)
        aim_backchannel_ctl(&args->backchannel_ctl);
    else if (op == OP_LAYOUTGET)
        aim_layoutget(&args->layoutget);
    else if (op == OP_LAYOUTRETURN)
        aim_layoutreturn(&args->layoutreturn);
    else if (op == OP_GETDEVICEINFO && !one_in(4))
        args->getdeviceinfo.gdia_maxcount = below(20000);
    else if (op == OP_LAYOUTCOMMIT && !one_in(4))
        args->layoutcommit.loca_reclaim = false;
    else if (op == OP_READ && !one_in(8))
        args->read.count = below(70000);
    else if (op == OP_READDIR && !one_in(8))
        args->readdir.maxcount = below(9000);
}

static uint32_t any_op(void)
{
    static const uint32_t likely[] = {
        OP_PUTROOTFH, OP_PUTFH,     OP_PUTFH,        OP_LOOKUP,      OP_LOOKUP,  OP_OPEN,
        OP_OPEN,      OP_OPEN,      OP_GETFH,        OP_GETFH,       OP_LOCK,    OP_LOCK,
        OP_WRITE,     OP_READ,      OP_GETATTR,      OP_SAVEFH,      OP_CLOSE,   OP_CREATE,
        OP_RESTOREFH, OP_LOCKU,     OP_RENAME,       OP_SETATTR,     OP_READDIR, OP_REMOVE,
        OP_LINK,      OP_LAYOUTGET, OP_LAYOUTRETURN, OP_LAYOUTCOMMIT};

    return one_in(3) ? NFS4_OP_FIRST + below(NFS4_OP_LAST - NFS4_OP_FIRST + 1)
                     : likely[below(sizeof(likely) / sizeof(likely[0]))];
}

/* ---- answers ---- */

static void keep_stateid(const stateid4 *stateid)
{
    stateids[below(POOL)] = *stateid;
}

/* A block layout's first extent begins with its device (RFC 5663 section 2.3). */
static void keep_layout(const LAYOUTGET4resok *ok)
{
    const struct xdr_bytes *body;

    keep_stateid(&ok->logr_stateid);
    grants++;
    if (ok->logr_layout_count == 0)
        return;
    body = &ok->logr_layout[0].lo_content.loc_body;
    if (body->len >= 4 + NFS4_DEVICEID4_SIZE)
        memcpy(devices[below(POOL)], body->data + 4, NFS4_DEVICEID4_SIZE);
}

static void keep(uint32_t op, const union nfs4_res *res)
{
    uint32_t i = below(POOL);

    if (op == OP_OPEN)
        keep_stateid(&res->open.resok4.stateid);
    else if (op == OP_LOCK)
        keep_stateid(&res->lock.resok4.lock_stateid);
    else if (op == OP_LAYOUTGET)
        keep_layout(&res->layoutget.logr_resok4);
    else if (op == OP_LAYOUTRETURN && res->layoutreturn.lorr_stateid.lrs_present)
        keep_stateid(&res->layoutreturn.lorr_stateid.lrs_stateid);
    else if (op == OP_EXCHANGE_ID)
        ids[i] = res->exchange_id.eir_resok4.eir_clientid;
    else if (op == OP_CREATE_SESSION)
        memcpy(sessions[i], res->create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
    else if (op == OP_GETFH) {
        handles[i].len = res->getfh.resok4.object.len;
        memcpy(handles[i].data, res->getfh.resok4.object.data, handles[i].len);
    }
}

/* One result; its status. `sent`: the operation that it answers, 0 if what was sent is not known.
 */
static nfsstat4 take_result(struct wire *w, uint32_t sent)
{
    union nfs4_res res;
    uint32_t op, status = NFS4ERR_SERVERFAULT;

    assert_true(nfs4_op_decode(&w->in, &op));
    results++;
    if (op == OP_ILLEGAL) {
        assert_int_equal(sent, 0);
        assert_true(xdr_get_u32(&w->in, &status));
    } else {
        assert_true(sent == 0 || sent == op);
        assert_true(nfs4_res_decode(op, &w->in, &w->arena, &res));
        status = res.status;
    }
    if (!error_is_allowed(op, (nfsstat4)status))
        fail_msg("%s answers %s (RFC 8881 section 15.2)", nfs4_op_name(op),
                 nfs4_status_name((nfsstat4)status));
    if (status == NFS4_OK)
        keep(op, &res);
    else
        failures++;
    return (nfsstat4)status;
}

static void begin_client(struct random_client *client);

/* ---- callbacks ---- */

static nfsstat4 answer_recall(struct random_client *client)
{
    static const nfsstat4 others[] = {NFS4ERR_NOMATCHING_LAYOUT, NFS4ERR_DELAY, NFS4ERR_BADHANDLE,
                                      NFS4ERR_UNKNOWN_LAYOUTTYPE};

    if (one_in(4))
        return others[below(sizeof(others) / sizeof(others[0]))];
    client->owes_return = true;
    return NFS4_OK;
}

static nfsstat4 answer_cb_op(struct random_client *client, struct wire *w, struct xdr_out *out)
{
    union nfs4_cb_args args;
    union nfs4_cb_res res = {.status = NFS4_OK};
    CB_SEQUENCE4resok *ok = &res.cb_sequence.csr_resok4;
    uint32_t op;

    assert_true(nfs4_op_decode(&w->in, &op));
    assert_true(nfs4_cb_args_decode(op, &w->in, &w->arena, &args));
    if (op == OP_CB_SEQUENCE) {
        memcpy(ok->csr_sessionid, args.cb_sequence.csa_sessionid, NFS4_SESSIONID_SIZE);
        ok->csr_sequenceid = args.cb_sequence.csa_sequenceid;
        ok->csr_slotid = args.cb_sequence.csa_slotid;
    } else if (op == OP_CB_LAYOUTRECALL) {
        res.status = answer_recall(client);
    }
    assert_true(nfs4_op_encode(out, op));
    assert_true(nfs4_cb_res_encode(op, out, &res));
    return res.status;
}

static void answer_cb_compound(struct random_client *client, struct wire *w, struct xdr_out *out)
{
    struct nfs4_cb_compound_args args;
    struct nfs4_compound_head head;
    nfsstat4 status = NFS4_OK;
    uint32_t done = 0;

    assert_true(nfs4_cb_compound_args_decode(&w->in, &args));
    assert_true(nfs4_compound_res_begin(out, args.tag, &head));
    for (; status == NFS4_OK && done < args.numops; done++)
        status = answer_cb_op(client, w, out);
    assert_true(nfs4_compound_res_end(out, &head, status, done));
}

/* A call of the server's: what it says is well-formed, what it hears need not be. */
static void serve_callback(struct random_client *client, struct wire *w)
{
    uint8_t bytes[4096];
    struct rpc_call call;
    struct xdr_out out;
    size_t len;

    callbacks++;
    arena_reset(&w->arena);
    assert_int_equal(rpc_call_decode(&w->in, &call), 0);
    if (one_in(20))
        return; /* no answer at all */
    xdr_out_init(&out, bytes + RECORD_MARK_SIZE, sizeof(bytes) - RECORD_MARK_SIZE);
    assert_true(rpc_reply_put_accepted(&out, call.xid + one_in(20), RPC_ACCEPT_SUCCESS));
    if (call.proc != 0)
        answer_cb_compound(client, w, &out);
    len = xdr_out_len(&out);
    if (one_in(20)) {
        bytes[RECORD_MARK_SIZE + below((uint32_t)len)] ^= (uint8_t)(1u << below(8));
        client->rude = true;
    }
    if (one_in(20)) {
        len = 8 + below((uint32_t)len - 8);
        client->rude = true;
    }
    record_mark_put(bytes, (uint32_t)len);
    wire_send_raw(w, bytes, RECORD_MARK_SIZE + len);
}

/* What a rude client gets for an answer that its damage has made a call, of RPC version 0. */
static bool is_denial(const struct wire *w)
{
    struct xdr_in in = w->in;
    struct rpc_reply reply;

    return rpc_reply_decode(&in, &reply) == 0 && reply.stat == RPC_MSG_DENIED;
}

/* Those that wait where nobody waits for a reply. */
static void serve_callbacks(struct random_client *client)
{
    enum rpc_msg_type type;

    for (unsigned i = 0; i < 2; i++) {
        while (wire_next_message(&client->wire[i], 0, &type)) {
            if (type == RPC_CALL)
                serve_callback(client, &client->wire[i]);
            else
                assert_true(client->rude && is_denial(&client->wire[i]));
        }
    }
}

/* Waits for the reply. False: the connection is gone. */
static bool next_reply(struct random_client *client, struct wire *w)
{
    enum rpc_msg_type type;

    for (;;) {
        if (!wire_next_message(w, WAIT_MS, &type))
            return false;
        if (type == RPC_CALL)
            serve_callback(client, w);
        else if (!client->rude || !is_denial(w))
            break;
    }
    arena_reset(&w->arena);
    return true;
}

/* As ever; false: the client begins anew, since it has lost its connection by its own fault. What
 * is well-formed closes none. */
static bool await_reply(struct random_client *client, struct wire *w)
{
    if (next_reply(client, w))
        return true;
    assert_true(client->rude);
    begin_client(client);
    return false;
}

/* The status of the first result is returned; NFS4ERR_SERVERFAULT if there is no result, which only
 * what is malformed may meet. */
static nfsstat4 take_reply(struct wire *w, const uint32_t *ops, uint32_t count)
{
    struct nfs4_compound_res head;
    struct rpc_reply reply;
    nfsstat4 first = NFS4ERR_SERVERFAULT, status = NFS4_OK;

    calls++;
    assert_int_equal(rpc_reply_decode(&w->in, &reply), 0);
    if (reply.stat != RPC_MSG_ACCEPTED || reply.accept_stat != RPC_ACCEPT_SUCCESS) {
        assert_null(ops);
        return first;
    }
    assert_true(nfs4_compound_res_decode(&w->in, &head));
    assert_true(!ops || head.numres <= count);
    for (uint32_t i = 0; i < head.numres; i++) {
        assert_int_equal(status, NFS4_OK); /* nothing runs after a failure */
        status = take_result(w, ops ? ops[i] : 0);
        if (i == 0)
            first = status;
    }
    assert_true(!ops || status == head.status);
    assert_true(status != NFS4_OK || !ops || head.numres == count);
    assert_int_equal(xdr_in_left(&w->in), 0);
    return first;
}

/* ---- the clients ---- */

static void reopen(struct random_client *client, unsigned which)
{
    uint32_t xid = client->wire[which].xid;

    wire_close(&client->wire[which]);
    wire_open_on(&client->wire[which], daemon_of_test, which);
    client->wire[which].xid = xid;
}

/* A new incarnation, with a session of its own. */
static void begin_client(struct random_client *client)
{
    struct wire *w = &client->wire[0];
    union nfs4_args args =
        exchange_args(client->owner, ++client->incarnation, EXCHGID4_FLAG_USE_PNFS_MDS);
    union nfs4_res res;

    client->owes_return = client->rude = false;
    for (unsigned i = 0; i < 2; i++)
        reopen(client, i);
    assert_int_equal(wire_one(w, OP_EXCHANGE_ID, &args, &res), NFS4_OK);
    client->id = ids[below(POOL)] = res.exchange_id.eir_resok4.eir_clientid;
    args = session_args(client->id, res.exchange_id.eir_resok4.eir_sequenceid,
                        CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
    args.create_session.csa_fore_chan_attrs.ca_maxresponsesize = 1000 + below(60000);
    args.create_session.csa_fore_chan_attrs.ca_maxrequestsize = SMALLEST_REQUEST + below(60000);
    assert_int_equal(wire_one(w, OP_CREATE_SESSION, &args, &res), NFS4_OK);
    memcpy(client->session, res.create_session.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
    memcpy(sessions[below(POOL)], client->session, NFS4_SESSIONID_SIZE);
    client->max_request = res.create_session.csr_resok4.csr_fore_chan_attrs.ca_maxrequestsize;
    client->max_reply = res.create_session.csr_resok4.csr_fore_chan_attrs.ca_maxresponsesize;
    memset(client->seq, 0, sizeof(client->seq));
    for (unsigned i = 0; i < SLOTS; i++)
        client->last[i].count = 0;
}

static void put_sequence(struct wire *w, const struct random_client *client, uint32_t slot,
                         uint32_t seq, bool cache)
{
    union nfs4_args args = {
        .sequence = {.sa_sequenceid = seq, .sa_slotid = slot, .sa_cachethis = cache}};

    memcpy(args.sequence.sa_sessionid, client->session, NFS4_SESSIONID_SIZE);
    wire_op(w, OP_SEQUENCE, &args);
}

/* False: this value has no encoding, and nothing was added. */
static bool put_op(struct wire *w, uint32_t *ops, uint32_t *count, uint32_t op,
                   const union nfs4_args *args)
{
    size_t at = xdr_out_pos(&w->out);

    if (!nfs4_op_encode(&w->out, op) || !nfs4_args_encode(op, &w->out, args)) {
        xdr_out_truncate(&w->out, at);
        return false;
    }
    wire_count_op(w);
    ops[(*count)++] = op;
    return true;
}

/* What leads to a layout, if nothing comes between. */
static void put_layoutget(struct wire *w, uint32_t *ops, uint32_t *count)
{
    static const char *const names[] = {"pinned", "frozen", "rest0", "rest1", "rest2", "rest3"};
    static const union nfs4_args none;
    union nfs4_args args = {.lookup = {.objname = xdr_bytes_of("data")}};

    put_op(w, ops, count, OP_PUTROOTFH, &none);
    put_op(w, ops, count, OP_LOOKUP, &args);
    args = (union nfs4_args){
        .open = {.share_access = one_in(2) ? OPEN4_SHARE_ACCESS_READ : OPEN4_SHARE_ACCESS_BOTH,
                 .owner.owner = xdr_bytes_of("layouts"),
                 .claim.file = xdr_bytes_of(names[below(sizeof(names) / sizeof(names[0]))])}};
    put_op(w, ops, count, OP_OPEN, &args);
    any_args(OP_LAYOUTGET, &args);
    args.layoutget.loga_stateid = (stateid4){.seqid = 1};
    put_op(w, ops, count, OP_LAYOUTGET, &args);
}

static void put_return_of_all(struct wire *w, uint32_t *ops, uint32_t *count)
{
    const union nfs4_args args = {
        .layoutreturn = {.lora_layout_type = LAYOUT4_BLOCK_VOLUME,
                         .lora_iomode = LAYOUTIOMODE4_ANY,
                         .lora_layoutreturn.lr_returntype = LAYOUTRETURN4_ALL}};

    put_op(w, ops, count, OP_LAYOUTRETURN, &args);
}

/* Adds random operations; how many there are in all. */
static uint32_t put_ops(struct wire *w, uint32_t *ops, uint32_t count)
{
    uint32_t wanted = count + 1 + below(OPS_MAX - 1);
    union nfs4_args args;

    if (count == 1 && one_in(6))
        put_layoutget(w, ops, &count);
    while (count < wanted && count <= OPS_MAX) {
        uint32_t op = count == 1 && !one_in(4) ? (one_in(3) ? OP_PUTROOTFH : OP_PUTFH) : any_op();

        any_args(op, &args);
        put_op(w, ops, &count, op, &args);
    }
    return count;
}

/* As much of a WRITE as the session takes, or a word more or less. */
static uint32_t put_largest(struct wire *w, uint32_t *ops, uint32_t max_request)
{
    static uint8_t data[SMALLEST_REQUEST + 60000];
    static const union nfs4_args none;
    const union nfs4_args write = {.write = {.stateid = any_stateid(), .data = {data, 0}}};
    uint32_t count = 1, used, wanted = max_request - 4 + 4 * below(3);
    union nfs4_args args = write;

    put_op(w, ops, &count, OP_PUTROOTFH, &none);
    used = (uint32_t)xdr_out_len(&w->out) + 4 + 16 + 8 + 4 + 4; /* the operation, its arguments */
    args.write.data.len = wanted > used && wanted - used <= sizeof(data) ? wanted - used : 1;
    put_op(w, ops, &count, OP_WRITE, &args);
    return count;
}

static void remember(struct last *last, const struct wire *w, const uint32_t *ops, uint32_t count,
                     bool cached)
{
    last->count = 0;
    last->request_len = (uint32_t)xdr_out_len(&w->out);
    last->reply_len = w->in_len - 24; /* RPC's head: xid to accept_stat */
    if (last->request_len > KEEP || w->in_len > KEEP)
        return;
    memcpy(last->request, w->out_bytes + 4, last->request_len);
    memcpy(last->reply, w->in_bytes + 24, last->reply_len);
    memcpy(last->ops, ops, sizeof(last->ops));
    last->count = count;
    last->cached = cached;
}

/* A request that is under way. */
struct pending {
    struct random_client *client;
    struct wire *wire;
    uint32_t slot, ops[OPS_MAX + 1], count;
    bool cache;
};

/* The last request, as a seed of fuzz_conn: with its marks in place of what is alive, each as
 * fuzz_conn.c says. It outlives this process. */
static void keep_last(const struct random_client *client, const struct wire *w)
{
    static uint8_t seed[1 + (2 << 20)];
    static int file = -1;
    size_t len = RECORD_MARK_SIZE + xdr_out_len(&w->out);
    uint64_t id = htobe64(client->id);

    if (file < 0)
        file = open(last_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_return_code(file, errno);
    seed[0] = 0; /* in one piece */
    memcpy(seed + 1, w->out_bytes, len);
    for (size_t i = 1; i + NFS4_SESSIONID_SIZE <= 1 + len; i += 4) {
        if (memcmp(seed + i, client->session, NFS4_SESSIONID_SIZE) == 0)
            memset(seed + i, 'S', NFS4_SESSIONID_SIZE);
        else if (memcmp(seed + i, &id, sizeof(id)) == 0)
            memset(seed + i, 'C', sizeof(id));
    }
    assert_int_equal(pwrite(file, seed, 1 + len, 0), (ssize_t)(1 + len));
    assert_int_equal(ftruncate(file, (off_t)(1 + len)), 0);
}

static void send_kept(const struct random_client *client, struct wire *w)
{
    record_mark_put(w->out_bytes, (uint32_t)xdr_out_len(&w->out));
    keep_last(client, w);
    wire_send(w);
}

/* A request as it should be, but for what is in it. */
static void begin_request(struct pending *p, struct random_client *client, unsigned which)
{
    *p = (struct pending){.client = client,
                          .wire = &client->wire[which],
                          .slot = which * (SLOTS / 2) + below(SLOTS / 2),
                          .ops = {OP_SEQUENCE},
                          .count = 1,
                          .cache = one_in(2)};
    wire_begin(p->wire);
    put_sequence(p->wire, client, p->slot, client->seq[p->slot] + 1, p->cache);
    if (client->owes_return && !one_in(4)) {
        put_return_of_all(p->wire, p->ops, &p->count);
        client->owes_return = false;
    } else if (one_in(25)) {
        p->count = put_largest(p->wire, p->ops, client->max_request);
    } else {
        p->count = put_ops(p->wire, p->ops, p->count);
    }
    send_kept(client, p->wire);
}

/* False: the client has to begin anew, its session was destroyed by one of the others. */
static bool end_request(const struct pending *p)
{
    struct random_client *client = p->client;
    nfsstat4 status;

    if (!next_reply(client, p->wire)) {
        assert_true(client->rude);
        return false;
    }
    assert_in_range(p->wire->in_len, 24, client->max_reply);
    status = take_reply(p->wire, p->ops, p->count);
    if (status == NFS4_OK) {
        client->seq[p->slot]++;
        remember(&client->last[p->slot], p->wire, p->ops, p->count, p->cache);
    }
    return status != NFS4ERR_BADSESSION && status != NFS4ERR_DEADSESSION;
}

static void step_ordinary(struct random_client *client)
{
    struct pending p;

    begin_request(&p, client, below(2));
    if (!end_request(&p))
        begin_client(client);
}

/* Requests on all connections at once. */
static void step_volley(void)
{
    static struct pending all[2 * CLIENTS];
    bool lives[CLIENTS];

    for (unsigned i = 0; i < 2 * CLIENTS; i++)
        begin_request(&all[i], &clients[i / 2], i % 2);
    for (unsigned i = 0; i < CLIENTS; i++)
        lives[i] = true;
    for (unsigned i = 0; i < 2 * CLIENTS; i++)
        lives[i / 2] = end_request(&all[i]) && lives[i / 2];
    for (unsigned i = 0; i < CLIENTS; i++)
        if (!lives[i])
            begin_client(&clients[i]);
}

static void step_retry(struct random_client *client)
{
    struct wire *w = &client->wire[below(2)];
    uint32_t slot = below(SLOTS);
    struct last *last = &client->last[slot];
    uint8_t mark[4] = {(uint8_t)(last->request_len >> 24 | 0x80),
                       (uint8_t)(last->request_len >> 16), (uint8_t)(last->request_len >> 8),
                       (uint8_t)last->request_len};

    if (last->count == 0)
        return;
    wire_send_raw(w, mark, sizeof(mark));
    wire_send_raw(w, last->request, last->request_len);
    if (!await_reply(client, w))
        return;
    if (take_reply(w, last->ops, last->count) != NFS4_OK || !last->cached)
        return;
    assert_int_equal(w->in_len - 24, last->reply_len);
    assert_memory_equal(w->in_bytes + 24, last->reply, last->reply_len);
}

/* The right session, the wrong slot or number. */
static void step_wrong_sequence(struct random_client *client)
{
    static const nfsstat4 right[] = {
        NFS4_OK,         NFS4ERR_SEQ_MISORDERED, NFS4ERR_SEQ_FALSE_RETRY,
        NFS4ERR_BADSLOT, NFS4ERR_BADSESSION,     NFS4ERR_RETRY_UNCACHED_REP};
    struct wire *w = &client->wire[below(2)];
    uint32_t slot = one_in(4) ? below(UINT32_MAX) : below(SLOTS), ops[OPS_MAX + 1] = {OP_SEQUENCE};
    uint32_t seq = slot < SLOTS ? client->seq[slot] + 2 * below(2) : below(9);
    uint32_t count;
    nfsstat4 status;
    bool known = false;

    wire_begin(w);
    put_sequence(w, client, slot, seq, false);
    count = put_ops(w, ops, 1);
    wire_send(w);
    if (!await_reply(client, w))
        return;
    status = take_reply(w, ops, count);
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        known = known || status == right[i];
    if (!known)
        fail_msg("SEQUENCE answers %s", nfs4_status_name(status));
}

/* No session: one operation alone, or several. */
static void step_alone(struct random_client *client)
{
    static const uint32_t alone[] = {OP_EXCHANGE_ID, OP_CREATE_SESSION, OP_DESTROY_SESSION,
                                     OP_BIND_CONN_TO_SESSION, OP_DESTROY_CLIENTID};
    struct wire *w = &client->wire[below(2)];
    uint32_t ops[OPS_MAX + 1], count = 0;
    union nfs4_args args;

    wire_begin(w);
    if (one_in(4)) {
        count = put_ops(w, ops, 0);
    } else {
        ops[count] = alone[below(sizeof(alone) / sizeof(alone[0]))];
        any_args(ops[count], &args);
        if (!nfs4_op_encode(&w->out, ops[count]) || !nfs4_args_encode(ops[count], &w->out, &args))
            return;
        wire_count_op(w);
        count++;
    }
    wire_send(w);
    if (!await_reply(client, w))
        return;
    take_reply(w, ops, count);
}

/* Bytes that were a request. What it has done is not known. */
static void step_damaged(struct random_client *client)
{
    struct wire *w = &client->wire[0];
    uint32_t slot = below(SLOTS), ops[OPS_MAX + 1] = {OP_SEQUENCE};

    wire_begin(w);
    put_sequence(w, client, slot, client->seq[slot] + 1, false);
    put_ops(w, ops, 1);
    for (uint32_t n = 1 + below(4); n > 0; n--) {
        size_t at = w->numops_at - 8 + below((uint32_t)(xdr_out_len(&w->out) - w->numops_at + 8));

        w->out_bytes[4 + at] ^= (uint8_t)(1u << below(8));
    }
    wire_send(w);
    if (next_reply(client, w))
        take_reply(w, NULL, 0);
    begin_client(client);
}

/* The connection goes while the request is under way, and the client asks again on another (RFC
 * 8881 section 2.10.6.2). */
static void step_cut_and_retry(struct random_client *client)
{
    struct pending p;
    uint32_t len, xid;

    begin_request(&p, client, 1);
    len = (uint32_t)xdr_out_len(&p.wire->out);
    xid = p.wire->xid;
    memcpy(retried, p.wire->out_bytes, RECORD_MARK_SIZE + len);
    reopen(client, 1);
    client->wire[1].xid = xid;
    wire_send_raw(p.wire, retried, RECORD_MARK_SIZE + len);
    if (!end_request(&p))
        begin_client(client);
    client->last[p.slot].count = 0; /* its bytes were the other connection's */
}

static void step_cut(struct random_client *client)
{
    struct wire *w = &client->wire[1];
    uint32_t ops[OPS_MAX + 1];
    uint8_t mark[4] = {0x80, 0, 0x10, 0};

    wire_begin(w);
    put_ops(w, ops, 0);
    wire_send_raw(w, mark, sizeof(mark));
    wire_send_raw(w, w->out_bytes, below((uint32_t)xdr_out_len(&w->out)) % 4096);
    reopen(client, 1);
}

static void step(struct random_client *client)
{
    uint32_t kind = below(100);

    arena_reset(&values);
    serve_callbacks(client);
    if (kind < 60)
        step_ordinary(client);
    else if (kind < 74)
        step_volley();
    else if (kind < 76)
        step_cut_and_retry(client);
    else if (kind < 84)
        step_retry(client);
    else if (kind < 90)
        step_wrong_sequence(client);
    else if (kind < 96)
        step_alone(client);
    else if (kind < 99)
        step_damaged(client);
    else
        step_cut(client);
}

/* ---- the polite client ---- */

static void polite_open(OPEN4resok *ok)
{
    union nfs4_args args = {.open = {.share_access = OPEN4_SHARE_ACCESS_BOTH,
                                     .owner.owner = xdr_bytes_of("polite"),
                                     .openhow.opentype = OPEN4_CREATE,
                                     .claim.file = xdr_bytes_of("polite")}};
    union nfs4_res res;

    nfs_begin(&polite, true);
    nfs_lookup_export(&polite);
    wire_op(&polite.wire, OP_OPEN, &args);
    assert_true(wire_call(&polite.wire));
    nfs_sequence_ok(&polite);
    nfs_lookup_export_results(&polite);
    assert_int_equal(wire_result(&polite.wire, OP_OPEN, &res), NFS4_OK);
    *ok = res.open.resok4;
}

/* Its file is opened, written, read and closed as if it were alone. */
static void be_polite(void)
{
    static unsigned turn;
    char text[16];
    struct wire *w = &polite.wire;
    union nfs4_args args;
    union nfs4_res res;
    OPEN4resok opened;

    polite_open(&opened);
    snprintf(text, sizeof(text), "turn %09u", ++turn);
    args = (union nfs4_args){.lookup = {.objname = xdr_bytes_of("polite")}};
    nfs_begin(&polite, false);
    nfs_lookup_export(&polite);
    wire_op(w, OP_LOOKUP, &args);
    args = (union nfs4_args){.write = {.stateid = opened.stateid, .data = xdr_bytes_of(text)}};
    wire_op(w, OP_WRITE, &args);
    args = (union nfs4_args){.read = {.stateid = opened.stateid, .count = 100}};
    wire_op(w, OP_READ, &args);
    args = (union nfs4_args){.close = {.open_stateid = opened.stateid}};
    wire_op(w, OP_CLOSE, &args);
    assert_true(wire_call(w));
    nfs_sequence_ok(&polite);
    nfs_lookup_export_results(&polite);
    assert_int_equal(wire_result(w, OP_LOOKUP, NULL), NFS4_OK);
    assert_int_equal(wire_result(w, OP_WRITE, NULL), NFS4_OK);
    assert_int_equal(wire_result(w, OP_READ, &res), NFS4_OK);
    assert_true(xdr_bytes_equal(res.read.resok4.data, xdr_bytes_of(text)));
    assert_int_equal(wire_result(w, OP_CLOSE, NULL), NFS4_OK);
}

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The best of some turns. */
static double time_of_polite(void)
{
    double best = 1e9;

    for (unsigned i = 0; i < JUDGED_TURNS; i++) {
        double begin = seconds_now(), took;

        be_polite();
        took = seconds_now() - begin;
        best = took < best ? took : best;
    }
    return best;
}

static void judge_politeness(double usual)
{
    double best = time_of_polite();

    print_message("the polite client: usually %.1f ms, now %.1f ms\n", 1e3 * usual, 1e3 * best);
    if (best > TIMES_USUAL * usual + 1e-3 * MORE_MS)
        fail_msg("the polite client waits");
}

/* ---- files ---- */

static void make_file(const char *name)
{
    static uint8_t bytes[FILE_BYTES];
    char path[160];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", fixture_files(), name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return; /* it is sealed, or a directory by now */
    if (fchmod(fd, 0666) == 0 && pwrite(fd, bytes, sizeof(bytes), 0) == sizeof(bytes))
        fsync(fd);
    close(fd);
}

static void seal_file(const char *name, const char *how)
{
    char line[256];

    make_file(name);
    snprintf(line, sizeof(line), "{\"op\":\"seal\",\"file\":\"%s/%s\"%s}", fixture_files(), name,
             how);
    assert_true(fixture_control(line));
}

/* Those that random requests have removed or cut are there again. */
static void make_files_at_rest(void)
{
    char name[16];

    for (unsigned i = 0; disk && i < AT_REST; i++) {
        snprintf(name, sizeof(name), "rest%u", i);
        make_file(name);
    }
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* Time is over, and on a busy machine the seals have been reached all the same. */
static bool is_over(time_t end)
{
    bool reached = !disk || (grants > 0 && callbacks > 0);

    return time(NULL) >= end && (reached || time(NULL) >= end + WAIT_MS / 1000);
}

static void every_answer_is_one_that_the_operation_may_give(void **state)
{
    unsigned seed = from_environment("RANDOM_COMPOUNDS_SEED", 1);
    time_t end = time(NULL) + from_environment("RANDOM_COMPOUNDS_SECONDS", 10);
    time_t due = 0, judged = time(NULL) + JUDGED_EVERY;
    double usual;

    (void)state;
    print_message("seed %u\n", seed);
    wire_random_init(&rnd, seed, &values);
    usual = time_of_polite();
    for (unsigned i = 0; i < CLIENTS; i++)
        begin_client(&clients[i]);
    while (!is_over(end)) {
        for (unsigned i = 0; i < 50; i++)
            step(&clients[below(CLIENTS)]);
        if (time(NULL) >= judged) {
            judge_politeness(usual);
            judged = time(NULL) + JUDGED_EVERY;
        }
        if (time(NULL) < due)
            continue;
        be_polite();
        make_files_at_rest();
        due = time(NULL) + POLITE_EVERY;
    }
    judge_politeness(usual);
    print_message("%lu requests, %lu results, %lu of them errors, %lu layouts, %lu callbacks\n",
                  calls, results, failures, grants, callbacks);
    assert_true(results - failures > results / 3); /* much of it gets somewhere */
    assert_true(!disk || (grants > 0 && callbacks > 0));
    unlink(last_path);
}

/* Recalls are short, and the hook says at once that who does not obey is cut off. */
static struct daemon *start_with_seals(void)
{
    struct daemon *daemon;

    assert_int_equal(chmod(loopfs_dir(disk), 0777), 0);
    daemon = fixture_start_on(loopfs_dir(disk),
                              "recall_timeout = 1\nfence_hook = \"/bin/true\"\nmax_grants = 3\n"
                              "at_rest_pause = 0\n",
                              "policy = \"at-rest\"\nat_rest_min_size = 0\n");
    make_files_at_rest();
    seal_file("pinned", ",\"pinned\":true,\"fill\":true");
    seal_file("frozen", "");
    return daemon;
}

static int setup(void **state)
{
    const struct loopfs_spec spec = {.type = "xfs", .mkfs_options = "-m reflink=0"};
    const char *why;

    (void)state;
    snprintf(last_path, sizeof(last_path), "/tmp/random-compounds.%ld", (long)getpid());
    arena_init(&values, 16 << 20);
    if (loopfs_possible(&why))
        assert_int_equal(loopfs_create(&spec, &disk, &why), 0);
    else if (getenv("RANDOM_COMPOUNDS_SECONDS"))
        fail_msg("without sealed files: %s", why); /* a long run is for them */
    else
        print_message("without sealed files: %s\n", why);
    daemon_of_test = disk ? start_with_seals() : fixture_start_with("", " layouts = true");
    nfs_client_start(&polite, daemon_of_test, "polite", 0);
    clients = calloc(CLIENTS, sizeof(*clients));
    assert_non_null(clients);
    for (unsigned i = 0; i < CLIENTS; i++) {
        snprintf(clients[i].owner, sizeof(clients[i].owner), "random %u", i);
        for (unsigned j = 0; j < 2; j++)
            wire_open_on(&clients[i].wire[j], daemon_of_test, j);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLIENTS; i++)
        for (unsigned j = 0; j < 2; j++)
            wire_close(&clients[i].wire[j]);
    free(clients);
    wire_close(&polite.wire);
    arena_free(&values);
    fixture_stop(daemon_of_test);
    fixture_clean();
    loopfs_destroy(disk);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_is_one_that_the_operation_may_give),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
