/* What the client answers to callbacks: layout recalls (RFC 8881 sections 12.5.5.2, 20.3) and the
 * backchannel's slots (20.9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "client/net/backchannel.h"
#include "client/recall.h"
#include "proto/layout/rdma.h"
#include "proto/nfs4/ops.h"
#include "proto/record.h"

static const stateid4 held_stateid = {5, {1, 2, 3}};

static struct sealio_recall_facts held(void)
{
    return (struct sealio_recall_facts){.held = true,
                                        .type = LAYOUT4_BLOCK_VOLUME,
                                        .iomode = LAYOUTIOMODE4_READ,
                                        .stateid = held_stateid,
                                        .length = 1 << 20};
}

static CB_LAYOUTRECALL4args whole_file(uint32_t seqid)
{
    CB_LAYOUTRECALL4args args = {.clora_type = LAYOUT4_BLOCK_VOLUME,
                                 .clora_iomode = LAYOUTIOMODE4_ANY,
                                 .clora_recall = {.lor_recalltype = LAYOUTRECALL4_FILE}};
    args.clora_recall.lor_layout.lor_length = NFS4_UINT64_MAX;
    args.clora_recall.lor_layout.lor_stateid = held_stateid;
    args.clora_recall.lor_layout.lor_stateid.seqid = seqid;
    return args;
}

static struct sealio_recall_answer bulk(const struct sealio_recall_facts *facts, layouttype4 type,
                                        layoutiomode4 iomode)
{
    const CB_LAYOUTRECALL4args args = {.clora_type = type,
                                       .clora_iomode = iomode,
                                       .clora_recall = {.lor_recalltype = LAYOUTRECALL4_ALL}};
    return sealio_recall_bulk(facts, &args);
}

static void expect(struct sealio_recall_answer answer, nfsstat4 status, bool obey)
{
    assert_int_equal(answer.status, status);
    assert_int_equal(answer.obey, obey);
}

static void a_recall_with_the_next_seqid_is_obeyed(void **state)
{
    const struct sealio_recall_facts facts = held();
    const CB_LAYOUTRECALL4args args = whole_file(6);
    (void)state;
    expect(sealio_recall_file(&facts, &args), NFS4_OK, true);
}

/* A server that repeats a recall after the OK must not take the answer for a failure: same seqid,
 * same answer. */
static void a_repeated_recall_gets_ok_again_and_changes_nothing(void **state)
{
    struct sealio_recall_facts facts = held();
    const CB_LAYOUTRECALL4args args = whole_file(6);
    (void)state;
    facts.recalled = true;
    facts.recall_seqid = facts.stateid.seqid = 6;
    expect(sealio_recall_file(&facts, &args), NFS4_OK, false);
}

static void an_old_seqid_is_refused_and_one_too_new_waits(void **state)
{
    const struct sealio_recall_facts facts = held();
    const CB_LAYOUTRECALL4args old = whole_file(5), zero = whole_file(0), ahead = whole_file(7);
    (void)state;
    expect(sealio_recall_file(&facts, &old), NFS4ERR_OLD_STATEID, false);
    expect(sealio_recall_file(&facts, &zero), NFS4ERR_OLD_STATEID, false);
    expect(sealio_recall_file(&facts, &ahead), NFS4ERR_DELAY, true);
}

/* After the largest comes 1 (RFC 8881 section 8.2.2). */
static void seqids_wrap(void **state)
{
    struct sealio_recall_facts facts = held();
    const CB_LAYOUTRECALL4args args = whole_file(1);
    (void)state;
    facts.stateid.seqid = UINT32_MAX;
    expect(sealio_recall_file(&facts, &args), NFS4_OK, true);
}

static void a_recall_of_nothing_finds_no_layout(void **state)
{
    struct sealio_recall_facts facts = {.held = false};
    CB_LAYOUTRECALL4args args = whole_file(6);
    (void)state;
    expect(sealio_recall_file(&facts, &args), NFS4ERR_NOMATCHING_LAYOUT, false);
    facts = held();
    args.clora_type = LAYOUT4_SCSI;
    expect(sealio_recall_file(&facts, &args), NFS4ERR_NOMATCHING_LAYOUT, false);
    args = whole_file(6);
    args.clora_iomode = LAYOUTIOMODE4_RW;
    expect(sealio_recall_file(&facts, &args), NFS4ERR_NOMATCHING_LAYOUT, false);
    args = whole_file(6);
    args.clora_recall.lor_layout.lor_offset = 1 << 20;
    expect(sealio_recall_file(&facts, &args), NFS4ERR_NOMATCHING_LAYOUT, false);
}

/* The recall overtook the LAYOUTGET's reply: DELAY, and the layout goes back when it comes, since
 * the server need not ask again. */
static void a_recall_that_overtakes_the_grant_is_kept(void **state)
{
    const struct sealio_recall_facts facts = {.getting = true, .type = LAYOUT4_BLOCK_VOLUME};
    const CB_LAYOUTRECALL4args args = whole_file(2);
    (void)state;
    expect(sealio_recall_file(&facts, &args), NFS4ERR_DELAY, true);
    expect(bulk(&facts, LAYOUT4_BLOCK_VOLUME, LAYOUTIOMODE4_ANY), NFS4ERR_DELAY, true);
}

static void a_bulk_recall_takes_what_is_held(void **state)
{
    struct sealio_recall_facts facts = held();
    (void)state;
    expect(bulk(&facts, LAYOUT4_BLOCK_VOLUME, LAYOUTIOMODE4_ANY), NFS4_OK, true);
    expect(bulk(&facts, LAYOUT4_BLOCK_VOLUME, LAYOUTIOMODE4_RW), NFS4ERR_NOMATCHING_LAYOUT, false);
    expect(bulk(&facts, LAYOUT4_SEALNFS_RDMA, LAYOUTIOMODE4_ANY), NFS4ERR_NOMATCHING_LAYOUT, false);
    facts.held = false;
    expect(bulk(&facts, LAYOUT4_BLOCK_VOLUME, LAYOUTIOMODE4_ANY), NFS4ERR_NOMATCHING_LAYOUT, false);
}

/* ---- the callback program ---- */

static const sessionid4 session_id = {7, 7, 7};
static unsigned recalls_seen;
static bool call_is_pending;

static nfsstat4 see_recall(void *arg, const CB_LAYOUTRECALL4args *args)
{
    (void)arg;
    (void)args;
    recalls_seen++;
    return NFS4_OK;
}

static void see_device(void *arg, const struct nfs4_device_notify *change)
{
    (void)arg;
    (void)change;
}

static void see_recall_any(void *arg, uint32_t keep)
{
    (void)arg;
    (void)keep;
}

static bool see_pending(void *arg, const sessionid4 session, uint32_t slot, uint32_t sequence)
{
    (void)arg;
    (void)session;
    (void)slot;
    (void)sequence;
    return call_is_pending;
}

static int make(void **state)
{
    const struct sealio_cb_owner owner = {NULL, see_recall, see_device, see_recall_any,
                                          see_pending};
    struct sealio_backchannel *backchannel = NULL;
    int rc = sealio_backchannel_create(&owner, &backchannel);
    if (rc == 0)
        sealio_backchannel_reset(backchannel, session_id, 2);
    recalls_seen = 0;
    call_is_pending = false;
    *state = backchannel;
    return rc;
}

static int unmake(void **state)
{
    sealio_backchannel_free(*state);
    return 0;
}

struct answer {
    uint8_t bytes[SEALIO_CB_MAX_REPLY];
    size_t len;
    struct rpc_reply head;
    struct nfs4_compound_res compound;
    nfsstat4 status[4];
};

static struct answer send_call(struct sealio_backchannel *backchannel, const uint8_t *message,
                               size_t len)
{
    struct answer answer = {.len = 0};
    struct xdr_in in;
    struct arena arena;
    answer.len =
        sealio_backchannel_serve(backchannel, message, len, answer.bytes, sizeof(answer.bytes));
    if (answer.len == 0)
        return answer;
    arena_init(&arena, 65536);
    xdr_in_init(&in, answer.bytes + RECORD_MARK_SIZE, answer.len - RECORD_MARK_SIZE);
    assert_int_equal(rpc_reply_decode(&in, &answer.head), 0);
    if (answer.head.accept_stat == RPC_ACCEPT_SUCCESS && xdr_in_left(&in) > 0) {
        assert_true(nfs4_compound_res_decode(&in, &answer.compound));
        for (uint32_t i = 0; i < answer.compound.numres && i < 4; i++) {
            union nfs4_cb_res res;
            uint32_t op;
            assert_true(nfs4_op_decode(&in, &op));
            if (op == OP_CB_ILLEGAL)
                assert_true(xdr_get_u32(&in, &res.status));
            else
                assert_true(nfs4_cb_res_decode(op, &in, &arena, &res));
            answer.status[i] = res.status;
        }
        assert_int_equal(xdr_in_left(&in), 0);
    }
    arena_free(&arena);
    return answer;
}

struct request {
    uint32_t prog, vers, proc, minor;
    bool no_sequence;
    uint32_t slot, sequence, highest;
    uint32_t op;
    const union nfs4_cb_args *args;
    bool refers;
};

static struct answer ask(struct sealio_backchannel *backchannel, const struct request *request)
{
    uint8_t message[2048];
    struct xdr_out out;
    referring_call4 call = {1, 0};
    referring_call_list4 list = {.rcl_referring_calls_count = 1, .rcl_referring_calls = &call};
    union nfs4_cb_args sequence = {.cb_sequence = {.csa_sequenceid = request->sequence,
                                                   .csa_slotid = request->slot,
                                                   .csa_highest_slotid = request->highest}};
    const struct rpc_call head = {.xid = 42,
                                  .rpcvers = RPC_VERSION,
                                  .prog = request->prog ? request->prog : SEALIO_CB_PROGRAM,
                                  .vers = request->vers ? request->vers : NFS_CB,
                                  .proc = request->proc};
    const struct nfs4_cb_compound_args compound = {
        .minorversion = request->minor ? request->minor : 1,
        .numops = !request->no_sequence + (request->op != 0)};
    if (request->refers) {
        sequence.cb_sequence.csa_referring_call_lists_count = 1;
        sequence.cb_sequence.csa_referring_call_lists = &list;
    }
    memcpy(sequence.cb_sequence.csa_sessionid, session_id, sizeof(session_id));
    xdr_out_init(&out, message, sizeof(message));
    assert_true(rpc_call_encode(&out, &head));
    if (request->proc == CB_COMPOUND) {
        assert_true(nfs4_cb_compound_args_encode(&out, &compound));
        if (!request->no_sequence) {
            assert_true(nfs4_op_encode(&out, OP_CB_SEQUENCE));
            assert_true(nfs4_cb_args_encode(OP_CB_SEQUENCE, &out, &sequence));
        }
        if (request->op) {
            assert_true(nfs4_op_encode(&out, request->op));
            if (request->args)
                assert_true(nfs4_cb_args_encode(request->op, &out, request->args));
        }
    }
    return send_call(backchannel, message, xdr_out_len(&out));
}

static union nfs4_cb_args recall_args(void)
{
    return (union nfs4_cb_args){
        .cb_layoutrecall = {.clora_type = LAYOUT4_BLOCK_VOLUME,
                            .clora_iomode = LAYOUTIOMODE4_ANY,
                            .clora_recall = {.lor_recalltype = LAYOUTRECALL4_ALL}}};
}

static void cb_null_is_answered(void **state)
{
    const struct request request = {.proc = CB_NULL};
    const struct answer answer = ask(*state, &request);
    assert_int_equal(answer.head.xid, 42);
    assert_int_equal(answer.head.accept_stat, RPC_ACCEPT_SUCCESS);
}

static void foreign_programs_versions_and_procedures_are_told_apart(void **state)
{
    const struct request program = {.prog = 100003, .proc = CB_NULL},
                         version = {.vers = 4, .proc = CB_NULL}, procedure = {.proc = 2};
    assert_int_equal(ask(*state, &program).head.accept_stat, RPC_ACCEPT_PROG_UNAVAIL);
    assert_int_equal(ask(*state, &version).head.accept_stat, RPC_ACCEPT_PROG_MISMATCH);
    assert_int_equal(ask(*state, &procedure).head.accept_stat, RPC_ACCEPT_PROC_UNAVAIL);
}

/* A replay must not recall twice, and must get the very same reply (RFC 8881 section 2.10.6.1). */
static void a_replayed_callback_gets_the_same_bytes_and_runs_once(void **state)
{
    const union nfs4_cb_args args = recall_args();
    const struct request request = {
        .proc = CB_COMPOUND, .sequence = 1, .op = OP_CB_LAYOUTRECALL, .args = &args};
    const struct answer first = ask(*state, &request), second = ask(*state, &request);
    assert_int_equal(first.compound.status, NFS4_OK);
    assert_int_equal(first.compound.numres, 2);
    assert_int_equal(recalls_seen, 1);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.bytes, second.bytes, first.len);
}

static void sequence_errors_leave_the_slot_as_it_was(void **state)
{
    struct request request = {.proc = CB_COMPOUND, .sequence = 2};
    assert_int_equal(ask(*state, &request).status[0], NFS4ERR_SEQ_MISORDERED);
    request = (struct request){.proc = CB_COMPOUND, .sequence = 1, .slot = 2};
    assert_int_equal(ask(*state, &request).status[0], NFS4ERR_BADSLOT);
    request = (struct request){.proc = CB_COMPOUND, .sequence = 1, .highest = 9};
    assert_int_equal(ask(*state, &request).status[0], NFS4ERR_BAD_HIGH_SLOT);
    request = (struct request){.proc = CB_COMPOUND, .sequence = 1};
    assert_int_equal(ask(*state, &request).status[0], NFS4_OK);
}

static void a_callback_that_refers_to_a_call_under_way_waits(void **state)
{
    const struct request request = {.proc = CB_COMPOUND, .sequence = 1, .refers = true};
    call_is_pending = true;
    assert_int_equal(ask(*state, &request).status[0], NFS4ERR_DELAY);
    call_is_pending = false;
    assert_int_equal(ask(*state, &request).status[0], NFS4_OK);
}

static void operations_this_client_has_no_use_for_are_refused_by_name(void **state)
{
    const union nfs4_cb_args recall = {.cb_recall = {.truncate = false}},
                             lock = {.cb_notify_lock = {.cnla_fh = {NULL, 0}}};
    struct request request = {
        .proc = CB_COMPOUND, .sequence = 1, .op = OP_CB_RECALL, .args = &recall};
    assert_int_equal(ask(*state, &request).status[1], NFS4ERR_BADHANDLE);
    request = (struct request){
        .proc = CB_COMPOUND, .sequence = 2, .op = OP_CB_NOTIFY_LOCK, .args = &lock};
    assert_int_equal(ask(*state, &request).status[1], NFS4ERR_NOTSUPP);
    request = (struct request){.proc = CB_COMPOUND, .sequence = 3, .op = 99};
    assert_int_equal(ask(*state, &request).status[1], NFS4ERR_OP_ILLEGAL);
    const union nfs4_cb_args args = recall_args();
    request = (struct request){
        .proc = CB_COMPOUND, .no_sequence = true, .op = OP_CB_LAYOUTRECALL, .args = &args};
    assert_int_equal(ask(*state, &request).status[0], NFS4ERR_OP_NOT_IN_SESSION);
    request = (struct request){.proc = CB_COMPOUND, .minor = 2, .sequence = 4};
    assert_int_equal(ask(*state, &request).compound.status, NFS4ERR_MINOR_VERS_MISMATCH);
    assert_int_equal(recalls_seen, 0);
}

static void truncated_callbacks_are_errors_not_crashes(void **state)
{
    uint8_t message[512];
    struct xdr_out out;
    const struct rpc_call head = {
        .rpcvers = RPC_VERSION, .prog = SEALIO_CB_PROGRAM, .vers = NFS_CB, .proc = CB_COMPOUND};
    const struct nfs4_cb_compound_args compound = {.minorversion = 1, .numops = 2};
    union nfs4_cb_args sequence = {.cb_sequence = {.csa_sequenceid = 1}};
    memcpy(sequence.cb_sequence.csa_sessionid, session_id, sizeof(session_id));
    xdr_out_init(&out, message, sizeof(message));
    assert_true(rpc_call_encode(&out, &head) && nfs4_cb_compound_args_encode(&out, &compound) &&
                nfs4_op_encode(&out, OP_CB_SEQUENCE) &&
                nfs4_cb_args_encode(OP_CB_SEQUENCE, &out, &sequence));
    for (size_t len = 0; len < xdr_out_len(&out); len++) {
        const struct answer answer = send_call(*state, message, len);
        assert_true(answer.len == 0 || answer.compound.status != NFS4_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recall_with_the_next_seqid_is_obeyed),
        cmocka_unit_test(a_repeated_recall_gets_ok_again_and_changes_nothing),
        cmocka_unit_test(an_old_seqid_is_refused_and_one_too_new_waits),
        cmocka_unit_test(seqids_wrap),
        cmocka_unit_test(a_recall_of_nothing_finds_no_layout),
        cmocka_unit_test(a_recall_that_overtakes_the_grant_is_kept),
        cmocka_unit_test(a_bulk_recall_takes_what_is_held),
        cmocka_unit_test_setup_teardown(cb_null_is_answered, make, unmake),
        cmocka_unit_test_setup_teardown(foreign_programs_versions_and_procedures_are_told_apart,
                                        make, unmake),
        cmocka_unit_test_setup_teardown(a_replayed_callback_gets_the_same_bytes_and_runs_once, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(sequence_errors_leave_the_slot_as_it_was, make, unmake),
        cmocka_unit_test_setup_teardown(a_callback_that_refers_to_a_call_under_way_waits, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(operations_this_client_has_no_use_for_are_refused_by_name,
                                        make, unmake),
        cmocka_unit_test_setup_teardown(truncated_callbacks_are_errors_not_crashes, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
