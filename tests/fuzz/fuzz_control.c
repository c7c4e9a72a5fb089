/*
 * fuzz_control.c - the control socket: its real connections, parser and dispatcher (all of
 * server/control/ but the metrics), and the input as what a peer writes. Beside them stand-ins: one
 * thread, a keeper that gives any answer it may give, files that are there or not.
 *
 * Every line is answered once, by a line that is an object as docs/control-protocol.md has it; what
 * is not asked for is a recall; and when the peer has gone, nothing is left: no file, no map, no
 * holder. The first bytes say into which pieces the rest is cut, how the keeper is disposed,
 * whether answers wait until the peer has gone, and whether the first line is too long.
 */
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "layout/device/device.h"
#include "layout/seal/map.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/base/peer.h"
#include "server/base/worker.h"
#include "server/client/client.h"
#include "server/client/clients.h"
#include "server/client/session.h"
#include "server/config/config.h"
#include "server/control/control.h"
#include "server/control/reload.h"
#include "server/control/request.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/keeper/keeper.h"
#include "server/server.h"
#include "server/state/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 4, LONG_LINE = 70000, ROUNDS = 100000, LIVE_MAX = 8 };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s (errno: %s)\n", what, strerror(errno));
    abort();
}

/* ---- chance ---- */

static uint64_t chance;

static uint32_t choose(uint32_t limit)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (uint32_t)(chance >> 33) % limit;
}

/* ---- one thread ---- */

struct loop {
    struct event_base *base;
};

static struct loop_msg *posted, **last = &posted;
static bool held_back; /* nothing posted runs for now */
static struct loop loop_of_control;

int loop_create(const char *name, unsigned index, struct loop **out)
{
    (void)name, (void)index;
    loop_of_control.base = event_base_new();
    *out = &loop_of_control;
    return loop_of_control.base ? 0 : -ENOMEM;
}

void loop_confine(struct loop *loop, enum confine_role role)
{
    (void)loop, (void)role;
}

int loop_start(struct loop *loop)
{
    (void)loop;
    return 0;
}

void loop_stop(struct loop *loop)
{
    (void)loop;
}

void loop_destroy(struct loop *loop)
{
    event_base_free(loop->base);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_post(struct loop *loop, struct loop_msg *msg)
{
    (void)loop;
    msg->next = NULL;
    *last = msg;
    last = &msg->next;
}

static void run_posted(void)
{
    while (posted && !held_back) {
        struct loop_msg *msg = posted;
        posted = msg->next;
        if (!posted)
            last = &posted;
        msg->run(msg);
    }
}

static void pump(void)
{
    run_posted();
    event_base_loop(loop_of_control.base, EVLOOP_NONBLOCK);
    run_posted();
}

/* The opening of a file: on this thread, too. */
void worker_submit(struct worker_pool *pool, struct work *work)
{
    (void)pool;
    work->run(work);
}

/* ---- files, maps, devices: what is counted must be gone at the end ---- */

struct file {
    unsigned refs;
    struct file_key key;
};

struct seal_map {
    size_t count;
};

struct device {
    uint8_t id[DEVICE_ID_SIZE];
};

static unsigned live;

static void *make(size_t size)
{
    void *made = calloc(1, size);
    must(made != NULL, "out of memory");
    live++;
    return made;
}

static void unmake(void *made)
{
    if (made)
        live--;
    free(made);
}

int file_from_path(struct file_table *table, const char *path, struct file **out)
{
    static const int errors[] = {-ENOENT, -ENOTDIR, -ESTALE, -EIO, -EXDEV, -EACCES, -ENAMETOOLONG};
    (void)table;
    if (strncmp(path, "/f", 2) != 0)
        return errors[choose(sizeof(errors) / sizeof(errors[0]))];
    *out = make(sizeof(**out));
    **out = (struct file){.refs = 1, .key = {.len = 1, .data = {(uint8_t)path[2]}}};
    return 0;
}

struct file *file_ref(struct file *file)
{
    file->refs++;
    return file;
}

void file_unref(struct file *file)
{
    if (file && --file->refs == 0)
        unmake(file);
}

const struct file_key *file_key(const struct file *file)
{
    return &file->key;
}

bool file_key_equal(const struct file_key *a, const struct file_key *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

uint64_t map_file_size(const struct seal_map *map)
{
    return map->count * 4096;
}

uint32_t map_block_size(const struct seal_map *map)
{
    (void)map;
    return 4096;
}

size_t map_extent_count(const struct seal_map *map)
{
    return map->count;
}

const struct seal_extent *map_extent(const struct seal_map *map, size_t i)
{
    static struct seal_extent extent;
    (void)map;
    extent = (struct seal_extent){.file_offset = i * 4096, .length = 4096};
    extent.kind = i % 2 ? SEAL_EXTENT_HOLE : SEAL_EXTENT_DATA;
    extent.device_offset = i * 8192;
    return &extent;
}

void map_free(struct seal_map *map)
{
    unmake(map);
}

void device_free(struct device *device)
{
    unmake(device);
}

const uint8_t *device_id(const struct device *device)
{
    return device->id;
}

const char *device_volume_path(const struct device *device)
{
    (void)device;
    return "/dev/fuzz";
}

dev_t device_st_dev(const struct device *device)
{
    (void)device;
    return 0;
}

/* ---- exports, clients, peers ---- */

struct export *export_away_of_path(const struct export_table *table, const char *path)
{
    (void)table;
    return strncmp(path, "/away", 5) == 0 ? (struct export *)(uintptr_t)&live : NULL;
}

const struct config_export *export_config(const struct export *export)
{
    static const struct config_export config = {.pseudo = (char *)(uintptr_t) "/away"};
    (void)export;
    return &config;
}

bool export_why_away(const struct export *export, char *text, size_t size)
{
    (void)export;
    snprintf(text, size, "its disk is not there");
    return choose(2) == 0;
}

uint64_t export_work_key_of_path(const struct export_table *table, const char *path)
{
    (void)table, (void)path;
    return 1;
}

struct client_table *clients_table(const struct clients *clients, unsigned loop)
{
    (void)clients, (void)loop;
    return NULL;
}

bool client_table_walk(struct client_table *table, struct client_walk *walk, unsigned most,
                       void (*visit)(struct client *client, void *arg), void *arg)
{
    (void)table, (void)walk, (void)most;
    for (unsigned i = choose(3); i > 0; i--)
        visit(NULL, arg);
    return choose(2);
}

uint64_t client_id(const struct client *client)
{
    (void)client;
    return choose(9);
}

const char *client_describe(const struct client *client)
{
    (void)client;
    return "127.0.0.1 somebody";
}

bool client_is_callable(const struct client *client)
{
    (void)client;
    return choose(2);
}

bool client_reclaim_is_complete(const struct client *client)
{
    (void)client;
    return choose(2);
}

void client_look(const struct client *client, struct client_view *view)
{
    (void)client;
    *view = (struct client_view){.address = choose(2) ? "127.0.0.1" : "127.0.0.2",
                                 .owner = (const uint8_t *)"o\xff",
                                 .owner_len = choose(3),
                                 .confirmed = choose(3)};
}

struct client_state *client_state(struct client *client)
{
    (void)client;
    return NULL;
}

void client_state_count(const struct client_state *state, size_t *opens, size_t *locks)
{
    (void)state;
    *opens = *locks = 1;
}

struct client *client_find(struct client_table *table, uint64_t id)
{
    (void)table, (void)id;
    return choose(2) ? (struct client *)&chance : NULL;
}

unsigned client_id_loop(uint64_t id)
{
    (void)id;
    return 0;
}

void client_expel_then(struct client *client, struct expiry_wait *wait)
{
    (void)client;
    loop_post(NULL, &wait->msg);
}

uint64_t loop_now_ns(void)
{
    return UINT64_C(1) << 40;
}

int peer_describe(int fd, char *text, size_t size)
{
    (void)fd;
    snprintf(text, size, "pid 1 started 2 boot 12345678");
    return choose(4) == 0 ? -ESRCH : 0;
}

/* ---- the keeper ---- */

static struct keeper_local *locals[LIVE_MAX];
static struct file_key held_key; /* the last that was held */

static void reply(struct keeper_call *call, nfsstat4 status)
{
    call->status = status;
    snprintf(call->why, sizeof(call->why), "%s",
             status == NFS4_OK && choose(2) ? "" : "as the keeper has it");
    loop_post(call->reply_loop, &call->reply);
}

static nfsstat4 any_of(const nfsstat4 *all, uint32_t count)
{
    return choose(2) ? NFS4_OK : all[choose(count)];
}

static nfsstat4 any_status(void)
{
    static const nfsstat4 all[] = {
        NFS4_OK,    NFS4ERR_DELAY,       NFS4ERR_NOENT, NFS4ERR_PERM,
        NFS4ERR_IO, NFS4ERR_BAD_STATEID, NFS4ERR_STALE, NFS4ERR_LAYOUTTRYLATER};
    return any_of(all, sizeof(all) / sizeof(all[0]));
}

void keeper_seal(struct keeper *keeper, struct keeper_seal *seal)
{
    (void)keeper;
    reply(&seal->call, any_status());
}

void keeper_seal_try(struct keeper *keeper, struct keeper_seal *seal)
{
    keeper_seal(keeper, seal);
}

void keeper_expel(struct keeper *keeper, struct keeper_expel *expel)
{
    (void)keeper;
    reply(&expel->call, any_status());
}

bool keeper_client_was_fenced(struct keeper *keeper, uint64_t client_id)
{
    (void)keeper, (void)client_id;
    return choose(2);
}

/* The table of operations would bring their handlers. */
void start_counters(struct control_request *request)
{
    request_fail(request, "failed", "not here");
}

void keeper_release(struct keeper *keeper, struct keeper_release *release)
{
    (void)keeper;
    must(release->file || release->path, "a release of nothing");
    reply(&release->call, any_status());
}

void keeper_forget_holders(struct keeper *keeper, struct keeper_forget *forget)
{
    (void)keeper;
    reply(&forget->call, any_status());
}

void keeper_view(struct keeper *keeper, struct keeper_view *view)
{
    static const char *const all[] = {"[]", "{\"why\":\"so\",\"advice\":\"\"}", "[{\"a\":1}]",
                                      NULL};
    const char *text = all[choose(sizeof(all) / sizeof(all[0]))];
    (void)keeper;
    must(view->what != NULL, "a view of nothing");
    view->json = text ? strdup(text) : NULL;
    view->more = !view->file && !view->path && choose(2) && text && text[0] == '[';
    reply(&view->call, any_status());
}

void keeper_view_end(struct keeper *keeper, struct keeper_view *view)
{
    (void)keeper, (void)view;
}

void reload_desk_ask(struct reload_desk *desk, struct reload_ask *ask)
{
    static const char *const all[] = {"", "/etc/sealnfs.conf:7: no; do\n\xff\xc3\n", "one\ntwo"};
    const unsigned which = choose(4);
    (void)desk;
    ask->error = choose(2) ? 0 : choose(2) ? -EINVAL : -ESHUTDOWN;
    ask->told = which < 3 ? strdup(all[which]) : NULL;
    loop_post(ask->loop, &ask->home);
}

static unsigned place_of(const struct keeper_local *local)
{
    unsigned i = 0;
    while (i < LIVE_MAX && locals[i] != local)
        i++;
    return i;
}

void keeper_local_open(struct keeper *keeper, struct keeper_local_request *request)
{
    unsigned free_place = place_of(NULL);
    (void)keeper;
    must(request->name && request->address && request->local, "a holder without a name");
    nfsstat4 status = free_place < LIVE_MAX ? any_status() : NFS4ERR_DELAY;
    if (status == NFS4_OK)
        locals[free_place] = request->local;
    reply(&request->call, status);
}

void keeper_local_resumed(struct keeper *keeper, struct keeper_local_request *request)
{
    (void)keeper;
    must(place_of(request->local) < LIVE_MAX, "who is no holder resumes");
    reply(&request->call, NFS4_OK);
}

void keeper_local_close(struct keeper *keeper, struct keeper_local_request *request)
{
    unsigned place = place_of(request->local);
    (void)keeper;
    if (place < LIVE_MAX)
        locals[place] = NULL;
    reply(&request->call, NFS4_OK);
}

void keeper_local_fenced(struct keeper *keeper, struct keeper_local_request *request)
{
    (void)keeper;
    reply(&request->call, any_status());
}

void keeper_hold(struct keeper *keeper, struct keeper_hold *hold)
{
    (void)keeper;
    must(place_of(hold->local) < LIVE_MAX, "who is no holder holds");
    nfsstat4 status = any_status();
    if (status == NFS4_OK) {
        hold->map = make(sizeof(*hold->map));
        hold->map->count = choose(50) == 0 ? 70000 : choose(4);
        hold->device = make(sizeof(*hold->device));
        held_key = *file_key(hold->file);
    }
    reply(&hold->call, status);
}

void keeper_layoutreturn(struct keeper *keeper, struct keeper_layoutreturn *ret)
{
    (void)keeper;
    reply(&ret->call, any_status());
}

void keeper_wrote(struct keeper *keeper, struct keeper_wrote *wrote)
{
    (void)keeper;
    reply(&wrote->call, any_status());
}

static void recall_something(void)
{
    for (unsigned i = 0; i < LIVE_MAX; i++)
        if (locals[i] && choose(3) == 0)
            locals[i]->recalled(locals[i], &held_key, UINT64_C(1000000) * choose(100000));
}

/* ---- what the peer is told ---- */

static char answers[4 << 20];
static size_t answers_len;
static unsigned answered;

static void check_refusal(const json_t *line)
{
    static const char *const codes[] = {"refused",     "pending",   "not-found",
                                        "bad-request", "try-later", "failed"};
    const char *code = json_string_value(json_object_get(line, "code"));
    const char *error = json_string_value(json_object_get(line, "error"));
    bool known = false;
    for (size_t i = 0; code && i < sizeof(codes) / sizeof(codes[0]); i++)
        known = known || strcmp(codes[i], code) == 0;
    must(known, "a code that the protocol does not have");
    must(error != NULL, "a refusal without a sentence");
    must(!strstr(error, "out of memory") || strcmp(code, "failed") != 0 ||
             strstr(error, "could not make the answer"),
         "an answer that could not be made, although there is memory");
}

static void check_line(const char *text, size_t len)
{
    json_t *line = json_loadb(text, len, 0, NULL);
    const char *event = json_string_value(json_object_get(line, "event"));
    const json_t *ok = json_object_get(line, "ok");
    must(json_is_object(line), "an answer that is no object");
    if (event) {
        must(strcmp(event, "recall") == 0 && json_is_integer(json_object_get(line, "hold")),
             "another event than a recall");
    } else {
        must(json_is_boolean(ok), "an answer without \"ok\"");
        if (json_is_false(ok) && !json_object_get(line, "results"))
            check_refusal(line);
        answered++;
    }
    json_decref(line);
}

static void check_answers(void)
{
    char *at = answers, *end;
    while ((end = memchr(at, '\n', answers_len - (size_t)(at - answers)))) {
        check_line(at, (size_t)(end - at));
        at = end + 1;
    }
    answers_len -= (size_t)(at - answers);
    memmove(answers, at, answers_len);
}

static void read_answers(int fd)
{
    ssize_t n;
    while ((n = recv(fd, answers + answers_len, sizeof(answers) - answers_len, MSG_DONTWAIT)) > 0) {
        answers_len += (size_t)n;
        must(answers_len < sizeof(answers), "an answer without an end");
        check_answers();
    }
}

/* ---- one peer ---- */

static struct config config = {0};
static struct server server;
static struct control *control;
static char directory[] = "/tmp/sealnfs-fuzz-XXXXXX";
static char socket_path[64];

static void clean(void)
{
    control_destroy(control);
    rmdir(directory);
}

static void start(void)
{
    static struct loop *loops[] = {&loop_of_control};
    must(mkdtemp(directory) != NULL, "mkdtemp");
    snprintf(socket_path, sizeof(socket_path), "%s/control", directory);
    config.control_socket = socket_path;
    config.state_dir = (char *)(uintptr_t) "/nowhere";
    server.config = &config;
    server.loop_count = 1;
    server.loops = loops;
    log_set_level(LOG_LEVEL_ERROR);
    signal(SIGPIPE, SIG_IGN); /* as main() does */
    must(control_create(&server, &control) == 0, "control_create");
    atexit(clean);
}

static int connect_to_control(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    strcpy(address.sun_path, socket_path);
    must(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    pump();
    return fd;
}

static void say(int fd, const uint8_t *data, size_t size, size_t piece)
{
    while (size > 0) {
        size_t len = size < piece ? size : piece;
        ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        must(n > 0 || errno == EAGAIN, "send");
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
        pump();
        recall_something();
        read_answers(fd);
    }
}

static unsigned count_lines(const uint8_t *data, size_t size)
{
    unsigned lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

/* Until every line is answered; a long line may have taken others with it. */
static void await_answers(int fd, unsigned lines, bool cut)
{
    for (unsigned i = 0; i < ROUNDS && answered < lines; i++) {
        pump();
        read_answers(fd);
        if (cut && i > 100)
            return;
    }
    must(cut ? answered <= lines + 1 : answered == lines, "a line without its one answer");
}

static void leave(int fd)
{
    close(fd);
    held_back = false;
    for (unsigned i = 0; i < 4; i++)
        pump();
    must(!posted, "a message for nobody");
    must(place_of(NULL) == 0, "a holder without a connection");
    must(live == 0, "something is kept for a peer that has gone");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t blanks[LONG_LINE];
    if (!control)
        start();
    if (size < HEAD)
        return -1;
    size_t piece = data[0] ? 16u * data[0] : SIZE_MAX;
    chance = 0x9e3779b97f4a7c15u + data[1];
    bool is_late = data[2] & 1, is_long = data[2] & 2;
    answered = 0;
    answers_len = 0;
    int fd = connect_to_control();
    held_back = is_late;
    memset(blanks, ' ', sizeof(blanks));
    if (is_long)
        say(fd, blanks, sizeof(blanks), 8192);
    say(fd, data + HEAD, size - HEAD, piece);
    if (!is_late)
        await_answers(fd, count_lines(data + HEAD, size - HEAD), is_long);
    leave(fd);
    return 0;
}
