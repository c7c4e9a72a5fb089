/*
 * make_conn_seeds.c - writes the seeds of fuzz_conn to the folder given: one COMPOUND for each
 * operation, and some that go together. See fuzz_conn.c for the marks in place of living ids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/attr.h"
#include "proto/nfs4/ops.h"
#include "proto/record.h"
#include "proto/rpc.h"

enum { ROOM = 16 << 10 };

static uint8_t bytes[1 + RECORD_MARK_SIZE + ROOM];
static struct xdr_out out;
static size_t numops_at;
static uint32_t numops;

static void begin(void)
{
    struct rpc_call call = {
        .xid = 9, .rpcvers = 2, .prog = NFS4_PROGRAM, .vers = NFS_V4, .proc = 1};
    struct nfs4_compound_args head = {.minorversion = 1};
    xdr_out_init(&out, bytes + 1 + RECORD_MARK_SIZE, ROOM);
    rpc_call_encode(&out, &call);
    nfs4_compound_args_encode(&out, &head);
    numops_at = xdr_out_pos(&out) - 4;
    numops = 0;
}

static void op(uint32_t number, const union nfs4_args *args)
{
    static const union nfs4_args none;
    size_t at = xdr_out_pos(&out);
    nfs4_op_encode(&out, number);
    if (!nfs4_args_encode(number, &out, args != NULL ? args : &none))
        xdr_out_truncate(&out, at + 4); /* no zero value has an encoding: the number alone */
    xdr_out_patch_u32(&out, numops_at, ++numops);
}

static void in_session(void)
{
    union nfs4_args sequence = {.sequence = {.sa_cachethis = true}};
    union nfs4_args lookup = {.lookup = {.objname = xdr_bytes_of("data")}};
    memcpy(sequence.sequence.sa_sessionid, "SSSSSSSSSSSSSSSS", NFS4_SESSIONID_SIZE);
    begin();
    op(OP_SEQUENCE, &sequence);
    op(OP_PUTROOTFH, NULL);
    op(OP_LOOKUP, &lookup);
}

static void save(const char *dir, const char *name, uint8_t piece)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    uint32_t len = (uint32_t)xdr_out_len(&out);
    bytes[0] = piece;
    record_mark_put(bytes + 1, len);
    if (file == NULL || !xdr_out_ok(&out) ||
        fwrite(bytes, 1, 1 + RECORD_MARK_SIZE + len, file) != 1 + RECORD_MARK_SIZE + len ||
        fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static clientid4 mark(void)
{
    clientid4 id;
    memcpy(&id, "CCCCCCCC", sizeof(id));
    return id;
}

static void file_work(const char *dir)
{
    static const stateid4 current = {.seqid = 1};
    union nfs4_args args = {
        .open = {.share_access = OPEN4_SHARE_ACCESS_BOTH,
                 .owner = {.clientid = mark(), .owner = xdr_bytes_of("o")},
                 .openhow = {.opentype = OPEN4_CREATE, .how = {.mode = UNCHECKED4}},
                 .claim = {.claim = CLAIM_NULL, .file = xdr_bytes_of("f")}}};
    in_session();
    op(OP_OPEN, &args);
    args = (union nfs4_args){
        .lock = {.locktype = WRITE_LT, .length = 10, .locker = {.new_lock_owner = true}}};
    args.lock.locker.open_owner.open_stateid = current;
    args.lock.locker.open_owner.lock_owner =
        (lock_owner4){.clientid = mark(), .owner = xdr_bytes_of("l")};
    op(OP_LOCK, &args);
    args = (union nfs4_args){.write = {.stateid = current, .data = xdr_bytes_of("some data")}};
    op(OP_WRITE, &args);
    args = (union nfs4_args){.read = {.stateid = current, .count = 4096}};
    op(OP_READ, &args);
    op(OP_COMMIT, NULL);
    args = (union nfs4_args){
        .getattr = {.attr_request = {.word = {0xffffffff, 0xffffffff, 0xffffffff}}}};
    op(OP_GETATTR, &args);
    args =
        (union nfs4_args){.locku = {.locktype = WRITE_LT, .lock_stateid = current, .length = 10}};
    op(OP_LOCKU, &args);
    args = (union nfs4_args){.close = {.open_stateid = current}};
    op(OP_CLOSE, &args);
    save(dir, "file_work", 0);
    save(dir, "file_work_in_pieces", 7);
}

static void directory_work(const char *dir)
{
    union nfs4_args args = {.create = {.objtype = {.type = NF4DIR}, .objname = xdr_bytes_of("d")}};
    in_session();
    op(OP_SAVEFH, NULL);
    op(OP_CREATE, &args);
    op(OP_GETFH, NULL);
    op(OP_RESTOREFH, NULL);
    args = (union nfs4_args){
        .readdir = {.dircount = 1000, .maxcount = 4000, .attr_request = {.word = {0x1c, 0x800}}}};
    op(OP_READDIR, &args);
    args =
        (union nfs4_args){.rename = {.oldname = xdr_bytes_of("d"), .newname = xdr_bytes_of("e")}};
    op(OP_RENAME, &args);
    args = (union nfs4_args){.remove = {.target = xdr_bytes_of("e")}};
    op(OP_REMOVE, &args);
    save(dir, "directory_work", 0);
}

static void client_work(const char *dir)
{
    union nfs4_args args = {
        .exchange_id = {.eia_clientowner = {.co_ownerid = xdr_bytes_of("another")}}};
    begin();
    op(OP_EXCHANGE_ID, &args);
    save(dir, "exchange_id", 0);
    const channel_attrs4 channel = {0, 8192, 8192, 4096, 16, 4, 0, {0}};
    callback_sec_parms4 sys = {.cb_secflavor = RPC_AUTH_SYS};
    args = (union nfs4_args){.create_session = {.csa_clientid = mark(),
                                                .csa_sequence = 2,
                                                .csa_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
                                                .csa_fore_chan_attrs = channel,
                                                .csa_back_chan_attrs = channel,
                                                .csa_sec_parms_count = 1,
                                                .csa_sec_parms = &sys}};
    begin();
    op(OP_CREATE_SESSION, &args);
    save(dir, "create_session", 0);
    args = (union nfs4_args){.bind_conn_to_session = {.bctsa_dir = CDFC4_BACK_OR_BOTH}};
    memcpy(args.bind_conn_to_session.bctsa_sessid, "SSSSSSSSSSSSSSSS", NFS4_SESSIONID_SIZE);
    begin();
    op(OP_BIND_CONN_TO_SESSION, &args);
    save(dir, "bind_conn_to_session", 0);
    args = (union nfs4_args){.destroy_clientid = {.dca_clientid = mark()}};
    begin();
    op(OP_DESTROY_CLIENTID, &args);
    save(dir, "destroy_clientid", 0);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: make_conn_seeds DIR\n", stderr);
        return 2;
    }
    for (uint32_t number = NFS4_OP_FIRST; number <= NFS4_OP_LAST; number++) {
        in_session();
        op(OP_SAVEFH, NULL);
        op(number, NULL);
        save(argv[1], nfs4_op_name(number), 0);
    }
    file_work(argv[1]);
    directory_work(argv[1]);
    client_work(argv[1]);
    return 0;
}
