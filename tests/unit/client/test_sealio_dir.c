/*
 * test_sealio_dir.c - listings of a server that does not mean well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/sealio.h"
#include "tests/unit/client/fake_nfs.h"

static char image[] = "/tmp/test_sealio_dir.XXXXXX";
static struct fake_nfs *fake;
static struct sealio_session *session;

static int set_up(void **state)
{
    static const struct sealio_options options = {.timeout_ms = 20000};
    (void)state;
    close(mkstemp(image));
    if (fake_nfs_start(image, &fake) < 0)
        return -1;
    return sealio_session_open("127.0.0.1", fake_nfs_port(fake), &options, NULL, &session);
}

static int tear_down(void **state)
{
    (void)state;
    sealio_session_close(session);
    fake_nfs_stop(fake);
    unlink(image);
    return 0;
}

struct listed {
    unsigned count;
    struct sealio_stat stats[8];
};

static int note_entry(void *arg, const char *name, const struct sealio_stat *st)
{
    struct listed *listed = arg;
    (void)name;
    assert_true(listed->count < 8);
    listed->stats[listed->count++] = *st;
    return 0;
}

/* Wrong: they had what lay on the stack, addresses too. */
static void entries_without_attributes_have_none(void **state)
{
    struct listed listed = {0};
    (void)state;
    fake_nfs_list(fake, FAKE_BARE);
    assert_int_equal(sealio_readdir(session, "/", note_entry, &listed), 0);
    assert_int_equal(listed.count, 2);
    for (unsigned i = 0; i < listed.count; i++) {
        assert_int_equal(listed.stats[i].type, SEALIO_OTHER);
        assert_int_equal(listed.stats[i].mode, 0);
        assert_int_equal(listed.stats[i].size, 0);
        assert_int_equal(listed.stats[i].fileid, 0);
        assert_int_equal(listed.stats[i].change, 0);
        assert_int_equal(listed.stats[i].mtime_s, 0);
    }
}

/* Wrong: it was listed for ever. */
static void a_listing_that_goes_in_circles_ends(void **state)
{
    struct listed listed = {0};
    (void)state;
    fake_nfs_list(fake, FAKE_CIRCLE);
    assert_int_equal(sealio_readdir(session, "/", note_entry, &listed), -EBADMSG);
    assert_in_range(listed.count, 2, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_without_attributes_have_none),
        cmocka_unit_test(a_listing_that_goes_in_circles_ends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
