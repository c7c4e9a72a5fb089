/*
 * test_open_shares.c - one client opens all that it can of a process with few descriptors: it is
 * told to wait itself, and nobody else notices (RFC 8881 section 15.1.1.3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/server/daemon_fixture.h"

enum { DESCRIPTORS = 700, MANY = DESCRIPTORS, R = 1, W = 2 };

static struct daemon *daemon_of_test;
static struct nfs_client greedy, polite;

/* As many as that and no more: the daemon raises the limit where it may. */
static void have_few_descriptors(void)
{
    const struct rlimit few = {DESCRIPTORS, DESCRIPTORS};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(syscall(SYS_capget, &header, caps), 0);
    caps[0].effective &= ~(1u << CAP_SYS_RESOURCE);
    assert_int_equal(syscall(SYS_capset, &header, caps), 0);
}

static int setup(void **state)
{
    (void)state;
    have_few_descriptors();
    daemon_of_test = fixture_start("");
    nfs_client_start(&greedy, daemon_of_test, "greedy", 0);
    nfs_client_start(&polite, daemon_of_test, "polite", 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_close(&greedy.wire);
    wire_close(&polite.wire);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

/* A file that is open, as its client knows it. */
struct opened {
    stateid4 stateid;
    uint8_t handle[NFS4_FHSIZE];
    uint32_t handle_len;
};

static nfsstat4 open_file(struct nfs_client *client, const char *name, struct opened *out)
{
    const union nfs4_args args = {.open = {.share_access = R | W,
                                           .owner.owner = xdr_bytes_of("o"),
                                           .openhow.opentype = OPEN4_CREATE,
                                           .claim.file = xdr_bytes_of(name)}};
    union nfs4_res res;

    nfs_begin(client, false);
    nfs_lookup_export(client);
    wire_op(&client->wire, OP_OPEN, &args);
    wire_op(&client->wire, OP_GETFH, NULL);
    assert_true(wire_call(&client->wire));
    nfs_sequence_ok(client);
    nfs_lookup_export_results(client);
    nfsstat4 status = wire_result(&client->wire, OP_OPEN, &res);
    if (status != NFS4_OK)
        return status;
    out->stateid = res.open.resok4.stateid;
    assert_int_equal(wire_result(&client->wire, OP_GETFH, &res), NFS4_OK);
    out->handle_len = res.getfh.resok4.object.len;
    memcpy(out->handle, res.getfh.resok4.object.data, out->handle_len);
    return NFS4_OK;
}

static nfsstat4 on_file(struct nfs_client *client, const struct opened *file, uint32_t op,
                        const union nfs4_args *args, union nfs4_res *res)
{
    const union nfs4_args handle = {
        .putfh.object = {.data = file->handle, .len = file->handle_len}};

    nfs_begin(client, false);
    wire_op(&client->wire, OP_PUTFH, &handle);
    wire_op(&client->wire, op, args);
    assert_true(wire_call(&client->wire));
    nfs_sequence_ok(client);
    assert_int_equal(wire_result(&client->wire, OP_PUTFH, NULL), NFS4_OK);
    return wire_result(&client->wire, op, res);
}

static nfsstat4 read_file(struct nfs_client *client, const struct opened *file,
                          const char *expected)
{
    const union nfs4_args args = {.read = {.stateid = file->stateid, .count = 100}};
    union nfs4_res res;
    nfsstat4 status = on_file(client, file, OP_READ, &args, &res);

    if (status == NFS4_OK)
        assert_true(xdr_bytes_equal(res.read.resok4.data, xdr_bytes_of(expected)));
    return status;
}

static nfsstat4 write_file(struct nfs_client *client, const struct opened *file, const char *text)
{
    const union nfs4_args args = {
        .write = {.stateid = file->stateid, .stable = FILE_SYNC4, .data = xdr_bytes_of(text)}};

    return on_file(client, file, OP_WRITE, &args, NULL);
}

static nfsstat4 close_file(struct nfs_client *client, const struct opened *file)
{
    const union nfs4_args args = {.close.open_stateid = file->stateid};

    return on_file(client, file, OP_CLOSE, &args, NULL);
}

/* What a polite client does, and is never told to wait for. */
static void be_polite(void)
{
    struct opened file;

    assert_int_equal(open_file(&polite, "polite", &file), NFS4_OK);
    assert_int_equal(write_file(&polite, &file, "hello"), NFS4_OK);
    assert_int_equal(read_file(&polite, &file, "hello"), NFS4_OK);
    assert_int_equal(close_file(&polite, &file), NFS4_OK);
}

static unsigned open_all(struct opened *files)
{
    char name[300];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "greedy-%u", i);
        nfsstat4 status = open_file(&greedy, name, &files[i]);
        if (status != NFS4_OK) {
            assert_int_equal(status, NFS4ERR_DELAY);
            snprintf(name, sizeof name, "%s/greedy-%u", fixture_files(), i);
            assert_int_equal(access(name, F_OK), -1); /* nothing was made */
            return i;
        }
        be_polite();
    }
    return MANY;
}

/* Of this process, which the daemon runs in: all, or those of the greedy one's files. */
static unsigned descriptors(const char *of)
{
    char link[300], path[512];
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        ssize_t len = readlink(link, path, sizeof path - 1);
        if (len <= 0)
            continue;
        path[len] = '\0';
        count += !of || strstr(path, of);
    }
    closedir(dir);
    return count;
}

/* Wrong: one client's opens take all descriptors: the others are told DELAY for as long as these
 * are open, nobody can connect, and what is sealed is not known any more. */
static void one_client_opens_all_it_can_and_nobody_notices(void **state)
{
    (void)state;
    struct opened *files = calloc(MANY, sizeof *files), other;
    struct wire another;
    unsigned count = open_all(files);

    assert_in_range(count, DESCRIPTORS / 16, DESCRIPTORS / 2);
    be_polite();
    for (unsigned i = 0; i < count; i++) { /* each with a descriptor to read and write by */
        assert_int_equal(write_file(&greedy, &files[i], "x"), NFS4_OK);
        assert_int_equal(read_file(&greedy, &files[i], "x"), NFS4_OK);
        if (i % 8 == 0)
            be_polite();
    }
    assert_in_range(descriptors(NULL), 1, DESCRIPTORS * 9 / 10);
    wire_open(&another, daemon_of_test);
    wire_close(&another);
    /* At rest an open file has one descriptor. */
    for (unsigned tries = 0; descriptors("/greedy-") != count; tries++) {
        assert_true(tries < 1000);
        usleep(10000);
    }
    /* Removed or not. */
    char name[300];
    snprintf(name, sizeof name, "%s/greedy-0", fixture_files());
    assert_int_equal(unlink(name), 0);
    assert_int_equal(read_file(&greedy, &files[0], "x"), NFS4_OK);
    /* What is closed can be opened again. */
    assert_int_equal(close_file(&greedy, &files[1]), NFS4_OK);
    assert_int_equal(open_file(&greedy, "another", &other), NFS4_OK);
    be_polite();
    free(files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_client_opens_all_it_can_and_nobody_notices, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
