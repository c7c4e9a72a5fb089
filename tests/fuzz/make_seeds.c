/*
 * make_seeds DIR: writes the seeds of the wire layer's fuzzers to DIR/fuzz_*, the same bytes every
 * time. Run it when a type changes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/layout/block_wire.h"
#include "proto/layout/rdma_wire.h"
#include "proto/layout/scsi_wire.h"
#include "proto/nfs4/attr.h"
#include "proto/nfs4/wire.h"
#include "proto/record.h"
#include "proto/rpc.h"
#include "tests/unit/proto/wire_random.h"

enum { ROOM = 1 << 16 };

static const char *root;
static uint8_t buf[ROOM];
static struct xdr_out out;
static struct arena arena;
static struct wire_random rng;

static void die(const char *what)
{
    fprintf(stderr, "make_seeds: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Writes what is in out, and starts anew. */
static void save(const char *fuzzer, const char *name)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", root, fuzzer);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        die(path);
    snprintf(path, sizeof(path), "%s/%s/%s", root, fuzzer, name);
    file = fopen(path, "wb");
    if (file == NULL || !xdr_out_ok(&out) ||
        fwrite(buf, 1, xdr_out_len(&out), file) != xdr_out_len(&out) || fclose(file) != 0)
        die(path);
    xdr_out_truncate(&out, 0);
    arena_reset(&arena);
}

/* A value that is neither empty nor a failure: the first seed whose encoding is of middling length.
 */
static void put_random(const struct wire_type *type)
{
    static _Alignas(16) uint8_t value[1 << 13];
    size_t before = xdr_out_pos(&out);

    for (uint64_t seed = 1; seed < 100; seed++) {
        xdr_out_truncate(&out, before);
        memset(value, 0, type->size);
        wire_random_init(&rng, seed, &arena);
        if (!wire_random_value(&rng, type, value) || !wire_encode(type, &out, value))
            die(type->name);
        if (xdr_out_pos(&out) - before > 16 && xdr_out_pos(&out) - before < 400)
            return;
    }
}

static void save_op(const char *fuzzer, const char *name, const char *suffix, uint32_t op,
                    const struct wire_type *type)
{
    char file[128];

    snprintf(file, sizeof(file), "%s%s", name + strlen("OP_"), suffix);
    xdr_put_u32(&out, op);
    put_random(type);
    save(fuzzer, file);
}

static void save_operations(void)
{
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++) {
        const struct nfs4_wire_op *entry = nfs4_wire_op(op);

        save_op("fuzz_args", entry->name, "", op, entry->args);
        save_op("fuzz_res", entry->name, "", op, entry->res);
    }
}

static void save_callbacks(void)
{
    for (uint32_t op = NFS4_CB_OP_FIRST; op <= NFS4_CB_OP_LAST; op++) {
        const struct nfs4_wire_op *entry = nfs4_wire_cb_op(op);

        xdr_put_bool(&out, false);
        save_op("fuzz_cb", entry->name, "-args", op, entry->args);
        xdr_put_bool(&out, true);
        save_op("fuzz_cb", entry->name, "-res", op, entry->res);
    }
}

/* Eight sets of attributes: every eighth each. */
static void save_attributes(void)
{
    const bitmap4 known = nfs4_attrs_known();

    for (unsigned set = 0; set < 8; set++) {
        struct nfs4_attrs attrs = {.present = {.beyond = 0}};
        char name[32];

        wire_random_init(&rng, set + 1, &arena);
        for (unsigned attr = set; attr <= FATTR4_LAST; attr += 8) {
            if (nfs4_wire_attr(attr) == NULL ||
                !wire_random_field(&rng, nfs4_wire_attr(attr), &attrs))
                continue;
            bitmap4_set(&attrs.present, attr);
        }
        nfs4_attrs_encode(&out, &known, NULL, &attrs);
        snprintf(name, sizeof(name), "every-eighth-from-%u", set);
        save("fuzz_attrs", name);
    }
}

static void save_block_bodies(void)
{
    static const struct wire_type *const types[] = {
        &wire_pnfs_block_deviceaddr4, &wire_pnfs_block_layout4, &wire_pnfs_block_layoutupdate4,
        &wire_pnfs_block_layouthint4};
    pnfs_block_sig_component4 component = {.bsc_sig_offset = 0,
                                           .bsc_contents = xdr_bytes_of("XFSB")};
    uint32_t members[] = {0, 1};
    pnfs_block_volume4 volumes[] = {
        {.type = PNFS_BLOCK_VOLUME_SIMPLE, .bv_simple_info = {1, &component}},
        {.type = PNFS_BLOCK_VOLUME_SLICE, .bv_slice_info = {4096, 1 << 30, 0}},
        {.type = PNFS_BLOCK_VOLUME_CONCAT, .bv_concat_info = {2, members}},
        {.type = PNFS_BLOCK_VOLUME_STRIPE, .bv_stripe_info = {65536, 2, members}},
    };
    const pnfs_block_deviceaddr4 addr = {4, volumes};

    xdr_put_u32(&out, 0);
    if (!block_deviceaddr_encode(&out, &addr))
        die("deviceaddr");
    save("fuzz_block_layout", "volumes-of-every-kind");
    for (uint32_t i = 0; i < WIRE_COUNT(types); i++) {
        xdr_put_u32(&out, i);
        put_random(types[i]);
        save("fuzz_block_layout", types[i]->name);
    }
}

static void save_rdma_bodies(void)
{
    rdma_extent4 extents[] = {{0, 4096, 0x7f0000000000, 17, LAYOUTIOMODE4_READ},
                              {8192, 1 << 20, 0x7f0000002000, 18, LAYOUTIOMODE4_RW}};
    rdma_range4 written[] = {{0, 512}, {4096, 1 << 20}};
    netaddr4 addr = {xdr_bytes_of("rdma"), xdr_bytes_of("192.0.2.1.79.50")};
    const rdma_deviceaddr4 device = {.rda_version = RDMA_LAYOUT_VERSION,
                                     .rda_peer = 7,
                                     .rda_secret = "a secret",
                                     .rda_durability = RDMA_DURABLE_BY_COMMIT,
                                     .rda_alignment = 1,
                                     .rda_addrs_count = 1,
                                     .rda_addrs = &addr};

    xdr_put_u32(&out, 0);
    rdma_deviceaddr_encode(&out, &device);
    save("fuzz_rdma_layout", "deviceaddr");
    xdr_put_u32(&out, 1);
    rdma_layout_encode(&out, &(rdma_layout4){RDMA_LAYOUT_VERSION, {7}, 2, extents});
    save("fuzz_rdma_layout", "layout");
    xdr_put_u32(&out, 2);
    rdma_layoutupdate_encode(&out, &(rdma_layoutupdate4){RDMA_LAYOUT_VERSION, 2, written});
    save("fuzz_rdma_layout", "layoutupdate");
    xdr_put_u32(&out, 3);
    rdma_hello_encode(&out, &(rdma_hello4){RDMA_LAYOUT_VERSION, 7, 1, "a tag"});
    save("fuzz_rdma_layout", "hello");
    xdr_put_u32(&out, 4);
    rdma_refused_encode(&out, &(rdma_refused4){RDMA_LAYOUT_VERSION, RDMA_REFUSED_BUSY});
    save("fuzz_rdma_layout", "refused");
}

static void save_scsi_bodies(void)
{
    static const struct wire_type *const types[] = {&wire_pnfs_scsi_deviceaddr4,
                                                    &wire_pnfs_scsi_layoutupdate4};
    uint32_t members[] = {0, 1};
    pnfs_scsi_volume4 volumes[] = {
        {.type = PNFS_SCSI_VOLUME_BASE,
         .sv_simple_info = {PS_CODE_SET_BINARY, PS_DESIGNATOR_NAA, xdr_bytes_of("12345678"), 1}},
        {.type = PNFS_SCSI_VOLUME_SLICE, .sv_slice_info = {4096, 1 << 30, 0}},
        {.type = PNFS_SCSI_VOLUME_CONCAT, .sv_concat_info = {2, members}},
        {.type = PNFS_SCSI_VOLUME_STRIPE, .sv_stripe_info = {65536, 2, members}},
    };
    const pnfs_scsi_deviceaddr4 addr = {4, volumes};

    xdr_put_u32(&out, 0);
    if (!scsi_deviceaddr_encode(&out, &addr))
        die("deviceaddr");
    save("fuzz_scsi_layout", "volumes-of-every-kind");
    for (uint32_t i = 0; i < WIRE_COUNT(types); i++) {
        xdr_put_u32(&out, i);
        put_random(types[i]);
        save("fuzz_scsi_layout", types[i]->name);
    }
}

static void save_stream(void)
{
    xdr_put_u32(&out, 0);
    xdr_put_u32(&out, 3);
    xdr_put_u32(&out, 0x80000004);
    xdr_put_u32(&out, 1);
    xdr_put_u32(&out, 4);
    xdr_put_u32(&out, 2);
    xdr_put_u32(&out, 0);
    xdr_put_u32(&out, 0x80000004);
    xdr_put_u32(&out, 3);
    save("fuzz_xdr", "stream");
}

static void save_headers(void)
{
    uint8_t body[RPC_MAX_AUTH_BYTES];
    const authsys_parms parms = {.machinename = xdr_bytes_of("client"),
                                 .uid = 1000,
                                 .gid = 1000,
                                 .gids_count = 2,
                                 .gids = {4, 24}};
    struct rpc_call call = {
        .xid = 1, .rpcvers = RPC_VERSION, .prog = NFS4_PROGRAM, .vers = NFS_V4, .proc = 1};

    xdr_put_u32(&out, 1);
    if (!rpc_authsys_cred(&parms, body, sizeof(body), &call.cred) || !rpc_call_encode(&out, &call))
        die("call");
    nfs4_compound_args_encode(&out, &(struct nfs4_compound_args){xdr_bytes_of("tag"), 1, 1});
    save("fuzz_xdr", "call");
    xdr_put_u32(&out, 2);
    rpc_reply_put_accepted(&out, 1, RPC_ACCEPT_SUCCESS);
    nfs4_compound_res_encode(&out, &(struct nfs4_compound_res){NFS4_OK, xdr_bytes_of("tag"), 1});
    save("fuzz_xdr", "reply");
    xdr_put_u32(&out, 2);
    rpc_reply_put_prog_mismatch(&out, 1, 4, 4);
    save("fuzz_xdr", "mismatch");
    xdr_put_u32(&out, 2);
    rpc_reply_put_auth_error(&out, 1, RPC_AUTHSTAT_TOOWEAK);
    save("fuzz_xdr", "auth-error");
    xdr_put_u32(&out, 3);
    rpc_authsys_put(&out, &parms);
    save("fuzz_xdr", "authsys");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds DIR\n");
        return 2;
    }
    root = argv[1];
    xdr_out_init(&out, buf, sizeof(buf));
    arena_init(&arena, 1 << 20);
    save_operations();
    save_callbacks();
    save_attributes();
    save_block_bodies();
    save_rdma_bodies();
    save_scsi_bodies();
    save_stream();
    save_headers();
    arena_free(&arena);
    return 0;
}
