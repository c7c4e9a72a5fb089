/*
 * The server for tests of libsealio. See fake_nfs.h. `lock` guards everything; the serving thread
 * drops it while it receives.
 */
#include "tests/unit/client/fake_nfs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/layout/block.h"
#include "proto/nfs4/attr.h"
#include "proto/record.h"

enum { MESSAGE_MAX = (1 << 20) + 65536, SLOTS = 8, OPS = 60, CB_PROGRAM = 0x40000000 };

static const char signature[] = "signature of the fake";
static const uint8_t file_handle[] = "fh-file";
static const uint8_t root_handle[] = "fh-root";

struct fake_slot {
    uint32_t sequence, len;
    uint8_t *reply; /* from the COMPOUND's status on */
};

struct fake_nfs {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int listener, conn, image;
    uint16_t port;
    bool stopping, muted, hole, trickle, denies_sessions, recall_at_layoutget, restarted,
        commit_was_reclaim;
    uint32_t lease, cut_op, claim;
    enum fake_listing listing;
    nfsstat4 layout_refusal;
    clientid4 client;
    uint32_t create_sequence;
    bool confirmed, has_session;
    sessionid4 session;
    struct fake_slot slots[SLOTS];
    uint32_t boot, opens;
    stateid4 layout;
    bool layout_held;
    layouttype4 layout_type;
    uint64_t size, reserve, larger; /* of a file that grows; reserve 0: it does not */
    bool memory_offered;
    nfsstat4 memory_refusal;
    bool memory_has_hole;
    uint8_t *memory; /* the image */
    uint8_t secret[RDMA_SECRET_SIZE];
    uint32_t alignment;
    rdma_range4 committed[64];
    unsigned committed_count;
    uint32_t returned_seqid;
    unsigned counts[OPS], when[OPS], executed;
    /* the callback under way */
    uint32_t cb_sequence, cb_xid;
    bool cb_waiting, cb_done;
    nfsstat4 cb_status;
    /* the request under way */
    bool cut_now;
    bool at_root;
    struct arena arena;
    uint8_t *in, *out, data[1 << 20];
};

/* ---- the file on the image ---- */

static uint64_t place(uint64_t offset, uint64_t *most)
{
    if (offset < FAKE_HALF) {
        *most = FAKE_HALF - offset;
        return FAKE_FIRST + offset;
    }
    *most = FAKE_HALF;
    return FAKE_SECOND + offset - FAKE_HALF;
}

static uint32_t file_io(struct fake_nfs *fake, uint64_t offset, uint32_t len, const uint8_t *from)
{
    uint32_t done = 0;
    while (done < len) {
        uint64_t most;
        const uint64_t at = place(offset + done, &most);
        const size_t n = len - done < most ? len - done : (size_t)most;
        const ssize_t moved = from ? pwrite(fake->image, from + done, n, (off_t)at)
                                   : pread(fake->image, fake->data + done, n, (off_t)at);
        if (moved <= 0)
            break;
        done += (uint32_t)moved;
    }
    return done;
}

/* ---- operations ---- */

static void op_exchange_id(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    static const char name[] = "fake";
    (void)args;
    EXCHANGE_ID4resok *ok = &res->exchange_id.eir_resok4;
    if (!fake->confirmed)
        fake->client = 1000 + ++fake->boot;
    ok->eir_clientid = fake->client;
    ok->eir_sequenceid = fake->create_sequence;
    ok->eir_flags = EXCHGID4_FLAG_USE_PNFS_MDS | (fake->confirmed ? EXCHGID4_FLAG_CONFIRMED_R : 0);
    ok->eir_server_owner.so_major_id = xdr_bytes_of(name);
    ok->eir_server_scope = xdr_bytes_of(name);
}

static void op_create_session(struct fake_nfs *fake, const union nfs4_args *args,
                              union nfs4_res *res)
{
    CREATE_SESSION4resok *ok = &res->create_session.csr_resok4;
    if (args->create_session.csa_clientid != fake->client) {
        res->status = NFS4ERR_STALE_CLIENTID;
        return;
    }
    fake->session[0]++;
    fake->has_session = fake->confirmed = true;
    fake->cb_sequence = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        fake->slots[i].sequence = fake->slots[i].len = 0;
    memcpy(ok->csr_sessionid, fake->session, sizeof(fake->session));
    ok->csr_sequence = fake->create_sequence++;
    ok->csr_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN;
    ok->csr_fore_chan_attrs = args->create_session.csa_fore_chan_attrs;
    ok->csr_fore_chan_attrs.ca_maxrequests = SLOTS;
    ok->csr_back_chan_attrs = args->create_session.csa_back_chan_attrs;
}

static void op_bind(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    if (!fake->has_session || memcmp(args->bind_conn_to_session.bctsa_sessid, fake->session,
                                     sizeof(fake->session)) != 0) {
        res->status = NFS4ERR_BADSESSION;
        return;
    }
    memcpy(res->bind_conn_to_session.bctsr_resok4.bctsr_sessid, fake->session,
           sizeof(fake->session));
    res->bind_conn_to_session.bctsr_resok4.bctsr_dir = CDFS4_BOTH;
}

static stateid4 open_stateid(const struct fake_nfs *fake)
{
    return (stateid4){1, {'O', (uint8_t)fake->boot, (uint8_t)fake->opens}};
}

static void op_open(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    fake->claim = args->open.claim.claim;
    fake->opens++;
    fake->at_root = false;
    res->open.resok4.stateid = open_stateid(fake);
    res->open.resok4.delegation.delegation_type = OPEN_DELEGATE_NONE;
}

static void op_getattr(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    const bitmap4 have = BITMAP4(FATTR4_TYPE, FATTR4_CHANGE, FATTR4_SIZE, FATTR4_FSID,
                                 FATTR4_LEASE_TIME, FATTR4_FILEID, FATTR4_MODE, FATTR4_NUMLINKS,
                                 FATTR4_TIME_MODIFY, FATTR4_FS_LAYOUT_TYPES, FATTR4_LAYOUT_BLKSIZE);
    const struct nfs4_attrs attrs = {
        .present = have,
        .type = fake->at_root ? NF4DIR : NF4REG,
        .size = fake->size,
        .fsid = {1, 2},
        .lease_time = fake->lease,
        .mode = 0644,
        .numlinks = 1,
        .fs_layout_types_count = fake->memory_offered ? 2 : 1,
        .fs_layout_types = {LAYOUT4_BLOCK_VOLUME, LAYOUT4_SEALNFS_RDMA},
        .layout_blksize = 4096};
    if (nfs4_attrs_pack(&attrs, &args->getattr.attr_request, &have, &fake->arena,
                        &res->getattr.resok4.obj_attributes) < 0)
        res->status = NFS4ERR_SERVERFAULT;
}

static void op_read(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    const READ4args *read = &args->read;
    uint64_t left = read->offset < fake->size ? fake->size - read->offset : 0;
    if (left > read->count)
        left = read->count;
    if (read->stateid.other[1] != (uint8_t)fake->boot) {
        res->status = NFS4ERR_BAD_STATEID;
        return;
    }
    res->read.resok4.data =
        (struct xdr_bytes){fake->data, file_io(fake, read->offset, (uint32_t)left, NULL)};
    res->read.resok4.eof = read->offset + left >= fake->size;
}

/* Entries of no attributes; of a circle two, again and again. */
static void op_readdir(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    const bool circle = fake->listing == FAKE_CIRCLE;
    const bitmap4 want = {.beyond = 0};
    const struct nfs4_attrs none = {.present = want};
    const struct xdr_bytes names[] = {xdr_bytes_of("one"), xdr_bytes_of("two")};
    struct readdir_writer writer;
    (void)args;
    bool ok = readdir_writer_begin(&writer, fake->data, 4096, 0, 4096);
    for (unsigned i = 0; ok && i < 2; i++)
        ok = readdir_writer_add(&writer, 3 + i, names[i], &want, &none);
    res->readdir.resok4.reply.encoded = readdir_writer_end(&writer, !circle);
    if (!ok)
        res->status = NFS4ERR_SERVERFAULT;
}

static void make_longer(struct fake_nfs *fake, uint64_t end)
{
    if (fake->reserve && fake->size < end)
        fake->size = end;
}

static void op_write(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    res->write.resok4.count =
        file_io(fake, args->write.offset, args->write.data.len, args->write.data.data);
    make_longer(fake, args->write.offset + res->write.resok4.count);
    res->write.resok4.committed = UNSTABLE4;
    res->write.resok4.writeverf[0] = (uint8_t)fake->boot;
}

static void op_commit(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    (void)args;
    res->commit.resok4.writeverf[0] = (uint8_t)fake->boot;
}

static bool put_layout(struct fake_nfs *fake, layoutiomode4 iomode, const pnfs_block_layout4 *body,
                       layout4 *layout)
{
    struct xdr_out out;
    void *buf = arena_alloc(&fake->arena, 1024);
    if (!buf)
        return false;
    xdr_out_init(&out, buf, 1024);
    if (!block_layout_encode(&out, body))
        return false;
    *layout = (layout4){
        0, NFS4_UINT64_MAX, iomode, {LAYOUT4_BLOCK_VOLUME, {buf, (uint32_t)xdr_out_len(&out)}}};
    return true;
}

static bool encode_piece(struct fake_nfs *fake, const LAYOUTGET4args *get, layout4 *layout)
{
    pnfs_block_extent4 extent = {{7}, get->loga_offset, 512, FAKE_FIRST, PNFS_BLOCK_READ_DATA};
    const pnfs_block_layout4 body = {1, &extent};
    return put_layout(fake, LAYOUTIOMODE4_READ, &body, layout);
}

static bool encode_layout(struct fake_nfs *fake, const LAYOUTGET4args *get, layout4 *layout)
{
    const layoutiomode4 iomode = get->loga_iomode;
    const pnfs_block_extent_state4 state =
        iomode == LAYOUTIOMODE4_RW ? PNFS_BLOCK_READ_WRITE_DATA : PNFS_BLOCK_READ_DATA;
    const bool hole = fake->hole && iomode == LAYOUTIOMODE4_READ;
    const uint64_t first = hole ? FAKE_HOLE : FAKE_HALF;
    pnfs_block_extent4 extents[] = {
        {{7}, 0, first, FAKE_FIRST, state},
        {{7}, FAKE_HOLE, FAKE_HALF - FAKE_HOLE, 0, PNFS_BLOCK_NONE_DATA},
        {{7}, FAKE_HALF, FAKE_HALF, FAKE_SECOND, state},
    };
    if (fake->trickle)
        return encode_piece(fake, get, layout);
    if (iomode == LAYOUTIOMODE4_RW && fake->reserve)
        extents[2].bex_length = fake->reserve - FAKE_HALF;
    if (!hole)
        extents[1] = extents[2];
    const pnfs_block_layout4 body = {hole ? 3 : 2, extents};
    return put_layout(fake, iomode, &body, layout);
}

static bool encode_memory_layout(struct fake_nfs *fake, const LAYOUTGET4args *get, layout4 *layout)
{
    const layoutiomode4 iomode = get->loga_iomode;
    const uint32_t key = iomode == LAYOUTIOMODE4_RW ? 12 : 11;
    const uint64_t at = (uintptr_t)fake->memory;
    rdma_extent4 extents[] = {{0, FAKE_HALF, at + FAKE_FIRST, key, iomode},
                              {FAKE_HALF, FAKE_SIZE - FAKE_HALF, at + FAKE_SECOND, key, iomode}};
    const rdma_layout4 body = {RDMA_LAYOUT_VERSION, {8}, fake->memory_has_hole ? 1 : 2, extents};
    struct xdr_out out;
    void *buf = arena_alloc(&fake->arena, 1024);
    if (!buf)
        return false;
    xdr_out_init(&out, buf, 1024);
    if (!rdma_layout_encode(&out, &body))
        return false;
    *layout = (layout4){0,
                        fake->memory_has_hole ? FAKE_SIZE : NFS4_UINT64_MAX,
                        iomode,
                        {LAYOUT4_SEALNFS_RDMA, {buf, (uint32_t)xdr_out_len(&out)}}};
    return true;
}

static bool send_recall(struct fake_nfs *fake, bool all, uint32_t ahead);

static bool reserve_is_enough(struct fake_nfs *fake, const LAYOUTGET4args *get, nfsstat4 *status)
{
    if (get->loga_iomode != LAYOUTIOMODE4_RW ||
        get->loga_offset + get->loga_minlength <= fake->reserve)
        return true;
    *status = fake->layout_held               ? NFS4ERR_RECALLCONFLICT
              : fake->reserve == fake->larger ? NFS4ERR_LAYOUTUNAVAILABLE
                                              : NFS4ERR_LAYOUTTRYLATER;
    if (!fake->layout_held)
        fake->reserve = fake->larger;
    return false;
}

static void op_layoutget(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    LAYOUTGET4resok *ok = &res->layoutget.logr_resok4;
    const layouttype4 type = args->layoutget.loga_layout_type;
    const bool memory = type == LAYOUT4_SEALNFS_RDMA;
    const nfsstat4 refusal = memory ? fake->memory_refusal : fake->layout_refusal;
    if (refusal != NFS4_OK || (fake->layout_held && type != fake->layout_type)) {
        res->status = refusal != NFS4_OK ? refusal : NFS4ERR_BAD_STATEID;
        return;
    }
    if (fake->reserve && !reserve_is_enough(fake, &args->layoutget, &res->status))
        return;
    fake->layout_type = type;
    if (!fake->layout_held)
        fake->layout = (stateid4){0, {'L', (uint8_t)fake->boot, (uint8_t)fake->executed}};
    fake->layout.seqid++;
    fake->layout_held = true;
    if (fake->recall_at_layoutget) {
        fake->recall_at_layoutget = false;
        send_recall(fake, false, 1);
    }
    ok->logr_stateid = fake->layout;
    ok->logr_layout_count = 1;
    ok->logr_layout = arena_alloc(&fake->arena, sizeof(layout4));
    if (!ok->logr_layout ||
        !(memory ? encode_memory_layout : encode_layout)(fake, &args->layoutget, ok->logr_layout))
        res->status = NFS4ERR_SERVERFAULT;
}

static void describe_memory(struct fake_nfs *fake, device_addr4 *addr)
{
    netaddr4 at = {xdr_bytes_of("rdma"), xdr_bytes_of("127.0.0.1.78.81")};
    rdma_deviceaddr4 body = {.rda_version = RDMA_LAYOUT_VERSION,
                             .rda_peer = 5,
                             .rda_durability = RDMA_DURABLE_BY_COMMIT,
                             .rda_alignment = fake->alignment,
                             .rda_addrs_count = 1,
                             .rda_addrs = &at};
    struct xdr_out out;
    void *buf = arena_alloc(&fake->arena, 512);
    memcpy(body.rda_secret, fake->secret, sizeof(body.rda_secret));
    xdr_out_init(&out, buf, 512);
    rdma_deviceaddr_encode(&out, &body);
    *addr = (device_addr4){LAYOUT4_SEALNFS_RDMA, {buf, (uint32_t)xdr_out_len(&out)}};
}

static void op_getdeviceinfo(struct fake_nfs *fake, const union nfs4_args *args,
                             union nfs4_res *res)
{
    device_addr4 *addr = &res->getdeviceinfo.gdir_resok4.gdir_device_addr;
    pnfs_block_sig_component4 component = {512, {(const uint8_t *)signature, sizeof(signature)}};
    pnfs_block_volume4 volume = {.type = PNFS_BLOCK_VOLUME_SIMPLE,
                                 .bv_simple_info = {1, &component}};
    const pnfs_block_deviceaddr4 body = {1, &volume};
    struct xdr_out out;
    void *buf = arena_alloc(&fake->arena, 512);
    if (args->getdeviceinfo.gdia_layout_type == LAYOUT4_SEALNFS_RDMA &&
        args->getdeviceinfo.gdia_device_id[0] >= 8) {
        describe_memory(fake, addr);
        return;
    }
    if (!buf || args->getdeviceinfo.gdia_device_id[0] != 7) {
        res->status = NFS4ERR_NOENT;
        return;
    }
    xdr_out_init(&out, buf, 512);
    block_deviceaddr_encode(&out, &body);
    *addr = (device_addr4){LAYOUT4_BLOCK_VOLUME, {buf, (uint32_t)xdr_out_len(&out)}};
}

static void op_layoutreturn(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    const layoutreturn4 *ret = &args->layoutreturn.lora_layoutreturn;
    res->layoutreturn.lorr_stateid.lrs_present = false;
    if (ret->lr_returntype != LAYOUTRETURN4_FILE)
        return;
    if (args->layoutreturn.lora_layout_type != fake->layout_type) {
        res->status = NFS4ERR_BAD_STATEID;
        return;
    }
    fake->returned_seqid = ret->lr_layout.lrf_stateid.seqid;
    fake->layout_held = false;
}

static void op_layoutcommit(struct fake_nfs *fake, const union nfs4_args *args, union nfs4_res *res)
{
    const layoutupdate4 *update = &args->layoutcommit.loca_layoutupdate;
    rdma_layoutupdate4 body;
    fake->commit_was_reclaim = args->layoutcommit.loca_reclaim;
    if (update->lou_type != fake->layout_type) {
        res->status = NFS4ERR_INVAL;
        return;
    }
    if (update->lou_type == LAYOUT4_SEALNFS_RDMA) {
        if (rdma_layoutupdate_decode(update->lou_body, &fake->arena, &body) < 0) {
            res->status = NFS4ERR_BADXDR;
            return;
        }
        fake->committed_count = body.rlu_written_count;
        for (unsigned i = 0; i < body.rlu_written_count && i < 64; i++)
            fake->committed[i] = body.rlu_written[i];
    }
    if (!fake->commit_was_reclaim && !fake->layout_held)
        res->status = NFS4ERR_BAD_STATEID;
    else if (args->layoutcommit.loca_last_write_offset.no_newoffset)
        make_longer(fake, args->layoutcommit.loca_last_write_offset.no_offset + 1);
}

static void execute(struct fake_nfs *fake, uint32_t op, const union nfs4_args *args,
                    union nfs4_res *res)
{
    static void (*const handlers[OPS])(struct fake_nfs *, const union nfs4_args *,
                                       union nfs4_res *) = {
        [OP_EXCHANGE_ID] = op_exchange_id,
        [OP_CREATE_SESSION] = op_create_session,
        [OP_BIND_CONN_TO_SESSION] = op_bind,
        [OP_OPEN] = op_open,
        [OP_GETATTR] = op_getattr,
        [OP_READ] = op_read,
        [OP_READDIR] = op_readdir,
        [OP_WRITE] = op_write,
        [OP_COMMIT] = op_commit,
        [OP_LAYOUTGET] = op_layoutget,
        [OP_GETDEVICEINFO] = op_getdeviceinfo,
        [OP_LAYOUTRETURN] = op_layoutreturn,
        [OP_LAYOUTCOMMIT] = op_layoutcommit,
    };
    if (op == OP_PUTROOTFH)
        fake->at_root = true;
    if (op == OP_PUTFH)
        fake->at_root = args->putfh.object.len == sizeof(root_handle) &&
                        memcmp(args->putfh.object.data, root_handle, sizeof(root_handle)) == 0;
    if (op == OP_GETFH)
        res->getfh.resok4.object = fake->at_root ? (nfs_fh4){root_handle, sizeof(root_handle)}
                                                 : (nfs_fh4){file_handle, sizeof(file_handle)};
    if (op < OPS && handlers[op])
        handlers[op](fake, args, res);
    fake->counts[op % OPS]++;
    fake->when[op % OPS] = ++fake->executed;
    fake->cut_now |= fake->cut_op != 0 && fake->cut_op == op;
}

/* ---- COMPOUND ---- */

/* NULL: no such slot or session, see res. */
static struct fake_slot *check_sequence(struct fake_nfs *fake, const SEQUENCE4args *args,
                                        union nfs4_res *res, bool *replay)
{
    SEQUENCE4resok *ok = &res->sequence.sr_resok4;
    res->status = NFS4ERR_BADSESSION;
    if (!fake->has_session || fake->denies_sessions ||
        memcmp(args->sa_sessionid, fake->session, sizeof(fake->session)) != 0)
        return NULL;
    res->status = NFS4ERR_BADSLOT;
    if (args->sa_slotid >= SLOTS)
        return NULL;
    struct fake_slot *slot = &fake->slots[args->sa_slotid];
    *replay = args->sa_sequenceid == slot->sequence && slot->len > 0;
    res->status = NFS4ERR_SEQ_MISORDERED;
    if (!*replay && args->sa_sequenceid != slot->sequence + 1)
        return NULL;
    res->status = NFS4_OK;
    slot->sequence = args->sa_sequenceid;
    memcpy(ok->sr_sessionid, fake->session, sizeof(fake->session));
    ok->sr_sequenceid = args->sa_sequenceid;
    ok->sr_slotid = args->sa_slotid;
    ok->sr_highest_slotid = ok->sr_target_highest_slotid = SLOTS - 1;
    return slot;
}

static void keep_reply(struct fake_slot *slot, const uint8_t *reply, size_t len)
{
    uint8_t *copy = realloc(slot->reply, len);
    if (!copy)
        return;
    memcpy(copy, reply, len);
    slot->reply = copy;
    slot->len = (uint32_t)len;
}

static void compound(struct fake_nfs *fake, struct xdr_in *in, struct xdr_out *out)
{
    struct nfs4_compound_args args;
    struct nfs4_compound_head head;
    struct fake_slot *slot = NULL;
    nfsstat4 status = NFS4_OK;
    uint32_t done = 0, op;
    const size_t start = xdr_out_pos(out);
    if (!nfs4_compound_args_decode(in, &args))
        return;
    nfs4_compound_res_begin(out, args.tag, &head);
    for (; done < args.numops && status == NFS4_OK; done++) {
        union nfs4_args op_args;
        union nfs4_res res;
        bool replay = false;
        memset(&res, 0, sizeof(res));
        if (!nfs4_op_decode(in, &op) || !nfs4_args_decode(op, in, &fake->arena, &op_args))
            break;
        if (op == OP_SEQUENCE)
            slot = check_sequence(fake, &op_args.sequence, &res, &replay);
        else
            execute(fake, op, &op_args, &res);
        if (replay) {
            xdr_out_truncate(out, start);
            xdr_put_fixed(out, slot->reply, slot->len);
            return;
        }
        nfs4_op_encode(out, op);
        nfs4_res_encode(op, out, &res);
        status = res.status;
    }
    nfs4_compound_res_end(out, &head, status, done);
    if (slot)
        keep_reply(slot, fake->out + start, xdr_out_pos(out) - start);
}

/* ---- the connection ---- */

static bool send_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, uint8_t *data, size_t len)
{
    return len == 0 || recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static void take_callback_reply(struct fake_nfs *fake, struct xdr_in *in)
{
    struct rpc_reply head;
    struct nfs4_compound_res compound_res;
    union nfs4_cb_res res;
    uint32_t op;
    if (rpc_reply_decode(in, &head) < 0 || head.xid != fake->cb_xid ||
        !nfs4_compound_res_decode(in, &compound_res))
        return;
    fake->cb_status = compound_res.status;
    while (nfs4_op_decode(in, &op) && nfs4_cb_res_decode(op, in, &fake->arena, &res))
        fake->cb_status = res.status;
    fake->cb_done = true;
    pthread_cond_broadcast(&fake->changed);
}

/* One message. False: the connection is to be closed. */
static bool serve(struct fake_nfs *fake, size_t len)
{
    struct xdr_in in;
    struct xdr_out out;
    struct rpc_call call;
    uint32_t xid;
    enum rpc_msg_type type;
    xdr_in_init(&in, fake->in, len);
    if (!rpc_msg_peek(fake->in, len, &xid, &type))
        return false;
    if (type == RPC_REPLY) {
        take_callback_reply(fake, &in);
        return true;
    }
    if (rpc_call_decode(&in, &call) < 0)
        return false;
    fake->cut_now = false;
    xdr_out_init(&out, fake->out, MESSAGE_MAX);
    xdr_put_u32(&out, 0);
    rpc_reply_put_accepted(&out, xid, RPC_ACCEPT_SUCCESS);
    compound(fake, &in, &out);
    arena_reset(&fake->arena);
    pthread_cond_broadcast(&fake->changed);
    if (fake->cut_now) {
        fake->cut_op = 0;
        return false;
    }
    while (fake->muted && !fake->stopping)
        pthread_cond_wait(&fake->changed, &fake->lock);
    record_mark_put(fake->out, (uint32_t)(xdr_out_len(&out) - RECORD_MARK_SIZE));
    return send_all(fake->conn, fake->out, xdr_out_len(&out));
}

static void serve_connection(struct fake_nfs *fake)
{
    for (bool open = true; open;) {
        uint8_t mark[RECORD_MARK_SIZE];
        const int fd = fake->conn;
        pthread_mutex_unlock(&fake->lock);
        open = receive_all(fd, mark, sizeof(mark));
        const size_t len =
            ((size_t)mark[0] & 0x7f) << 24 | (size_t)mark[1] << 16 | (size_t)mark[2] << 8 | mark[3];
        open = open && len <= MESSAGE_MAX && receive_all(fd, fake->in, len);
        pthread_mutex_lock(&fake->lock);
        open = open && serve(fake, len);
    }
    close(fake->conn);
    fake->conn = -1;
    fake->cb_done = true;
    pthread_cond_broadcast(&fake->changed);
}

static void *fake_main(void *arg)
{
    struct fake_nfs *fake = arg;
    pthread_mutex_lock(&fake->lock);
    while (!fake->stopping) {
        struct pollfd pfd = {.fd = fake->listener, .events = POLLIN};
        pthread_mutex_unlock(&fake->lock);
        const int ready = poll(&pfd, 1, 100);
        const int conn = ready > 0 ? accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        pthread_mutex_lock(&fake->lock);
        if (conn < 0)
            continue;
        fake->conn = conn;
        serve_connection(fake);
    }
    pthread_mutex_unlock(&fake->lock);
    return NULL;
}

/* ---- recalls ---- */

static bool send_recall(struct fake_nfs *fake, bool all, uint32_t ahead)
{
    uint8_t message[1024];
    struct xdr_out out;
    const struct rpc_call head = {.xid = ++fake->cb_xid,
                                  .rpcvers = RPC_VERSION,
                                  .prog = CB_PROGRAM,
                                  .vers = NFS_CB,
                                  .proc = CB_COMPOUND};
    const struct nfs4_cb_compound_args args = {.minorversion = 1, .numops = 2};
    union nfs4_cb_args sequence = {.cb_sequence = {.csa_sequenceid = ++fake->cb_sequence}};
    union nfs4_cb_args recall = {
        .cb_layoutrecall = {.clora_type = fake->layout_type, .clora_iomode = LAYOUTIOMODE4_ANY}};
    layoutrecall4 *what = &recall.cb_layoutrecall.clora_recall;
    memcpy(sequence.cb_sequence.csa_sessionid, fake->session, sizeof(fake->session));
    what->lor_recalltype = all ? LAYOUTRECALL4_ALL : LAYOUTRECALL4_FILE;
    if (!all) {
        fake->layout.seqid += ahead;
        what->lor_layout = (layoutrecall_file4){
            {file_handle, sizeof(file_handle)}, 0, NFS4_UINT64_MAX, fake->layout};
    }
    fake->cb_done = false;
    fake->cb_status = NFS4ERR_SERVERFAULT;
    xdr_out_init(&out, message, sizeof(message));
    bool ok = xdr_put_u32(&out, 0) && rpc_call_encode(&out, &head) &&
              nfs4_cb_compound_args_encode(&out, &args) && nfs4_op_encode(&out, OP_CB_SEQUENCE) &&
              nfs4_cb_args_encode(OP_CB_SEQUENCE, &out, &sequence) &&
              nfs4_op_encode(&out, OP_CB_LAYOUTRECALL) &&
              nfs4_cb_args_encode(OP_CB_LAYOUTRECALL, &out, &recall);
    record_mark_put(message, (uint32_t)(xdr_out_len(&out) - RECORD_MARK_SIZE));
    return ok && fake->conn >= 0 && send_all(fake->conn, message, xdr_out_len(&out));
}

static nfsstat4 recall_and_wait(struct fake_nfs *fake, bool all, uint32_t ahead)
{
    pthread_mutex_lock(&fake->lock);
    if (send_recall(fake, all, ahead)) {
        while (!fake->cb_done)
            pthread_cond_wait(&fake->changed, &fake->lock);
    }
    const nfsstat4 status = fake->cb_status;
    pthread_mutex_unlock(&fake->lock);
    return status;
}

nfsstat4 fake_nfs_recall(struct fake_nfs *fake, uint32_t ahead)
{
    return recall_and_wait(fake, false, ahead);
}

nfsstat4 fake_nfs_recall_all(struct fake_nfs *fake)
{
    return recall_and_wait(fake, true, 0);
}

/* ---- from the test ---- */

static int make_image(struct fake_nfs *fake, const char *path)
{
    fake->image = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fake->image < 0 || ftruncate(fake->image, FAKE_IMAGE_SIZE) < 0 ||
        pwrite(fake->image, signature, sizeof(signature), 512) != sizeof(signature))
        return -errno;
    void *at = mmap(NULL, FAKE_IMAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fake->image, 0);
    if (at == MAP_FAILED)
        return -errno;
    fake->memory = at;
    fake->alignment = 1;
    memset(fake->secret, 's', sizeof(fake->secret));
    return 0;
}

static int make_listener(struct fake_nfs *fake)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fake->listener < 0 ||
        bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fake->listener, 8) < 0 ||
        getsockname(fake->listener, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    fake->port = ntohs(address.sin_port);
    return 0;
}

int fake_nfs_start(const char *image, struct fake_nfs **out)
{
    struct fake_nfs *fake = calloc(1, sizeof(*fake));
    if (!fake)
        return -ENOMEM;
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->changed, NULL);
    arena_init(&fake->arena, 1 << 20);
    fake->conn = -1;
    fake->lease = 90;
    fake->size = FAKE_SIZE;
    fake->layout_type = LAYOUT4_BLOCK_VOLUME;
    fake->in = malloc(MESSAGE_MAX);
    fake->out = malloc(MESSAGE_MAX);
    int rc = make_image(fake, image);
    if (rc == 0)
        rc = make_listener(fake);
    if (rc == 0)
        rc = -pthread_create(&fake->thread, NULL, fake_main, fake);
    *out = fake;
    return rc;
}

void fake_nfs_stop(struct fake_nfs *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->stopping = true;
    if (fake->conn >= 0)
        shutdown(fake->conn, SHUT_RDWR);
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    pthread_join(fake->thread, NULL);
    close(fake->listener);
    munmap(fake->memory, FAKE_IMAGE_SIZE);
    close(fake->image);
    for (unsigned i = 0; i < SLOTS; i++)
        free(fake->slots[i].reply);
    arena_free(&fake->arena);
    free(fake->in);
    free(fake->out);
    free(fake);
}

uint16_t fake_nfs_port(const struct fake_nfs *fake)
{
    return fake->port;
}

#define SETTER(name, type, statement)                                                              \
    void name(struct fake_nfs *fake, type value)                                                   \
    {                                                                                              \
        pthread_mutex_lock(&fake->lock);                                                           \
        statement;                                                                                 \
        pthread_cond_broadcast(&fake->changed);                                                    \
        pthread_mutex_unlock(&fake->lock);                                                         \
    }
SETTER(fake_nfs_list, enum fake_listing, fake->listing = value)
SETTER(fake_nfs_set_hole, bool, fake->hole = value)
SETTER(fake_nfs_trickle, bool, (fake->trickle = value, fake->size = UINT64_C(1) << 60))
SETTER(fake_nfs_set_lease, uint32_t, fake->lease = value)
SETTER(fake_nfs_refuse_layouts, nfsstat4, fake->layout_refusal = value)
SETTER(fake_nfs_offer_memory, bool, fake->memory_offered = value)
SETTER(fake_nfs_refuse_memory, nfsstat4, fake->memory_refusal = value)
SETTER(fake_nfs_punch_memory, bool, fake->memory_has_hole = value)
SETTER(fake_nfs_set_alignment, uint32_t, fake->alignment = value)
SETTER(fake_nfs_mute, bool, fake->muted = value)
SETTER(fake_nfs_cut_at, uint32_t, fake->cut_op = value)

void fake_nfs_grow(struct fake_nfs *fake, uint64_t size, uint64_t reserve, uint64_t larger)
{
    pthread_mutex_lock(&fake->lock);
    fake->size = size;
    fake->reserve = reserve;
    fake->larger = larger;
    pthread_mutex_unlock(&fake->lock);
}

uint64_t fake_nfs_size(struct fake_nfs *fake)
{
    pthread_mutex_lock(&fake->lock);
    const uint64_t size = fake->size;
    pthread_mutex_unlock(&fake->lock);
    return size;
}

void fake_nfs_recall_at_layoutget(struct fake_nfs *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->recall_at_layoutget = true;
    pthread_mutex_unlock(&fake->lock);
}

void fake_nfs_deny_sessions(struct fake_nfs *fake, bool on)
{
    pthread_mutex_lock(&fake->lock);
    fake->denies_sessions = on;
    pthread_mutex_unlock(&fake->lock);
}

static void forget(struct fake_nfs *fake, bool client)
{
    pthread_mutex_lock(&fake->lock);
    fake->has_session = false;
    if (client) {
        fake->confirmed = fake->layout_held = false;
        fake->client = 0;
        fake->create_sequence = 0;
    }
    if (fake->conn >= 0)
        shutdown(fake->conn, SHUT_RDWR);
    pthread_mutex_unlock(&fake->lock);
}

void fake_nfs_forget_session(struct fake_nfs *fake)
{
    forget(fake, false);
}

void fake_nfs_restart(struct fake_nfs *fake)
{
    forget(fake, true);
}

#define GETTER(name, type, value)                                                                  \
    type name(struct fake_nfs *fake)                                                               \
    {                                                                                              \
        pthread_mutex_lock(&fake->lock);                                                           \
        const type got = value;                                                                    \
        pthread_mutex_unlock(&fake->lock);                                                         \
        return got;                                                                                \
    }
GETTER(fake_nfs_returned_seqid, uint32_t, fake->returned_seqid)
GETTER(fake_nfs_layout_seqid, uint32_t, fake->layout.seqid)
GETTER(fake_nfs_layout_type, layouttype4, fake->layout_type)
GETTER(fake_nfs_last_claim, uint32_t, fake->claim)
GETTER(fake_nfs_last_commit_was_reclaim, bool, fake->commit_was_reclaim)

uint8_t *fake_nfs_memory(struct fake_nfs *fake)
{
    return fake->memory;
}

const uint8_t *fake_nfs_secret(struct fake_nfs *fake)
{
    return fake->secret;
}

void fake_nfs_change_secret(struct fake_nfs *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->secret[0]++;
    pthread_mutex_unlock(&fake->lock);
}

unsigned fake_nfs_committed(struct fake_nfs *fake, rdma_range4 *ranges, unsigned most)
{
    pthread_mutex_lock(&fake->lock);
    const unsigned count = fake->committed_count;
    for (unsigned i = 0; i < count && i < most; i++)
        ranges[i] = fake->committed[i];
    pthread_mutex_unlock(&fake->lock);
    return count;
}

unsigned fake_nfs_count(struct fake_nfs *fake, uint32_t op)
{
    pthread_mutex_lock(&fake->lock);
    const unsigned count = fake->counts[op];
    pthread_mutex_unlock(&fake->lock);
    return count;
}

unsigned fake_nfs_when(struct fake_nfs *fake, uint32_t op)
{
    pthread_mutex_lock(&fake->lock);
    const unsigned when = fake->when[op];
    pthread_mutex_unlock(&fake->lock);
    return when;
}

bool fake_nfs_wait(struct fake_nfs *fake, uint32_t op, unsigned count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    int rc = 0;
    pthread_mutex_lock(&fake->lock);
    while (fake->counts[op] < count && rc == 0)
        rc = pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
    const bool reached = fake->counts[op] >= count;
    pthread_mutex_unlock(&fake->lock);
    return reached;
}
