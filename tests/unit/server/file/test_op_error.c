/*
 * test_op_error.c - what an operation answers where the file system said something, against RFC
 * 8881 section 15.2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "proto/nfs4/ops.h"
#include "server/file/fs_status.h"
#include "server/file/op_error.h"
#include "server/nfs/compound.h"
#include "tests/unit/server/errors_allowed.h"

/* Those without any error that could stand for a file system's ask none. */
static bool asks_no_file_system(uint32_t op)
{
    return !error_is_allowed(op, NFS4ERR_IO) && !error_is_allowed(op, NFS4ERR_SERVERFAULT);
}

static void what_the_system_says_is_told_as_the_operation_may(void **state)
{
    unsigned changed = 0;

    (void)state;
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++) {
        if (!op_table[op].handler || asks_no_file_system(op))
            continue;
        for (int error = 0; error < 140; error++) {
            const nfsstat4 said = fs_status(-error), told = op_error(op, said);

            if (!error_is_allowed(op, told))
                fail_msg("%s answers %s to errno %d", nfs4_op_name(op), nfs4_status_name(told),
                         error);
            if (error_is_allowed(op, said))
                assert_int_equal(told, said);
            changed += told != said;
        }
    }
    assert_in_range(changed, 1, 140 * 59);
}

static void a_flush_that_fails_is_an_io_error_where_nothing_better_is_listed(void **state)
{
    static const struct {
        uint32_t op;
        nfsstat4 said, told;
    } rows[] = {
        {OP_COMMIT, NFS4ERR_NOSPC, NFS4ERR_IO},
        {OP_COMMIT, NFS4ERR_DQUOT, NFS4ERR_IO},
        {OP_REMOVE, NFS4ERR_NOSPC, NFS4ERR_IO},
        {OP_REMOVE, NFS4ERR_PERM, NFS4ERR_ACCESS},
        {OP_WRITE, NFS4ERR_NOSPC, NFS4ERR_NOSPC},
        {OP_WRITE, NFS4ERR_FILE_OPEN, NFS4ERR_ACCESS},
        {OP_SECINFO, NFS4ERR_IO, NFS4ERR_SERVERFAULT},
        {OP_PUTFH, NFS4ERR_IO, NFS4ERR_SERVERFAULT},
        {OP_LOCK, NFS4ERR_DENIED, NFS4ERR_DENIED},
        {OP_CREATE, NFS4ERR_NOENT, NFS4ERR_STALE},
        {OP_READDIR, NFS4ERR_NOENT, NFS4ERR_STALE},
        {OP_LINK, NFS4ERR_NOENT, NFS4ERR_IO},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(op_error(rows[i].op, rows[i].said), rows[i].told);
}

/* Of NFSv4.0 only (RFC 8881 section 15.1.16). */
static void no_errno_is_an_error_of_an_earlier_protocol(void **state)
{
    (void)state;
    for (int error = 0; error < 140; error++)
        assert_int_not_equal(fs_status(-error), NFS4ERR_NXIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_system_says_is_told_as_the_operation_may),
        cmocka_unit_test(a_flush_that_fails_is_an_io_error_where_nothing_better_is_listed),
        cmocka_unit_test(no_errno_is_an_error_of_an_earlier_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
