/*
 * test_flushes.c - who waits for a slow disk keeps no worker from those who do not: whatever is to
 * be durable before its reply is flushed by threads of its own. And an error of the disk is not
 * told before it was looked whose the disk is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/attr.h"
#include "server/keeper/keeper.h"
#include "tests/unit/server/daemon_fixture.h"

enum { WAIT_MS = 5000 };

static struct daemon *daemon_of_test;
static struct nfs_client slow, quick; /* there is one worker for short work */

/* ---- the disk: the linker sends the daemon's fsync and fdatasync here (--wrap) ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool disk_is_slow, disk_fails;
static unsigned flushes, waiting;

static int be_a_disk(void)
{
    pthread_mutex_lock(&lock);
    flushes++;
    waiting++;
    pthread_cond_broadcast(&changed);
    while (disk_is_slow)
        pthread_cond_wait(&changed, &lock);
    waiting--;
    const bool fails = disk_fails;
    pthread_mutex_unlock(&lock);
    errno = EIO;
    return fails ? -1 : 0;
}

static void slow_disk(bool on)
{
    pthread_mutex_lock(&lock);
    disk_is_slow = on;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Somebody has come to the disk. */
static void await_flush(void)
{
    pthread_mutex_lock(&lock);
    while (waiting == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static unsigned count_flushes(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = flushes;
    pthread_mutex_unlock(&lock);
    return count;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fsync(int fd)
{
    return be_a_disk() < 0 ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
    return be_a_disk() < 0 ? -1 : __real_fdatasync(fd);
}

/* ---- the keeper's look at the disks ---- */

static struct keeper *looker;
static struct keeper_call *look;

void __real_keeper_look(struct keeper *keeper, struct keeper_call *call);
void __wrap_keeper_look(struct keeper *keeper, struct keeper_call *call);

void __wrap_keeper_look(struct keeper *keeper, struct keeper_call *call)
{
    pthread_mutex_lock(&lock);
    looker = keeper;
    look = call;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static struct keeper_call *await_look(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&lock);
    while (!look && pthread_cond_timedwait(&changed, &lock, &end) == 0)
        ;
    struct keeper_call *call = look;
    look = NULL;
    pthread_mutex_unlock(&lock);
    assert_non_null(call);
    return call;
}

/* ---- */

static void make_file(const char *name)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", fixture_files(), name);
    fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chmod(path, 0666), 0);
}

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("workers = 1\n");
    make_file("slow");
    make_file("quick");
    nfs_client_start(&slow, daemon_of_test, "slow", 0);
    nfs_client_start(&quick, daemon_of_test, "quick", 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_close(&slow.wire);
    wire_close(&quick.wire);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static void look_up(struct nfs_client *client, const char *name)
{
    const union nfs4_args args = {.lookup.objname = xdr_bytes_of(name ? name : "")};

    nfs_begin(client, false);
    nfs_lookup_export(client);
    if (name)
        wire_op(&client->wire, OP_LOOKUP, &args);
}

static union nfs4_args write_args(stable_how4 stable)
{
    return (union nfs4_args){.write = {.stable = stable, .data = xdr_bytes_of("x")}};
}

/* The slow client's call waits for the disk. The quick one's only takes a worker. */
static void quick_is_answered_while_slow_waits(void)
{
    const union nfs4_args args = write_args(UNSTABLE4);

    enum rpc_msg_type type;

    slow_disk(true);
    wire_send(&slow.wire);
    await_flush();
    look_up(&quick, "quick");
    wire_op(&quick.wire, OP_WRITE, &args);
    wire_send(&quick.wire);
    const bool answered = wire_next_message(&quick.wire, WAIT_MS, &type);
    slow_disk(false);
    if (!answered)
        assert_true(wire_receive(&quick.wire));
    assert_true(wire_receive(&slow.wire));
    assert_int_equal(slow.wire.status, NFS4_OK);
    assert_true(answered);
}

static void a_stable_write_takes_no_short_worker(void **state)
{
    (void)state;
    for (stable_how4 stable = DATA_SYNC4; stable <= FILE_SYNC4; stable++) {
        const union nfs4_args args = write_args(stable);

        look_up(&slow, "slow");
        wire_op(&slow.wire, OP_WRITE, &args);
        quick_is_answered_while_slow_waits();
    }
}

static fattr4 mode_0640(void)
{
    static const uint8_t mode[4] = {0, 0, 01, 0240};

    return (fattr4){.attrmask = BITMAP4(FATTR4_MODE), .attr_vals = {mode, sizeof(mode)}};
}

static void setting_attributes_takes_no_short_worker(void **state)
{
    const union nfs4_args args = {.setattr.obj_attributes = mode_0640()};

    (void)state;
    look_up(&slow, "slow");
    wire_op(&slow.wire, OP_SETATTR, &args);
    quick_is_answered_while_slow_waits();
}

static void making_a_file_takes_no_short_worker(void **state)
{
    const union nfs4_args args = {
        .open = {
            .share_access = OPEN4_SHARE_ACCESS_WRITE,
            .owner.owner = xdr_bytes_of("o"),
            .openhow = {.opentype = OPEN4_CREATE,
                        .how = {.mode = EXCLUSIVE4_1,
                                .ch_createboth = {.cva_verf = "verify", .cva_attrs = mode_0640()}}},
            .claim.file = xdr_bytes_of("new")}};

    (void)state;
    look_up(&slow, NULL);
    wire_op(&slow.wire, OP_OPEN, &args);
    quick_is_answered_while_slow_waits();
}

/* Wrong: who may set nothing makes the server flush the file, as often as he asks. */
static void who_sets_nothing_flushes_nothing(void **state)
{
    const union nfs4_args args = {.setattr.obj_attributes = mode_0640()};

    (void)state;
    if (geteuid() != 0)
        skip();
    const unsigned before = count_flushes();
    slow.wire.uid = 1000;
    look_up(&slow, "slow");
    wire_op(&slow.wire, OP_SETATTR, &args);
    assert_true(wire_call(&slow.wire));
    slow.wire.uid = 0;
    assert_int_equal(slow.wire.status, NFS4ERR_PERM);
    assert_int_equal(count_flushes(), before);
}

/* Wrong: a node of two that was fenced tells its clients of errors that the disk has for it. */
static void an_error_of_the_disk_is_told_when_it_was_looked_whose_it_is(void **state)
{
    const union nfs4_args stable = write_args(FILE_SYNC4), unstable = write_args(UNSTABLE4);
    enum { MOMENT_MS = 100 };
    enum rpc_msg_type type;

    (void)state;
    disk_fails = true;
    look_up(&slow, "slow");
    wire_op(&slow.wire, OP_WRITE, &stable);
    wire_send(&slow.wire);
    struct keeper_call *call = await_look();
    assert_false(wire_next_message(&slow.wire, MOMENT_MS, &type));
    look_up(&quick, "quick"); /* nobody else waits */
    wire_op(&quick.wire, OP_WRITE, &unstable);
    assert_true(wire_call(&quick.wire));
    assert_int_equal(quick.wire.status, NFS4_OK);
    __real_keeper_look(looker, call);
    assert_true(wire_receive(&slow.wire));
    assert_int_equal(slow.wire.status, NFS4ERR_IO);
    disk_fails = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stable_write_takes_no_short_worker),
        cmocka_unit_test(setting_attributes_takes_no_short_worker),
        cmocka_unit_test(making_a_file_takes_no_short_worker),
        cmocka_unit_test(who_sets_nothing_flushes_nothing),
        cmocka_unit_test(an_error_of_the_disk_is_told_when_it_was_looked_whose_it_is),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
