/*
 * step.c - the file system's part of sealing and releasing (layout/seal/fs.h), on worker
 * threads. A step names its file by key; a file that is not in memory is opened by its handle.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "layout/container_of.h"
#include "layout/seal/fs.h"
#include "layout/seal/reserve.h"
#include "server/base/fs_handle.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/export/export.h"
#include "server/file/pinned_cache.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/rdma.h"
#include "server/state/state.h"

/* WRITER_POLLS: so often it is seen whether the last WRITE before the word has ended. */
enum {
    CLIENT_PAGE = 4096 /* layout_blksize */,
    PINNED_POLL_US = 5000,
    WRITER_POLLS = 400,
    ZERO_CHUNK = 4 << 20
};

struct step_job {
    struct work work;
    struct loop_msg home;
    struct keeper *keeper;
    struct step_job *prev, *next; /* the keeper's */
    struct engine_effect effect;
    struct file *file;
    int fd;
    int error;
    enum file_presence presence;
    struct seal_refusal why;
    struct seal_map *map;
    struct device *device;
    uint64_t mtime_ns, change, size, reserve;
    bool flag_cleared, shared;
    /* FLAG and MAP of a file that is to be written to in memory */
    int writable_fd; /* -1: none */
    struct rdma_memory *memory;
    char why_readonly[KEEPER_RDMA_WHY_MAX];
    struct keeper_rdma_gate gate;
};

int keeper_find_file(struct keeper *keeper, const struct file_key *key, bool may_block,
                     struct file **out)
{
    struct file *file = file_find(keeper->files, key);
    if (file) {
        *out = file;
        return 0;
    }
    if (!may_block)
        return -EAGAIN;
    if (key->len <= FILE_KEY_UUID_SIZE + 1)
        return -EINVAL;
    struct fs_handle handle = {.type = key->data[FILE_KEY_UUID_SIZE],
                               .len = (uint8_t)(key->len - FILE_KEY_UUID_SIZE - 1)};
    memcpy(handle.bytes, key->data + FILE_KEY_UUID_SIZE + 1, handle.len);
    int err = -ENOENT;
    for (unsigned i = 0; i < export_count(keeper->exports); i++) {
        struct export *export = export_at(keeper->exports, i);
        if (memcmp(export_fs_uuid(export), key->data, FILE_KEY_UUID_SIZE) != 0)
            continue;
        int fd = fs_handle_open(export_root_fd(export), &handle);
        if (fd < 0)
            return fd;
        err = file_from_fd(keeper->files, export, fd, out);
        if (!err)
            return 0;
    }
    return err == -ENOENT ? keeper_find_relabelled(keeper, key, &handle, out) : err;
}

/* Who has a growing file open for writing is who it is sealed for. New WRITEs wait for the word;
 * one that began before it ends soon. */
static int no_own_writer(struct step_job *job)
{
    int err = file_drop_writer(job->file);
    for (unsigned i = 0; err == -EBUSY && i < WRITER_POLLS; i++) {
        usleep(PINNED_POLL_US);
        err = file_drop_writer(job->file);
    }
    return err ? seal_refuse(&job->why, SEAL_REFUSED_WRITER, EBUSY,
                             "a WRITE to the file does not come to an end; try again")
               : 0;
}

/* The server's own part of the proof that nobody writes: opens of NFS clients, and its own
 * descriptors. */
static int no_nfs_writer(struct step_job *job)
{
    if (job->effect.step.reserve)
        return no_own_writer(job);
    if (state_file_has_writer(job->file) &&
        state_file_yield_writers(job->file, job->keeper->clients))
        return seal_refuse(&job->why, SEAL_REFUSED_WRITER, EBUSY,
                           "only NFS clients that have been silent for longer than their lease "
                           "have it open for writing; their opens are dropped now: try again");
    if (state_file_has_writer(job->file))
        return seal_refuse(&job->why, SEAL_REFUSED_WRITER, EBUSY,
                           "an NFS client has the file open for writing; close it there first");
    if (file_drop_writer(job->file))
        return seal_refuse(&job->why, SEAL_REFUSED_WRITER, EBUSY,
                           "the file is being written to; try again");
    return 0;
}

/* Times of before 1970 are 0, which stands for none: then the file's own is shown, and stays. */
static uint64_t to_ns(int64_t seconds, int64_t ns)
{
    return seconds < 0 ? 0 : (uint64_t)seconds * UINT64_C(1000000000) + (uint64_t)ns;
}

static void keep_stat(struct step_job *job, const struct file_stat *stat)
{
    job->mtime_ns = to_ns(stat->stx.stx_mtime.tv_sec, stat->stx.stx_mtime.tv_nsec);
    job->change = stat->change;
    job->size = stat->stx.stx_size;
}

/* What is asked for is what there has to be; more is wished for. */
static struct seal_reserve wanted_reserve(const struct step_job *job, uint64_t size)
{
    return (struct seal_reserve){
        .size = size, .want = job->effect.step.reserve, .least = job->effect.step.min_size};
}

static int prepare(struct step_job *job)
{
    const struct engine_effect *effect = &job->effect;
    const char *why_not = NULL;
    struct file_stat stat;
    if (!file_export(job->file) || !export_has_layouts(file_export(job->file), &why_not))
        return seal_refuse(&job->why, SEAL_REFUSED_FILESYSTEM, EOPNOTSUPP, "%s",
                           why_not ? why_not : "no layouts here");
    int err = no_nfs_writer(job);
    if (!err && effect->step.min_size && !effect->step.reserve) {
        err = file_stat(job->file, &stat);
        if (!err && stat.stx.stx_size < effect->step.min_size)
            err = seal_refuse(&job->why, SEAL_REFUSED_EMPTY, EFBIG,
                              "the file is smaller than at_rest_min_size (%llu bytes)",
                              (unsigned long long)effect->step.min_size);
    }
    if (err)
        return err;
    struct seal_fs_request request = {.kind = effect->step.kind,
                                      .fill = effect->step.fill && !effect->step.reserve,
                                      .growing = effect->step.reserve > 0,
                                      .unguarded = keeper_unguarded(job->keeper, job->file)};
    request.guarded = !request.unguarded;
    err = seal_fs_prepare(job->fd, &request, &job->why);
    if (!err && effect->step.reserve) /* or a reserve would be made for nothing, at each try */
        err = keeper_try_alone(job->file, job->fd, &job->why);
    if (!err && effect->step.reserve) {
        err = file_stat(job->file, &stat);
        if (err)
            return err;
        keep_stat(job, &stat);
        const struct seal_reserve wanted = wanted_reserve(job, job->size);
        job->reserve = seal_reserve_most(&wanted);
    }
    return err;
}

static int reserve(struct step_job *job)
{
    const struct seal_reserve wanted = wanted_reserve(job, job->effect.step.size);
    return seal_fs_reserve(job->fd, &wanted, &job->size, &job->why);
}

/* By the map that the seal has: nothing of it changes while this is under way. */
static int zero(struct step_job *job)
{
    uint64_t at = job->effect.step.offset, end = at + job->effect.step.length;
    void *zeros = NULL;
    int err = job->map ? 0 : -ESTALE;
    if (!err && posix_memalign(&zeros, CLIENT_PAGE, ZERO_CHUNK) != 0)
        err = -ENOMEM;
    if (err)
        return err;
    memset(zeros, 0, ZERO_CHUNK);
    while (!err && at < end) {
        size_t len = end - at < ZERO_CHUNK ? (size_t)(end - at) : ZERO_CHUNK - at % CLIENT_PAGE;
        err = pinned_cache_write(job->file, job->map, at, zeros, len);
        at += len;
    }
    free(zeros);
    return err;
}

/* By whatever export it is reached. */
static bool disk_is_offered(struct step_job *job)
{
    struct export_table *exports = job->keeper->exports;
    for (unsigned i = 0; i < export_count(exports); i++) {
        const struct export *export = export_at(exports, i);
        if (export_offers_disk(export) &&
            memcmp(export_fs_uuid(export), job->effect.key.data, FILE_KEY_UUID_SIZE) == 0)
            return true;
    }
    return false;
}

/* Where common clients would lose data nothing is granted: see device_volume_is_lossy. */
static int stay_where_clients_are_right(struct step_job *job, const struct device *device)
{
    if (!disk_is_offered(job))
        return 0;
    if (!map_is_aligned(job->map, CLIENT_PAGE))
        return seal_refuse(
            &job->why, SEAL_REFUSED_FILESYSTEM, EOPNOTSUPP,
            "its pieces on disk begin within pages of %d bytes, because the file system's blocks "
            "are "
            "smaller: Linux clients read and write wrong data there; use a file system with "
            "blocks of 4096 bytes (mkfs.ext4 -b 4096)",
            CLIENT_PAGE);
    for (size_t i = 0; i < map_extent_count(job->map); i++) {
        const struct seal_extent *e = map_extent(job->map, i);
        if (e->kind == SEAL_EXTENT_DATA &&
            device_volume_is_lossy(device_volume(device), e->device_offset, e->length))
            return seal_refuse(
                &job->why, SEAL_REFUSED_DEVICE, EOPNOTSUPP,
                "its bytes from %llu on lie in a part of the volume %s (the end of a partition's "
                "or "
                "logical volume's first piece, or the beginning of a stripe) where Linux clients "
                "lose "
                "what they write, see sealnfs.conf(5); copy the file, so that it lies elsewhere",
                (unsigned long long)e->file_offset, device_volume_path(device));
    }
    return 0;
}

static bool wants_writable(const struct keeper *keeper, const struct file *file)
{
    const struct export *export = file_export(file);
    return keeper->rdma && export && export_offers(export, LAYOUT4_SEALNFS_RDMA);
}

/*
 * Opened before the flag, which keeps everybody from it, us too: the only way to a mapping that
 * clients can write through. Without it the seal gives RDMA layouts for reading only, and other
 * layouts as ever.
 */
static void open_writable(struct step_job *job)
{
    struct file_stat stat;
    if (job->effect.step.kind != SEAL_KIND_PINNED || !wants_writable(job->keeper, job->file) ||
        file_stat(job->file, &stat) || !(stat.stx.stx_attributes & STATX_ATTR_DAX))
        return;
    job->writable_fd = fs_reopen(file_path_fd(job->file), O_RDWR | O_CLOEXEC);
}

static int set_flag(struct step_job *job)
{
    open_writable(job);
    int err = job->effect.step.kind == SEAL_KIND_PINNED
                  ? keeper_guard_file(job->keeper, job->file, job->fd, &job->why)
                  : 0;
    if (!err)
        err = seal_fs_set_flag(job->fd, job->effect.step.kind, &job->why);
    if (err && job->writable_fd >= 0) {
        close(job->writable_fd);
        job->writable_fd = -1;
    }
    return err;
}

static int read_and_prove(struct step_job *job, int fd, const struct device *device)
{
    int err = seal_fs_prove_no_writer(fd, &job->why);
    return err ? err
               : seal_fs_read_map(fd, job->effect.step.kind, job->effect.step.sparse,
                                  device_size(device), &job->map, &job->why);
}

/* By what is open for reading. */
static int read_alone(struct step_job *job, const struct device *device)
{
    int err = keeper_prove_alone(job->keeper, job->file, job->fd, &job->why);
    return err ? err : read_and_prove(job, job->fd, device);
}

/* By the descriptor that is open for writing, if it is the only one: then it is mapped. */
static bool read_by_writable(struct step_job *job, const struct device *device)
{
    int err;
    if (job->writable_fd < 0)
        return false;
    file_data_close(job->file, FILE_READ);
    err = file_drop_readers(job->file);
    if (!err)
        err = read_and_prove(job, job->writable_fd, device);
    if (!err)
        job->memory =
            keeper_rdma_ops->map(job->writable_fd, map_file_size(job->map), job->why_readonly);
    else
        snprintf(job->why_readonly, sizeof job->why_readonly,
                 "somebody had the file open while it was sealed, so that it could not be mapped "
                 "for writing; to "
                 "write "
                 "to it by RDMA, unseal it and seal it anew when nobody on the server reads it "
                 "(reading works)");
    close(job->writable_fd);
    job->writable_fd = -1;
    job->fd = -1;
    (void)file_data_open(job->file, FILE_READ,
                         &job->fd); /* if that fails, so does what is tried by it */
    return !err;
}

/* Between its reserve and its flag a local program may have had it. Its time is what the reserve
 * left it. */
static int is_as_it_was_reserved(struct step_job *job)
{
    struct stat st;
    if (fstat(job->fd, &st) != 0)
        return -errno;
    if (to_ns(st.st_mtim.tv_sec, st.st_mtim.tv_nsec) == job->effect.step.mtime_ns)
        return 0;
    return seal_refuse(&job->why, SEAL_REFUSED_CHANGED, EAGAIN,
                       "the file was changed by a local program while it was being sealed; try "
                       "again");
}

static int read_map(struct step_job *job)
{
    const struct device *device = export_device(file_export(job->file));
    const uint64_t serial = keeper_guard_serial(job->keeper, job->file);
    struct file_stat stat;
    int err = no_nfs_writer(job);
    if (!err && !device)
        err = seal_refuse(&job->why, SEAL_REFUSED_DEVICE, ENODEV,
                          "the device behind the export is not known");
    if (!err && read_by_writable(job, device))
        keeper_guard_alone(job->keeper, job->file, serial);
    else if (!err)
        err = read_alone(job, device);
    if (!err)
        err = stay_where_clients_are_right(job, device);
    if (!err && job->effect.step.reserve)
        err = is_as_it_was_reserved(job);
    if (!err)
        err = file_stat(job->file, &stat);
    if (err)
        return err;
    job->device = device_ref((struct device *)(uintptr_t)device);
    keep_stat(job, &stat);
    return 0;
}

/* Now, but later than what it is. 0: it cannot be said. */
static uint64_t next_mtime(int fd)
{
    struct timespec now;
    struct stat stat;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || fstat(fd, &stat) != 0)
        return 0;
    uint64_t was = to_ns(stat.st_mtim.tv_sec, stat.st_mtim.tv_nsec);
    uint64_t is = to_ns(now.tv_sec, now.tv_nsec);
    return is > was ? is : was + 1;
}

static int unflag(struct step_job *job)
{
    uint64_t mtime = job->effect.step.mtime_ns;
    uint64_t next = job->effect.step.uncommitted ? next_mtime(job->fd) : 0;
    mtime = next > mtime ? next : mtime;
    struct timespec when = {.tv_sec = (time_t)(mtime / UINT64_C(1000000000)),
                            .tv_nsec = (long)(mtime % UINT64_C(1000000000))};
    const struct seal_cut cut = {.size = job->effect.step.size,
                                 .reserve = job->effect.step.reserve,
                                 .whole = job->effect.step.reserve_made,
                                 .immutable = job->effect.step.flag_stays};
    if (cut.reserve)
        return seal_fs_clear_grown(job->fd, &cut, mtime ? &when : NULL, &job->why);
    return seal_fs_clear_flag(job->fd, job->effect.step.kind, mtime ? &when : NULL, &job->why);
}

/* Without the flag the map may be any by now; that it is gone is for the engine to judge. */
static int verify(struct step_job *job)
{
    bool set = false;
    int err = seal_fs_get_flag(job->fd, &set);
    return err || !set ? err : seal_fs_reread_map(job->fd, &job->map, &job->shared, &job->why);
}

/* Looks, and changes nothing of the file. That nobody else has it open comes first: then no clone
 * is made after the look. Where that cannot be said it is looked at all the same. */
static int watch(struct step_job *job)
{
    bool set = false;
    struct seal_refusal unread = {.text = ""};
    int kept = 0, err = seal_fs_get_flag(job->fd, &set);
    if (err)
        return err;
    job->flag_cleared = !set;
    if (set && job->effect.step.kind == SEAL_KIND_PINNED)
        kept = keeper_guard_file(job->keeper, job->file, job->fd, &job->why);
    if (set && !kept)
        kept = keeper_prove_alone(job->keeper, job->file, job->fd, &job->why);
    err = seal_fs_reread_map(job->fd, &job->map, &job->shared, kept ? &unread : &job->why);
    job->why.lost = job->why.lost || unread.lost;
    return kept ? kept : err;
}

static int run_step(struct step_job *job)
{
    switch (job->effect.step.step) {
    case ENGINE_STEP_PREPARE:
        return prepare(job);
    case ENGINE_STEP_FLAG:
        return set_flag(job);
    case ENGINE_STEP_MAP:
        return read_map(job);
    case ENGINE_STEP_VERIFY:
        return verify(job);
    case ENGINE_STEP_UNFLAG:
        return unflag(job);
    case ENGINE_STEP_WATCH:
        return watch(job);
    case ENGINE_STEP_RESERVE:
        return reserve(job);
    case ENGINE_STEP_ZERO:
        return zero(job);
    }
    return -EINVAL;
}

static void work(struct work *item)
{
    struct step_job *job = container_of(item, struct step_job, work);
    job->error = job->file ? 0 : keeper_find_file(job->keeper, &job->effect.key, true, &job->file);
    if (job->error)
        job->presence = keeper_judge_absence(job->keeper, &job->effect.key, job->error, &job->why);
    if (!job->error && !S_ISREG(file_type(job->file)))
        job->error = seal_refuse(&job->why, SEAL_REFUSED_NOT_REGULAR, EINVAL, /* not even opened */
                                 "only regular files can be sealed, this is a %s",
                                 S_ISDIR(file_type(job->file)) ? "directory: name the files in it"
                                                               : "FIFO, a socket or a device");
    if (!job->error)
        job->error = file_data_open(job->file, FILE_READ, &job->fd);
    if (!job->error) {
        job->error = run_step(job);
        if (job->why.lost)
            export_note_loss(job->keeper->exports, file_export(job->file));
        if (job->fd >= 0)
            file_data_close(job->file, FILE_READ);
    }
    if (job->error && !job->why.text[0])
        seal_refuse_errno(&job->why, -job->error, "the file cannot be opened");
    jobs_come_home(&job->keeper->jobs, &job->home);
}

static void hand_over_memory(struct keeper_rdma *rdma, struct step_job *job)
{
    if (job->effect.step.step == ENGINE_STEP_FLAG && job->writable_fd >= 0) {
        keeper_rdma_ops->keep_fd(rdma, &job->effect.key, job->writable_fd);
        job->writable_fd = -1;
    }
    if (job->effect.step.step == ENGINE_STEP_MAP && !job->error) {
        keeper_rdma_ops->keep_memory(rdma, &job->effect.key, job->memory, job->why_readonly);
        job->memory = NULL;
    }
}

static void free_job(struct step_job *job)
{
    DL_DELETE(job->keeper->steps, job);
    if (job->memory)
        keeper_rdma_ops->drop_memory(job->keeper->rdma, job->memory);
    if (job->writable_fd >= 0)
        close(job->writable_fd);
    map_free(job->map);
    device_free(job->device);
    file_unref(job->file);
    free(job);
}

/* A look that came home after the end of its seal has guarded the file for nothing. */
static void unguard_stale(const struct step_job *job)
{
    struct engine_seal_view view;
    if (job->effect.step.step == ENGINE_STEP_WATCH &&
        engine_seal_view(job->keeper->engine, &job->effect.key, &view) != 0)
        keeper_unguard(job->keeper, &job->effect.key);
}

static void come_home(struct loop_msg *msg)
{
    struct step_job *job = container_of(msg, struct step_job, home);
    if (job->keeper->rdma)
        hand_over_memory(job->keeper->rdma, job);
    struct engine_event event = {.type = ENGINE_EV_STEP_DONE,
                                 .step = {.key = job->effect.key,
                                          .step = job->effect.step.step,
                                          .error = job->error,
                                          .why = &job->why,
                                          .map = job->map,
                                          .device = job->device,
                                          .mtime_ns = job->mtime_ns,
                                          .change = job->change,
                                          .size = job->size,
                                          .reserve = job->reserve,
                                          .ticket = job->effect.step.ticket,
                                          .flag_cleared = job->flag_cleared,
                                          .shared = job->shared,
                                          .presence = job->presence}};
    keeper_feed(job->keeper, &event);
    unguard_stale(job);
    keeper_gathered(job->keeper);
    free_job(job);
}

void keeper_steps_drop(struct keeper *keeper)
{
    struct step_job *job, *next;
    DL_FOREACH_SAFE(keeper->steps, job, next)
    free_job(job);
}

/* The word says RELEASING already, so no new pinned I/O starts; what is under way must end before
 * the map may change. */
static void submit(evutil_socket_t fd, short what, void *arg)
{
    struct step_job *job = arg;
    (void)fd;
    (void)what;
    if (job->effect.step.step == ENGINE_STEP_VERIFY && job->file &&
        state_file_has_pinned_io(job->file)) {
        struct timeval soon = {.tv_usec = PINNED_POLL_US};
        if (event_base_once(loop_base(job->keeper->loop), -1, EV_TIMEOUT, submit, job, &soon) == 0)
            return;
        while (state_file_has_pinned_io(job->file))
            usleep(PINNED_POLL_US);
    }
    jobs_submit(&job->keeper->jobs, &job->work);
}

/* Nothing of the file is registered or mapped any more, or it cannot be seen to be so. */
static void gate_passed(struct keeper_rdma_gate *gate, int err, const char *why)
{
    struct step_job *job = container_of(gate, struct step_job, gate);
    if (!err) {
        submit(-1, 0, job);
        return;
    }
    job->error = seal_refuse(&job->why, SEAL_REFUSED_DEVICE, EBUSY, "%s", why);
    loop_post(job->keeper->loop, &job->home);
}

static enum work_kind work_kind(const struct engine_effect *effect)
{
    if (effect->step.step == ENGINE_STEP_RESERVE || effect->step.step == ENGINE_STEP_ZERO)
        return WORK_LENGTHY;
    if (effect->step.step != ENGINE_STEP_PREPARE)
        return WORK_SHORT;
    return effect->step.fill && !effect->step.reserve ? WORK_LENGTHY : WORK_FLUSH;
}

void keeper_do_step(struct keeper *keeper, const struct engine_effect *effect)
{
    struct step_job *job;
    while (!(job = calloc(1, sizeof *job)))
        usleep(PINNED_POLL_US); /* a step that is lost would hold its file for ever */
    job->keeper = keeper;
    DL_APPEND(keeper->steps, job);
    job->effect = *effect;
    job->writable_fd = effect->step.step == ENGINE_STEP_MAP && keeper->rdma
                           ? keeper_rdma_ops->take_fd(keeper->rdma, &effect->key)
                           : -1;
    job->work.run = work;
    job->work.key = worker_key(effect->key.data);
    job->work.kind = work_kind(effect);
    job->home.run = come_home;
    if (keeper_find_file(keeper, &effect->key, false, &job->file))
        job->file = NULL;
    struct engine_seal_view view;
    if (effect->step.step == ENGINE_STEP_ZERO &&
        engine_seal_view(keeper->engine, &effect->key, &view) == 0 && view.map)
        job->map = map_ref(view.map);
    job->gate.pass = gate_passed;
    if (keeper->rdma &&
        (effect->step.step == ENGINE_STEP_VERIFY || effect->step.step == ENGINE_STEP_UNFLAG))
        keeper_rdma_ops->enter(keeper->rdma, &effect->key, &job->gate);
    else
        submit(-1, 0, job);
}
