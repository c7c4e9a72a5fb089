/* See engine_world.h. */
#include "tests/unit/layout/engine_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/type/block.h"
#include "layout/type/local.h"
#include "layout/type/rdma.h"

static const struct layout_type *const types[] = {&block_layout_type, &rdma_layout_type,
                                                  &local_layout_type, NULL};
enum { FILE_SIZE = 1 << 20, BLOCK = 4096 };

static struct seal_map *make_map(unsigned file, uint64_t size)
{
    struct map_builder *builder;
    struct seal_map *map = NULL;
    struct seal_extent extent = {.length = (size + BLOCK - 1) / BLOCK * BLOCK,
                                 .device_offset = (uint64_t)(file + 1) * 16 * FILE_SIZE};
    if (map_builder_create(size, BLOCK, &builder) || (size && map_builder_add(builder, &extent)) ||
        map_builder_finish(builder, &map))
        abort();
    return map;
}

void world_truncate(struct world *w, unsigned file, uint64_t size)
{
    if (w->resize) {
        w->resize(w, file, size);
        return;
    }
    map_free(w->files[file].map);
    w->files[file].map = make_map(file, size);
    w->files[file].size = size;
}

static void make_options(struct world *w)
{
    w->options = (struct engine_options){
        .types = types,
        .boot = 1,
        .recall_timeout = 90 * SECOND,
        .lease_time = 60 * SECOND,
        .recall_pause = 1 * SECOND,
        .fence_retry = 30 * SECOND,
        .quiesce_time = 20 * SECOND,
        .ask_pause = 10 * SECOND,
        .growing_linger = 2 * SECOND,
        .fence_hook = true,
        .trace = true,
    };
}

static struct device *make_device(unsigned fs)
{
    struct device_volume volume = {.base_count = 0};
    struct device_base base = {.size = UINT64_C(1) << 40};
    struct device *device;
    uint32_t at;
    uint8_t uuid[DEVICE_UUID_SIZE] = {1, 2, (uint8_t)(3 + fs)};
    base.signature.count = 1;
    base.signature.component[0] = (struct signature_component){
        .offset = 4096, .len = 4, .bytes = {'s', 'i', 'g', (uint8_t)('n' + fs)}};
    if (device_volume_add_base(&volume, &base, &at) ||
        device_from_description(uuid, &volume, &device))
        abort();
    return device;
}

static void put_on(struct world *w, unsigned file, unsigned fs)
{
    w->files[file].fs = fs;
    memcpy(w->files[file].key.data, device_fs_uuid(w->devices[fs]), FILE_KEY_UUID_SIZE);
}

void world_split(struct world *w, unsigned first)
{
    for (unsigned i = first; i < WORLD_FILES; i++)
        put_on(w, i, 1);
}

const uint8_t *world_fs_uuid(const struct world *w, unsigned fs)
{
    return device_fs_uuid(w->devices[fs]);
}

struct world *world_create(void)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    for (unsigned fs = 0; fs < WORLD_FILE_SYSTEMS; fs++)
        w->devices[fs] = make_device(fs);
    make_options(w);
    w->now = 1000 * SECOND;
    w->next_id = 100;
    w->auto_commit = w->auto_step = w->auto_expire = true;
    for (unsigned i = 0; i < WORLD_FILES; i++) {
        struct world_file *file = &w->files[i];
        file->key.len = 20;
        put_on(w, i, 0);
        file->key.data[19] = (uint8_t)i;
        snprintf(file->path, sizeof file->path, "/file%u", i);
        file->size = FILE_SIZE - 100;
        file->map = make_map(i, file->size);
    }
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        snprintf(w->clients[i].owner, sizeof w->clients[i].owner, "owner%u", i);
        snprintf(w->clients[i].address, sizeof w->clients[i].address, "10.0.0.%u", i);
        w->clients[i].verifier[0] = 1;
    }
    if (engine_create(&w->options, &w->engine))
        abort();
    world_send(w, &(struct engine_event){.type = ENGINE_EV_START});
    return w;
}

static void drop_records(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (w->records[i].record.op == JOURNAL_SEAL_PUT)
            map_free(w->records[i].record.seal.map);
        free(w->records[i].volume);
    }
    memmove(w->records, w->records + count, (w->record_count - count) * sizeof *w->records);
    w->record_count -= count;
}

void world_durable_free(struct world_durable *d)
{
    for (size_t i = 0; i < d->seal_count; i++)
        map_free(d->seals[i].map);
    for (size_t i = 0; i < d->device_count; i++)
        free(d->volumes[i]);
    d->seal_count = d->device_count = d->holder_count = d->fenced_count = d->doubt_count = 0;
}

static struct device_volume *copy_volume(const struct device_volume *volume)
{
    struct device_volume *copy = malloc(sizeof *copy);
    if (!copy)
        abort();
    *copy = *volume;
    return copy;
}

/* What is not in use of either is not touched: it is much. */
static void copy_durable(const struct world_durable *from, struct world_durable *to)
{
    for (size_t i = 0; i < from->seal_count; i++) {
        to->seals[i] = from->seals[i];
        memcpy(to->paths[i], from->paths[i], sizeof to->paths[i]);
        if (to->seals[i].map)
            map_ref(to->seals[i].map);
    }
    for (size_t i = 0; i < from->device_count; i++) {
        to->devices[i] = from->devices[i];
        to->devices[i].volume = to->volumes[i] = copy_volume(from->volumes[i]);
    }
    memcpy(to->holders, from->holders, from->holder_count * sizeof from->holders[0]);
    memcpy(to->fenced, from->fenced, from->fenced_count * sizeof from->fenced[0]);
    memcpy(to->doubts, from->doubts, sizeof to->doubts);
    to->seal_count = from->seal_count;
    to->device_count = from->device_count;
    to->holder_count = from->holder_count;
    to->fenced_count = from->fenced_count;
    to->doubt_count = from->doubt_count;
}

void world_backup(const struct world *w, struct world_durable *to)
{
    world_durable_free(to);
    copy_durable(&w->durable, to);
}

void world_put_back(struct world *w, const struct world_durable *from)
{
    world_durable_free(&w->durable);
    copy_durable(from, &w->durable);
}

void world_destroy(struct world *w)
{
    engine_destroy(w->engine);
    drop_records(w, w->record_count);
    world_durable_free(&w->durable);
    for (unsigned i = 0; i < WORLD_FILES; i++)
        map_free(w->files[i].map);
    for (unsigned fs = 0; fs < WORLD_FILE_SYSTEMS; fs++)
        device_free(w->devices[fs]);
    free(w);
}

unsigned world_file_of(const struct world *w, const struct file_key *key)
{
    for (unsigned i = 0; i < WORLD_FILES; i++) {
        if (file_key_equal(&w->files[i].key, key))
            return i;
    }
    abort();
}

unsigned world_client_of(const struct world *w, uint64_t id)
{
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        if (w->clients[i].id == id)
            return i;
    }
    return WORLD_CLIENTS;
}

static void keep_record(struct world *w, const struct engine_effect *effect)
{
    if (w->record_count == WORLD_MAX)
        abort();
    struct world_record *kept = &w->records[w->record_count++];
    kept->ticket = effect->journal.ticket;
    kept->record = effect->journal.record;
    kept->volume = NULL;
    if (kept->record.op == JOURNAL_SEAL_PUT) {
        snprintf(kept->text, sizeof kept->text, "%s", kept->record.seal.path);
        if (kept->record.seal.map)
            map_ref(kept->record.seal.map);
    }
    if (kept->record.op == JOURNAL_DEVICE_PUT) {
        kept->volume = copy_volume(kept->record.device.volume);
        kept->record.device.volume = kept->volume;
    }
    if (kept->record.op >= JOURNAL_HOLDER_PUT && kept->record.op <= JOURNAL_FENCED_DELETE) {
        memcpy(kept->owner, kept->record.holder.owner, kept->record.holder.owner_len);
        snprintf(kept->text, sizeof kept->text, "%s", kept->record.holder.address);
    }
}

static size_t find_seal(const struct world *w, const struct file_key *key)
{
    size_t i = 0;
    while (i < w->durable.seal_count && !file_key_equal(&w->durable.seals[i].key, key))
        i++;
    return i;
}

static bool same_run(const struct world_holder *a, const struct world_record *b)
{
    return a->h.kind == b->record.holder.kind && a->h.owner_len == b->record.holder.owner_len &&
           memcmp(a->owner, b->owner, a->h.owner_len) == 0 &&
           memcmp(a->h.verifier, b->record.holder.verifier, JOURNAL_VERIFIER_SIZE) == 0;
}

static void apply_seal(struct world *w, const struct world_record *kept)
{
    struct world_durable *d = &w->durable;
    const struct journal_seal *seal = &kept->record.seal;
    size_t i = find_seal(w, &seal->key);
    if (kept->record.op == JOURNAL_SEAL_PUT) {
        if (i == d->seal_count)
            d->seal_count++;
        else
            map_free(d->seals[i].map);
        d->seals[i] = *seal;
        if (seal->map)
            map_ref(d->seals[i].map);
        snprintf(d->paths[i], sizeof d->paths[i], "%.63s", kept->text);
    } else if (i == d->seal_count) {
        return;
    } else if (kept->record.op == JOURNAL_SEAL_PHASE) {
        d->seals[i].phase = seal->phase;
    } else if (kept->record.op == JOURNAL_SEAL_OVERLAY) {
        d->seals[i].mtime_ns = seal->mtime_ns;
        d->seals[i].change = seal->change;
        d->seals[i].reserve = seal->reserve;
        d->seals[i].size = seal->size;
        d->seals[i].tail = seal->tail;
    } else {
        map_free(d->seals[i].map);
        memmove(&d->seals[i], &d->seals[i + 1], (d->seal_count - i - 1) * sizeof d->seals[0]);
        memmove(&d->paths[i], &d->paths[i + 1], (d->seal_count - i - 1) * sizeof d->paths[0]);
        d->seal_count--;
    }
}

static void add_holder(struct world_holder *list, size_t *count, const struct world_record *kept,
                       bool with_id)
{
    size_t i = 0;
    while (i < *count && !(same_run(&list[i], kept) && list[i].h.way == kept->record.holder.way &&
                           (!with_id || (list[i].h.client_id == kept->record.holder.client_id &&
                                         memcmp(list[i].h.device_id, kept->record.holder.device_id,
                                                DEVICE_ID_SIZE) == 0))))
        i++;
    if (i == *count)
        (*count)++;
    list[i].h = kept->record.holder;
    memcpy(list[i].owner, kept->owner, sizeof list[i].owner);
    snprintf(list[i].address, sizeof list[i].address, "%s", kept->text);
}

static void apply_holder(struct world *w, const struct world_record *kept)
{
    struct world_durable *d = &w->durable;
    enum journal_op op = kept->record.op;
    if (op == JOURNAL_HOLDER_PUT)
        add_holder(d->holders, &d->holder_count, kept, true);
    if (op == JOURNAL_FENCED_PUT)
        add_holder(d->fenced, &d->fenced_count, kept, false);
    if (op == JOURNAL_HOLDER_DELETE || op == JOURNAL_HOLDER_CLEAR) {
        for (size_t i = 0; i < d->holder_count;) {
            const struct world_holder *holder = &d->holders[i];
            bool device =
                memcmp(holder->h.device_id, kept->record.holder.device_id, DEVICE_ID_SIZE) == 0 &&
                holder->h.way == kept->record.holder.way;
            bool hit = op != JOURNAL_HOLDER_DELETE
                           ? device
                           : holder->h.client_id != kept->record.holder.client_id;
            if (hit && same_run(holder, kept))
                d->holders[i] = d->holders[--d->holder_count];
            else
                i++;
        }
    }
    for (size_t i = 0; op == JOURNAL_FENCED_DELETE && i < d->fenced_count;) {
        if (same_run(&d->fenced[i], kept))
            d->fenced[i] = d->fenced[--d->fenced_count];
        else
            i++;
    }
}

static size_t find_doubt(const struct world_durable *d, const uint8_t *fs_uuid)
{
    size_t i = 0;
    while (i < d->doubt_count && memcmp(d->doubts[i], fs_uuid, FILE_KEY_UUID_SIZE) != 0)
        i++;
    return i;
}

static void apply_doubt(struct world_durable *d, const uint8_t *fs_uuid, bool is_on)
{
    size_t i = find_doubt(d, fs_uuid);
    bool was_on = i < d->doubt_count;
    if (is_on && !was_on) {
        if (i == WORLD_FILE_SYSTEMS)
            abort();
        memcpy(d->doubts[d->doubt_count++], fs_uuid, FILE_KEY_UUID_SIZE);
    } else if (!is_on && was_on) {
        memcpy(d->doubts[i], d->doubts[--d->doubt_count], FILE_KEY_UUID_SIZE);
    }
}

void world_doubt(struct world *w, unsigned fs)
{
    apply_doubt(&w->durable, world_fs_uuid(w, fs), true);
}

bool world_is_in_doubt(const struct world *w, unsigned fs)
{
    return find_doubt(&w->durable, world_fs_uuid(w, fs)) < w->durable.doubt_count;
}

static void apply_device(struct world_durable *d, struct world_record *kept)
{
    size_t i = 0;
    while (i < d->device_count &&
           memcmp(d->devices[i].id, kept->record.device.id, DEVICE_ID_SIZE) != 0)
        i++;
    if (i == WORLD_DEVICES)
        abort();
    if (i == d->device_count)
        d->device_count++;
    else
        free(d->volumes[i]);
    d->devices[i] = kept->record.device;
    d->volumes[i] = kept->volume;
    kept->volume = NULL;
}

static void apply(struct world *w, struct world_record *kept)
{
    if (kept->record.op == JOURNAL_DOUBT_PUT || kept->record.op == JOURNAL_DOUBT_DELETE)
        apply_doubt(&w->durable, kept->record.fs_uuid, kept->record.op == JOURNAL_DOUBT_PUT);
    else if (kept->record.op == JOURNAL_DEVICE_PUT)
        apply_device(&w->durable, kept);
    else if (kept->record.op >= JOURNAL_HOLDER_PUT)
        apply_holder(w, kept);
    else
        apply_seal(w, kept);
}

void world_commit(struct world *w, size_t records)
{
    if (records == 0)
        return;
    uint64_t ticket = w->records[records - 1].ticket;
    for (size_t i = 0; i < records; i++)
        apply(w, &w->records[i]);
    drop_records(w, records);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_JOURNAL_COMMITTED, .committed = ticket});
}

void world_commit_quietly(struct world *w, size_t records)
{
    for (size_t i = 0; i < records; i++)
        apply(w, &w->records[i]);
    drop_records(w, records);
}

void world_commit_all(struct world *w)
{
    while (w->record_count)
        world_commit(w, w->record_count);
}

void world_crash(struct world *w)
{
    if (w->verbose)
        fprintf(stderr, "crash\n");
    engine_destroy(w->engine);
    drop_records(w, w->record_count);
    w->step_count = w->recall_count = w->ask_count = w->fence_count = w->expire_count =
        w->answer_count = 0;
    w->options.boot++;
    for (unsigned i = 0; i < WORLD_FILES; i++) {
        w->files[i].word = ENGINE_WORD_NONE;
        w->files[i].overlay_has_size = w->files[i].guarded = false;
    }
    for (unsigned i = 0; i < WORLD_CLIENTS; i++)
        w->clients[i].id = 0;
    if (engine_create(&w->options, &w->engine))
        abort();
    if (w->restoring)
        w->restoring(w);
    for (size_t i = 0; i < w->durable.doubt_count; i++)
        engine_restore_doubt(w->engine, w->durable.doubts[i], true);
    for (size_t i = 0; i < w->durable.device_count; i++)
        engine_restore_device(w->engine, &w->durable.devices[i]);
    for (size_t i = 0; i < w->durable.seal_count; i++) {
        w->durable.seals[i].path = w->durable.paths[i];
        engine_restore_seal(w->engine, &w->durable.seals[i]);
    }
    for (size_t i = 0; i < w->durable.holder_count; i++) {
        struct world_holder *holder = &w->durable.holders[i];
        holder->h.owner = holder->owner;
        holder->h.address = holder->address;
        engine_restore_holder(w->engine, &holder->h);
    }
    for (size_t i = 0; i < w->durable.fenced_count; i++) {
        struct world_holder *holder = &w->durable.fenced[i];
        holder->h.owner = holder->owner;
        holder->h.address = holder->address;
        engine_restore_fenced(w->engine, &holder->h);
    }
    w->now += SECOND;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_START});
}

static void take_effect(struct world *w, const struct engine_effect *effect)
{
    if (w->step_count == WORLD_MAX || w->recall_count == WORLD_MAX || w->ask_count == WORLD_MAX ||
        w->fence_count == WORLD_MAX || w->answer_count == WORLD_MAX)
        abort();
    switch (effect->type) {
    case ENGINE_DO_JOURNAL:
        keep_record(w, effect);
        return;
    case ENGINE_DO_STEP:
        w->steps[w->step_count++] = *effect;
        return;
    case ENGINE_DO_RECALL:
        w->recalls[w->recall_count++] = *effect;
        return;
    case ENGINE_DO_ASK:
        w->asks[w->ask_count++] = *effect;
        return;
    case ENGINE_DO_FENCE:
        memset(w->fence_owner[w->fence_count], 0, sizeof w->fence_owner[0]);
        memcpy(w->fence_owner[w->fence_count], effect->fence.owner, effect->fence.owner_len);
        snprintf(w->fence_address[w->fence_count], sizeof w->fence_address[0], "%s",
                 effect->fence.address);
        snprintf(w->fence_addresses[w->fence_count], sizeof w->fence_addresses[0], "%s",
                 effect->fence.addresses);
        memcpy(w->fence_verifier[w->fence_count], effect->fence.verifier, JOURNAL_VERIFIER_SIZE);
        w->fences[w->fence_count++] = *effect;
        return;
    case ENGINE_DO_EXPIRE:
        w->expires[w->expire_count++ % WORLD_MAX] = effect->expire;
        return;
    case ENGINE_DO_ANSWER:
        w->answers[w->answer_count++] = effect->answer;
        return;
    case ENGINE_DO_SEAL_WORD: {
        struct world_file *file = &w->files[world_file_of(w, &effect->key)];
        file->word = effect->word.word;
        file->word_at_rest = effect->word.at_rest;
        return;
    }
    case ENGINE_DO_OVERLAY: {
        struct world_file *file = &w->files[world_file_of(w, &effect->key)];
        file->overlay_mtime = effect->overlay.mtime_ns;
        file->overlay_change = effect->overlay.change;
        file->overlay_has_size = effect->overlay.has_size;
        file->overlay_size = effect->overlay.size;
        return;
    }
    case ENGINE_DO_LET_GO:
        w->let_go_count++;
        w->let_go_writing_only = effect->let_go.writing_only;
        if (w->let_go)
            w->let_go(w, effect);
        return;
    case ENGINE_DO_DEVICE_CHANGED:
        w->devices_changed++;
        return;
    case ENGINE_DO_ALARM:
        snprintf(w->alarm, sizeof w->alarm, "%s", effect->text);
        w->alarm_count++;
        return;
    case ENGINE_DO_TRACE:
        w->trace_count++;
        if (w->verbose)
            fprintf(stderr, "%s\n", effect->text);
        return;
    }
}

void world_send(struct world *w, const struct engine_event *event)
{
    struct engine_effect effect;
    if (engine_event(w->engine, event, w->now))
        abort();
    while (engine_next_effect(w->engine, &effect))
        take_effect(w, &effect);
    if (w->after_event)
        w->after_event(w);
    if (w->auto_commit && w->record_count)
        world_commit_all(w);
    if (w->auto_step && w->step_count)
        world_steps(w);
    if (w->auto_expire && w->expire_count)
        world_expire(w);
}

void world_answer_ask(struct world *w, size_t index)
{
    struct engine_effect ask = w->asks[index];
    memmove(&w->asks[index], &w->asks[index + 1], (--w->ask_count - index) * sizeof ask);
    world_send(w, &(struct engine_event){
                      .type = ENGINE_EV_ASK_ANSWERED,
                      .ask = {.ticket = ask.ask.ticket, .client_id = ask.ask.client_id}});
}

void world_expire(struct world *w)
{
    if (!w->expire_count)
        return;
    unsigned client = world_client_of(w, w->expires[0]);
    memmove(&w->expires[0], &w->expires[1], --w->expire_count * sizeof w->expires[0]);
    if (client < WORLD_CLIENTS)
        world_client_event(w, client, ENGINE_CLIENT_FORGOTTEN);
}

/* The moment of truth: after this the file's blocks may become anybody's. */
static void check_the_rule(struct world *w, unsigned file)
{
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        if (w->clients[i].holds[file] && !w->clients[i].cut) {
            w->broken++;
            if (w->verbose)
                fprintf(stderr, "client %u (%016llx) can still use %s\n", i,
                        (unsigned long long)w->clients[i].id, w->files[file].path);
        }
    }
}

/* As seal_fs_reserve does it: the mark goes before the blocks, and the flag forbids it. */
static uint64_t end_of_reserve(const struct world *w, unsigned file, uint64_t reserve)
{
    uint64_t grain = w->reserve_grain ? w->reserve_grain : 1;
    if (reserve < w->files[file].size)
        reserve = w->files[file].size;
    return (reserve + grain - 1) / grain * grain;
}

static int run_reserve(struct world *w, const struct engine_effect *step, struct engine_event *done)
{
    unsigned index = world_file_of(w, &step->key);
    if (w->files[index].flag || w->files[index].size != step->step.size)
        return -EPERM;
    w->files[index].mark = true;
    done->step.size = end_of_reserve(w, index, step->step.reserve);
    world_truncate(w, index, done->step.size);
    return 0;
}

void world_cut(struct world *w, const struct engine_effect *step)
{
    unsigned index = world_file_of(w, &step->key);
    struct world_file *file = &w->files[index];
    bool is_ours = step->step.reserve_made ? file->size == step->step.reserve
                                           : file->size <= step->step.reserve;
    if (file->mark && step->step.reserve && file->size > step->step.size && is_ours)
        world_truncate(w, index, step->step.size);
    file->mark = false;
}

static int run_step(struct world *w, const struct engine_effect *step, struct engine_event *done)
{
    unsigned index = world_file_of(w, &step->key);
    struct world_file *file = &w->files[index];
    int error = w->step_error[step->step.step];
    w->step_error[step->step.step] = 0;
    if (error) {
        done->step.presence = w->step_presence;
        if (step->step.step == ENGINE_STEP_WATCH && w->step_code == SEAL_REFUSED_READER) {
            done->step.map = file->map;
            done->step.shared = file->shared;
        }
        return error;
    }
    switch (step->step.step) {
    case ENGINE_STEP_PREPARE:
        file->shared = false; /* or it were refused */
        done->step.mtime_ns = 5 * SECOND;
        done->step.change = 7;
        done->step.size = file->size;
        done->step.reserve = step->step.reserve ? end_of_reserve(w, index, step->step.reserve) : 0;
        return 0;
    case ENGINE_STEP_RESERVE:
        return run_reserve(w, step, done);
    case ENGINE_STEP_ZERO:
        w->zeroed_from = step->step.offset;
        w->zeroed_to = step->step.offset + step->step.length;
        if (w->zero)
            w->zero(w, index, step->step.offset, step->step.length);
        return 0;
    case ENGINE_STEP_FLAG:
        file->flag = file->mark = file->guarded = true;
        return 0;
    case ENGINE_STEP_MAP:
        done->step.map = file->map;
        done->step.device = w->devices[file->fs];
        done->step.mtime_ns = 5 * SECOND;
        done->step.change = 7;
        return 0;
    case ENGINE_STEP_VERIFY:
        done->step.map = file->flag ? file->map : NULL;
        done->step.shared = file->shared;
        return 0;
    case ENGINE_STEP_WATCH:
        file->guarded = true;
        done->step.map = file->map;
        done->step.shared = file->shared;
        done->step.flag_cleared = !file->flag;
        return 0;
    case ENGINE_STEP_UNFLAG:
        if (file->flag) {
            if (w->verbose)
                fprintf(stderr, "the flag of %s is cleared\n", file->path);
            if (w->before_unflag)
                w->before_unflag(w, index);
            else
                check_the_rule(w, index);
            w->unflags++;
        }
        file->flag = step->step.flag_stays;
        file->shared = false; /* the clone is deleted, or is nobody's business any more */
        world_cut(w, step);
        return 0;
    }
    abort();
}

void world_step(struct world *w, size_t index)
{
    struct engine_effect step = w->steps[index];
    struct seal_refusal why = {.code = w->step_code, .text = "because of the test"};
    struct engine_event done = {.type = ENGINE_EV_STEP_DONE};
    memmove(&w->steps[index], &w->steps[index + 1], (--w->step_count - index) * sizeof step);
    done.step.key = step.key;
    done.step.step = step.step.step;
    done.step.ticket = step.step.ticket;
    done.step.error = run_step(w, &step, &done);
    done.step.why = &why;
    world_send(w, &done);
}

void world_step_quietly(struct world *w, size_t index)
{
    struct engine_effect step = w->steps[index];
    struct engine_event unheard = {.type = ENGINE_EV_STEP_DONE};
    memmove(&w->steps[index], &w->steps[index + 1], (--w->step_count - index) * sizeof step);
    run_step(w, &step, &unheard);
}

void world_steps(struct world *w)
{
    while (w->step_count || (w->auto_commit && w->record_count)) {
        if (w->auto_commit)
            world_commit_all(w);
        if (w->step_count)
            world_step(w, 0);
    }
}

void world_pass(struct world *w, uint64_t ns)
{
    uint64_t end = w->now + ns;
    for (unsigned idle = 0;;) {
        uint64_t due = engine_deadline(w->engine);
        if (!due || due > end)
            break;
        if (due > w->now)
            w->now = due;
        world_send(w, &(struct engine_event){.type = ENGINE_EV_TIMER});
        if (engine_deadline(w->engine) != due)
            idle = 0;
        else if (++idle > 10)
            abort(); /* a timer that fires and changes nothing would keep a processor busy */
    }
    w->now = end;
}

bool world_answered(struct world *w, const struct engine_call *call)
{
    for (size_t i = 0; i < w->answer_count; i++) {
        if (w->answers[i] == call) {
            memmove(&w->answers[i], &w->answers[i + 1],
                    (--w->answer_count - i) * sizeof w->answers[0]);
            return true;
        }
    }
    return false;
}

bool world_take_answer(struct world *w, struct engine_call **call)
{
    if (!w->answer_count)
        return false;
    *call = w->answers[0];
    return world_answered(w, *call);
}

void world_answer_recall(struct world *w, size_t index, enum engine_recall_outcome outcome,
                         nfsstat4 status)
{
    if (index >= w->recall_count)
        abort(); /* the test answers what was not asked */
    struct engine_effect recall = w->recalls[index];
    memmove(&w->recalls[index], &w->recalls[index + 1],
            (--w->recall_count - index) * sizeof recall);
    unsigned client = world_client_of(w, recall.recall.client_id);
    if (outcome == ENGINE_RECALL_ANSWERED && status == NFS4ERR_NOMATCHING_LAYOUT &&
        client < WORLD_CLIENTS) {
        for (unsigned i = 0; i < WORLD_FILES; i++) {
            if (recall.recall.scope == LAYOUTRECALL4_ALL ||
                file_key_equal(&w->files[i].key, &recall.key))
                w->clients[client].holds[i] = false;
        }
    }
    if (outcome == ENGINE_RECALL_ANSWERED && status == NFS4_OK && client < WORLD_CLIENTS &&
        recall.recall.scope == LAYOUTRECALL4_FILE)
        w->clients[client].knows_recall[world_file_of(w, &recall.key)] = true;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_RECALL_ANSWERED,
                                         .recall = {.ticket = recall.recall.ticket,
                                                    .client_id = recall.recall.client_id,
                                                    .scope = recall.recall.scope,
                                                    .type = recall.recall.type,
                                                    .key = recall.key,
                                                    .outcome = outcome,
                                                    .status = status}});
}

void world_report_fence(struct world *w, size_t index, bool success)
{
    struct engine_effect fence = w->fences[index];
    size_t after = --w->fence_count - index;
    memmove(&w->fences[index], &w->fences[index + 1], after * sizeof fence);
    memmove(&w->fence_owner[index], &w->fence_owner[index + 1], after * sizeof w->fence_owner[0]);
    memmove(&w->fence_address[index], &w->fence_address[index + 1],
            after * sizeof w->fence_address[0]);
    memmove(&w->fence_addresses[index], &w->fence_addresses[index + 1],
            after * sizeof w->fence_addresses[0]);
    memmove(&w->fence_verifier[index], &w->fence_verifier[index + 1],
            after * sizeof w->fence_verifier[0]);
    world_send(w,
               &(struct engine_event){.type = ENGINE_EV_FENCE_DONE,
                                      .fence = {.ticket = fence.fence.ticket, .success = success}});
}

/* A hook cuts off the addresses that it is told of, a key the machine. */
static bool is_reached(const struct world *w, size_t index, const struct world_client *client)
{
    const struct device *device = w->fences[index].fence.device;
    if (device && device_is_reserved(device))
        return true;
    size_t len = strlen(client->address);
    for (const char *at = w->fence_addresses[index]; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == len && memcmp(at, client->address, len) == 0)
            return true;
    return false;
}

void world_fence_done(struct world *w, size_t index, bool success)
{
    for (unsigned i = 0; success && i < WORLD_CLIENTS; i++) {
        struct world_client *client = &w->clients[i];
        if (strcmp(client->owner, w->fence_owner[index]) == 0 && is_reached(w, index, client))
            client->cut = true;
    }
    world_report_fence(w, index, success);
}

void world_client_event(struct world *w, unsigned client, enum engine_client_event what)
{
    struct world_client *c = &w->clients[client];
    struct engine_event event = {.type = ENGINE_EV_CLIENT,
                                 .client = {.what = what,
                                            .client_id = c->id,
                                            .owner = (const uint8_t *)c->owner,
                                            .owner_len = (uint32_t)strlen(c->owner),
                                            .address = c->address}};
    memcpy(event.client.verifier, c->verifier, sizeof c->verifier);
    world_send(w, &event);
    if (what == ENGINE_CLIENT_FORGOTTEN || what == ENGINE_CLIENT_DESTROYED)
        c->id = 0;
}

void world_confirm(struct world *w, unsigned client)
{
    w->clients[client].id = ++w->next_id;
    world_client_event(w, client, ENGINE_CLIENT_CONFIRMED);
    world_client_event(w, client, ENGINE_CLIENT_CALLABLE);
}

void world_restart_client(struct world *w, unsigned client)
{
    struct world_client *c = &w->clients[client];
    memset(c->holds, 0, sizeof c->holds);
    c->cut = false;
    c->verifier[0]++;
    world_confirm(w, client);
}

void world_seal(struct world *w, unsigned file, enum seal_kind kind, struct engine_seal *call)
{
    *call =
        (struct engine_seal){.key = w->files[file].key, .path = w->files[file].path, .kind = kind};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = call});
}

enum engine_result world_sealed(struct world *w, unsigned file, enum seal_kind kind)
{
    struct engine_seal call;
    world_seal(w, file, kind, &call);
    if (!world_answered(w, &call.call))
        abort();
    return call.call.result;
}

void world_release(struct world *w, unsigned file, bool by_operator, uint64_t patience,
                   struct engine_release *call)
{
    *call = (struct engine_release){
        .key = w->files[file].key, .by_operator = by_operator, .patience = patience};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_RELEASE, .release = call});
}

void world_get(struct world *w, unsigned client, unsigned file, layoutiomode4 iomode,
               struct engine_layoutget *call)
{
    *call = (struct engine_layoutget){
        .key = w->files[file].key,
        .client_id = w->clients[client].id,
        .type = LAYOUT4_BLOCK_VOLUME,
        .want = {.iomode = iomode, .length = NFS4_UINT64_MAX, .minlength = 4096, .maxcount = 65536},
        .path = w->files[file].path,
        .body = w->body,
        .body_room = sizeof w->body,
    };
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = call});
}

enum engine_result world_got(struct world *w, unsigned client, unsigned file, layoutiomode4 iomode)
{
    struct engine_layoutget call;
    world_get(w, client, file, iomode, &call);
    if (!world_answered(w, &call.call))
        abort();
    if (call.call.result == ENGINE_OK) {
        w->clients[client].holds[file] = true;
        w->clients[client].knows_recall[file] = false;
        w->clients[client].stateid[file] = call.granted_stateid;
    }
    return call.call.result;
}

enum engine_result world_give_back(struct world *w, unsigned client, unsigned file,
                                   layoutiomode4 iomode, uint64_t offset, uint64_t length)
{
    struct engine_layoutreturn call = {.scope = LAYOUTRETURN4_FILE,
                                       .key = w->files[file].key,
                                       .client_id = w->clients[client].id,
                                       .type = LAYOUT4_BLOCK_VOLUME,
                                       .iomode = iomode,
                                       .offset = offset,
                                       .length = length,
                                       .stateid = w->clients[client].stateid[file]};
    if (offset == 0 && length == NFS4_UINT64_MAX && iomode == LAYOUTIOMODE4_ANY &&
        !w->clients[client].knows_recall[file])
        w->clients[client].holds[file] = false;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &call});
    if (!world_answered(w, &call.call))
        abort();
    if (call.call.result == ENGINE_OK && call.stateid_present)
        w->clients[client].stateid[file] = call.new_stateid;
    return call.call.result;
}

/* And says that it has none when it is asked. */
enum engine_result world_return(struct world *w, unsigned client, unsigned file,
                                layoutiomode4 iomode, uint64_t offset, uint64_t length)
{
    const size_t recalls = w->recall_count;
    enum engine_result result = world_give_back(w, client, file, iomode, offset, length);
    if (result != ENGINE_OK || (w->clients[client].holds[file] && w->recall_count == recalls))
        return result;
    for (size_t i = w->recall_count; i-- > 0;) {
        if (w->recalls[i].recall.scope == LAYOUTRECALL4_FILE &&
            w->recalls[i].recall.client_id == w->clients[client].id &&
            file_key_equal(&w->recalls[i].key, &w->files[file].key))
            world_answer_recall(w, i, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    }
    return result;
}

enum engine_result world_return_all(struct world *w, unsigned client, layoutreturn_type4 scope)
{
    struct engine_layoutreturn call = {.scope = scope,
                                       .client_id = w->clients[client].id,
                                       .type = LAYOUT4_BLOCK_VOLUME,
                                       .iomode = LAYOUTIOMODE4_ANY,
                                       .length = NFS4_UINT64_MAX};
    memcpy(call.fs_uuid, w->files[0].key.data, sizeof call.fs_uuid);
    memset(w->clients[client].holds, 0, sizeof w->clients[client].holds);
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &call});
    if (!world_answered(w, &call.call))
        abort();
    return call.call.result;
}

enum engine_result world_layoutcommit(struct world *w, unsigned client, unsigned file,
                                      uint64_t offset, uint64_t length,
                                      struct engine_layoutcommit *call)
{
    call->key = w->files[file].key;
    call->client_id = w->clients[client].id;
    call->type = LAYOUT4_BLOCK_VOLUME;
    call->offset = offset;
    call->length = length;
    call->stateid = w->clients[client].stateid[file];
    call->wall_ns = w->now;
    world_send(w, &(struct engine_event){.type = ENGINE_EV_LAYOUTCOMMIT, .layoutcommit = call});
    return world_answered(w, &call->call) ? call->call.result : ENGINE_UNDER_WAY;
}

enum engine_result world_grow(struct world *w, unsigned file, uint64_t reserve)
{
    struct engine_seal call = {.key = w->files[file].key,
                               .path = w->files[file].path,
                               .kind = SEAL_KIND_PINNED,
                               .reserve = reserve};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    if (!world_answered(w, &call.call))
        abort();
    return call.call.result;
}

enum engine_result world_room(struct world *w, unsigned client, unsigned file, uint64_t end,
                              struct engine_room *call)
{
    *call = (struct engine_room){
        .key = w->files[file].key, .client_id = w->clients[client].id, .end = end};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_ROOM, .room = call});
    return world_answered(w, &call->call) ? call->call.result : ENGINE_UNDER_WAY;
}

enum engine_result world_wrote(struct world *w, const struct engine_room *room, bool failed,
                               struct engine_wrote *call)
{
    *call = (struct engine_wrote){.key = room->key,
                                  .roomed = true,
                                  .client_id = room->client_id,
                                  .room = room->end,
                                  .end = failed ? 0 : room->end,
                                  .mtime_ns = w->now};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = call});
    return world_answered(w, &call->call) ? call->call.result : ENGINE_UNDER_WAY;
}

enum engine_result world_resize(struct world *w, unsigned client, unsigned file, uint64_t size,
                                struct engine_resize *call)
{
    *call = (struct engine_resize){.key = w->files[file].key,
                                   .client_id = w->clients[client].id,
                                   .size = size,
                                   .mtime_ns = w->now};
    world_send(w, &(struct engine_event){.type = ENGINE_EV_RESIZE, .resize = call});
    return world_answered(w, &call->call) ? call->call.result : ENGINE_UNDER_WAY;
}

uint64_t world_size(const struct world *w, unsigned file)
{
    struct engine_seal_view view;
    return engine_seal_view(w->engine, &w->files[file].key, &view) ? 0 : view.size;
}

enum engine_state world_state(const struct world *w, unsigned file)
{
    struct engine_seal_view view;
    return engine_seal_view(w->engine, &w->files[file].key, &view) ? ENGINE_OPEN : view.state;
}

uint32_t world_grants(const struct world *w, unsigned file)
{
    struct engine_seal_view view;
    return engine_seal_view(w->engine, &w->files[file].key, &view) ? 0 : view.grants;
}
