/*
 * RDMA layouts in the whole daemon, over a played device: what is registered when, who is told
 * what, and every way that taking it back can go. The file system is real (root); that it is in
 * persistent memory is played too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "layout/engine/engine.h"
#include "proto/arena.h"
#include "proto/layout/rdma.h"
#include "rdma/admission.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/daemon.h"
#include "server/file/file.h"
#include "server/keeper/keeper.h"
#include "server/server.h"
#include "tests/unit/loopfs.h"
#include "tests/unit/rdma/fake_verbs.h"

enum { CLIENT = 0x70, OTHER = 0x71, FILE_SIZE = 32 * 65536 + 100, WAIT_SECONDS = 30 };

static struct loopfs *fs;
static struct daemon *daemon_now;
static struct server *server;
static struct loop *home;
static char base[] = "/tmp/sealnfs-keeper-rdma-XXXXXX";
static char name[256];
static uint8_t body[4096];
static stateid4 held;
static uint8_t test_number; /* the clients of each are others */
static bool persistent;     /* is what the files are in */
static const char *options; /* further ones of the server's */
static bool no_mappings;    /* are left for what is to be written */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool replied;

int __real_statx(int dir, const char *path, int flags, unsigned mask, struct statx *out);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *out);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *out)
{
    int rc = __real_statx(dir, path, flags, mask, out);
    if (rc == 0 && persistent)
        out->stx_attributes |= STATX_ATTR_DAX;
    return rc;
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (no_mappings && (flags & MAP_SYNC)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (persistent && (flags & MAP_SYNC))
        flags = MAP_SHARED;
    return __real_mmap(at, size, protection, flags, fd, offset);
}

static void on_reply(struct loop_msg *msg)
{
    (void)msg;
    pthread_mutex_lock(&lock);
    replied = true;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

static struct keeper_call call(void)
{
    replied = false;
    return (struct keeper_call){.reply.run = on_reply, .reply_loop = home};
}

static void await(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_SECONDS;
    pthread_mutex_lock(&lock);
    while (!replied)
        assert_int_equal(pthread_cond_timedwait(&wake, &lock, &end), 0);
    pthread_mutex_unlock(&lock);
}

static bool is_answered(void)
{
    pthread_mutex_lock(&lock);
    bool is = replied;
    pthread_mutex_unlock(&lock);
    return is;
}

static void start_with(const char *types)
{
    char path[128];
    struct config *config;
    snprintf(path, sizeof path, "%s/conf", base);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(
        file,
        "listen = {\"127.0.0.1\"}\nloops = 1\nworkers = 2\nrpcbind = false\nlog_level = \"error\"\n"
        "recall_timeout = 1\nfence_timeout = 2\nfence_retry = 1\nlease_time = 5\nrdma_listen = "
        "{\"10.9.0.1\"}\n"
        "%strace_file = \"%s/trace\"\nstate_dir = \"%s/state\"\ncontrol_socket = \"%s/control\"\n"
        "export \"/data\" {\n path = \"%s\"\n clients = {\"127.0.0.0/8\"}\n layout_types = "
        "\"%s\"\n}\n",
        options, base, base, base, loopfs_dir(fs), types);
    fclose(file);
    assert_int_equal(config_load(path, stderr, &config), 0);
    config->port = 0;
    assert_int_equal(daemon_start(config, false, &daemon_now), 0);
    server = daemon_server(daemon_now);
}

static void start(void)
{
    start_with("block+rdma");
}

static void stop(void)
{
    daemon_stop(daemon_now);
    daemon_now = NULL;
}

static struct file *the_file(void)
{
    struct file *file;
    assert_int_equal(file_from_path(server->files, name, &file), 0);
    return file;
}

static bool is_immutable(void)
{
    int flags = 0, fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
    close(fd);
    return flags & FS_IMMUTABLE_FL;
}

static nfsstat4 seal_as(bool pinned, bool sparse)
{
    struct keeper_seal s = {.call = call(), .file = the_file(), .pinned = pinned, .sparse = sparse};
    keeper_seal(server->keeper, &s);
    await();
    if (s.call.status != NFS4_OK)
        print_message("not sealed: %s\n", s.call.why);
    file_unref(s.file);
    return s.call.status;
}

static nfsstat4 seal(bool pinned)
{
    return seal_as(pinned, false);
}

static struct keeper_release releasing;

static void release_begin(uint32_t timeout_ms)
{
    releasing = (struct keeper_release){
        .call = call(), .file = the_file(), .by_operator = true, .timeout_ms = timeout_ms};
    keeper_release(server->keeper, &releasing);
}

static nfsstat4 release_end(void)
{
    await();
    file_unref(releasing.file);
    return releasing.call.status;
}

static nfsstat4 release(uint32_t timeout_ms)
{
    release_begin(timeout_ms);
    return release_end();
}

static void tell_of(uint64_t id, enum keeper_client_event event, uint8_t verifier)
{
    uint8_t bytes[8] = {verifier, test_number};
    const char *owner = id == OTHER ? "another" : "machine";
    keeper_client(server->keeper, event, id, 0, (const uint8_t *)owner, 7, bytes, "192.0.2.9");
}

static void arrive(uint64_t id)
{
    tell_of(id, KEEPER_CLIENT_CONFIRMED, 1);
    tell_of(id, KEEPER_CLIENT_CALLABLE, 1);
}

static struct keeper_layoutget getting;

static void get_begin(uint64_t id, layoutiomode4 iomode)
{
    getting = (struct keeper_layoutget){.call = call(),
                                        .file = the_file(),
                                        .client_id = id,
                                        .type = LAYOUT4_SEALNFS_RDMA,
                                        .iomode = iomode,
                                        .length = NFS4_UINT64_MAX,
                                        .minlength = 4096,
                                        .maxcount = sizeof body,
                                        .body_buffer = body,
                                        .body_room = sizeof body};
    keeper_layoutget(server->keeper, &getting);
}

static nfsstat4 get_end(void)
{
    await();
    file_unref(getting.file);
    held = getting.layout_stateid;
    return getting.call.status;
}

static nfsstat4 get_for(uint64_t id, layoutiomode4 iomode)
{
    get_begin(id, iomode);
    return get_end();
}

static nfsstat4 get(layoutiomode4 iomode)
{
    return get_for(CLIENT, iomode);
}

static rdma_extent4 extent(uint8_t device[NFS4_DEVICEID4_SIZE])
{
    rdma_layout4 layout;
    struct arena arena;
    arena_init(&arena, 4096);
    assert_int_equal(
        rdma_layout_decode((struct xdr_bytes){body, getting.body_len}, &arena, &layout), 0);
    assert_int_equal(layout.rlo_extents_count, 1);
    rdma_extent4 found = layout.rlo_extents[0];
    if (device)
        memcpy(device, layout.rlo_device, NFS4_DEVICEID4_SIZE);
    arena_free(&arena);
    return found;
}

static nfsstat4 give_back_what(uint64_t id, layoutiomode4 iomode)
{
    struct keeper_layoutreturn ret = {.call = call(),
                                      .file = the_file(),
                                      .scope = LAYOUTRETURN4_FILE,
                                      .client_id = id,
                                      .type = LAYOUT4_SEALNFS_RDMA,
                                      .iomode = iomode,
                                      .length = NFS4_UINT64_MAX,
                                      .stateid = held};
    keeper_layoutreturn(server->keeper, &ret);
    await();
    file_unref(ret.file);
    if (ret.stateid_present)
        held = ret.layout_stateid;
    return ret.call.status;
}

static nfsstat4 give_back(uint64_t id)
{
    return give_back_what(id, LAYOUTIOMODE4_ANY);
}

static struct arena told;

static nfsstat4 ask_device(uint64_t id, rdma_deviceaddr4 *addr)
{
    struct keeper_deviceinfo info = {.call = call(), .type = LAYOUT4_SEALNFS_RDMA, .client_id = id};
    extent(info.device);
    keeper_deviceinfo(server->keeper, &info);
    await();
    if (info.call.status == NFS4_OK) {
        arena_free(&told);
        arena_init(&told, 65536);
        uint8_t *copy = arena_alloc(&told, info.body_len);
        memcpy(copy, info.body, info.body_len);
        assert_int_equal(
            rdma_deviceaddr_decode((struct xdr_bytes){copy, info.body_len}, &told, addr), 0);
    }
    free(info.body);
    return info.call.status;
}

static nfsstat4 commit(uint64_t offset, uint64_t length)
{
    uint8_t update[64];
    struct xdr_out out;
    rdma_range4 range = {offset, length};
    xdr_out_init(&out, update, sizeof update);
    assert_true(
        rdma_layoutupdate_encode(&out, &(rdma_layoutupdate4){RDMA_LAYOUT_VERSION, 1, &range}));
    struct keeper_layoutcommit c = {.call = call(),
                                    .file = the_file(),
                                    .client_id = CLIENT,
                                    .type = LAYOUT4_SEALNFS_RDMA,
                                    .length = FILE_SIZE,
                                    .stateid = held,
                                    .update = update,
                                    .update_len = (uint32_t)xdr_out_pos(&out)};
    keeper_layoutcommit(server->keeper, &c);
    await();
    file_unref(c.file);
    return c.call.status;
}

static bool view_says(const char *what, const char *words)
{
    struct keeper_view v = {.call = call(), .what = what, .file = the_file()};
    keeper_view(server->keeper, &v);
    await();
    file_unref(v.file);
    assert_int_equal(v.call.status, NFS4_OK);
    bool says = strstr(v.json, words) != NULL;
    if (!says)
        print_message("%s: %s\n", what, v.json);
    free(v.json);
    return says;
}

/* Until the played device has that many of them, or the time is over. */
static bool soon(int (*count)(const struct fake_device *device), int wanted)
{
    for (int i = 0; i < 100 * WAIT_SECONDS; i++) {
        struct fake_device state = fake_state();
        if (count(&state) == wanted)
            return true;
        usleep(10000);
    }
    return false;
}

static int pds(const struct fake_device *device)
{
    return device->pds;
}

static int mrs(const struct fake_device *device)
{
    return device->mrs;
}

static int channels(const struct fake_device *device)
{
    return device->channels;
}

static int qps(const struct fake_device *device)
{
    return device->qps;
}

static bool is_released_soon(void)
{
    for (int i = 0; i < 100 * WAIT_SECONDS && is_immutable(); i++)
        usleep(10000);
    return !is_immutable();
}

static int make_file(void **state)
{
    (void)state;
    static unsigned number;
    static const char data[FILE_SIZE] = "data";
    persistent = no_mappings = false;
    options = "";
    test_number++;
    fake_reset();
    snprintf(name, sizeof name, "%s/file%u", loopfs_dir(fs), number++);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, data, sizeof data) != sizeof data)
        return -1;
    fsync(fd);
    close(fd);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    for (int i = 0; i < FAKE_CALLS; i++) {
        fake_fail((enum fake_call)i, 0);
        fake_release((enum fake_call)i);
    }
    if (daemon_now)
        stop();
    loopfs_run("rm -f %s/trace", base);
    struct fake_device left = fake_state();
    return left.pds || left.mrs || left.qps || left.ids || left.channels ? -1 : 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, make_file, clean_up)

static void in_memory(void)
{
    persistent = true;
    fake_set_on_demand(true);
}

static void frozen_file_is_granted_where_it_is_registered(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(getting.granted_offset, 0);
    assert_int_equal(getting.granted_length, FILE_SIZE);
    rdma_extent4 first = extent(NULL);
    assert_int_equal(first.rex_file_offset, 0);
    assert_int_equal(first.rex_length, FILE_SIZE);
    assert_int_equal(first.rex_iomode, LAYOUTIOMODE4_READ);
    assert_memory_equal((const void *)(uintptr_t)first.rex_remote_address, "data", 4);
    assert_int_equal(fake_state().mrs, 1);
    assert_int_equal(fake_state().access, IBV_ACCESS_REMOTE_READ);
    /* The same again is the same registration, another client's is its own. */
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(extent(NULL).rex_rkey, first.rex_rkey);
    arrive(OTHER);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_not_equal(extent(NULL).rex_rkey, first.rex_rkey);
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(fake_state().pds, 2);
    assert_int_equal(give_back(OTHER), NFS4_OK);
    assert_int_equal(fake_state().mrs, 1); /* when the return is answered, its key is void */
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(release(10000), NFS4_OK);
    assert_false(is_immutable());
}

static void export_may_offer_rdma_alone(void **state)
{
    (void)state;
    start_with("rdma");
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static struct rdma_cm_id *connect_by(const rdma_deviceaddr4 *addr, uint64_t counter)
{
    uint8_t hello[RDMA_HELLO_SIZE];
    rdma_hello_make(addr->rda_secret, addr->rda_peer, counter, hello);
    return fake_request(hello, sizeof hello, 16);
}

static void client_is_told_how_to_connect_and_is_let_in(void **state)
{
    (void)state;
    rdma_deviceaddr4 addr;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    assert_int_equal(addr.rda_durability, RDMA_DURABLE_NOT);
    assert_int_equal(addr.rda_alignment, 1);
    assert_int_equal(addr.rda_addrs_count, 1);
    assert_memory_equal(addr.rda_addrs[0].na_r_netid.data, "rdma", 4);
    assert_memory_equal(addr.rda_addrs[0].na_r_addr.data, "10.9.0.1.78.82", 14);
    connect_by(&addr, 1);
    assert_true(soon(qps, 1));
    /* Another client's secret is another. */
    rdma_deviceaddr4 others;
    uint64_t number = addr.rda_peer;
    arrive(OTHER);
    assert_int_equal(ask_device(OTHER, &others), NFS4_OK);
    assert_int_not_equal(others.rda_peer, number);
    assert_int_equal(release(1), NFS4ERR_DELAY);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    /* Its id ends, and with it its peer. */
    tell_of(CLIENT, KEEPER_CLIENT_DESTROYED, 1);
    assert_true(soon(qps, 0));
    assert_true(soon(pds, 1));
}

static void pinned_file_on_a_disk_is_refused_with_the_reason(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_true(getting.call.why[0] != '\0');
    assert_true(view_says("explain", getting.call.why));
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_true(getting.call.why[0] != '\0');
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(release(10000), NFS4_OK);
}

static void pinned_file_in_persistent_memory_is_written_and_committed(void **state)
{
    (void)state;
    char now[4];
    in_memory();
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_true(is_immutable());
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    rdma_extent4 granted = extent(NULL);
    assert_int_equal(granted.rex_iomode, LAYOUTIOMODE4_RW);
    assert_int_equal(fake_state().access, IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE |
                                              IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND);
    memcpy((void *)(uintptr_t)granted.rex_remote_address, "DATA", 4); /* as the device would */
    assert_int_equal(commit(0, 4), NFS4_OK);
    assert_int_equal(commit(FILE_SIZE - 4, 5), NFS4ERR_BADLAYOUT);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, now, 4, 0), 4);
    assert_memory_equal(now, "DATA", 4);
    close(fd);
    /* A key for reading is another one, and does not write. */
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_not_equal(extent(NULL).rex_rkey, granted.rex_rkey);
    assert_int_equal(fake_state().access, IBV_ACCESS_REMOTE_READ | IBV_ACCESS_ON_DEMAND);
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(release(10000), NFS4_OK);
    /* Nothing of ours keeps it from being sealed again. */
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static void who_returns_what_lets_it_write_cannot_write_any_more(void **state)
{
    (void)state;
    in_memory();
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    const uint32_t reads = extent(NULL).rex_rkey;
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    const uint32_t writes = extent(NULL).rex_rkey;
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(give_back_what(CLIENT, LAYOUTIOMODE4_RW), NFS4_OK);
    assert_int_equal(fake_state().mrs, 1);
    assert_int_equal(commit(0, 4), NFS4ERR_BADIOMODE);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(extent(NULL).rex_rkey, reads);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    assert_int_not_equal(extent(NULL).rex_rkey, writes);
    assert_int_equal(give_back_what(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(release(10000), NFS4_OK);
}

static void file_that_somebody_reads_while_it_is_sealed_is_read_only(void **state)
{
    (void)state;
    in_memory();
    start();
    arrive(CLIENT);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_int_equal(seal(true), NFS4_OK);
    close(fd);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "seal it anew"));
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static void after_a_restart_only_reading_is_left(void **state)
{
    (void)state;
    in_memory();
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    stop();
    assert_int_equal(fake_state().mrs, 0);
    start();
    arrive(CLIENT);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "seal it anew"));
    assert_true(view_says("explain", "seal it anew"));
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static void device_that_does_not_page_refuses_persistent_memory(void **state)
{
    (void)state;
    persistent = true;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(release(10000), NFS4_OK);
}

static void registration_that_fails_says_why_and_leaves_nothing(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    fake_fail(FAKE_REG_MR, ENOMEM);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "RLIMIT_MEMLOCK"));
    fake_fail(FAKE_REG_MR, EFAULT);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "6.12"));
    fake_fail(FAKE_REG_MR, 0);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static void protection_domain_that_cannot_be_had_is_asked_for_again(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    fake_fail(FAKE_ALLOC_PD, ENOMEM);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTTRYLATER);
    fake_fail(FAKE_ALLOC_PD, 0);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static void release_waits_until_nothing_is_registered(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    fake_hang(FAKE_DEREG_MR);
    /* The client restarts: its grants end at once. */
    tell_of(CLIENT, KEEPER_CLIENT_CONFIRMED, 2);
    release_begin(20000);
    fake_wait_hanging(FAKE_DEREG_MR);
    usleep(300000); /* long enough for a release that does not wait to be through */
    assert_false(is_answered());
    assert_true(is_immutable());
    fake_release(FAKE_DEREG_MR);
    assert_int_equal(release_end(), NFS4_OK);
    assert_false(is_immutable());
    assert_int_equal(fake_state().mrs, 0);
}

static void release_waits_for_a_registration_that_is_on_its_way(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    fake_hang(FAKE_REG_MR);
    get_begin(CLIENT, LAYOUTIOMODE4_READ);
    fake_wait_hanging(FAKE_REG_MR);
    struct keeper_release r = {.call = {.reply.run = on_reply, .reply_loop = home},
                               .file = the_file(),
                               .by_operator = true,
                               .timeout_ms = 0};
    keeper_release(server->keeper, &r);
    await(); /* it is under way */
    assert_int_equal(r.call.status, NFS4ERR_DELAY);
    file_unref(r.file);
    usleep(300000);
    assert_true(is_immutable());
    replied = false;
    fake_release(FAKE_REG_MR);
    assert_int_equal(get_end(), NFS4ERR_RECALLCONFLICT);
    assert_int_equal(release(10000), NFS4_OK);
    assert_false(is_immutable());
    assert_int_equal(fake_state().mrs, 0);
}

static void holder_that_does_not_answer_is_fenced_by_deregistration(void **state)
{
    (void)state;
    rdma_deviceaddr4 addr;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    connect_by(&addr, 1);
    assert_true(soon(qps, 1));
    assert_int_equal(release(20000), NFS4_OK); /* the client's channel is played by nobody */
    assert_false(is_immutable());
    assert_int_equal(fake_state().mrs, 0);
    assert_true(soon(qps, 0));
    assert_true(soon(pds, 0));
    assert_true(keeper_client_was_fenced(server->keeper, CLIENT));
    /* After it has unmounted it begins anew. */
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    tell_of(CLIENT, KEEPER_CLIENT_DESTROYED, 1);
    arrive(CLIENT);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    rdma_deviceaddr4 anew;
    uint64_t number = addr.rda_peer;
    assert_int_equal(ask_device(CLIENT, &anew), NFS4_OK);
    assert_int_not_equal(anew.rda_peer, number);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static void where_deregistration_fails_the_queue_pairs_go(void **state)
{
    (void)state;
    rdma_deviceaddr4 addr;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    connect_by(&addr, 1);
    assert_true(soon(qps, 1));
    fake_fail(FAKE_DEREG_MR, EBUSY);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(20000), NFS4_OK);
    assert_int_equal(fake_state().qps, 0);
    assert_int_equal(fake_state().mrs, 1); /* of no use to anybody */
    fake_fail(FAKE_DEREG_MR, 0);
    assert_true(soon(mrs, 0));
}

static void what_is_not_seen_to_be_taken_back_keeps_the_seal(void **state)
{
    (void)state;
    rdma_deviceaddr4 addr;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    connect_by(&addr, 1);
    assert_true(soon(qps, 1));
    fake_fail(FAKE_DEREG_MR, EBUSY);
    fake_fail(FAKE_DESTROY_QP, EBUSY);
    assert_int_equal(give_back(CLIENT), NFS4_OK); /* the engine believes it; the release does not */
    assert_int_equal(release(20000), NFS4ERR_PERM);
    assert_true(is_immutable());
    assert_true(view_says("status", "\"state\":\"stuck\""));
    assert_true(view_says("status", "restarting sealnfsd"));
    fake_fail(FAKE_DEREG_MR, 0);
    fake_fail(FAKE_DESTROY_QP, 0);
    assert_true(is_released_soon());
    assert_int_equal(fake_state().mrs, 0);
}

static void fence_that_fails_is_tried_again(void **state)
{
    (void)state;
    rdma_deviceaddr4 addr;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    connect_by(&addr, 1);
    assert_true(soon(qps, 1));
    fake_fail(FAKE_DEREG_MR, EBUSY);
    fake_fail(FAKE_DESTROY_QP, EBUSY);
    assert_int_equal(release(20000), NFS4ERR_PERM);
    assert_true(is_immutable());
    assert_true(view_says("status", "\"stuck\""));
    fake_fail(FAKE_DESTROY_QP, 0);
    fake_fail(FAKE_DEREG_MR, 0);
    assert_true(is_released_soon());
}

static void lease_that_ran_out_lets_nobody_in(void **state)
{
    (void)state;
    rdma_deviceaddr4 addr;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    tell_of(CLIENT, KEEPER_CLIENT_LAPSED, 1);
    tell_of(CLIENT, KEEPER_CLIENT_MOVED, 1); /* an EXCHANGE_ID, which renews nothing */
    tell_of(CLIENT, KEEPER_CLIENT_SHAKEN, 1);
    rdma_deviceaddr4 ignored;
    assert_int_equal(ask_device(CLIENT, &ignored), NFS4_OK); /* in order: it has been heard of */
    connect_by(&addr, 1);
    for (int i = 0; i < 100 * WAIT_SECONDS && fake_state().rejected_len == 0; i++)
        usleep(10000);
    assert_int_equal(fake_state().rejected_len, RDMA_REFUSED_SIZE);
    assert_int_equal(fake_state().qps, 0);
    tell_of(CLIENT, KEEPER_CLIENT_RENEWED, 1);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    connect_by(&addr, 2);
    assert_true(soon(qps, 1));
}

static void device_that_goes_is_listened_on_again(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    fake_set_path("/sys/class/infiniband/it-is-gone");
    fake_fail(FAKE_BIND, ENODEV);
    fake_async_event(IBV_EVENT_DEVICE_FATAL, NULL);
    assert_true(soon(mrs, 0));
    assert_true(soon(channels, 0));
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_true(view_says("explain", "RDMA"));
    fake_set_path("/sys");
    fake_fail(FAKE_BIND, 0);
    assert_true(soon(channels, 1));
    nfsstat4 status = NFS4ERR_IO;
    for (int i = 0; i < 100 && status != NFS4_OK; i++) {
        status = get(LAYOUTIOMODE4_READ);
        usleep(20000);
    }
    assert_int_equal(status, NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

static void server_comes_up_without_its_device(void **state)
{
    (void)state;
    fake_fail(FAKE_CREATE_CHANNEL, ENODEV);
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "rdma_ucm"));
    assert_int_equal(release(10000), NFS4_OK);
}

/* A server that ended in the middle of it: its record says who it was. */
static void end_badly(const char *process)
{
    char path[128];
    snprintf(path, sizeof path, "%s/state/processes", base);
    stop();
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", process);
    fclose(file);
}

static void holders_of_an_earlier_process_hold_nothing_once_it_is_gone(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    end_badly("pid 1 started 1 boot deadbeef"); /* of another boot */
    start();
    assert_true(view_says("status", "\"maybe\":0"));
    assert_int_equal(release(10000), NFS4_OK);
    char line[512];
    bool told_so = false;
    snprintf(line, sizeof line, "%s/trace", base);
    FILE *trace = fopen(line, "r");
    assert_non_null(trace);
    while (fgets(line, sizeof line, trace))
        told_so = told_so || strstr(line, "the process that had registered it is gone");
    fclose(trace);
    assert_true(told_so);
}

static void holders_of_a_process_that_is_not_gone_keep_the_seal(void **state)
{
    (void)state;
    char self[96], boot[64] = "", stat[1024];
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    /* The test's parent lives. */
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    assert_non_null(fgets(boot, sizeof boot, file));
    fclose(file);
    snprintf(self, sizeof self, "/proc/%d/stat", getppid());
    file = fopen(self, "r");
    assert_non_null(fgets(stat, sizeof stat, file));
    fclose(file);
    unsigned long long started = 0;
    char *at = strrchr(stat, ')');
    for (int field = 2; field < 22; field++)
        at = strchr(at + 1, ' ');
    assert_int_equal(sscanf(at, "%llu", &started), 1);
    boot[8] = '\0';
    snprintf(self, sizeof self, "pid %d started %llu boot %s", getppid(), started, boot);
    end_badly(self);
    start();
    assert_true(view_says("status", "\"maybe\":1"));
    assert_int_equal(release(9000), NFS4ERR_PERM);
    assert_true(is_immutable());
    assert_true(view_says("status", "\"stuck\""));
    end_badly("pid 1 started 1 boot deadbeef"); /* for the tests that follow */
}

/* ---- times ---- */

static struct timespec mtime(void)
{
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    return st.st_mtim;
}

static void set_old_mtime(void)
{
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

/* A page's first fault moves the time, and no later store does. */
static void writer_that_is_lost_without_a_commit_leaves_a_new_mtime(void **state)
{
    (void)state;
    in_memory();
    set_old_mtime();
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    *(char *)(uintptr_t)extent(NULL).rex_remote_address = 'D';
    const struct timespec faulted = mtime();
    usleep(50000); /* longer than the file system's own clock stands still */
    assert_int_equal(release(20000), NFS4_OK); /* it is fenced: nobody plays its channel */
    assert_true(keeper_client_was_fenced(server->keeper, CLIENT));
    const struct timespec released = mtime();
    assert_true(released.tv_sec > faulted.tv_sec ||
                (released.tv_sec == faulted.tv_sec && released.tv_nsec > faulted.tv_nsec));
    assert_true(released.tv_sec > 1000000000);
}

static void writer_that_restarted_leaves_a_new_mtime(void **state)
{
    (void)state;
    in_memory();
    set_old_mtime();
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    tell_of(CLIENT, KEEPER_CLIENT_CONFIRMED, 2);
    assert_int_equal(release(20000), NFS4_OK);
    assert_true(mtime().tv_sec > 1000000000);
}

static void who_returned_leaves_the_mtime_of_his_commit(void **state)
{
    (void)state;
    in_memory();
    set_old_mtime();
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
    assert_int_equal(mtime().tv_sec, 1000000000);
}

/* ---- what is promised ---- */

static void nobody_is_promised_to_write_what_was_read_while_it_was_sealed(void **state)
{
    (void)state;
    in_memory();
    start_with("rdma");
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_int_equal(seal(true), NFS4_OK);
    close(fd);
    assert_true(view_says("explain", "for reading only"));
    assert_true(view_says("explain", "somebody had the file open"));
    assert_int_equal(release(10000), NFS4_OK);
    assert_int_equal(seal(true), NFS4_OK);
    assert_true(view_says("explain", "for reading and writing"));
    assert_int_equal(release(10000), NFS4_OK);
}

static void nobody_is_promised_to_write_what_could_not_be_mapped(void **state)
{
    (void)state;
    in_memory();
    no_mappings = true;
    start_with("rdma");
    assert_int_equal(seal(true), NFS4_OK);
    assert_true(view_says("explain", "for reading only"));
    assert_true(view_says("explain", "vm.max_map_count"));
    assert_int_equal(release(10000), NFS4_OK);
}

static void nobody_is_promised_to_write_what_an_earlier_process_had_mapped(void **state)
{
    (void)state;
    in_memory();
    start_with("rdma");
    assert_int_equal(seal(true), NFS4_OK);
    stop();
    start_with("rdma");
    assert_true(view_says("explain", "for reading only"));
    assert_true(view_says("explain", "seal it anew"));
    assert_int_equal(release(10000), NFS4_OK);
}

static void beside_the_disk_it_is_said_which_layouts_are_meant(void **state)
{
    (void)state;
    in_memory();
    no_mappings = true;
    start();
    assert_int_equal(seal(true), NFS4_OK);
    assert_true(view_says("explain", "for reading and writing"));
    assert_true(view_says("explain", "RDMA layouts are for reading only: "));
    assert_int_equal(release(10000), NFS4_OK);
}

static void nobody_is_promised_what_the_file_and_the_device_rule_out(void **state)
{
    (void)state;
    options = "rdma_max_pinned_per_client = 1M\n";
    start_with("rdma");
    assert_int_equal(seal(true), NFS4_OK); /* pinned, on a disk */
    assert_true(view_says("explain", "clients get no layouts"));
    assert_true(view_says("explain", "seal it frozen"));
    assert_int_equal(release(10000), NFS4_OK);
    assert_int_equal(seal(false), NFS4_OK); /* too large */
    assert_true(view_says("explain", "clients get no layouts"));
    assert_true(view_says("explain", "rdma_max_pinned_per_client"));
    assert_int_equal(release(10000), NFS4_OK);
    persistent = true; /* and the device does not page */
    assert_int_equal(seal(true), NFS4_OK);
    assert_true(view_says("explain", "clients get no layouts"));
    assert_true(view_says("explain", "page on demand"));
    assert_int_equal(release(10000), NFS4_OK);
}

/* ---- what is pinned ---- */

/* The test goes on with another file of the same size. */
static void take_another_file(void)
{
    static unsigned number;
    static const char data[FILE_SIZE] = "more";
    snprintf(name, sizeof name, "%s/more%u", loopfs_dir(fs), number++);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, sizeof data), sizeof data);
    fsync(fd);
    close(fd);
}

/* Room for one file and not for two. */
static void start_with_room(void)
{
    options = "rdma_max_pinned = 3M\nrdma_max_pinned_per_client = 3M\n";
    start();
    arrive(CLIENT);
    arrive(OTHER);
}

static void more_than_may_be_pinned_is_refused_with_the_reason(void **state)
{
    (void)state;
    options = "rdma_max_pinned = 2M\n"; /* so a client may have 1 MiB */
    start();
    arrive(CLIENT);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "3 MiB"));
    assert_non_null(strstr(getting.call.why, "rdma_max_pinned"));
    assert_true(view_says("explain", "rdma_max_pinned"));
    assert_true(view_says("devices", "\"max_pinned_bytes\":2097152"));
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(release(10000), NFS4_OK);
}

static void one_files_pages_count_once_and_two_files_twice(void **state)
{
    (void)state;
    char first[sizeof name];
    start_with_room();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(fake_state().mrs, 2);
    assert_true(view_says("devices", "\"pinned_bytes\":2101248")); /* whole pages */
    memcpy(first, name, sizeof name);
    take_another_file();
    assert_int_equal(seal(false), NFS4_OK);
    /* Both are here, so what they have is theirs. */
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "rdma_max_pinned"));
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(release(10000), NFS4_OK);
}

static void where_persistent_memory_is_paged_on_demand_nothing_is_pinned(void **state)
{
    (void)state;
    in_memory();
    options = "rdma_max_pinned = 4K\n";
    start();
    arrive(CLIENT);
    assert_int_equal(seal(true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_RW), NFS4_OK);
    assert_true(view_says("devices", "\"pinned_bytes\":0"));
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

enum { SPARSE_SIZE = 1 << 30, DATA = 1 << 16 };

/* A GiB that is two pieces of 64 KiB, and what may be pinned is little more than that. */
static void holes_are_not_registered(void **state)
{
    (void)state;
    static const char data[DATA] = "piece";
    options = "rdma_max_pinned = 256K\n";
    int fd = open(name, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(pwrite(fd, data, DATA, 0), DATA);
    assert_int_equal(pwrite(fd, data, DATA, SPARSE_SIZE / 2), DATA);
    assert_int_equal(ftruncate(fd, SPARSE_SIZE), 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    start();
    arrive(CLIENT);
    assert_int_equal(seal_as(false, true), NFS4_OK);
    assert_int_equal(get(LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(getting.granted_length, SPARSE_SIZE);
    assert_int_equal(fake_state().mrs, 2);
    assert_int_equal(fake_state().registered, 2 * DATA);
    rdma_layout4 layout;
    struct arena arena;
    arena_init(&arena, 4096);
    assert_int_equal(
        rdma_layout_decode((struct xdr_bytes){body, getting.body_len}, &arena, &layout), 0);
    assert_int_equal(layout.rlo_extents_count, 2);
    assert_int_equal(layout.rlo_extents[0].rex_length, DATA);
    assert_int_equal(layout.rlo_extents[1].rex_file_offset, SPARSE_SIZE / 2);
    assert_int_equal(layout.rlo_extents[1].rex_length, DATA);
    assert_memory_equal((const void *)(uintptr_t)layout.rlo_extents[1].rex_remote_address, "piece",
                        5);
    arena_free(&arena);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(fake_state().mrs, 0);
    assert_int_equal(release(10000), NFS4_OK);
}

/* ---- courtesy ---- */

static void who_is_past_its_lease_gives_way_to_who_is_here(void **state)
{
    (void)state;
    char first[sizeof name];
    start_with_room();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    const stateid4 old = held;
    tell_of(CLIENT, KEEPER_CLIENT_LAPSED, 1);
    memcpy(first, name, sizeof name);
    take_another_file();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(fake_state().mrs, 1); /* by courtesy, while nobody wants it */
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(fake_state().mrs, 1);
    assert_true(soon(pds, 1));
    /* It is back: its layout is good for nothing, and it may have another when there is room. */
    tell_of(CLIENT, KEEPER_CLIENT_RENEWED, 1);
    assert_false(keeper_client_was_fenced(server->keeper, CLIENT));
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK); /* the same pages */
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(OTHER), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
    memcpy(name, first, sizeof name);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_memory_equal(held.other, old.other, sizeof held.other);
    assert_int_equal(give_back(CLIENT), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

/* Its machine has started anew; nobody is left who could give anything back. */
static void an_earlier_run_gives_way_to_who_is_here(void **state)
{
    (void)state;
    start_with_room();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    tell_of(0x72, KEEPER_CLIENT_CONFIRMED, 2);
    tell_of(0x72, KEEPER_CLIENT_CALLABLE, 2);
    take_another_file();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(0x72, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(fake_state().mrs, 1);
    assert_int_equal(give_back(0x72), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

/* The kernel has its own limit, which is found by asking. */
static void who_is_past_its_lease_gives_way_where_the_kernel_pins_no_more(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    arrive(OTHER);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    tell_of(CLIENT, KEEPER_CLIENT_LAPSED, 1);
    take_another_file();
    assert_int_equal(seal(false), NFS4_OK);
    fake_fail_later(FAKE_REG_MR, 0, ENOMEM);
    fake_hang(FAKE_DEREG_MR);
    get_begin(OTHER, LAYOUTIOMODE4_READ);
    fake_wait_hanging(FAKE_DEREG_MR);
    fake_fail(FAKE_REG_MR, 0);
    fake_release(FAKE_DEREG_MR);
    assert_int_equal(get_end(), NFS4_OK);
    assert_int_equal(fake_state().mrs, 1);
    assert_int_equal(give_back(OTHER), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

/* Nor has the device protection domains without end. */
static void who_is_past_its_lease_gives_way_where_there_are_no_more_peers(void **state)
{
    (void)state;
    start();
    arrive(CLIENT);
    arrive(OTHER);
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    fake_fail(FAKE_ALLOC_PD, ENOMEM);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTTRYLATER);
    assert_int_equal(fake_state().pds, 1); /* of one who is here */
    tell_of(CLIENT, KEEPER_CLIENT_LAPSED, 1);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTTRYLATER);
    assert_true(soon(pds, 0));
    fake_fail(FAKE_ALLOC_PD, 0);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(give_back(OTHER), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

/* What is not seen to be taken back is not given away, and keeps its seal. */
static void courtesy_ends_by_a_fence_that_was_seen_to_work(void **state)
{
    (void)state;
    char first[sizeof name], second[sizeof name];
    rdma_deviceaddr4 addr;
    start_with_room();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(ask_device(CLIENT, &addr), NFS4_OK);
    connect_by(&addr, 1);
    assert_true(soon(qps, 1));
    tell_of(CLIENT, KEEPER_CLIENT_LAPSED, 1);
    memcpy(first, name, sizeof name);
    take_another_file();
    memcpy(second, name, sizeof name);
    assert_int_equal(seal(false), NFS4_OK);
    fake_fail(FAKE_DEREG_MR, EBUSY);
    fake_fail(FAKE_DESTROY_QP, EBUSY);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_non_null(strstr(getting.call.why, "rdma_max_pinned"));
    assert_int_equal(fake_state().mrs, 1);
    memcpy(name, first, sizeof name);
    assert_int_equal(release(20000), NFS4ERR_PERM);
    assert_true(is_immutable());
    fake_fail(FAKE_DEREG_MR, 0);
    fake_fail(FAKE_DESTROY_QP, 0);
    assert_true(is_released_soon());
    memcpy(name, second, sizeof name);
    nfsstat4 status = NFS4ERR_IO;
    for (int i = 0; i < 100 && status != NFS4_OK; i++) {
        status = get_for(OTHER, LAYOUTIOMODE4_READ);
        usleep(20000);
    }
    assert_int_equal(status, NFS4_OK);
    assert_int_equal(give_back(OTHER), NFS4_OK);
    assert_int_equal(release(10000), NFS4_OK);
}

/* Of two who are away, the one who has been so for longer; pages of one who is here stay. */
static void courtesy_ends_for_no_more_than_is_wanted(void **state)
{
    (void)state;
    start_with_room();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(CLIENT, LAYOUTIOMODE4_READ), NFS4_OK);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4_OK);
    tell_of(CLIENT, KEEPER_CLIENT_LAPSED, 1);
    take_another_file();
    assert_int_equal(seal(false), NFS4_OK);
    assert_int_equal(get_for(OTHER, LAYOUTIOMODE4_READ), NFS4ERR_LAYOUTUNAVAILABLE);
    assert_int_equal(fake_state().mrs, 2); /* to end CLIENT's would have made no room */
    assert_int_equal(release(10000), NFS4_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(frozen_file_is_granted_where_it_is_registered),
        T(export_may_offer_rdma_alone),
        T(client_is_told_how_to_connect_and_is_let_in),
        T(pinned_file_on_a_disk_is_refused_with_the_reason),
        T(pinned_file_in_persistent_memory_is_written_and_committed),
        T(who_returns_what_lets_it_write_cannot_write_any_more),
        T(file_that_somebody_reads_while_it_is_sealed_is_read_only),
        T(after_a_restart_only_reading_is_left),
        T(device_that_does_not_page_refuses_persistent_memory),
        T(registration_that_fails_says_why_and_leaves_nothing),
        T(protection_domain_that_cannot_be_had_is_asked_for_again),
        T(release_waits_until_nothing_is_registered),
        T(release_waits_for_a_registration_that_is_on_its_way),
        T(holder_that_does_not_answer_is_fenced_by_deregistration),
        T(where_deregistration_fails_the_queue_pairs_go),
        T(what_is_not_seen_to_be_taken_back_keeps_the_seal),
        T(fence_that_fails_is_tried_again),
        T(lease_that_ran_out_lets_nobody_in),
        T(device_that_goes_is_listened_on_again),
        T(server_comes_up_without_its_device),
        T(writer_that_is_lost_without_a_commit_leaves_a_new_mtime),
        T(writer_that_restarted_leaves_a_new_mtime),
        T(who_returned_leaves_the_mtime_of_his_commit),
        T(nobody_is_promised_to_write_what_was_read_while_it_was_sealed),
        T(nobody_is_promised_to_write_what_could_not_be_mapped),
        T(nobody_is_promised_to_write_what_an_earlier_process_had_mapped),
        T(beside_the_disk_it_is_said_which_layouts_are_meant),
        T(nobody_is_promised_what_the_file_and_the_device_rule_out),
        T(more_than_may_be_pinned_is_refused_with_the_reason),
        T(one_files_pages_count_once_and_two_files_twice),
        T(where_persistent_memory_is_paged_on_demand_nothing_is_pinned),
        T(holes_are_not_registered),
        T(who_is_past_its_lease_gives_way_to_who_is_here),
        T(an_earlier_run_gives_way_to_who_is_here),
        T(who_is_past_its_lease_gives_way_where_the_kernel_pins_no_more),
        T(who_is_past_its_lease_gives_way_where_there_are_no_more_peers),
        T(courtesy_ends_by_a_fence_that_was_seen_to_work),
        T(courtesy_ends_for_no_more_than_is_wanted),
        T(holders_of_an_earlier_process_hold_nothing_once_it_is_gone),
        T(holders_of_a_process_that_is_not_gone_keep_the_seal),
    };
    const char *why;
    char path[128];
    struct loopfs_spec spec = {.type = "xfs", .mkfs_options = "-m reflink=0"};
    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        return 77;
    }
    if (loopfs_create(&spec, &fs, &why) || !mkdtemp(base))
        return 1;
    snprintf(path, sizeof path, "%s/state", base);
    if (mkdir(path, 0700) != 0 || loop_create("test", 9, &home) || loop_start(home))
        return 1;
    arena_init(&told, 65536);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&told);
    loop_stop(home);
    loop_destroy(home);
    loopfs_destroy(fs);
    loopfs_run("rm -rf %s", base);
    return failed;
}
