/*
 * test_caller_groups.c - an export with manage_gids goes by the groups that the server knows a user
 * to be in, through a daemon's real connection. The linker sends the daemon's getpwuid_r and
 * getgrouplist here (--wrap): a directory that knows some users, and may be slow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/nfs4/attr.h"
#include "tests/unit/server/daemon_fixture.h"

/* In groups 1 to 40; in none; whom nobody knows; whose look-up ends when the test lets it; whose
 * look-up fails. */
enum { MEMBER = 7001, LONER, STRANGER, SLOW, UNLUCKY };
enum { OWN_GROUP = 7000, GROUP = 37, OTHER_GROUP = 99, GROUPS = 40 };

static struct daemon *daemon_of_test;
static struct nfs_client client, other;

/* ---- the directory ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_slow;
static unsigned waiting, asked, groups = GROUPS;

int __wrap_getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size,
                      struct passwd **found);
int __wrap_getgrouplist(const char *name, gid_t group, gid_t *list, int *count);

int __wrap_getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size,
                      struct passwd **found)
{
    pthread_mutex_lock(&lock);
    asked++;
    waiting += uid == SLOW;
    pthread_cond_broadcast(&changed);
    while (uid == SLOW && is_slow)
        pthread_cond_wait(&changed, &lock);
    waiting -= uid == SLOW;
    pthread_mutex_unlock(&lock);
    *found = NULL;
    if (uid == UNLUCKY)
        return EIO;
    if (uid == STRANGER)
        return 0;
    snprintf(buffer, size, "u%u", (unsigned)uid);
    *user = (struct passwd){.pw_name = buffer, .pw_uid = uid, .pw_gid = OWN_GROUP};
    *found = user;
    return 0;
}

int __wrap_getgrouplist(const char *name, gid_t group, gid_t *list, int *count)
{
    const unsigned all = strcmp(name, "u7002") == 0 ? 0 : groups;
    const int room = *count;

    *count = (int)all + 1;
    if (room < *count)
        return -1;
    list[0] = group;
    for (unsigned i = 0; i < all; i++)
        list[1 + i] = all - i;
    return *count;
}

static void set_slow(bool slow)
{
    pthread_mutex_lock(&lock);
    is_slow = slow;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_question(void)
{
    pthread_mutex_lock(&lock);
    while (waiting == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

/* ---- */

static void make_file(const char *name, gid_t group)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", fixture_files(), name);
    fd = open(path, O_CREAT | O_WRONLY, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(chown(path, LONER, group), 0);
    assert_int_equal(chmod(path, 0640), 0);
}

static int start_with(const char *option)
{
    groups = GROUPS;
    asked = 0;
    daemon_of_test = fixture_start_with("", option);
    assert_int_equal(chmod(fixture_files(), 0755), 0);
    make_file("shared", GROUP);
    make_file("others", OTHER_GROUP);
    nfs_client_start(&client, daemon_of_test, "client", 0);
    nfs_client_start(&other, daemon_of_test, "other", 0);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        printf("skipped: needs root, to act as users\n");
        exit(77);
    }
    return start_with("manage_gids = true\n");
}

static int setup_without(void **state)
{
    (void)state;
    return geteuid() == 0 ? start_with("") : -1;
}

static int teardown(void **state)
{
    (void)state;
    set_slow(false);
    wire_close(&client.wire);
    wire_close(&other.wire);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static void ask_read(struct nfs_client *by, uid_t uid, const char *name)
{
    const union nfs4_args lookup = {.lookup.objname = xdr_bytes_of(name)};
    const union nfs4_args read = {.read.count = 1};

    by->wire.uid = uid;
    nfs_begin(by, false);
    nfs_lookup_export(by);
    wire_op(&by->wire, OP_LOOKUP, &lookup);
    wire_op(&by->wire, OP_READ, &read);
    wire_send(&by->wire);
    by->wire.uid = 0;
}

static nfsstat4 read_as(struct nfs_client *by, uid_t uid, const char *name)
{
    ask_read(by, uid, name);
    assert_true(wire_receive(&by->wire));
    return by->wire.status;
}

/* The list that the calls carry from here on. */
static void claim_group(struct nfs_client *by, gid_t group)
{
    by->wire.gid_count = 1;
    by->wire.gids[0] = group;
}

static void a_user_in_forty_groups_reads_by_any_of_them(void **state)
{
    (void)state;
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
    assert_int_equal(read_as(&client, MEMBER, "others"), NFS4ERR_ACCESS);
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
    assert_int_equal(asked, 1); /* and it is remembered */
}

static void without_the_option_the_client_says_which(void **state)
{
    (void)state;
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4ERR_ACCESS);
    claim_group(&client, OTHER_GROUP);
    assert_int_equal(read_as(&client, MEMBER, "others"), NFS4_OK);
    assert_int_equal(asked, 0);
}

static void what_the_client_says_of_groups_adds_none(void **state)
{
    (void)state;
    claim_group(&client, OTHER_GROUP);
    assert_int_equal(read_as(&client, MEMBER, "others"), NFS4ERR_ACCESS);
    claim_group(&client, GROUP);
    assert_int_equal(read_as(&client, STRANGER, "shared"), NFS4ERR_ACCESS);
}

/* Wrong: what was looked up for the first user of a connection is the next one's too. */
static void each_user_of_a_connection_is_his_own(void **state)
{
    (void)state;
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
    assert_int_equal(read_as(&client, STRANGER, "shared"), NFS4ERR_ACCESS);
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
}

static bool make_in_group(uid_t uid, const char *name, gid_t group)
{
    char text[16];
    uint8_t owner[4 + 16] = {0};
    const size_t len = (size_t)snprintf(text, sizeof(text), "%u", (unsigned)group);
    const union nfs4_args lookup = {.lookup.objname = xdr_bytes_of(name)};
    union nfs4_args set;

    owner[3] = (uint8_t)len;
    memcpy(owner + 4, text, len);
    set = (union nfs4_args){
        .setattr.obj_attributes = {.attrmask = BITMAP4(FATTR4_OWNER_GROUP),
                                   .attr_vals = {owner, (uint32_t)(4 + (len + 3) / 4 * 4)}}};
    client.wire.uid = uid;
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_op(&client.wire, OP_LOOKUP, &lookup);
    wire_op(&client.wire, OP_SETATTR, &set);
    assert_true(wire_call(&client.wire));
    client.wire.uid = 0;
    return client.wire.status == NFS4_OK;
}

static void an_owner_gives_files_to_groups_that_the_server_knows_him_in(void **state)
{
    char path[256];

    (void)state;
    snprintf(path, sizeof(path), "%s/shared", fixture_files());
    assert_int_equal(chown(path, MEMBER, OTHER_GROUP), 0);
    claim_group(&client, OTHER_GROUP + 1);
    assert_true(make_in_group(MEMBER, "shared", GROUP));
    assert_false(make_in_group(MEMBER, "shared", OTHER_GROUP + 1));
}

/* Wrong: requests of others wait behind one whose user's look-up does not end, or it keeps its slot
 * for ever. */
static void a_user_whose_look_up_hangs_holds_up_nobody(void **state)
{
    (void)state;
    set_slow(true);
    ask_read(&client, SLOW, "shared");
    await_question();
    assert_int_equal(read_as(&other, MEMBER, "shared"), NFS4_OK);
    assert_true(wire_receive(&client.wire));
    assert_int_equal(client.wire.status, NFS4ERR_DELAY);
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
    ask_read(&client, SLOW, "shared");
    set_slow(false);
    assert_true(wire_receive(&client.wire));
    assert_int_equal(client.wire.status, NFS4_OK);
}

/* It is no reason to refuse what the user may do. */
static void a_look_up_that_fails_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(read_as(&client, UNLUCKY, "shared"), NFS4ERR_DELAY);
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
}

static void a_reload_looks_anew(void **state)
{
    (void)state;
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
    groups = GROUP - 1;
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
    fixture_admit(daemon_of_test, "\"127.0.0.1\", \"::1\"");
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4ERR_ACCESS);
    groups = GROUPS;
    fixture_admit(daemon_of_test, "\"127.0.0.1\", \"::1\"");
    assert_int_equal(read_as(&client, MEMBER, "shared"), NFS4_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_user_in_forty_groups_reads_by_any_of_them),
        CASE(what_the_client_says_of_groups_adds_none),
        CASE(each_user_of_a_connection_is_his_own),
        CASE(an_owner_gives_files_to_groups_that_the_server_knows_him_in),
        CASE(a_user_whose_look_up_hangs_holds_up_nobody),
        CASE(a_look_up_that_fails_is_tried_again),
        CASE(a_reload_looks_anew),
        cmocka_unit_test_setup_teardown(without_the_option_the_client_says_which, setup_without,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
