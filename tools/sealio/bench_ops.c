/*
 * The operations that sealio bench knows, and the COMPOUNDs they are made of. See
 * tools/sealio/bench.h.
 */
#include "tools/sealio/bench.h"

#include "proto/nfs4/attr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stands where the loop later puts a stateid or an offset; found again by its bytes. */
static const stateid4 stateid_mark = {
    0xb5e3a917, {0xd1, 0x7c, 0x42, 0x99, 0x0e, 0xb8, 0x63, 0x5f, 0xc4, 0x2a, 0x91, 0x7d}};
static const uint64_t offset_mark = UINT64_C(0x5eed0ff5e7a11c3d);

/* What a Linux client asks for. */
static bitmap4 usual_attrs(void)
{
    return BITMAP4(FATTR4_TYPE, FATTR4_CHANGE, FATTR4_SIZE, FATTR4_FSID, FATTR4_FILEID, FATTR4_MODE,
                   FATTR4_NUMLINKS, FATTR4_OWNER, FATTR4_OWNER_GROUP, FATTR4_RAWDEV,
                   FATTR4_SPACE_USED, FATTR4_TIME_ACCESS, FATTR4_TIME_METADATA, FATTR4_TIME_MODIFY,
                   FATTR4_MOUNTED_ON_FILEID);
}

static struct bench_step *begin(struct bench_conn *conn)
{
    struct bench_step *step = &conn->steps[conn->step_count];
    *step = (struct bench_step){.buf = malloc(BENCH_CALL_SIZE)};
    if (!step->buf)
        return NULL;
    conn->step_count++;
    bench_begin(conn, &step->call, step->buf, true);
    return step;
}

static void add_getattr(struct bench_step *step)
{
    const union nfs4_args args = {.getattr = {usual_attrs()}};
    sealio_call_add(&step->call, OP_GETATTR, &args);
}

static size_t find_mark(const struct bench_step *step, const void *mark, size_t len)
{
    const uint8_t *at = memmem(step->buf, xdr_out_pos(&step->call.out), mark, len);
    return at ? (size_t)(at - step->buf) : 0;
}

static int end(struct bench_step *step)
{
    uint8_t mark[16];
    int rc = sealio_call_end(&step->call);
    if (rc < 0)
        return rc;
    struct xdr_out out;
    xdr_out_init(&out, mark, sizeof(mark));
    xdr_put_u32(&out, stateid_mark.seqid);
    xdr_put_fixed(&out, stateid_mark.other, sizeof(stateid_mark.other));
    step->stateid_pos = find_mark(step, mark, sizeof(mark));
    xdr_out_init(&out, mark, sizeof(mark));
    xdr_put_u64(&out, offset_mark);
    step->offset_pos = find_mark(step, mark, 8);
    step->iov_count = xdr_out_iov(&step->call.out, step->iov, XDR_OUT_MAX_IOV);
    return 0;
}

static int build_null(struct bench_conn *conn, const struct bench_ground *ground)
{
    (void)ground;
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    const struct rpc_call head = {
        .rpcvers = RPC_VERSION, .prog = NFS4_PROGRAM, .vers = NFS_V4, .proc = NFSPROC4_NULL};
    step->call = (struct sealio_call){.buf = step->buf};
    step->is_null = true;
    xdr_out_init(&step->call.out, step->buf, BENCH_CALL_SIZE);
    xdr_put_u32(&step->call.out, 0);
    if (!rpc_call_encode(&step->call.out, &head))
        return -EMSGSIZE;
    record_mark_put(step->buf, (uint32_t)(xdr_out_len(&step->call.out) - RECORD_MARK_SIZE));
    step->iov_count = xdr_out_iov(&step->call.out, step->iov, XDR_OUT_MAX_IOV);
    return 0;
}

static int build_getattr(struct bench_conn *conn, const struct bench_ground *ground)
{
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    sealio_call_put_fh(&step->call, sealio_fh_view(&ground->data));
    add_getattr(step);
    return end(step);
}

/* Each connection has a file of its own to look up and open. */
static struct xdr_bytes file_name(const struct bench_conn *conn, char *name, size_t size)
{
    snprintf(name, size, "f%u", conn->index % BENCH_FILES);
    return xdr_bytes_of(name);
}

static int build_lookup(struct bench_conn *conn, const struct bench_ground *ground)
{
    char name[32];
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    const union nfs4_args args = {.lookup = {file_name(conn, name, sizeof(name))}};
    sealio_call_put_fh(&step->call, sealio_fh_view(&ground->dir));
    sealio_call_add(&step->call, OP_LOOKUP, &args);
    sealio_call_add(&step->call, OP_GETFH, NULL);
    add_getattr(step);
    return end(step);
}

static union nfs4_args open_args(const struct bench_conn *conn, struct xdr_bytes name,
                                 uint32_t share)
{
    return (union nfs4_args){.open = {.share_access = share | OPEN4_SHARE_ACCESS_WANT_NO_DELEG,
                                      .owner = {conn->client, {(const uint8_t *)"bench", 5}},
                                      .claim = {.claim = CLAIM_NULL, .file = name}}};
}

static const stateid4 current_stateid = {.seqid = 1};

static int build_open(struct bench_conn *conn, const struct bench_ground *ground)
{
    char name[32];
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    const struct xdr_bytes file = file_name(conn, name, sizeof(name));
    union nfs4_args args = open_args(conn, file, OPEN4_SHARE_ACCESS_READ);
    sealio_call_put_fh(&step->call, sealio_fh_view(&ground->dir));
    sealio_call_add(&step->call, OP_OPEN, &args);
    sealio_call_add(&step->call, OP_GETFH, NULL);
    add_getattr(step);
    step->take_op = OP_OPEN;
    int rc = end(step);
    if (rc < 0 || !(step = begin(conn)))
        return rc < 0 ? rc : -ENOMEM;
    args = (union nfs4_args){.lookup = {file}};
    sealio_call_put_fh(&step->call, sealio_fh_view(&ground->dir));
    sealio_call_add(&step->call, OP_LOOKUP, &args);
    args = (union nfs4_args){.close = {.open_stateid = stateid_mark}};
    sealio_call_add(&step->call, OP_CLOSE, &args);
    return end(step);
}

static int build_create(struct bench_conn *conn, const struct bench_ground *ground)
{
    char name[32];
    uint64_t first[64];
    struct arena arena;
    const bitmap4 want = BITMAP4(FATTR4_MODE);
    const struct nfs4_attrs attrs = {.present = want, .mode = 0644};
    snprintf(name, sizeof(name), "c%u", conn->index);
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    union nfs4_args args = open_args(conn, xdr_bytes_of(name), OPEN4_SHARE_ACCESS_BOTH);
    args.open.openhow.opentype = OPEN4_CREATE;
    args.open.openhow.how.mode = UNCHECKED4;
    arena_init_with(&arena, 4096, first, sizeof(first));
    int rc = nfs4_attrs_pack(&attrs, &want, NULL, &arena, &args.open.openhow.how.createattrs);
    sealio_call_put_fh(&step->call, sealio_fh_view(&ground->dir));
    sealio_call_add(&step->call, OP_OPEN, &args);
    sealio_call_add(&step->call, OP_GETFH, NULL);
    add_getattr(step);
    args = (union nfs4_args){.close = {.open_stateid = current_stateid}};
    sealio_call_add(&step->call, OP_CLOSE, &args);
    if (rc == 0)
        rc = end(step);
    arena_free(&arena);
    if (rc < 0 || !(step = begin(conn)))
        return rc < 0 ? rc : -ENOMEM;
    args = (union nfs4_args){.remove = {xdr_bytes_of(name)}};
    sealio_call_put_fh(&step->call, sealio_fh_view(&ground->dir));
    sealio_call_add(&step->call, OP_REMOVE, &args);
    return end(step);
}

static int build_readdir(struct bench_conn *conn, const struct bench_ground *ground)
{
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    const union nfs4_args args = {
        .readdir = {.dircount = 8192, .maxcount = 32768, .attr_request = usual_attrs()}};
    sealio_call_put_fh(&step->call, sealio_fh_view(&ground->dir));
    sealio_call_add(&step->call, OP_READDIR, &args);
    return end(step);
}

/* What of so many bytes fits into a message of the session (RFC 8881 section 18.36.3), in pages. */
static uint32_t payload_of(uint32_t size, uint32_t message)
{
    enum { BESIDE = 1024, PAGE = 4096 };
    const uint32_t room = message > BESIDE + PAGE ? (message - BESIDE) / PAGE * PAGE : PAGE;
    return size < room ? size : room;
}

static int build_read(struct bench_conn *conn, uint32_t most)
{
    const uint32_t size = payload_of(most, conn->max_reply);
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    const union nfs4_args args = {
        .read = {.stateid = conn->open, .offset = offset_mark, .count = size}};
    conn->offset_step = size;
    sealio_call_put_fh(&step->call, sealio_fh_view(conn->file));
    sealio_call_add(&step->call, OP_READ, &args);
    return end(step);
}

static int build_write(struct bench_conn *conn, uint32_t most)
{
    static const uint8_t payload[1 << 20];
    const uint32_t size = payload_of(most, conn->max_request);
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    const union nfs4_args args = {.write = {.stateid = conn->open,
                                            .offset = offset_mark,
                                            .stable = UNSTABLE4,
                                            .data = {payload, size},
                                            .data_owner = conn}};
    conn->offset_step = size;
    sealio_call_put_fh(&step->call, sealio_fh_view(conn->file));
    sealio_call_add(&step->call, OP_WRITE, &args);
    return end(step);
}

static int build_read4k(struct bench_conn *conn, const struct bench_ground *ground)
{
    (void)ground;
    return build_read(conn, 4096);
}

static int build_read1m(struct bench_conn *conn, const struct bench_ground *ground)
{
    (void)ground;
    return build_read(conn, 1 << 20);
}

static int build_write4k(struct bench_conn *conn, const struct bench_ground *ground)
{
    (void)ground;
    return build_write(conn, 4096);
}

static int build_write1m(struct bench_conn *conn, const struct bench_ground *ground)
{
    (void)ground;
    return build_write(conn, 1 << 20);
}

static int add_layoutget(struct bench_conn *conn)
{
    struct bench_step *step = begin(conn);
    if (!step)
        return -ENOMEM;
    const union nfs4_args args = {.layoutget = {.loga_layout_type = LAYOUT4_BLOCK_VOLUME,
                                                .loga_iomode = LAYOUTIOMODE4_READ,
                                                .loga_length = NFS4_UINT64_MAX,
                                                .loga_minlength = 1,
                                                .loga_stateid = conn->open,
                                                .loga_maxcount = 1 << 20}};
    sealio_call_put_fh(&step->call, sealio_fh_view(conn->file));
    sealio_call_add(&step->call, OP_LAYOUTGET, &args);
    step->take_op = OP_LAYOUTGET;
    return end(step);
}

static int build_layoutget(struct bench_conn *conn, const struct bench_ground *ground)
{
    (void)ground;
    int rc = add_layoutget(conn);
    struct bench_step *step = rc < 0 ? NULL : begin(conn);
    if (!step)
        return rc < 0 ? rc : -ENOMEM;
    const union nfs4_args args = {
        .layoutreturn = {.lora_layout_type = LAYOUT4_BLOCK_VOLUME,
                         .lora_iomode = LAYOUTIOMODE4_ANY,
                         .lora_layoutreturn = {.lr_returntype = LAYOUTRETURN4_FILE,
                                               .lr_layout = {.lrf_length = NFS4_UINT64_MAX,
                                                             .lrf_stateid = stateid_mark}}}};
    sealio_call_put_fh(&step->call, sealio_fh_view(conn->file));
    sealio_call_add(&step->call, OP_LAYOUTRETURN, &args);
    return end(step);
}

static int build_grants(struct bench_conn *conn, const struct bench_ground *ground)
{
    (void)ground;
    return add_layoutget(conn);
}

static const struct bench_op ops[] = {
    {"null", "the NULL procedure", false, false, false, false, build_null},
    {"getattr", "GETATTR of 15 attributes", false, false, false, false, build_getattr},
    {"lookup", "LOOKUP, GETFH, GETATTR", false, false, false, false, build_lookup},
    {"open", "OPEN, then CLOSE: two COMPOUNDs", false, false, false, false, build_open},
    {"create", "OPEN with CREATE and CLOSE, then REMOVE: two COMPOUNDs", false, false, false, false,
     build_create},
    {"readdir", "READDIR with attributes, a directory of 100 files", false, false, false, false,
     build_readdir},
    {"read4k", "READ of 4 KiB", true, false, false, false, build_read4k},
    {"write4k", "WRITE of 4 KiB, unstable", true, false, false, false, build_write4k},
    {"read1m", "READ of 1 MiB, or of what the session allows", true, false, false, false,
     build_read1m},
    {"write1m", "WRITE of 1 MiB, unstable, or of what it allows", true, false, false, false,
     build_write1m},
    {"layoutget", "LAYOUTGET of all of --layout-file, then LAYOUTRETURN", true, true, false, false,
     build_layoutget},
    {"idle", "nothing: sessions are only held, for the server's memory", false, false, true, false,
     NULL},
    {"grants", "nothing: a layout of --layout-file is held by each", true, true, true, false,
     build_grants},
    {"recall", "each holds --layout-file; --release-command has it recalled", true, true, true,
     true, build_grants},
};

const struct bench_op *bench_op_at(size_t index)
{
    return index < sizeof(ops) / sizeof(ops[0]) ? &ops[index] : NULL;
}

const struct bench_op *bench_op_find(const char *name)
{
    const struct bench_op *op;
    for (size_t i = 0; (op = bench_op_at(i)); i++) {
        if (strcmp(op->name, name) == 0)
            return op;
    }
    return NULL;
}
