/* The keeper on a real file system: a whole daemon in the test's process, asked as its operations
 * would ask it. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "layout/device/device.h"
#include "layout/engine/engine.h"
#include "layout/journal/watermark.h"
#include "layout/seal/fs.h"
#include "layout/seal/map.h"
#include "server/base/jobs.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/daemon.h"
#include "server/file/file.h"
#include "server/keeper/keeper.h"
#include "server/server.h"
#include "tests/unit/loopfs.h"

enum { CLIENT = 0x70 }; /* its id names loop 0, which does not know it: it cannot be called back */

static struct loopfs *fs;
static struct daemon *daemon_now;
static struct server *server;
static struct loop *home;
static char base[] = "/tmp/sealnfs-keeper-XXXXXX";
static char name[256], hook[96];
static uint8_t body[65536];
static stateid4 held;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool replied;

/* Watermarks are written a little late, or not until the test lets them; under the lock. */
static bool hold_marks;
static unsigned marks_begun, marks_done, marks_at_reply;

int __real_watermark_write(int fd, const uint8_t *fs_uuid, const struct watermark *mark);
int __wrap_watermark_write(int fd, const uint8_t *fs_uuid, const struct watermark *mark);
int __wrap_watermark_write(int fd, const uint8_t *fs_uuid, const struct watermark *mark)
{
    const struct timespec a_little = {.tv_nsec = 20000000};
    pthread_mutex_lock(&lock);
    marks_begun++;
    pthread_cond_broadcast(&wake);
    while (hold_marks)
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
    nanosleep(&a_little, NULL);
    int err = __real_watermark_write(fd, fs_uuid, mark);
    pthread_mutex_lock(&lock);
    marks_done++;
    pthread_mutex_unlock(&lock);
    return err;
}

/* The next looks at a file see what was there before: a seal that was known. Under the lock. */
static unsigned stale_looks;
static bool hold_last_look, last_look_begun;

int __real_seal_fs_is_sealed(int fd, bool *sealed, enum seal_kind *kind, struct file_key *named);
int __wrap_seal_fs_is_sealed(int fd, bool *sealed, enum seal_kind *kind, struct file_key *named);
int __wrap_seal_fs_is_sealed(int fd, bool *sealed, enum seal_kind *kind, struct file_key *named)
{
    pthread_mutex_lock(&lock);
    const bool stale = stale_looks > 0;
    stale_looks -= stale;
    last_look_begun = stale && stale_looks == 0;
    pthread_cond_broadcast(&wake);
    while (last_look_begun && hold_last_look)
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
    if (!stale)
        return __real_seal_fs_is_sealed(fd, sealed, kind, named);
    *sealed = true;
    *kind = SEAL_KIND_FROZEN;
    return file_key_from_fd(fd, named);
}

/* A look at the flag waits until the keeper's loop has ended. Under the lock. */
static bool hold_step, step_begun, map_made;
static struct seal_map *map_of_step;

int __real_seal_fs_get_flag(int fd, bool *set);
int __wrap_seal_fs_get_flag(int fd, bool *set);
int __wrap_seal_fs_get_flag(int fd, bool *set)
{
    pthread_mutex_lock(&lock);
    step_begun = hold_step;
    pthread_cond_broadcast(&wake);
    while (hold_step)
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
    return __real_seal_fs_get_flag(fd, set);
}

int __real_seal_fs_reread_map(int fd, struct seal_map **map, bool *shared,
                              struct seal_refusal *why);
int __wrap_seal_fs_reread_map(int fd, struct seal_map **map, bool *shared,
                              struct seal_refusal *why);
int __wrap_seal_fs_reread_map(int fd, struct seal_map **map, bool *shared, struct seal_refusal *why)
{
    int err = __real_seal_fs_reread_map(fd, map, shared, why);
    pthread_mutex_lock(&lock);
    if (!err && step_begun) {
        map_of_step = *map;
        map_made = true;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

void __real_map_free(struct seal_map *map);
void __wrap_map_free(struct seal_map *map);
void __wrap_map_free(struct seal_map *map)
{
    pthread_mutex_lock(&lock);
    if (map == map_of_step)
        map_of_step = NULL;
    pthread_mutex_unlock(&lock);
    __real_map_free(map);
}

void __real_jobs_wait(struct jobs *jobs);
void __wrap_jobs_wait(struct jobs *jobs);
void __wrap_jobs_wait(struct jobs *jobs)
{
    pthread_mutex_lock(&lock);
    hold_step = false;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    __real_jobs_wait(jobs);
}

static void set_hold(bool hold)
{
    pthread_mutex_lock(&lock);
    hold_marks = hold;
    marks_begun = marks_done = 0;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
}

static void on_reply(struct loop_msg *msg)
{
    (void)msg;
    pthread_mutex_lock(&lock);
    replied = true;
    marks_at_reply = marks_done;
    pthread_cond_broadcast(&wake);
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
    end.tv_sec += 30;
    int rc = 0;
    pthread_mutex_lock(&lock);
    while (!replied && rc == 0)
        rc = pthread_cond_timedwait(&wake, &lock, &end);
    pthread_mutex_unlock(&lock);
    assert_int_equal(rc, 0);
}

static int try_start(const char *extra)
{
    char path[128];
    struct config *config;
    snprintf(path, sizeof path, "%s/conf", base);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(
        file,
        "listen = {\"127.0.0.1\"}\nloops = 1\nworkers = 2\nrpcbind = false\nlog_level = "
        "\"error\"\nrecall_timeout = 1\n"
        "lease_time = 5\nstate_dir = \"%s/state\"\ncontrol_socket = \"%s/control\"\n%s\n"
        "export \"/data\" {\n path = \"%s\"\n clients = {\"127.0.0.0/8\"}\n layouts = true\n}\n",
        base, base, extra, loopfs_dir(fs));
    fclose(file);
    assert_int_equal(config_load(path, stderr, &config), 0);
    config->port = 0;
    int err = daemon_start(config, false, &daemon_now);
    if (!err)
        server = daemon_server(daemon_now);
    return err;
}

static void start(const char *extra)
{
    assert_int_equal(try_start(extra), 0);
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

static nfsstat4 seal(bool pinned, char why[KEEPER_WHY_MAX])
{
    struct keeper_seal s = {.call = call(), .file = the_file(), .pinned = pinned};
    keeper_seal(server->keeper, &s);
    await();
    if (why)
        strcpy(why, s.call.why);
    file_unref(s.file);
    return s.call.status;
}

static nfsstat4 release(uint32_t timeout_ms, char why[KEEPER_WHY_MAX])
{
    struct keeper_release r = {
        .call = call(), .file = the_file(), .by_operator = true, .timeout_ms = timeout_ms};
    keeper_release(server->keeper, &r);
    await();
    if (why)
        strcpy(why, r.call.why);
    file_unref(r.file);
    return r.call.status;
}

static void client_event_at(enum keeper_client_event event, uint8_t verifier, const char *address)
{
    uint8_t bytes[8] = {verifier};
    keeper_client(server->keeper, event, CLIENT, 0, (const uint8_t *)"machine", 7, bytes, address);
}

static void client_event(enum keeper_client_event event, uint8_t verifier)
{
    client_event_at(event, verifier, "192.0.2.9");
}

static nfsstat4 get_type(layouttype4 type, layoutiomode4 iomode, struct keeper_layoutget *out)
{
    *out = (struct keeper_layoutget){.call = call(),
                                     .file = the_file(),
                                     .client_id = CLIENT,
                                     .type = type,
                                     .iomode = iomode,
                                     .length = NFS4_UINT64_MAX,
                                     .minlength = 4096,
                                     .maxcount = sizeof body,
                                     .body_buffer = body,
                                     .body_room = sizeof body};
    keeper_layoutget(server->keeper, out);
    await();
    file_unref(out->file);
    held = out->layout_stateid;
    return out->call.status;
}

static nfsstat4 get(layoutiomode4 iomode, struct keeper_layoutget *out)
{
    return get_type(LAYOUT4_BLOCK_VOLUME, iomode, out);
}

static nfsstat4 give_back(void)
{
    struct keeper_layoutreturn ret = {.call = call(),
                                      .file = the_file(),
                                      .scope = LAYOUTRETURN4_FILE,
                                      .client_id = CLIENT,
                                      .type = LAYOUT4_BLOCK_VOLUME,
                                      .iomode = LAYOUTIOMODE4_ANY,
                                      .length = NFS4_UINT64_MAX,
                                      .stateid = held};
    keeper_layoutreturn(server->keeper, &ret);
    await();
    file_unref(ret.file);
    return ret.call.status;
}

static char *view(const char *what)
{
    struct keeper_view v = {.call = call(), .what = what, .file = the_file()};
    keeper_view(server->keeper, &v);
    await();
    file_unref(v.file);
    assert_int_equal(v.call.status, NFS4_OK);
    return v.json;
}

static bool view_says(const char *what, const char *words)
{
    char *json = view(what);
    bool says = strstr(json, words) != NULL;
    if (!says)
        print_message("%s: %s\n", what, json);
    free(json);
    return says;
}

static void write_hook(const char *text)
{
    FILE *file = fopen(hook, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", text);
    fclose(file);
    assert_int_equal(chmod(hook, 0755), 0);
}

static int make_file(void **state)
{
    (void)state;
    static unsigned number;
    static const char data[65536] = "data";
    snprintf(name, sizeof name, "%s/file%u", loopfs_dir(fs), number++);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    for (int i = 0; i < 32; i++) {
        if (write(fd, data, sizeof data) != sizeof data)
            return -1;
    }
    fsync(fd);
    close(fd);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    set_hold(false);
    if (daemon_now)
        stop();
    return 0;
}

static void seal_sets_the_flag_and_release_takes_it_off(void **state)
{
    (void)state;
    start("");
    assert_int_equal(seal(false, NULL), NFS4_OK);
    assert_true(is_immutable());
    struct file *file = the_file();
    assert_int_equal(file_seal(file), SEAL_FROZEN);
    assert_true(view_says("status", "\"state\":\"sealed\""));
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_false(is_immutable());
    assert_int_equal(file_seal(file), SEAL_NONE);
    file_unref(file);
}

/* It comes home when nobody hears it any more; the journal knows what was begun. */
static void a_step_that_the_end_overtakes_is_freed_and_taken_up_again(void **state)
{
    (void)state;
    start("");
    assert_int_equal(seal(false, NULL), NFS4_OK);
    hold_step = true;
    assert_int_not_equal(release(1, NULL), NFS4_OK);
    pthread_mutex_lock(&lock);
    while (!step_begun)
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
    stop();
    assert_true(map_made);
    assert_null(map_of_step);
    step_begun = false;
    start("");
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_false(is_immutable());
}

static nfsstat4 map_of(struct file *file)
{
    struct keeper_map map = {.call = call(), .file = file};
    keeper_map(server->keeper, &map);
    await();
    map_free(map.map);
    return map.call.status;
}

/* The server writes by it, and its blocks may be another file's by then. */
static void the_map_of_a_pinned_file_is_not_used_before_it_was_looked_at(void **state)
{
    (void)state;
    start("");
    assert_int_equal(seal(true, NULL), NFS4_OK);
    stop();
    hold_step = true;
    start("");
    struct file *file = the_file();
    assert_int_equal(map_of(file), NFS4ERR_DELAY);
    pthread_mutex_lock(&lock);
    while (!step_begun)
        pthread_cond_wait(&wake, &lock);
    hold_step = step_begun = false;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    while (map_of(file) == NFS4ERR_DELAY)
        ;
    assert_int_equal(map_of(file), NFS4_OK);
    file_unref(file);
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

/* The keeper's times begin then; the file's do not. */
static void a_growing_file_of_before_1970_keeps_its_time(void **state)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = -86400, .tv_nsec = 5}};
    struct file_stat seen;
    struct stat st;
    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
    start("");
    struct keeper_seal s = {.call = call(), .file = the_file(), .reserve = 4 << 20, .pinned = true};
    keeper_seal(server->keeper, &s);
    await();
    assert_int_equal(s.call.status, NFS4_OK);
    assert_int_equal(file_stat(s.file, &seen), 0);
    assert_int_equal(seen.stx.stx_mtime.tv_sec, -86400);
    file_unref(s.file);
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, -86400);
}

static void await_state(const char *state)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    char words[64], *json;
    snprintf(words, sizeof words, "\"state\":\"%s\"", state);
    for (bool is = false; !is; nanosleep(&pause, NULL)) {
        json = view("status");
        is = strstr(json, words) != NULL;
        free(json);
    }
}

enum { PROGRAMS = 64 };

static void not_recalled(struct keeper_local *local, const struct file_key *key, uint64_t left_ns)
{
    (void)local;
    (void)key;
    (void)left_ns;
}

/* As many at once as are looked for at once, and none of them goes before its fence has ended. */
static void a_word_for_many_programs_that_are_being_fenced_ends(void **state)
{
    static struct keeper_local programs[PROGRAMS];
    struct keeper_local_request request = {
        .name = "program", .fence = KEEPER_FENCE_HOOK, .address = "pid 1", .closed = true};
    char extra[160];
    (void)state;
    write_hook("sleep 5");
    snprintf(extra, sizeof extra, "fence_hook = \"%s\"\nfence_timeout = 10", hook);
    start(extra);
    assert_int_equal(seal(false, NULL), NFS4_OK);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        programs[i] = (struct keeper_local){.loop = home, .recalled = not_recalled};
        request.call = call();
        request.local = &programs[i];
        keeper_local_open(server->keeper, &request);
        await();
        struct keeper_hold hold = {.call = call(), .local = &programs[i], .file = the_file()};
        keeper_hold(server->keeper, &hold);
        await();
        assert_int_equal(hold.call.status, NFS4_OK);
        map_free(hold.map);
        device_free(hold.device);
        file_unref(hold.file);
        request.call = call();
        keeper_local_close(server->keeper, &request);
        await();
    }
    (void)release(1, NULL);
    await_state("fencing");
    request.call = call();
    keeper_local_fenced(server->keeper, &request);
    await();
    assert_int_equal(request.call.status, NFS4_OK);
    assert_int_equal(release(20000, NULL), NFS4_OK);
}

/* The look began while the file had a seal that is undone since. */
static void what_is_left_of_a_seal_that_ended_is_not_found(void **state)
{
    (void)state;
    start("");
    stale_looks = 1;
    assert_int_equal(seal(false, NULL), NFS4_OK); /* in doubt nothing is sealed */
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

static void nor_when_another_ended_during_the_second_look(void **state)
{
    char other[sizeof name];
    start("");
    assert_int_equal(seal(false, NULL), NFS4_OK);
    strcpy(other, name);
    assert_int_equal(make_file(state), 0);
    struct keeper_view v = {.call = call(), .what = "status", .file = the_file()};
    pthread_mutex_lock(&lock);
    stale_looks = 2;
    hold_last_look = true;
    pthread_mutex_unlock(&lock);
    keeper_view(server->keeper, &v);
    pthread_mutex_lock(&lock);
    while (!last_look_begun)
        pthread_cond_wait(&wake, &lock);
    pthread_mutex_unlock(&lock);
    strcpy(name, other);
    assert_int_equal(release(5000, NULL), NFS4_OK);
    replied = false;
    pthread_mutex_lock(&lock);
    hold_last_look = false;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
    await();
    free(v.json);
    file_unref(v.file);
    assert_int_equal(seal(false, NULL), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

static void seal_of_a_file_open_for_writing_is_refused_with_the_reason(void **state)
{
    (void)state;
    char why[KEEPER_WHY_MAX];
    start("");
    int fd = open(name, O_WRONLY | O_CLOEXEC);
    assert_int_equal(seal(false, why), NFS4ERR_INVAL);
    assert_string_not_equal(why, "");
    assert_false(is_immutable());
    close(fd);
    assert_int_equal(seal(false, NULL), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

static void layout_is_given_with_a_device_that_can_be_asked_for(void **state)
{
    (void)state;
    struct keeper_layoutget got;
    start("");
    assert_int_equal(seal(true, NULL), NFS4_OK);
    client_event(KEEPER_CLIENT_CONFIRMED, 1);
    client_event(KEEPER_CLIENT_CALLABLE, 1);
    assert_int_equal(get(LAYOUTIOMODE4_RW, &got), NFS4_OK);
    assert_int_equal(got.layout_stateid.seqid, 1);
    assert_int_equal(got.granted_offset, 0);
    assert_int_equal(got.granted_length, 32 * 65536);
    assert_true(got.body_len >= 4 + 44);
    struct keeper_deviceinfo info = {.call = call(), .type = LAYOUT4_BLOCK_VOLUME};
    memcpy(info.device, body + 4, sizeof info.device);
    keeper_deviceinfo(server->keeper, &info);
    await();
    assert_int_equal(info.call.status, NFS4_OK);
    assert_true(info.body_len > 16);
    free(info.body);
    info = (struct keeper_deviceinfo){.call = call(), .type = LAYOUT4_BLOCK_VOLUME};
    keeper_deviceinfo(server->keeper, &info);
    await();
    assert_int_equal(info.call.status, NFS4ERR_NOENT);
    assert_true(view_says("grants", "192.0.2.9"));
    struct keeper_client_query query = {.call = call(), .client_id = CLIENT};
    keeper_client_query(server->keeper, &query);
    await();
    assert_int_equal(query.call.status, NFS4ERR_CLIENTID_BUSY);
    assert_int_equal(give_back(), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

/* Wrong: LAYOUTTRYLATER, which Linux repeats for half a minute before it asks the server. */
static void disk_that_nobody_reserves_is_not_to_be_asked_for_later(void **state)
{
    (void)state;
    struct keeper_layoutget layout;
    start("");
    client_event(KEEPER_CLIENT_CONFIRMED, 1);
    client_event(KEEPER_CLIENT_CALLABLE, 1);
    assert_int_equal(seal(false, NULL), NFS4_OK);
    assert_int_equal(get_type(LAYOUT4_SCSI, LAYOUTIOMODE4_READ, &layout),
                     NFS4ERR_LAYOUTUNAVAILABLE);
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

static void map_for_writing_through_the_server_is_the_sealed_one(void **state)
{
    (void)state;
    start("");
    struct keeper_map map = {.call = call(), .file = the_file()};
    keeper_map(server->keeper, &map);
    await();
    assert_int_not_equal(map.call.status, NFS4_OK);
    assert_int_equal(seal(true, NULL), NFS4_OK);
    map.call = call();
    keeper_map(server->keeper, &map);
    await();
    assert_int_equal(map.call.status, NFS4_OK);
    assert_int_equal(map_file_size(map.map), 32 * 65536);
    map_free(map.map);
    file_unref(map.file);
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

static void times_of_a_pinned_file_move_by_the_journal_and_stay_after_release(void **state)
{
    (void)state;
    struct keeper_layoutget got;
    struct stat after;
    start("");
    assert_int_equal(seal(true, NULL), NFS4_OK);
    client_event(KEEPER_CLIENT_CONFIRMED, 1);
    client_event(KEEPER_CLIENT_CALLABLE, 1);
    assert_int_equal(get(LAYOUTIOMODE4_RW, &got), NFS4_OK);
    uint64_t mtime = UINT64_C(4000000000) * UINT64_C(1000000000) + 5;
    struct keeper_layoutcommit commit = {.call = call(),
                                         .file = the_file(),
                                         .client_id = CLIENT,
                                         .type = LAYOUT4_BLOCK_VOLUME,
                                         .length = 4096,
                                         .stateid = held,
                                         .has_mtime = true,
                                         .mtime_ns = mtime};
    keeper_layoutcommit(server->keeper, &commit);
    await();
    assert_int_equal(commit.call.status, NFS4_OK);
    struct file_stat shown;
    assert_int_equal(file_stat(commit.file, &shown), 0);
    assert_int_equal(shown.stx.stx_mtime.tv_sec, 4000000000);
    file_unref(commit.file);
    assert_int_equal(give_back(), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_int_equal(stat(name, &after), 0);
    assert_int_equal(after.st_mtim.tv_sec, 4000000000);
    assert_int_equal(after.st_mtim.tv_nsec, 5);
}

static void restart_keeps_the_seal_and_doubts_former_holders(void **state)
{
    (void)state;
    struct keeper_layoutget got;
    char why[KEEPER_WHY_MAX];
    start("");
    assert_int_equal(seal(true, NULL), NFS4_OK);
    client_event(KEEPER_CLIENT_CONFIRMED, 1);
    client_event(KEEPER_CLIENT_CALLABLE, 1);
    assert_int_equal(get(LAYOUTIOMODE4_READ, &got), NFS4_OK);
    stop();
    start("");
    struct file *file = the_file();
    assert_int_equal(file_seal(file), SEAL_PINNED);
    file_unref(file);
    assert_true(view_says("grants", "maybe"));
    assert_int_equal(release(0, why), NFS4ERR_DELAY);
    assert_true(is_immutable());
    client_event(KEEPER_CLIENT_CONFIRMED, 2); /* another run, which proves nothing */
    assert_int_equal(release(0, why), NFS4ERR_DELAY);
    assert_true(is_immutable());
    client_event(KEEPER_CLIENT_CONFIRMED, 1);
    client_event(KEEPER_CLIENT_DESTROYED, 1); /* it has unmounted */
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_false(is_immutable());
}

static void holder_that_cannot_be_called_is_fenced_by_the_hook(void **state)
{
    (void)state;
    struct keeper_layoutget got;
    char extra[256], text[256], seen[96];
    snprintf(extra, sizeof extra, "fence_hook = \"%s\"\n", hook);
    snprintf(seen, sizeof seen, "%s/seen", base);
    snprintf(text, sizeof text,
             "echo $SEALNFS_CLIENT_ADDRESS of $SEALNFS_CLIENT_ADDRESSES $SEALNFS_DEVICE > %s; "
             "exit 0",
             seen);
    write_hook(text);
    start(extra);
    assert_int_equal(seal(true, NULL), NFS4_OK);
    client_event(KEEPER_CLIENT_CONFIRMED, 1);
    client_event(KEEPER_CLIENT_CALLABLE, 1);
    assert_int_equal(get(LAYOUTIOMODE4_READ, &got), NFS4_OK);
    client_event_at(KEEPER_CLIENT_MOVED, 1, "2001:db8::9");
    assert_false(keeper_client_was_fenced(server->keeper, CLIENT));
    assert_int_equal(release(20000, NULL), NFS4_OK);
    assert_false(is_immutable());
    assert_true(keeper_client_was_fenced(server->keeper, CLIENT));
    char line[128] = "", want[128];
    FILE *file = fopen(seen, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    snprintf(want, sizeof want, "2001:db8::9 of 2001:db8::9 192.0.2.9 %s\n", loopfs_disk(fs));
    assert_string_equal(line, want);
    unlink(seen);
}

static void hook_that_fails_leaves_the_seal_stuck_until_the_layout_comes_back(void **state)
{
    (void)state;
    struct keeper_layoutget got;
    char extra[256], why[KEEPER_WHY_MAX];
    snprintf(extra, sizeof extra, "fence_hook = \"%s\"\n", hook);
    write_hook("exit 1");
    start(extra);
    assert_int_equal(seal(true, NULL), NFS4_OK);
    client_event(KEEPER_CLIENT_CONFIRMED, 3); /* not the run that was fenced before */
    client_event(KEEPER_CLIENT_CALLABLE, 3);
    assert_int_equal(get(LAYOUTIOMODE4_READ, &got), NFS4_OK);
    assert_int_equal(release(20000, why), NFS4ERR_PERM);
    assert_non_null(strstr(why, "192.0.2.9"));
    assert_true(is_immutable());
    assert_true(view_says("status", "stuck"));
    assert_true(view_says("explain", "fence"));
    assert_int_equal(give_back(), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_false(is_immutable());
}

static void many_seals_share_the_journals_commits(void **state)
{
    (void)state;
    start("");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(seal(false, NULL), NFS4_OK);
        assert_int_equal(release(5000, NULL), NFS4_OK);
    }
}

static void nothing_is_sealed_before_the_watermark_is_written(void **state)
{
    (void)state;
    start("");
    set_hold(false);
    assert_int_equal(seal(false, NULL), NFS4_OK);
    assert_int_equal(marks_at_reply, 1);
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_int_equal(marks_at_reply, 2);
}

static unsigned wait_for_marks(unsigned begun)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 30;
    int rc = 0;
    pthread_mutex_lock(&lock);
    while (marks_begun < begun && rc == 0)
        rc = pthread_cond_timedwait(&wake, &lock, &end);
    unsigned count = marks_begun;
    pthread_mutex_unlock(&lock);
    assert_int_equal(rc, 0);
    return count;
}

static void a_watermark_that_hangs_holds_up_nothing_for_long_and_follows(void **state)
{
    (void)state;
    start("");
    set_hold(true);
    assert_int_equal(seal(false, NULL), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_int_equal(wait_for_marks(1), 1); /* the second waits for the first */
    set_hold(false);
    assert_int_equal(wait_for_marks(1), 1); /* what went up meanwhile, in one */
}

/* ---- a journal that is not the one it should be ---- */

static const char *state_path(const char *leaf)
{
    static char paths[4][160];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/state/%s", base, leaf);
    return path;
}

static void copy_journal(const char *from, const char *to)
{
    assert_int_equal(
        loopfs_run("rm -f %s-wal && cp %s %s", state_path(to), state_path(from), state_path(to)),
        0);
}

static void get_a_layout(uint8_t verifier)
{
    struct keeper_layoutget got;
    client_event(KEEPER_CLIENT_CONFIRMED, verifier);
    client_event(KEEPER_CLIENT_CALLABLE, verifier);
    assert_int_equal(get(LAYOUTIOMODE4_RW, &got), NFS4_OK);
}

/* Whatever the journal says or does not say: the holder of before is not forgotten. */
static void assert_nothing_is_released(void)
{
    char why[KEEPER_WHY_MAX];
    assert_int_not_equal(release(200, why), NFS4_OK);
    assert_string_not_equal(why, "");
    assert_true(is_immutable());
}

static nfsstat4 forget_holders(void)
{
    struct keeper_forget forget;
    for (int i = 0; i < 100; i++) { /* the search for seals may be under way */
        forget = (struct keeper_forget){.call = call(), .file = the_file()};
        keeper_forget_holders(server->keeper, &forget);
        await();
        file_unref(forget.file);
        if (forget.call.status != NFS4ERR_DELAY)
            break;
        usleep(50000);
    }
    return forget.call.status;
}

/* A sealed file with a holder, the server stopped; "before" is the journal from before the holder
 * came. */
static void make_held_seal(void)
{
    start("");
    assert_int_equal(seal(true, NULL), NFS4_OK);
    stop();
    copy_journal("journal.db", "before");
    start("");
    get_a_layout(7);
    stop();
    copy_journal("journal.db", "right");
}

static void end_held_seal(void)
{
    copy_journal("right", "journal.db");
    start("");
    client_event(KEEPER_CLIENT_CONFIRMED, 7);
    client_event(KEEPER_CLIENT_DESTROYED, 7); /* it has unmounted */
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_false(is_immutable());
    stop();
}

static void a_journal_that_is_gone_releases_nothing(void **state)
{
    (void)state;
    make_held_seal();
    unlink(state_path("journal.db"));
    start("");
    assert_nothing_is_released();
    assert_true(view_says("status", "stuck"));
    assert_true(view_says("status", "forget-holders"));
    stop();
    start(""); /* the doubt is on record */
    assert_nothing_is_released();
    stop();
    end_held_seal(); /* with the right journal there is no doubt */
}

static void a_journal_from_before_the_holder_came_releases_nothing(void **state)
{
    (void)state;
    make_held_seal();
    copy_journal("before", "journal.db");
    start("");
    assert_nothing_is_released();
    stop();
    end_held_seal();
}

static void the_operators_word_ends_the_doubt(void **state)
{
    (void)state;
    make_held_seal();
    unlink(state_path("journal.db"));
    start("");
    assert_nothing_is_released();
    assert_int_equal(forget_holders(), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
    assert_false(is_immutable());
    assert_int_equal(seal(true, NULL), NFS4_OK); /* all is as ever */
    stop();
    start("");
    get_a_layout(9);
    assert_int_equal(give_back(), NFS4_OK);
    assert_int_equal(release(5000, NULL), NFS4_OK);
}

static long size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_size;
}

static void a_damaged_journal_releases_nothing(void **state)
{
    (void)state;
    make_held_seal();
    long size = size_of(state_path("right"));
    for (unsigned i = 0; i < 24; i++) {
        copy_journal("right", "journal.db");
        FILE *file = fopen(state_path("journal.db"), "r+b");
        assert_non_null(file);
        if (i % 4 == 3) {
            assert_int_equal(ftruncate(fileno(file), (long)(i * 7919u) % size), 0);
        } else {
            long at = (long)(i * 2654435761u % (unsigned long)size);
            fseek(file, at, SEEK_SET);
            int byte = fgetc(file);
            fseek(file, at, SEEK_SET);
            fputc(byte ^ (1 << i % 8), file);
        }
        fclose(file);
        if (try_start("") == 0) {
            assert_nothing_is_released();
            stop();
        }
        assert_true(is_immutable());
        loopfs_run("rm -f %s.damaged*", state_path("journal.db"));
    }
    end_held_seal();
}

static void an_empty_journal_is_no_empty_memory(void **state)
{
    (void)state;
    make_held_seal();
    assert_int_equal(truncate(state_path("journal.db"), 0), 0);
    start("");
    assert_nothing_is_released();
    stop();
    end_held_seal();
}

#define T(test) cmocka_unit_test_setup_teardown(test, make_file, clean_up)

enum { MANY = 200 };

struct many {
    struct keeper_seal seal[MANY];
    atomic_uint left;
};

static struct many many;

static void one_of_many(struct loop_msg *msg)
{
    if (atomic_fetch_sub(&many.left, 1) == 1)
        on_reply(msg);
}

static struct keeper_figures figures(struct engine_figures *engine)
{
    struct keeper_figures f = {.call = call(), .engine = engine};
    keeper_figures(server->keeper, &f);
    await();
    assert_int_equal(f.call.status, NFS4_OK);
    return f;
}

/* Counted, not timed: two records for each file, and far fewer flushes. */
static void many_files_sealed_at_once_share_flushes(void **state)
{
    (void)state;
    struct engine_figures engine;
    start("");
    uint64_t before = figures(&engine).commits;
    struct keeper_call common = call();
    common.reply.run = one_of_many;
    atomic_store(&many.left, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        char path[288];
        snprintf(path, sizeof path, "%s.%u", name, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        assert_int_equal(write(fd, path, sizeof path), sizeof path);
        close(fd);
        many.seal[i] = (struct keeper_seal){.call = common};
        assert_int_equal(file_from_path(server->files, path, &many.seal[i].file), 0);
    }
    for (unsigned i = 0; i < MANY; i++)
        keeper_seal(server->keeper, &many.seal[i]);
    await();
    struct keeper_figures after = figures(&engine);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(many.seal[i].call.status, NFS4_OK);
        file_unref(many.seal[i].file);
    }
    assert_int_equal(engine.by_state[ENGINE_SEALED], MANY);
    assert_true(after.records >= 2 * MANY);
    print_message("%u files sealed with %llu flushes\n", (unsigned)MANY,
                  (unsigned long long)(after.commits - before));
    assert_true(after.commits - before < MANY / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(seal_sets_the_flag_and_release_takes_it_off),
        T(a_step_that_the_end_overtakes_is_freed_and_taken_up_again),
        T(the_map_of_a_pinned_file_is_not_used_before_it_was_looked_at),
        T(a_growing_file_of_before_1970_keeps_its_time),
        T(a_word_for_many_programs_that_are_being_fenced_ends),
        T(what_is_left_of_a_seal_that_ended_is_not_found),
        T(nor_when_another_ended_during_the_second_look),
        T(seal_of_a_file_open_for_writing_is_refused_with_the_reason),
        T(layout_is_given_with_a_device_that_can_be_asked_for),
        T(disk_that_nobody_reserves_is_not_to_be_asked_for_later),
        T(map_for_writing_through_the_server_is_the_sealed_one),
        T(times_of_a_pinned_file_move_by_the_journal_and_stay_after_release),
        T(restart_keeps_the_seal_and_doubts_former_holders),
        T(holder_that_cannot_be_called_is_fenced_by_the_hook),
        T(hook_that_fails_leaves_the_seal_stuck_until_the_layout_comes_back),
        T(many_seals_share_the_journals_commits),
        T(nothing_is_sealed_before_the_watermark_is_written),
        T(a_watermark_that_hangs_holds_up_nothing_for_long_and_follows),
        T(many_files_sealed_at_once_share_flushes),
        T(a_journal_that_is_gone_releases_nothing),
        T(a_journal_from_before_the_holder_came_releases_nothing),
        T(the_operators_word_ends_the_doubt),
        T(a_damaged_journal_releases_nothing),
        T(an_empty_journal_is_no_empty_memory),
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
    snprintf(hook, sizeof hook, "%s/hook", base);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_stop(home);
    loop_destroy(home);
    loopfs_destroy(fs);
    loopfs_run("rm -rf %s", base);
    return failed;
}
