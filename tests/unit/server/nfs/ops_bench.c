/* See ops_bench.h. */
#include "tests/unit/server/nfs/ops_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "layout/device/device.h"
#include "layout/seal/map.h"
#include "proto/nfs4/attr.h"
#include "server/base/log.h"
#include "server/client/session.h"
#include "server/file/fs_access.h"
#include "server/file/fs_cred.h"
#include "server/file/op_error.h"
#include "server/file/permission.h"
#include "server/file/pinned_cache.h"
#include "server/nfs/attr.h"
#include "server/nfs/change.h"
#include "server/nfs/commit.h"
#include "server/nfs/op_fs.h"
#include "tests/unit/server/errors_allowed.h"

struct bench bench;
static struct keeper_call *asked; /* to be answered when the handler has returned OP_WAIT */
static bool resumed;

/* ---- log, grace, clients ---- */

_Atomic enum log_level log_threshold = LOG_LEVEL_ERROR;

void log_write(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

void log_write_at(struct log_place *place, enum log_level level, const char *format, ...)
{
    (void)place;
    (void)level;
    (void)format;
}

bool recovery_in_grace(const struct recovery *recovery)
{
    (void)recovery;
    return bench.grace;
}

void recovery_reclaim_seen(struct recovery *recovery)
{
    (void)recovery;
    bench.reclaims++;
}

struct client_state *client_state(struct client *client)
{
    return client->state;
}

bool client_is_recallable(const struct client *client)
{
    return client->recallable;
}

bool client_may_reclaim(const struct client *client)
{
    return client->may_reclaim && bench.grace;
}

bool client_reclaim_is_complete(const struct client *client)
{
    return client->reclaim_complete;
}

const char *client_describe(const struct client *client)
{
    (void)client;
    return "client";
}

bool client_yield_expired(struct clients *clients, uint64_t client_id)
{
    (void)clients;
    return client_id == bench.expired_client;
}

void clients_yield_expired(struct clients *clients, const struct client *of)
{
    (void)clients;
    ++*(of ? &bench.own_yield : &bench.all_yield);
}

void client_note_share(struct client *client, const char *what)
{
    (void)client;
    (void)what;
    bench.shares_noted++;
}

/* ---- exports ---- */

bool export_is_writable(const struct export *export)
{
    return export->writable;
}

void export_note_loss(struct export_table *table, const struct export *export)
{
    (void)table;
    ((struct export *)(uintptr_t) export)->losses++;
}

uint64_t export_losses(const struct export *export)
{
    return export->losses;
}

bool export_knows_type(layouttype4 type)
{
    return type == LAYOUT4_BLOCK_VOLUME || type == LAYOUT4_SCSI;
}

bool export_offers(const struct export *export, layouttype4 type)
{
    (void)export;
    return type == LAYOUT4_BLOCK_VOLUME;
}

bool export_has_layouts(const struct export *export, const char **why_not)
{
    *why_not = "";
    return export->layouts;
}

uint64_t export_max_file_size(const struct export *export)
{
    return export->max_file_size;
}

const uint8_t *export_fs_uuid(const struct export *export)
{
    static const uint8_t uuid[16] = {1, 2, 3};

    (void)export;
    return uuid;
}

const struct device *export_device(const struct export *export)
{
    return export->layouts ? (const struct device *)export : NULL;
}

const uint8_t *device_id(const struct device *device)
{
    static const uint8_t id[16] = "device";

    (void)device;
    return id;
}

void export_cred(const struct export *export, const struct cred *cred, struct cred *out)
{
    (void)export;
    *out = *cred;
}

int fs_cred_enter(const struct cred *caller, const struct export *export)
{
    (void)caller;
    (void)export;
    return 0;
}

void fs_cred_leave(void)
{
}

int fs_access_check(const struct cred *caller, const struct place *at, int mode, bool may_block)
{
    (void)caller;
    (void)mode;
    if (!may_block && !at->file->permissions_cached)
        return -EAGAIN;
    at->file->permissions_cached = true;
    bench.permission_asked++;
    return bench.permission_denied ? -EACCES : 0;
}

int permission_check_io(const struct cred *caller, const struct place *at, int mode, bool may_block)
{
    return fs_access_check(caller, at, mode, may_block);
}

/* ---- files ---- */

static struct file *file_new(int path_fd)
{
    struct file *file = calloc(1, sizeof *file);
    struct stat st;

    assert_non_null(file);
    assert_int_equal(fstat(path_fd, &st), 0);
    file->path_fd = path_fd;
    file->type = st.st_mode & S_IFMT;
    file->refs = 1;
    return file;
}

struct file *file_ref(struct file *file)
{
    file->refs++;
    return file;
}

void file_unref(struct file *file)
{
    if (!file || --file->refs > 0)
        return;
    assert_null(file->state);
    assert_int_equal(file->readers + file->writers + file->directs, 0);
    close(file->path_fd);
    free(file);
}

void file_lock(struct file *file)
{
    assert_false(file->locked);
    file->locked = true;
}

void file_unlock(struct file *file)
{
    assert_true(file->locked);
    file->locked = false;
}

struct file_state **file_state_slot(struct file *file)
{
    assert_true(file->locked);
    return &file->state;
}

struct export *file_export(const struct file *file)
{
    (void)file;
    return &bench.export;
}

int file_path_fd(const struct file *file)
{
    return file->path_fd;
}

mode_t file_type(const struct file *file)
{
    return file->type;
}

unsigned file_seal(const struct file *file)
{
    return file->seal;
}

void file_describe(const struct file *file, char *text, size_t size)
{
    (void)file;
    snprintf(text, size, "file");
}

bool file_table_settle(struct file_table *table, const struct export *export, int error)
{
    (void)table;
    (void)export;
    (void)error; /* nothing is closed behind the tests' backs */
    return false;
}

void file_changed(struct file *file)
{
    file->changes++;
}

int file_stat(struct file *file, struct file_stat *out)
{
    memset(out, 0, sizeof *out);
    return statx(file->path_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &out->stx) == 0 ? 0 : -errno;
}

int file_stat_basic(struct file *file, struct file_stat *out)
{
    return file_stat(file, out);
}

static unsigned *counter(struct file *file, unsigned access)
{
    return access == FILE_READ    ? &file->readers
           : access == FILE_WRITE ? &file->writers
                                  : &file->directs;
}

/* Every descriptor is one of its own; they are kept in a table so that closing needs only the file.
 */
static struct {
    struct file *file;
    unsigned access;
    int fd;
} descriptors[256];

int file_data_open(struct file *file, unsigned access, int *fd)
{
    char path[64];
    unsigned i = 0;
    int flags = access == FILE_WRITE ? O_WRONLY : O_RDONLY;

    assert_false(file->locked);
    if (access == FILE_WRITE && file->seal != SEAL_NONE)
        return -EPERM;
    while (descriptors[i].file)
        i++;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file->path_fd);
    *fd = open(path, flags | O_CLOEXEC);
    if (*fd < 0)
        return -errno;
    descriptors[i].file = file;
    descriptors[i].access = access;
    descriptors[i].fd = *fd;
    ++*counter(file, access);
    file->opened |= access;
    return 0;
}

int file_data_try(struct file *file, unsigned access, int *fd)
{
    return file->opened & access ? file_data_open(file, access, fd) : -EAGAIN;
}

void file_data_close(struct file *file, unsigned access)
{
    unsigned i = 0;

    assert_false(file->locked);
    assert_true(*counter(file, access) > 0);
    --*counter(file, access);
    while (descriptors[i].file != file || descriptors[i].access != access)
        i++;
    close(descriptors[i].fd);
    descriptors[i].file = NULL;
}

int file_flush(struct file *file, int fd, bool data_only)
{
    assert_false(file->locked);
    if ((data_only ? fdatasync(fd) : fsync(fd)) == 0)
        return 0;
    int error = -errno;
    export_note_loss(NULL, &bench.export);
    return error;
}

void file_data_leave(struct file *file, unsigned access)
{
    file_data_close(file, access);
}

int op_find_name(const struct compound *c, const char *name, struct place *out)
{
    const struct place *dir = &c->current;
    int fd = openat(dir->file->path_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (!c->on_worker && bench.names_on_disk) {
        close(fd);
        return -EAGAIN;
    }
    if (fd < 0)
        return -errno;
    *out = (struct place){.file = file_new(fd), .export = dir->export};
    return 0;
}

int file_from_fd(struct file_table *table, struct export *export, int path_fd, struct file **out)
{
    (void)table;
    (void)export;
    assert_true(fcntl(path_fd, F_GETFL) & O_PATH);
    *out = file_new(path_fd);
    return 0;
}

/* ---- attributes ---- */

bitmap4 attr_exclcreat(void)
{
    return BITMAP4(FATTR4_SIZE, FATTR4_MODE, FATTR4_OWNER);
}

nfsstat4 attr_set_decode(const struct compound *c, const fattr4 *fattr, struct attr_set *out)
{
    struct nfs4_attrs attrs = {0};

    (void)c;
    if (nfs4_attrs_unpack(fattr, &attrs) < 0)
        return NFS4ERR_BADXDR;
    out->want = attrs.present;
    out->size = attrs.size;
    out->mode = attrs.mode;
    for (uint32_t i = 0; i < attrs.owner.len; i++) /* a number */
        out->uid = 10 * out->uid + attrs.owner.data[i] - '0';
    return NFS4_OK;
}

mode_t attr_set_mode(const struct attr_set *set, mode_t otherwise)
{
    return bitmap4_isset(&set->want, FATTR4_MODE) ? set->mode : otherwise;
}

int attr_set_apply(struct file *file, const struct attr_set *set, bitmap4 *done)
{
    (void)file;
    *done = bitmap4_or(done, &set->want);
    return 0;
}

int attr_set_size(struct file *file, uint64_t size)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", file->path_fd);
    return truncate(path, (off_t)size) == 0 ? 0 : -errno;
}

int attr_set_size_as(const struct compound *c, struct file *file, uint64_t size)
{
    (void)c;
    return attr_set_size(file, size);
}

int attr_commit(const struct server *server, struct file *file)
{
    (void)server;
    (void)file;
    return 0;
}

void change_before(struct file *dir, change_info4 *info)
{
    info->before = dir->changes + 1;
}

void change_after(struct file *dir, change_info4 *info)
{
    dir->changes++;
    info->after = dir->changes + 1;
}

/* ---- the keeper ---- */

void keeper_release(struct keeper *keeper, struct keeper_release *release)
{
    (void)keeper;
    bench.releases++;
    release->call.status = bench.release_status ? bench.release_status : bench.keeper_status;
    if (bench.keeper_status == NFS4_OK && bench.keeper_clears_seal)
        release->file->seal = SEAL_NONE;
    asked = &release->call;
}

void keeper_map(struct keeper *keeper, struct keeper_map *map)
{
    (void)keeper;
    bench.maps++;
    map->call.status = bench.keeper_status;
    map->map = (struct seal_map *)&bench;
    asked = &map->call;
}

const struct config_export *export_config(const struct export *export)
{
    static struct config_export config;

    (void)export;
    config.direct_writes = bench.direct_writes;
    return &config;
}

bool file_is_growing(struct file *file)
{
    (void)file;
    return bench.growing;
}

void keeper_writer(struct keeper *keeper, const struct file *file, uint64_t client_id, bool writes)
{
    (void)keeper;
    (void)file;
    (void)client_id;
    (void)writes;
}

void keeper_room(struct keeper *keeper, struct keeper_room *room)
{
    (void)keeper;
    assert_true(bench.growing);
    bench.rooms++;
    bench.room = *room;
    room->call.status = bench.room_status ? bench.room_status : bench.keeper_status;
    room->promise = (struct request *)&bench;
    asked = &room->call;
}

void map_free(struct seal_map *map)
{
    assert_true(map == NULL || map == (struct seal_map *)&bench);
}

int pinned_cache_write(struct file *file, struct seal_map *map, uint64_t offset, const void *data,
                       size_t len)
{
    (void)data;
    (void)len;
    assert_ptr_equal(map, &bench);
    bench.pinned_writes++;
    bench.pinned_offset = offset;
    bench.pinned_held = state_file_has_pinned_io(file);
    return offset > 1000000 ? -EFBIG : 0;
}

void keeper_wrote(struct keeper *keeper, struct keeper_wrote *wrote)
{
    (void)keeper;
    bench.wrotes++;
    bench.wrote = *wrote;
    wrote->call.status = NFS4_OK;
    asked = &wrote->call;
}

void session_current_call(const struct session *session, const struct session_slot *slot,
                          sessionid4 id, slotid4 *slot_id, sequenceid4 *sequence)
{
    (void)session;
    (void)slot;
    memset(id, 0, NFS4_SESSIONID_SIZE);
    *slot_id = 0;
    *sequence = 1;
}

void keeper_layoutget(struct keeper *keeper, struct keeper_layoutget *get)
{
    (void)keeper;
    bench.layoutgets++;
    bench.layoutget = *get;
    get->call.status = bench.keeper_status;
    get->layout_stateid = (stateid4){.seqid = 1, .other = {STATEID_LAYOUT}};
    get->granted_length = UINT64_MAX;
    get->granted_iomode = get->iomode;
    get->body_len = bench.body_len;
    memset(get->body_buffer, 0x5a, bench.body_len);
    asked = &get->call;
}

void keeper_layoutreturn(struct keeper *keeper, struct keeper_layoutreturn *ret)
{
    (void)keeper;
    bench.layoutreturns++;
    bench.layoutreturn = *ret;
    ret->call.status = bench.keeper_status;
    ret->stateid_present = !bench.returned_all;
    ret->layout_stateid = (stateid4){.seqid = 2, .other = {STATEID_LAYOUT}};
    asked = &ret->call;
}

void keeper_layoutcommit(struct keeper *keeper, struct keeper_layoutcommit *commit)
{
    (void)keeper;
    bench.layoutcommit = *commit;
    commit->call.status = bench.keeper_status;
    asked = &commit->call;
}

void keeper_deviceinfo(struct keeper *keeper, struct keeper_deviceinfo *info)
{
    (void)keeper;
    info->call.status = bench.keeper_status;
    if (bench.keeper_status == NFS4_OK) {
        info->body = calloc(1, bench.body_len);
        info->body_len = bench.body_len;
        info->notify &= 1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE;
    }
    asked = &info->call;
}

void keeper_test_stateids(struct keeper *keeper, struct keeper_stateids *test)
{
    (void)keeper;
    bench.stateid_tests++;
    for (uint32_t i = 0; i < test->count; i++)
        if (test->stateids[i].other[0] == STATEID_LAYOUT)
            test->codes[i] = bench.keeper_status;
    test->call.status = NFS4_OK;
    asked = &test->call;
}

/* ---- the dispatcher ---- */

bool export_commits_by_directory(const struct export *export)
{
    (void)export;
    return true;
}

enum op_next commit_dirs(struct compound *c, struct commit_wait *wait, struct file *dir,
                         struct file *other)
{
    (void)c;
    (void)dir;
    (void)other;
    wait->error = 0;
    return OP_DONE;
}

void compound_resume(struct compound *c)
{
    (void)c;
    resumed = true;
}

static void answer(void)
{
    struct keeper_call *call = asked;

    assert_non_null(call);
    asked = NULL;
    resumed = false;
    call->reply.run(&call->reply);
    assert_true(resumed);
}

nfsstat4 bench_run_named(struct compound *c, enum op_next (*handler)(struct compound *c),
                         const char *name)
{
    c->stage = 0;
    c->op_state = NULL;
    c->on_worker = true; /* the operation before may have left it there */
    memset(&c->res, 0, sizeof c->res);
    for (unsigned turn = 0; turn < 32; turn++) {
        switch (handler(c)) {
        case OP_DONE:
            c->res.status = op_error(op_of_handler(name), c->res.status); /* as the dispatcher */
            if (!error_is_allowed(op_of_handler(name), c->res.status))
                fail_msg("%s answers %s (RFC 8881 section 15.2)", name,
                         nfs4_status_name(c->res.status));
            return c->res.status;
        case OP_BLOCK:
            c->on_worker = true;
            break;
        case OP_LOOP:
            c->on_worker = false;
            break;
        case OP_WAIT:
            answer();
            c->on_worker = false;
            break;
        }
    }
    fail_msg("the handler never ends");
    return NFS4ERR_SERVERFAULT;
}

struct compound *bench_compound(unsigned client, struct file *file)
{
    struct compound *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->server = &bench.server;
    c->client = &bench.clients[client];
    c->client_id = c->client->id;
    c->max_reply = 1 << 20;
    c->cred.uid = 1000;
    arena_init(&c->arena, 1 << 20);
    c->current = (struct place){.file = file_ref(file), .export = &bench.export};
    return c;
}

void bench_compound_free(struct compound *c)
{
    file_unref(c->current.file);
    arena_free(&c->arena);
    free(c);
}

struct file *bench_file(const char *name, const char *content)
{
    int fd = openat(bench.dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    fd = openat(bench.dir_fd, name, O_PATH | O_CLOEXEC);
    assert_true(fd >= 0);
    return file_new(fd);
}

nfsstat4 bench_open(unsigned client, struct file *file, const char *owner, uint32_t access,
                    uint32_t deny, stateid4 *stateid)
{
    struct compound *c = bench_compound(client, file);
    nfsstat4 status;

    c->args.open = (OPEN4args){
        .share_access = access,
        .share_deny = deny,
        .owner.owner = xdr_bytes_of(owner),
        .claim.claim = CLAIM_FH,
    };
    status = bench_run(c, op_open);
    if (status == NFS4_OK)
        *stateid = c->res.open.resok4.stateid;
    bench_compound_free(c);
    return status;
}

nfsstat4 bench_close(unsigned client, struct file *file, const stateid4 *stateid)
{
    struct compound *c = bench_compound(client, file);
    nfsstat4 status;

    c->args.close.open_stateid = *stateid;
    status = bench_run(c, op_close);
    bench_compound_free(c);
    return status;
}

int bench_setup(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof bench);
    bench.config.max_io_size = 1 << 20;
    bench.server.config = &bench.config;
    bench.server.boot_verifier = 0x1122334455667788;
    bench.export = (struct export){.writable = true, .layouts = true, .max_file_size = INT64_MAX};
    strcpy(bench.dir, "/tmp/sealnfs-ops.XXXXXX");
    if (!mkdtemp(bench.dir))
        return -1;
    bench.dir_fd = open(bench.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bench.root = file_new(open(bench.dir, O_PATH | O_CLOEXEC));
    budget_init(&bench.budget, 1 << 20, 1 << 30);
    for (unsigned i = 0; i < 3; i++) {
        bench.clients[i] =
            (struct client){.id = 100 + i, .recallable = true, .reclaim_complete = true};
        const struct client_annex annex = client_state_annex(&bench.budget);
        if (annex.create(annex.context, &bench.host, 0x1122334455667788, 100 + i, 256,
                         &bench.clients[i].state) < 0)
            return -1;
    }
    return 0;
}

void bench_end_client(unsigned client)
{
    client_state_annex(&bench.budget).drop(bench.clients[client].state, SIZE_MAX);
    bench.clients[client].state = NULL;
}

int bench_teardown(void **state)
{
    char command[96];

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        bench_end_client(i);
    for (unsigned kind = 0; kind < BUDGET_KINDS; kind++)
        assert_int_equal(bench.budget.taken[kind], 0);
    assert_int_equal(bench.root->refs, 1);
    file_unref(bench.root);
    close(bench.dir_fd);
    snprintf(command, sizeof command, "rm -r %s", bench.dir);
    return system(command);
}
