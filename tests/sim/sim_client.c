/*
 * sim_client.c - the clients. They use what they hold until the moment they give it back, whether
 * or not they reach the server, and are honest only in what sim.h takes for granted. See sim.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/type/local.h"
#include "layout/type/rdma.h"
#include "proto/layout/block.h"
#include "proto/xdr.h"
#include "tests/sim/sim.h"

enum { BLOCK_SIZE = 4096, ARENA_SIZE = 4096 };

bool sim_machine_reaches_server(const struct sim *s, unsigned m)
{
    return !s->machines[m].offline && !s->machines[m].paused;
}

/* Under the operator's promise a lease that has been over for long enough is as good as a fence. */
static bool is_outlived(const struct sim *s, const struct sim_machine *machine)
{
    return s->w->options.quiesce_is_safe && machine->lapsed &&
           s->w->now >= machine->lapsed_at + s->w->options.quiesce_time;
}

bool sim_io_is_dead(const struct sim *s, const struct sim_io *io)
{
    return io->doomed_at && s->w->now >= io->doomed_at;
}

bool sim_run_can_use(const struct sim *s, unsigned m, uint32_t run, unsigned f)
{
    const struct sim_machine *machine = &s->machines[m];
    bool now = run == machine->run;
    if (machine->memory)
        return now && sim_memory_is_registered(s, m, f);
    bool guarded = sim_san_guards(s, f) && machine->kind == JOURNAL_HOLDER_NFS;
    bool refused = guarded ? !sim_san_may_let_in(s, m, run) : sim_disk_refuses(s, m, run, f);
    if (refused || (now && !guarded && machine->cut_off) || (now && is_outlived(s, machine)))
        return false;
    if (now && (machine->layouts[f].held || machine->replies[f].held) &&
        (!guarded || sim_san_may_begin(s, m)))
        return true;
    for (unsigned i = 0; i < machine->queued; i++) {
        const struct sim_io *io = &machine->queue[i];
        if (io->file == f && io->run == run && !sim_io_is_dead(s, io))
            return true;
    }
    return false;
}

bool sim_machine_can_use(const struct sim *s, unsigned m, unsigned f)
{
    for (uint32_t run = 0; run <= s->machines[m].run; run++) {
        if (sim_run_can_use(s, m, run, f))
            return true;
    }
    return false;
}

static void forget_layout(struct sim_machine *machine, unsigned f)
{
    machine->layouts[f].held = false;
    machine->knows_recall[f] = false;
}

/* Whatever it had. */
static void lose_layout(struct sim_machine *machine, unsigned f)
{
    forget_layout(machine, f);
    machine->kept[f].held = false;
}

/* Takes it from the queue; it comes to the disk unless it was given up. */
static void land(struct sim *s, unsigned m, unsigned i)
{
    struct sim_machine *machine = &s->machines[m];
    struct sim_io io = machine->queue[i];
    machine->queue[i] = machine->queue[--machine->queued];
    if (!sim_io_is_dead(s, &io) && !(io.run == machine->run && is_outlived(s, machine)))
        sim_disk_io(s, m, &io);
}

/* The I/O under way for a file reaches the disk before the layout is given back. What is haunted is
 * under no layout any more, and is waited for at the end of the mount only. */
static bool drain(struct sim *s, unsigned m, unsigned f, bool haunted_too)
{
    struct sim_machine *machine = &s->machines[m];
    for (unsigned i = 0; i < machine->queued;) {
        const struct sim_io *io = &machine->queue[i];
        if (io->file != f || io->run != machine->run || (io->haunted && !haunted_too)) {
            i++;
            continue;
        }
        if (machine->disk_away)
            return false;
        land(s, m, i);
    }
    return true;
}

void sim_io_dooms(struct sim_io *io, uint64_t at)
{
    if (!io->doomed_at || at < io->doomed_at)
        io->doomed_at = at;
}

/* Whatever made it lose its state, it throws its layouts away, and waits for nothing. */
static void lose_state(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    const struct engine_options *o = &s->w->options;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        lose_layout(machine, f);
        machine->replies[f].held = false;
    }
    for (unsigned i = 0; i < machine->queued; i++) {
        struct sim_io *io = &machine->queue[i];
        if (io->run != machine->run)
            continue;
        s->figures->haunts += !io->haunted;
        io->haunted_at = io->haunted ? io->haunted_at : s->w->now;
        io->haunted = true;
        if (machine->runs[io->run].fenced && o->settle_time && sim_san_guards(s, io->file))
            sim_io_dooms(io, s->w->now + o->settle_time);
        if (o->quiesce_is_safe && !sim_san_guards(s, io->file))
            sim_io_dooms(io, s->w->now + o->quiesce_time);
    }
    machine->lost = machine->lost || machine->was_known;
}

void sim_machine_drop(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        lose_layout(machine, f);
        machine->replies[f].held = false;
    }
    machine->queued = 0;
}

bool sim_machine_give_up(struct sim *s, unsigned m)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (!drain(s, m, f, true))
            return false;
    }
    sim_machine_drop(s, m);
    return true;
}

static layouttype4 type_of(const struct sim_machine *machine)
{
    if (machine->memory)
        return LAYOUT4_SEALNFS_RDMA;
    return machine->kind == JOURNAL_HOLDER_NFS ? LAYOUT4_BLOCK_VOLUME : LAYOUT_TYPE_LOCAL;
}

static bool is_asking(const struct sim *s, unsigned m, unsigned f)
{
    for (unsigned i = 0; i < SIM_CALLS; i++) {
        if (s->gets[i].used && s->gets[i].machine == m && s->gets[i].file == f)
            return true;
    }
    return false;
}

static struct sim_get *ask(struct sim *s, unsigned m, unsigned f, layoutiomode4 iomode)
{
    struct sim_machine *machine = &s->machines[m];
    const struct sim_layout *layout = &machine->layouts[f];
    unsigned i = 0;
    while (i < SIM_CALLS && s->gets[i].used)
        i++;
    if (i == SIM_CALLS || machine->replies[f].held || !s->w->clients[m].id || is_asking(s, m, f) ||
        !sim_machine_reaches_server(s, m))
        return NULL;
    static const struct layout_piece piece = {.length = UINT64_MAX, .key = 7};
    static const struct layout_memory memory = {
        .length = UINT64_MAX, .writable = true, .pieces_count = 1, .pieces = &piece};
    struct sim_get *get = &s->gets[i];
    *get = (struct sim_get){.used = true, .machine = m, .file = f, .run = machine->run};
    get->call = (struct engine_layoutget){
        .key = s->w->files[f].key,
        .client_id = s->w->clients[m].id,
        .type = type_of(machine),
        .want = {.iomode = iomode,
                 .length = NFS4_UINT64_MAX,
                 .maxcount = SIM_BODY,
                 .memory = machine->memory ? &memory : NULL},
        .has_stateid = layout->held && sim_chance(s, 80),
        .stateid = layout->stateid,
        .referral = {.present = true, .sequence = ++machine->sequence},
        .may_seal = f == WORLD_FILES - 1 && !s->fs[s->w->files[f].fs].undescribed,
        .reserve = f == WORLD_FILES - 1 ? sim_growing_reserve(s, f) : 0,
        .path = s->w->files[f].path,
        .body = get->body,
        .body_room = SIM_BODY,
    };
    uint64_t end = iomode == LAYOUTIOMODE4_RW ? sim_growing_end(s, f) : 0;
    if (end && sim_chance(s, 40)) { /* who appends, and sometimes more than there is made ready */
        get->call.want.offset = end / BLOCK_SIZE * BLOCK_SIZE;
        get->call.want.minlength = BLOCK_SIZE;
    }
    s->acted = true;
    sim_say(s, "client %u asks for a layout of %s for %s", m, s->w->files[f].path,
            get->call.want.iomode == LAYOUTIOMODE4_RW ? "writing" : "reading");
    if (!machine->memory && sim_san_guards(s, f))
        sim_san_prepare(s, m);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get->call});
    return get;
}

/* One LAYOUTGET at a time for a client and a file. */
void sim_machine_get(struct sim *s, unsigned m, unsigned f)
{
    (void)ask(s, m, f, sim_chance(s, 60) ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ);
}

/* Nothing is in its way: it is to be served. */
void sim_machine_is_served(struct sim *s, unsigned m, unsigned f, bool write)
{
    const struct sim_get *get = ask(s, m, f, write ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ);
    if (!get)
        return;
    sim_server_carry_out(s);
    if (get->used || get->call.call.result != ENGINE_OK)
        sim_fail(s, SIM_NOT_SERVED,
                 "client %u gets no layout of %s, and nothing is in its way (%s)", m,
                 s->w->files[f].path, get->used ? "no answer" : get->call.call.why);
}

static void add_blocks(struct sim *s, unsigned f, struct sim_layout *layout, uint64_t offset,
                       uint64_t length)
{
    for (uint64_t at = 0; at < length; at += BLOCK_SIZE) {
        uint64_t b = (offset + at) / BLOCK_SIZE - 1;
        if (b >= SIM_BLOCKS || layout->count == SIM_FILE_BLOCKS ||
            (s->disk[b].file != (int)f && !s->files[f].touched)) {
            sim_fail(s, SIM_GRANT_WRONG, "a layout of %s names block %llu, which is not the file's",
                     s->w->files[f].path, (unsigned long long)b);
            return;
        }
        layout->refs[layout->count++] = (struct sim_ref){
            .block = (uint8_t)b, .birth = s->disk[b].birth, .usable = true, .write = layout->write};
    }
}

static void read_body(struct sim *s, const struct sim_get *get, struct sim_layout *layout)
{
    unsigned char room[ARENA_SIZE];
    struct arena arena;
    pnfs_block_layout4 body;
    struct xdr_bytes bytes = {.data = get->body, .len = get->call.cover.body_len};
    arena_init_with(&arena, sizeof room, room, sizeof room);
    if (block_layout_decode(bytes, &arena, &body)) {
        sim_fail(s, SIM_GRANT_WRONG, "a layout of %s cannot be read", s->w->files[get->file].path);
        body.blo_extents_count = 0;
    }
    for (unsigned i = 0; i < body.blo_extents_count; i++) {
        const pnfs_block_extent4 *extent = &body.blo_extents[i];
        layout->write = layout->write || extent->bex_state == PNFS_BLOCK_READ_WRITE_DATA;
        add_blocks(s, get->file, layout, extent->bex_storage_offset, extent->bex_length);
    }
    arena_free(&arena);
}

/* A local program is handed the map itself. */
static void read_map(struct sim *s, const struct sim_get *get, struct sim_layout *layout)
{
    struct engine_seal_view view;
    if (engine_seal_view(s->w->engine, &s->w->files[get->file].key, &view) || !view.map)
        return; /* that a grant was given is a fault of its own */
    layout->write = get->call.want.iomode == LAYOUTIOMODE4_RW;
    for (size_t i = 0; i < map_extent_count(view.map); i++) {
        const struct seal_extent *extent = map_extent(view.map, i);
        add_blocks(s, get->file, layout, extent->device_offset, extent->length);
    }
}

/* The server has sent its reply: from here on the client may have it at any moment. */
void sim_machine_granted(struct sim *s, struct sim_get *get)
{
    struct sim_machine *machine = &s->machines[get->machine];
    struct sim_layout *reply = &machine->replies[get->file];
    if (get->run != machine->run)
        return;                                 /* that run of the client is over */
    bool touched = s->files[get->file].touched; /* and not seen yet: nothing is promised of it */
    *reply = (struct sim_layout){.held = true,
                                 .stateid = get->call.granted_stateid,
                                 .breaches = touched ? UINT32_MAX : s->files[get->file].breaches,
                                 .device = sim_device_index(s, get->file)};
    machine->reply_sequence[get->file] = get->call.referral.sequence;
    if (machine->memory) {
        sim_memory_granted(s, get->machine, get->file);
        return;
    }
    if (machine->kind == JOURNAL_HOLDER_NFS)
        read_body(s, get, reply);
    else
        read_map(s, get, reply);
    s->figures->grants++;
    sim_say(s, "  a layout of %s is on its way to client %u", s->w->files[get->file].path,
            get->machine);
}

/* What it could write to it still can, whatever it has asked for since. */
static void keep_writable(const struct sim_layout *was, struct sim_layout *now)
{
    for (unsigned i = 0; was->held && i < was->count; i++) {
        for (unsigned j = 0; j < now->count; j++) {
            if (now->refs[j].block == was->refs[i].block &&
                now->refs[j].birth == was->refs[i].birth)
                now->refs[j].write = now->refs[j].write || was->refs[i].write;
        }
    }
}

void sim_machine_deliver(struct sim *s, unsigned m, unsigned f)
{
    struct sim_machine *machine = &s->machines[m];
    if (!machine->replies[f].held || !sim_machine_reaches_server(s, m))
        return;
    bool write = machine->layouts[f].held && machine->layouts[f].write;
    keep_writable(&machine->layouts[f], &machine->replies[f]);
    machine->layouts[f] = machine->replies[f];
    machine->layouts[f].write = machine->layouts[f].write || write;
    for (unsigned i = 0; machine->kept[f].held && i < machine->kept[f].count; i++)
        machine->layouts[f].refs[i] = machine->kept[f].refs[i];
    machine->replies[f].held = false;
    s->acted = true;
    sim_say(s, "client %u has the layout of %s", m, s->w->files[f].path);
    if (sim_san_guards(s, f) && !sim_san_is_ready(s, m) && !machine->memory && sim_chance(s, 70)) {
        sim_san_ask(s, m);
        if (sim_chance(s, 50))
            sim_san_arrive_all(s, m);
    }
}

void sim_machine_lose_reply(struct sim *s, unsigned m, unsigned f)
{
    if (!s->machines[m].replies[f].held)
        return;
    s->machines[m].replies[f].held = false;
    s->acted = true;
    sim_say(s, "the layout of %s that was on its way to client %u is lost", s->w->files[f].path, m);
}

void sim_machine_io(struct sim *s, unsigned m, unsigned f)
{
    struct sim_machine *machine = &s->machines[m];
    const struct sim_layout *layout = &machine->layouts[f];
    if (!layout->held || !layout->count || machine->paused || machine->queued == SIM_QUEUE ||
        (machine->cut_off && !sim_san_guards(s, f)) || is_outlived(s, machine) ||
        (sim_san_guards(s, f) && !sim_san_is_ready(s, m)))
        return;
    unsigned index = sim_below(s, layout->count);
    const struct sim_ref *ref = &layout->refs[index];
    if (!ref->usable)
        return;
    machine->queue[machine->queued++] = (struct sim_io){.file = f,
                                                        .ref = *ref,
                                                        .run = machine->run,
                                                        .breaches = layout->breaches,
                                                        .write = ref->write,
                                                        .past = sim_growing_is_past(s, f, index),
                                                        .device = layout->device};
    if (s->figures->longest_queue < machine->queued)
        s->figures->longest_queue = machine->queued;
    s->acted = true;
    sim_say(s, "client %u %s block %u of %s by itself: on its way", m,
            ref->write ? "writes" : "reads", ref->block, s->w->files[f].path);
}

void sim_machine_land(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (!machine->queued || machine->disk_away)
        return;
    s->acted = true;
    land(s, m, sim_below(s, machine->queued));
}

static bool arrived_earlier(const struct sim_layout *reply, const stateid4 *stateid)
{
    return (int32_t)(reply->stateid.seqid - stateid->seqid) <= 0 &&
           memcmp(reply->stateid.other, stateid->other, sizeof stateid->other) == 0;
}

static void send_return(struct sim *s, unsigned m, unsigned f, uint64_t offset, uint64_t length)
{
    struct sim_layout *layout = &s->machines[m].layouts[f];
    struct engine_layoutreturn ret = {.scope = LAYOUTRETURN4_FILE,
                                      .key = s->w->files[f].key,
                                      .client_id = s->w->clients[m].id,
                                      .type = type_of(&s->machines[m]),
                                      .iomode = LAYOUTIOMODE4_ANY,
                                      .offset = offset,
                                      .length = length,
                                      .stateid = layout->stateid};
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &ret});
    s->figures->returns++;
    if (ret.call.result == ENGINE_OK && ret.stateid_present)
        layout->stateid = ret.new_stateid;
}

void sim_machine_return(struct sim *s, unsigned m, unsigned f, bool whole)
{
    struct sim_machine *machine = &s->machines[m];
    struct sim_layout *layout = &machine->layouts[f];
    unsigned pieces = layout->count;
    if (!layout->held || !s->w->clients[m].id || !sim_machine_reaches_server(s, m) ||
        !drain(s, m, f, false))
        return;
    if (!whole && (pieces < 2 || machine->kind != JOURNAL_HOLDER_NFS))
        return;
    s->acted = true;
    sim_say(s, "client %u returns %s of its layout of %s", m, whole ? "all" : "a part",
            s->w->files[f].path);
    if (!whole) {
        /* Never the last block, so that pieces do not add up to the whole. */
        unsigned at = sim_below(s, pieces - 1);
        layout->refs[at].usable = false;
        send_return(s, m, f, (uint64_t)at * BLOCK_SIZE, BLOCK_SIZE);
        return;
    }
    /* A grant that is still on its way but has a lower seqid is returned with it (RFC 8881 section
     * 12.5.5.2.1.1). */
    if (machine->replies[f].held && arrived_earlier(&machine->replies[f], &layout->stateid))
        machine->replies[f].held = false;
    if (machine->kind == JOURNAL_HOLDER_NFS && !machine->memory && machine->knows_recall[f])
        machine->kept[f] = *layout;
    forget_layout(machine, f);
    sim_growing_forgive(s, m, f);
    send_return(s, m, f, 0, NFS4_UINT64_MAX);
}

/* By iomode too: who returns what it may read keeps what it may write to. */
static bool is_returned(const struct sim_layout *layout, layoutiomode4 iomode)
{
    return layout->held &&
           (iomode == LAYOUTIOMODE4_ANY || layout->write == (iomode == LAYOUTIOMODE4_RW));
}

static bool is_in_scope(const struct sim *s, unsigned f, const struct engine_layoutreturn *ret)
{
    return ret->scope == LAYOUTRETURN4_ALL ||
           memcmp(s->w->files[f].key.data, ret->fs_uuid, sizeof ret->fs_uuid) == 0;
}

void sim_machine_return_all(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    struct engine_layoutreturn ret = {.scope = sim_chance(s, 60) ? LAYOUTRETURN4_ALL
                                                                 : LAYOUTRETURN4_FSID,
                                      .client_id = s->w->clients[m].id,
                                      .type = type_of(machine),
                                      .iomode = sim_chance(s, 80)   ? LAYOUTIOMODE4_ANY
                                                : sim_chance(s, 50) ? LAYOUTIOMODE4_READ
                                                                    : LAYOUTIOMODE4_RW};
    unsigned of = sim_below(s, WORLD_FILES);
    memcpy(ret.fs_uuid, s->w->files[of].key.data, sizeof ret.fs_uuid);
    if (!s->w->clients[m].id || machine->kind != JOURNAL_HOLDER_NFS ||
        !sim_machine_reaches_server(s, m))
        return;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (is_in_scope(s, f, &ret) &&
            (machine->replies[f].held || is_asking(s, m, f) || !drain(s, m, f, false)))
            return;
    }
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (is_in_scope(s, f, &ret) && is_returned(&machine->layouts[f], ret.iomode)) {
            lose_layout(machine, f);
            sim_growing_forgive(s, m, f);
        }
    }
    s->acted = true;
    s->figures->returns++;
    sim_say(s, "client %u returns all its layouts%s%s", m,
            ret.scope == LAYOUTRETURN4_ALL ? "" : " of the file system of ",
            ret.scope == LAYOUTRETURN4_ALL ? "" : s->w->files[of].path);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_LAYOUTRETURN, .layoutreturn = &ret});
}

void sim_machine_commit(struct sim *s, unsigned m, unsigned f)
{
    const struct sim_layout *layout = &s->machines[m].layouts[f];
    struct sim_commit *commit = &s->commits[s->next_call++ % SIM_CALLS];
    if (commit->used || !layout->held || !layout->write || !s->w->clients[m].id ||
        s->machines[m].kind || s->machines[m].memory || !sim_machine_reaches_server(s, m))
        return;
    *commit = (struct sim_commit){.used = true, .file = f};
    commit->call = (struct engine_layoutcommit){.key = s->w->files[f].key,
                                                .client_id = s->w->clients[m].id,
                                                .reclaim = sim_chance(s, 20),
                                                .type = LAYOUT4_BLOCK_VOLUME,
                                                .length = BLOCK_SIZE,
                                                .stateid = layout->stateid,
                                                .has_mtime = true,
                                                .mtime_ns = s->w->now,
                                                .wall_ns = s->w->now};
    s->acted = true;
    sim_say(s, "client %u commits what it wrote to %s", m, s->w->files[f].path);
    uint64_t end = sim_growing_end(s, f);
    if (end) { /* as far as its layout goes */
        commit->growing = commit->call.has_last_write = true;
        commit->call.length = NFS4_UINT64_MAX;
        commit->call.last_write = end - 1;
        sim_growing_mover(s, m);
        sim_growing_intends(s, f, end > s->files[f].size_low ? end : s->files[f].size_low);
    }
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_LAYOUTCOMMIT,
                                            .layoutcommit = &commit->call});
}

static const char *word_of(enum engine_recall_outcome outcome, nfsstat4 status)
{
    if (outcome != ENGINE_RECALL_ANSWERED)
        return outcome == ENGINE_RECALL_TIMEOUT ? "is not answered" : "meets no channel";
    switch (status) {
    case NFS4_OK:
        return "is answered OK";
    case NFS4ERR_NOMATCHING_LAYOUT:
        return "is answered NOMATCHING_LAYOUT";
    case NFS4ERR_OLD_STATEID:
        return "is answered OLD_STATEID";
    case NFS4ERR_DELAY:
        return "is answered DELAY";
    default:
        return "is answered with an error";
    }
}

static void recall_reply(struct sim *s, size_t i, unsigned m, enum engine_recall_outcome outcome,
                         nfsstat4 status)
{
    const struct engine_effect *recall = &s->w->recalls[i];
    sim_say(s, "the recall of %s at client %u %s",
            recall->recall.scope == LAYOUTRECALL4_ALL
                ? "everything"
                : s->w->files[world_file_of(s->w, &recall->key)].path,
            m, word_of(outcome, status));
    s->acted = true;
    s->recalls_seen--;
    if (outcome == ENGINE_RECALL_ANSWERED)
        sim_machine_lives(s, m);
    world_answer_recall(s->w, i, outcome, status);
}

static void recall_of_all(struct sim *s, size_t i, unsigned m, bool willing)
{
    bool any = false;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (willing || sim_chance(s, 50))
            sim_machine_deliver(s, m, f);
        any = any || s->machines[m].layouts[f].held;
    }
    if (!any) {
        recall_reply(s, i, m, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    } else if (willing || sim_chance(s, 60)) {
        recall_reply(s, i, m,
                     !willing && sim_chance(s, 20) ? ENGINE_RECALL_TIMEOUT : ENGINE_RECALL_ANSWERED,
                     NFS4_OK);
        if (willing || sim_chance(s, 60))
            sim_machine_return_all(s, m);
    } else {
        recall_reply(s, i, m, ENGINE_RECALL_ANSWERED,
                     sim_chance(s, 50) ? NFS4ERR_DELAY : NFS4ERR_SERVERFAULT);
    }
}

static void recall_of_file(struct sim *s, size_t i, unsigned m, bool willing)
{
    static const nfsstat4 words[] = {NFS4ERR_DELAY, NFS4ERR_SERVERFAULT, NFS4ERR_BADHANDLE,
                                     NFS4ERR_BAD_STATEID};
    const struct engine_effect *recall = &s->w->recalls[i];
    struct sim_machine *machine = &s->machines[m];
    unsigned f = world_file_of(s->w, &recall->key);
    stateid4 stateid = recall->recall.stateid;
    /* A request that the recall names has to be finished first (RFC 8881 section 2.10.6.3). */
    bool named = machine->replies[f].held && recall->recall.referral_count &&
                 recall->recall.referral[0].sequence == machine->reply_sequence[f];
    if (named && !willing && sim_chance(s, 30)) {
        recall_reply(s, i, m, ENGINE_RECALL_ANSWERED, NFS4ERR_DELAY);
        return;
    }
    if (named)
        sim_machine_deliver(s, m, f);
    if (!machine->layouts[f].held) {
        machine->kept[f].held = false;
        recall_reply(s, i, m, ENGINE_RECALL_ANSWERED, NFS4ERR_NOMATCHING_LAYOUT);
    } else if (machine->knows_recall[f]) {
        machine->layouts[f].stateid = stateid;
        recall_reply(s, i, m, ENGINE_RECALL_ANSWERED,
                     sim_chance(s, 70) ? NFS4ERR_OLD_STATEID : NFS4_OK);
    } else if (willing || sim_chance(s, 60)) {
        machine->layouts[f].stateid = stateid;
        machine->knows_recall[f] = true;
        recall_reply(s, i, m,
                     !willing && sim_chance(s, 25) ? ENGINE_RECALL_TIMEOUT : ENGINE_RECALL_ANSWERED,
                     NFS4_OK);
    } else if (sim_chance(s, 15)) {
        recall_reply(s, i, m, ENGINE_RECALL_BROKEN, NFS4_OK);
    } else {
        recall_reply(s, i, m, ENGINE_RECALL_ANSWERED, words[sim_below(s, 4)]);
    }
}

void sim_machine_recall(struct sim *s, size_t i, bool willing)
{
    unsigned m = world_client_of(s->w, s->w->recalls[i].recall.client_id);
    s->figures->recalls++;
    if (m == WORLD_CLIENTS || !sim_machine_reaches_server(s, m)) {
        recall_reply(s, i, m, sim_chance(s, 50) ? ENGINE_RECALL_NO_CHANNEL : ENGINE_RECALL_TIMEOUT,
                     NFS4_OK);
        return;
    }
    willing = willing || s->machines[m].good;
    if (!willing && sim_chance(s, 15))
        recall_reply(s, i, m, sim_chance(s, 50) ? ENGINE_RECALL_NO_CHANNEL : ENGINE_RECALL_TIMEOUT,
                     NFS4_OK);
    else if (s->w->recalls[i].recall.scope == LAYOUTRECALL4_ALL)
        recall_of_all(s, i, m, willing);
    else
        recall_of_file(s, i, m, willing);
}

/* The operator comes upon a lost client, sees that nothing of it is on its way, takes its disk away
 * and says so. */
void sim_machine_cut_off(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (machine->kind || machine->good || machine->cut_off || !machine->lapsed ||
        !s->w->clients[m].id)
        return;
    s->acted = true;
    sim_say(s, "the operator cuts client %u off from the disk", m);
    for (unsigned i = 0; i < machine->queued;) {
        if (machine->queue[i].run == machine->run)
            machine->queue[i] = machine->queue[--machine->queued];
        else
            i++;
    }
    machine->disk_away = machine->cut_off = true;
    world_client_event(s->w, m, ENGINE_CLIENT_CUT_OFF);
}

/* The operator wants it fenced now, whatever it is doing; only who behaves is left alone, so that
 * what is said of fences of such is checked. */
void sim_machine_expel(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (machine->kind || machine->good || machine->expelled || !s->w->clients[m].id)
        return;
    s->acted = machine->expelled = true;
    sim_say(s, "the operator expels client %u", m);
    machine->expel = (struct engine_expel){.client_id = s->w->clients[m].id};
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_EXPEL, .expel = &machine->expel});
}

bool sim_machine_answer(struct sim *s, const struct engine_call *call)
{
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        if (call != &s->machines[m].expel.call)
            continue;
        s->machines[m].expelled = false;
        sim_say(s, "  client %u: %s", m,
                call->result == ENGINE_OK ? "holds nothing any more" : call->why);
        if (call->result == ENGINE_OK &&
            engine_client_holds(s->w->engine, s->machines[m].expel.client_id))
            sim_fail(s, SIM_EXPELLED_HOLDS, "client %u is said to be cut off, and has grants", m);
        return true;
    }
    return false;
}

/* It may have its disk again: what the operator said was about its silence, and about all of its
 * runs. Not if that has fenced it by then: he does not give back the disk of such a run. */
void sim_machine_lives(struct sim *s, unsigned m)
{
    for (unsigned i = 0; i < WORLD_CLIENTS; i++)
        if (strcmp(s->w->clients[i].owner, s->w->clients[m].owner) == 0 && !sim_is_marked(s, i))
            s->machines[i].cut_off = false;
}

/* Told that it was fenced, a client stops using what it held (RFC 8881 section 12.7.2); the disk
 * refuses it still. */
void sim_machine_heard(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    bool outlived = is_outlived(s, machine);
    machine->lapsed = machine->cut_off = false;
    machine->last_seen = s->w->now;
    if (!engine_client_was_fenced(s->w->engine, s->w->clients[m].id))
        return;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        lose_layout(machine, f);
        machine->replies[f].held = false;
    }
    if (outlived)
        machine->queued = 0; /* it had the quiesce time to end */
}

static const struct world_client *namesake(const struct sim *s, unsigned m)
{
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        if (i != m && s->w->clients[i].id &&
            strcmp(s->w->clients[i].owner, s->w->clients[m].owner) == 0)
            return &s->w->clients[i];
    }
    return NULL;
}

static void change_address(struct sim *s, unsigned m)
{
    struct world_client *client = &s->w->clients[m];
    snprintf(client->address, sizeof client->address, "10.1.0.%u", ++s->addresses);
    sim_say(s, "client %u is at %s now", m, client->address);
}

/* True: its run was elsewhere before. A hook that cut it off there did so in vain, if the server
 * does not have it on record as fenced by then. */
static bool note_address(struct sim *s, unsigned m)
{
    struct sim_run *run = &s->machines[m].runs[s->machines[m].run];
    const char *address = s->w->clients[m].address;
    bool moved = run->address[0] && strcmp(run->address, address) != 0;
    snprintf(run->address, sizeof run->address, "%s", address);
    if (moved && !s->machines[m].kind && !sim_is_marked(s, m))
        memset(run->cut, 0, sizeof run->cut);
    return moved;
}

/* The server has it on record before it can crash: else a hook that cuts off addresses would miss
 * it (docs/beliefs.md, "The hook knows where the client is"). */
static void record_address(struct sim *s)
{
    world_commit_all(s->w);
}

/* EXCHANGE_ID, CREATE_SESSION, and a first call on the backchannel. The server knows an owner under
 * one id.
 */
static void confirm(struct sim *s, unsigned m)
{
    struct world_client *client = &s->w->clients[m];
    const struct world_client *other = namesake(s, m);
    uint64_t replaces = client->id ? client->id : other ? other->id : 0;
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        if (other == &s->w->clients[i])
            s->w->clients[i].id = 0;
    }
    if (is_outlived(s, &s->machines[m]))
        s->machines[m].queued = 0; /* it had the quiesce time to end */
    lose_state(s, m);
    s->machines[m].was_known = true;
    s->machines[m].bulk_at = 0;
    sim_machine_lives(s, m);
    bool moved = note_address(s, m);
    client->id = ++s->w->next_id;
    struct engine_event event = {
        .type = ENGINE_EV_CLIENT,
        .client = {.what = replaces ? ENGINE_CLIENT_RESTARTED : ENGINE_CLIENT_CONFIRMED,
                   .client_id = client->id,
                   .replaces = replaces,
                   .owner = (const uint8_t *)client->owner,
                   .owner_len = (uint32_t)strlen(client->owner),
                   .address = client->address}};
    memcpy(event.client.verifier, client->verifier, sizeof client->verifier);
    world_send(s->w, &event);
    if (moved)
        record_address(s);
    sim_san_began_anew(s, m);
    sim_machine_heard(s, m);
    world_client_event(s->w, m, ENGINE_CLIENT_CALLABLE);
}

/* The replies of an id that is gone arrive now or never. */
void sim_machine_server_lost(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (machine->replies[f].held && sim_chance(s, 50))
            machine->layouts[f] = machine->replies[f];
        machine->replies[f].held = false;
        machine->knows_recall[f] = false;
    }
}

void sim_machine_come_back(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (machine->kind != JOURNAL_HOLDER_NFS)
        sim_program_come_back(s, m);
    if (machine->kind != JOURNAL_HOLDER_NFS || !sim_machine_reaches_server(s, m))
        return;
    if (s->w->clients[m].id && !machine->lapsed && !machine->good && sim_chance(s, 10)) {
        s->acted = true;
        sim_say(s, "client %u takes its id for lost", m);
        sim_machine_server_lost(s, m);
        confirm(s, m);
        return;
    }
    if (s->w->clients[m].id) {
        if (!machine->lapsed)
            return;
        s->acted = true;
        sim_say(s, "client %u is heard again", m);
        world_client_event(s->w, m, ENGINE_CLIENT_RENEWED);
        sim_machine_heard(s, m);
        return;
    }
    s->acted = true;
    sim_say(s, "client %u comes back under a new client id", m);
    if (sim_chance(s, 15))
        change_address(s, m);
    sim_machine_server_lost(s, m);
    confirm(s, m);
}

/* The run that is replaced lives on, with what it holds: it has yet to hear that its id is gone.
 * The server promises it nothing but the time of a lease, where that counts. */
static void live_on(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    const struct engine_options *o = &s->w->options;
    uint64_t lease_ends = machine->last_seen + o->lease_time;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        sim_machine_io(s, m, f);
        lose_layout(machine, f);
        machine->replies[f].held = false;
    }
    for (unsigned i = 0; i < machine->queued; i++) {
        if (!machine->queue[i].haunted)
            machine->queue[i].haunted_at = s->w->now;
        machine->queue[i].haunted = true;
        if (o->quiesce_is_safe && !sim_san_guards(s, machine->queue[i].file))
            sim_io_dooms(&machine->queue[i], lease_ends + o->quiesce_time);
    }
}

/* Told that it was fenced, or sharing the machine of one that was, it is back at once and wants its
 * device again, with whatever its initiator still has. */
void sim_machine_come_back_fenced(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (machine->kind || machine->memory || !sim_san_is_struck(s, m))
        return;
    machine->offline = machine->paused = false;
    machine->disk_away = machine->cut_off;
    if (!s->w->clients[m].id || engine_client_was_fenced(s->w->engine, s->w->clients[m].id)) {
        s->acted = true;
        sim_say(s, "client %u was fenced, and comes back under a new client id", m);
        sim_machine_server_lost(s, m);
        confirm(s, m);
    }
    sim_san_ask(s, m);
    sim_san_arrive_all(s, m);
}

/* Another verifier: the machine started anew, its I/O under way is gone with it, and an operator
 * lets it at the disk again; or there was no restart. */
void sim_machine_restart(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    struct world_client *client = &s->w->clients[m];
    if (machine->run + 1 == SIM_RUNS)
        return;
    bool none = !machine->memory && sim_chance(s, 50), moved = sim_chance(s, 15);
    sim_machine_lives(s, m);
    if (none)
        live_on(s, m);
    else
        sim_machine_drop(s, m);
    if (!none)
        sim_san_forget(s, m, machine->run);
    sim_memory_end(s, m);
    machine->offline = machine->paused = machine->disk_away = false;
    machine->lapsed = false;
    machine->run++;
    sim_san_next_run(s, m, none && sim_chance(s, 40));
    client->verifier[0]++;
    if (moved)
        snprintf(client->address, sizeof client->address, "10.1.0.%u", ++s->addresses);
    s->acted = true;
    s->figures->restarts++;
    sim_say(s, "client %u %s%s", m,
            none ? "comes with another verifier, and its old run lives on" : "restarts",
            moved ? " under another address" : "");
    confirm(s, m);
}

/* It waits for its I/O, gives back what it holds, and ends its id. */
void sim_machine_unmount(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (!s->w->clients[m].id || machine->kind || !sim_machine_reaches_server(s, m))
        return;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (is_asking(s, m, f) || machine->replies[f].held || !drain(s, m, f, true))
            return;
    }
    for (unsigned f = 0; f < WORLD_FILES; f++)
        sim_machine_return(s, m, f, true);
    if (engine_client_holds(s->w->engine, s->w->clients[m].id))
        return; /* CLIENTID_BUSY */
    s->acted = true;
    sim_say(s, "client %u unmounts", m);
    sim_memory_end(s, m);
    world_client_event(s->w, m, ENGINE_CLIENT_DESTROYED);
    sim_san_unmount(s, m);
    sim_machine_server_lost(s, m);
    for (unsigned f = 0; f < WORLD_FILES; f++)
        lose_layout(machine, f);
}

/* EXCHANGE_ID and a new session under the same id: Linux throws its layouts away all the same. */
void sim_machine_shake(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (!s->w->clients[m].id || machine->kind || machine->good || !sim_machine_reaches_server(s, m))
        return;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (is_asking(s, m, f))
            return;
    }
    s->acted = true;
    if (sim_chance(s, 30)) {
        change_address(s, m);
        (void)note_address(s, m);
        world_client_event(s->w, m, ENGINE_CLIENT_MOVED);
        record_address(s);
    }
    sim_say(s, "client %u throws its layouts away, and keeps its id", m);
    sim_machine_lives(s, m);
    lose_state(s, m);
    s->san.told[m].number = 0; /* that its path worked was before */
    world_client_event(s->w, m, ENGINE_CLIENT_SHAKEN);
}

/* It gives back what it holds, and is not heard of until nobody knows it. Its device stays set up.
 * Somebody else on its machine may get a key meanwhile. */
void sim_machine_away(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (machine->good || !s->w->clients[m].id || !machine->runs[machine->run].ready ||
        !sim_machine_reaches_server(s, m))
        return;
    sim_say(s, "client %u goes away for long", m);
    for (unsigned f = 0; f < WORLD_FILES; f++)
        sim_machine_return(s, m, f, true);
    machine->offline = true;
    sim_server_pass(s, s->w->options.lease_time + SECOND);
    sim_server_forget(s, m);
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        if (i == m ||
            s->machines[i].runs[s->machines[i].run].host != machine->runs[machine->run].host)
            continue;
        sim_san_ask(s, i);
        sim_san_arrive_all(s, i);
    }
    sim_san_look(s);
    machine->offline = sim_chance(s, 20);
    sim_machine_come_back(s, m);
}

void sim_machine_serve(struct sim *s, unsigned m)
{
    if (!sim_machine_reaches_server(s, m))
        return;
    sim_machine_come_back(s, m);
    for (unsigned f = 0; f < WORLD_FILES; f++)
        sim_machine_deliver(s, m, f);
    for (size_t i = 0; i < s->w->recall_count;) {
        if (s->w->recalls[i].recall.client_id == s->w->clients[m].id)
            sim_machine_recall(s, i, true), i = 0;
        else
            i++;
    }
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (s->machines[m].knows_recall[f])
            sim_machine_return(s, m, f, true);
    }
}
