/*
 * bench_proto [ROUNDS]: nanoseconds per call of the wire layer's hot paths.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/layout/block.h"
#include "proto/nfs4/attr.h"
#include "proto/nfs4/ops.h"
#include "proto/rpc.h"

enum { DATA = 1 << 20, EXTENTS = 1000 };

static uint8_t message[DATA + 4096];
static size_t message_len;
static uint8_t reply[1 << 17];
static uint8_t data[DATA];
static pnfs_block_extent4 extents[EXTENTS];
static struct nfs4_attrs attrs;
static struct arena arena;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_proto: %s failed\n", what);
        exit(1);
    }
}

static void put_op(struct xdr_out *out, uint32_t op, const union nfs4_args *args)
{
    must(nfs4_op_encode(out, op) && nfs4_args_encode(op, out, args), "encode");
}

static void begin(struct xdr_out *out, uint32_t numops)
{
    xdr_out_init(out, message, sizeof(message));
    must(nfs4_compound_args_encode(
             out, &(struct nfs4_compound_args){.minorversion = 1, .numops = numops}),
         "head");
    put_op(out, OP_SEQUENCE,
           &(union nfs4_args){.sequence = {.sa_sequenceid = 1, .sa_cachethis = true}});
    put_op(out, OP_PUTFH, &(union nfs4_args){.putfh = {.object = {data, 40}}});
}

static void make_getattr(void)
{
    struct xdr_out out;

    begin(&out, 3);
    put_op(&out, OP_GETATTR,
           &(union nfs4_args){.getattr = {BITMAP4(FATTR4_TYPE, FATTR4_SIZE, FATTR4_MODE)}});
    message_len = xdr_out_len(&out);
}

static void make_write(void)
{
    struct xdr_out out;

    begin(&out, 3);
    put_op(&out, OP_WRITE,
           &(union nfs4_args){.write = {.stable = FILE_SYNC4, .data = {data, DATA}}});
    message_len = xdr_out_len(&out);
}

static void decode_compound(void)
{
    struct nfs4_compound_args head;
    union nfs4_args args;
    struct xdr_in in;
    uint32_t op;

    xdr_in_init(&in, message, message_len);
    must(nfs4_compound_args_decode(&in, &head), "head");
    for (uint32_t i = 0; i < head.numops; i++)
        must(nfs4_op_decode(&in, &op) && nfs4_args_decode(op, &in, &arena, &args), "decode");
}

static void make_attrs(void)
{
    attrs.present = BITMAP4(FATTR4_TYPE, FATTR4_CHANGE, FATTR4_SIZE, FATTR4_FSID, FATTR4_FILEID,
                            FATTR4_MODE, FATTR4_NUMLINKS, FATTR4_OWNER, FATTR4_OWNER_GROUP,
                            FATTR4_RAWDEV, FATTR4_SPACE_USED, FATTR4_TIME_ACCESS,
                            FATTR4_TIME_METADATA, FATTR4_TIME_MODIFY, FATTR4_MOUNTED_ON_FILEID);
    attrs.owner = xdr_bytes_of("1000");
    attrs.owner_group = xdr_bytes_of("1000");
}

static void encode_attrs(void)
{
    struct xdr_out out;

    xdr_out_init(&out, reply, sizeof(reply));
    must(nfs4_attrs_encode(&out, &attrs.present, NULL, &attrs), "attributes");
}

static void encode_read(void)
{
    const union nfs4_res res = {
        .read = {.resok4 = {.eof = true, .data = {data, DATA}, .data_owner = reply}}};
    struct xdr_out out;

    xdr_out_init(&out, reply, sizeof(reply));
    must(nfs4_res_encode(OP_READ, &out, &res), "READ");
}

static void make_extents(void)
{
    for (uint32_t i = 0; i < EXTENTS; i++)
        extents[i] =
            (pnfs_block_extent4){.bex_file_offset = i * UINT64_C(8192), .bex_length = 8192};
}

static void encode_extents(void)
{
    const pnfs_block_layout4 layout = {EXTENTS, extents};
    struct xdr_out out;

    xdr_out_init(&out, reply, sizeof(reply));
    must(block_layout_encode(&out, &layout), "extents");
}

static void nothing(void)
{
}

static const struct {
    const char *name;
    void (*prepare)(void);
    void (*run)(void);
} benches[] = {
    {"decode SEQUENCE+PUTFH+GETATTR", make_getattr, decode_compound},
    {"decode SEQUENCE+PUTFH+WRITE of 1 MiB", make_write, decode_compound},
    {"encode 15 attributes", make_attrs, encode_attrs},
    {"encode READ of 1 MiB by reference", nothing, encode_read},
    {"encode a layout of 1,000 extents", make_extents, encode_extents},
};

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        double best = 0;

        benches[i].prepare();
        for (int repeat = 0; repeat < 5; repeat++) {
            double start = now();
            double each;

            for (long round = 0; round < rounds; round++)
                benches[i].run();
            each = (now() - start) / (double)(rounds > 0 ? rounds : 1);
            if (repeat == 0 || each < best)
                best = each;
        }
        printf("%-40s %10.1f ns\n", benches[i].name, best);
    }
    arena_free(&arena);
    return 0;
}
