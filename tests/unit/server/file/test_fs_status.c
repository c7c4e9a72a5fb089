/*
 * Names and errors between the file system and the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "server/file/fs_status.h"

static nfsstat4 check(const char *name)
{
    char out[NAME_SIZE];

    return name_check(xdr_bytes_of(name), true, out);
}

static void ordinary_and_foreign_names_pass(void **state)
{
    char out[NAME_SIZE];

    (void)state;
    assert_int_equal(check("a"), NFS4_OK);
    assert_int_equal(check(".hidden"), NFS4_OK);
    assert_int_equal(check("..."), NFS4_OK);
    assert_int_equal(check("gr\xc3\xbc\xc3\x9f"), NFS4_OK);
    assert_int_equal(check("\xf0\x9f\x97\xbb"), NFS4_OK);
    assert_int_equal(name_check(xdr_bytes_of("copied"), true, out), NFS4_OK);
    assert_string_equal(out, "copied");
}

static void empty_dot_and_dotdot_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check(""), NFS4ERR_INVAL);
    assert_int_equal(check("."), NFS4ERR_BADNAME);
    assert_int_equal(check(".."), NFS4ERR_BADNAME);
}

static void slash_and_nul_are_bad_characters(void **state)
{
    char out[NAME_SIZE];

    (void)state;
    assert_int_equal(check("a/b"), NFS4ERR_BADCHAR);
    const struct xdr_bytes nul = {.data = (const uint8_t *)"a\0b", .len = 3};
    assert_int_equal(name_check(nul, true, out), NFS4ERR_BADCHAR);
    assert_int_equal(name_check(nul, false, out), NFS4ERR_BADCHAR);
}

static void names_have_255_bytes_at_most(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[256] = 0;
    assert_int_equal(check(name), NFS4ERR_NAMETOOLONG);
    name[255] = 0;
    assert_int_equal(check(name), NFS4_OK);
}

static void malformed_utf8_is_refused_where_utf8_is_asked_for(void **state)
{
    static const char *const bad[] = {
        "\x80",             /* a continuation alone */
        "a\xc3",            /* cut short */
        "\xc0\xaf",         /* overlong '/' */
        "\xe0\x80\xaf",     /* the same with three bytes */
        "\xf0\x80\x80\xaf", /* with four */
        "\xed\xa0\x80",     /* a surrogate */
        "\xf4\x90\x80\x80", /* past U+10FFFF */
        "\xff",
        "\xc3\x28",
    };

    char out[NAME_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(check(bad[i]), NFS4ERR_INVAL);
        assert_int_equal(name_check(xdr_bytes_of(bad[i]), false, out),
                         strchr(bad[i], '/') ? NFS4ERR_BADCHAR : NFS4_OK);
    }
}

static void errors_keep_their_meaning(void **state)
{
    (void)state;
    assert_int_equal(fs_status(0), NFS4_OK);
    assert_int_equal(fs_status(-ENOSPC), NFS4ERR_NOSPC);
    assert_int_equal(fs_status(-EDQUOT), NFS4ERR_DQUOT);
    assert_int_equal(fs_status(-ESTALE), NFS4ERR_STALE);
    assert_int_equal(fs_status(-EIO), NFS4ERR_IO);
    assert_int_equal(fs_status(-EUCLEAN), NFS4ERR_IO); /* a corrupted file system */
    assert_int_equal(fs_status(-ENOMEM), NFS4ERR_DELAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_and_foreign_names_pass),
        cmocka_unit_test(empty_dot_and_dotdot_are_refused),
        cmocka_unit_test(slash_and_nul_are_bad_characters),
        cmocka_unit_test(names_have_255_bytes_at_most),
        cmocka_unit_test(malformed_utf8_is_refused_where_utf8_is_asked_for),
        cmocka_unit_test(errors_keep_their_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
