/*
 * sim_growing.c - files that grow under their seal: what is in the blocks past the size, who makes
 * the file longer, and what a release may cut off. See sim.h.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { BLOCK_SIZE = 4096 };

static uint64_t size_of(const struct sim *s, unsigned f)
{
    struct engine_seal_view view;
    return engine_seal_view(s->w->engine, &s->w->files[f].key, &view) || !view.reserve ? 0
                                                                                       : view.size;
}

static bool is_growing(const struct sim *s, unsigned f)
{
    struct engine_seal_view view;
    return engine_seal_view(s->w->engine, &s->w->files[f].key, &view) == 0 && view.reserve > 0;
}

/* What nobody knows of any more is nobody's to check. */
static bool is_checked(const struct sim *s, unsigned f)
{
    return !s->has_breaches && !s->has_doubts && !s->files[f].touched;
}

uint64_t sim_growing_reserve(struct sim *s, unsigned f)
{
    if (!s->has_growing)
        return 0;
    unsigned blocks = s->file_size[f] + sim_below(s, SIM_FILE_BLOCKS - s->file_size[f] + 1);
    return (uint64_t)(blocks ? blocks : 1) * BLOCK_SIZE;
}

/* Somewhere from its end on, in the middle of a block too. */
static uint64_t some_end(struct sim *s, unsigned f)
{
    uint64_t size = size_of(s, f), reserve = s->w->files[f].size;
    uint64_t end = size + sim_below(s, (unsigned)(reserve - size) + 1);
    return sim_chance(s, 50) ? (end + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE : end ? end : 1;
}

uint64_t sim_growing_end(struct sim *s, unsigned f)
{
    return is_growing(s, f) && s->w->files[f].size >= size_of(s, f) ? some_end(s, f) : 0;
}

/* ---- what is in the blocks */

static bool holds_to_write(const struct sim *s, const struct sim_author *author, unsigned f,
                           unsigned block)
{
    const struct sim_machine *machine = &s->machines[author->machine];
    const struct sim_layout *layout = &machine->layouts[f];
    if (author->run != machine->run || !layout->held || !layout->write)
        return false;
    for (unsigned i = 0; i < layout->count; i++) {
        if (layout->refs[i].block == block && layout->refs[i].usable && layout->refs[i].write)
            return true;
    }
    return false;
}

static bool is_by(const struct sim_author *author, unsigned m, uint32_t run)
{
    return author->known && author->machine == m && author->run == run;
}

void sim_growing_landed(struct sim *s, unsigned m, const struct sim_io *io)
{
    unsigned f = io->file;
    struct sim_block *block = &s->disk[io->ref.block];
    if (!io->write || !is_growing(s, f) || !is_checked(s, f))
        return;
    uint64_t at = 0;
    while (s->file_blocks[f][at] != io->ref.block)
        at++;
    if ((at + 1) * BLOCK_SIZE > size_of(s, f)) {
        block->dirt = (struct sim_author){.known = true, .machine = m, .run = io->run};
        block->dirt_from = at * BLOCK_SIZE > size_of(s, f) ? at * BLOCK_SIZE : size_of(s, f);
        block->dirt_to = (at + 1) * BLOCK_SIZE;
    } else if (io->past && block->cover.known && !is_by(&block->cover, m, io->run))
        sim_fail(s, SIM_STALE_BYTES,
                 "what client %u never committed comes late into %s, which client %u made longer",
                 m, s->w->files[f].path, block->cover.machine);
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the server wrote past the end, for somebody who was never told that it is there. */
static void soil(struct sim *s, const struct sim_room *room)
{
    unsigned f = room->file;
    uint64_t from = size_of(s, f), to = room->call.end;
    if (!is_growing(s, f) || !is_checked(s, f))
        return;
    for (uint64_t i = from / BLOCK_SIZE; i < s->file_size[f] && i * BLOCK_SIZE < to; i++) {
        struct sim_block *block = &s->disk[s->file_blocks[f][i]];
        uint64_t low = most_of(i * BLOCK_SIZE, from), high = least_of((i + 1) * BLOCK_SIZE, to);
        if (!block->dirt.known) {
            block->dirt = room->author;
            block->dirt_from = low;
            block->dirt_to = high;
            continue;
        }
        if (!is_by(&block->dirt, room->author.machine, room->author.run))
            block->dirt.machine = WORLD_CLIENTS;
        block->dirt_from = least_of(block->dirt_from, low);
        block->dirt_to = most_of(block->dirt_to, high);
    }
}

bool sim_growing_is_past(const struct sim *s, unsigned f, unsigned index)
{
    return is_growing(s, f) && (index + UINT64_C(1)) * BLOCK_SIZE > size_of(s, f);
}

/* Who gives its layout back has committed what it wants to keep. */
void sim_growing_forgive(struct sim *s, unsigned m, unsigned f)
{
    for (unsigned i = 0; i < s->file_size[f]; i++) {
        struct sim_block *block = &s->disk[s->file_blocks[f][i]];
        if (is_by(&block->dirt, m, s->machines[m].run))
            block->dirt.known = false;
    }
}

void sim_growing_zero(struct world *w, unsigned f, uint64_t offset, uint64_t length)
{
    struct sim *s = w->owner;
    sim_say(s, "  bytes %llu to %llu of %s are zeroed", (unsigned long long)offset,
            (unsigned long long)(offset + length), w->files[f].path);
    if (!is_checked(s, f))
        return;
    if (!w->files[f].flag)
        sim_fail(s, SIM_FOREIGN_IO, "%s is zeroed after its flag was cleared", w->files[f].path);
    const struct journal_seal *kept = sim_durable_seal(s, f);
    if (kept && offset < kept->size)
        sim_fail(s, SIM_SIZE_LOST, "%s is zeroed from %llu, and has %llu bytes on record",
                 w->files[f].path, (unsigned long long)offset, (unsigned long long)kept->size);
    if (offset < s->files[f].size_low)
        sim_fail(s, SIM_SIZE_LOST, "%s is zeroed from %llu, and %llu was committed",
                 w->files[f].path, (unsigned long long)offset,
                 (unsigned long long)s->files[f].size_low);
    for (unsigned i = (unsigned)(offset / BLOCK_SIZE);
         i < s->file_size[f] && (uint64_t)i * BLOCK_SIZE < offset + length; i++) {
        struct sim_block *block = &s->disk[s->file_blocks[f][i]];
        for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
            const struct sim_author author = {.machine = m, .run = s->machines[m].run};
            if (holds_to_write(s, &author, f, s->file_blocks[f][i]) && sim_machine_can_use(s, m, f))
                sim_fail(s, SIM_SIZE_LOST, "what client %u is writing to %s is zeroed", m,
                         w->files[f].path);
        }
        if (block->dirt_from >= offset && block->dirt_from < offset + length)
            block->dirt_from = offset + length;
        if (block->dirt_from >= block->dirt_to)
            block->dirt.known = false;
    }
}

/* ---- the size */

/* Before an event that may move it: who is behind it. */
void sim_growing_mover(struct sim *s, unsigned m)
{
    s->mover = (struct sim_author){.known = true, .machine = m, .run = s->machines[m].run};
}

static void cover(struct sim *s, unsigned f, uint64_t from, uint64_t to)
{
    for (unsigned i = (unsigned)(from / BLOCK_SIZE);
         i < s->file_size[f] && (uint64_t)i * BLOCK_SIZE < to; i++) {
        struct sim_block *block = &s->disk[s->file_blocks[f][i]];
        if (block->dirt.known && s->mover.known && block->dirt_from < to && block->dirt_to > from &&
            !is_by(&block->dirt, s->mover.machine, s->mover.run))
            sim_fail(s, SIM_STALE_BYTES,
                     block->dirt.machine < WORLD_CLIENTS
                         ? "client %u makes %s longer, over what client %u wrote and never "
                           "committed"
                         : "client %u makes %s longer, over what was cut off of it (%u)",
                     s->mover.machine, s->w->files[f].path, block->dirt.machine);
        if ((i + UINT64_C(1)) * BLOCK_SIZE <= to)
            block->dirt.known = false;
        else if (block->dirt_from < to)
            block->dirt_from = to; /* the file's now */
        block->cover = s->mover;
    }
}

/* What was there is not to come back. */
static void uncover(struct sim *s, unsigned f, uint64_t size, uint64_t was)
{
    for (unsigned i = (unsigned)(size / BLOCK_SIZE); i < s->file_size[f]; i++) {
        struct sim_block *block = &s->disk[s->file_blocks[f][i]];
        uint64_t start = (uint64_t)i * BLOCK_SIZE;
        block->cover.known = false;
        if (start >= was)
            continue;
        block->dirt = (struct sim_author){.known = true, .machine = WORLD_CLIENTS};
        block->dirt_from = start > size ? start : size;
        block->dirt_to = start + BLOCK_SIZE < was ? start + BLOCK_SIZE : was;
    }
}

/* Waiting for zeros, it goes on when they are there. */
static void find_mover(struct sim *s, unsigned f, uint64_t size)
{
    for (unsigned i = 0; i < SIM_CALLS && !s->mover.known; i++) {
        const struct sim_resize *resize = &s->resizes[i];
        if (resize->used && resize->file == f && resize->call.size == size)
            s->mover = resize->author;
    }
}

void sim_growing_check(struct sim *s)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        struct sim_file *file = &s->files[f];
        struct engine_seal_view view;
        bool growing = engine_seal_view(s->w->engine, &s->w->files[f].key, &view) == 0 &&
                       view.reserve && view.map;
        if (growing && file->growing && view.size != file->size_seen) {
            find_mover(s, f, view.size);
            if (view.size > file->size_seen && is_checked(s, f))
                cover(s, f, file->size_seen, view.size);
            if (view.size < file->size_seen)
                uncover(s, f, view.size, file->size_seen);
        }
        if (growing && view.size > view.reserve)
            sim_fail(s, SIM_SIZE_LOST, "%s is larger than its reserve", s->w->files[f].path);
        file->growing = growing;
        file->yields = growing && view.at_rest;
        file->size_seen = growing ? view.size : 0;
    }
    s->mover.known = false;
}

/* It is said to somebody that the file is so long at least, or exactly. */
static void said(struct sim *s, unsigned f, uint64_t size, bool exactly, const char *what)
{
    const struct journal_seal *seal = sim_durable_seal(s, f);
    struct sim_file *file = &s->files[f];
    uint64_t now = size < file->size_seen ? size : file->size_seen; /* it may be cut since */
    if (exactly || now > file->size_low)
        file->size_low = now;
    if (is_checked(s, f) && seal && seal->reserve && !exactly && seal->size < now)
        sim_fail(s, SIM_COMMIT_LOST, "%s of %s is answered before the journal has the size", what,
                 s->w->files[f].path);
}

void sim_growing_committed(struct sim *s, const struct sim_commit *commit)
{
    if (commit->call.call.result == ENGINE_OK && commit->call.has_last_write && commit->growing)
        said(s, commit->file, commit->call.last_write + 1, false, "a LAYOUTCOMMIT");
}

void sim_growing_intends(struct sim *s, unsigned f, uint64_t size)
{
    if (size > s->files[f].size_high)
        s->files[f].size_high = size;
    if (size < s->files[f].size_low)
        s->files[f].size_low = size;
}

/* A step gives the file another size on disk. */
void sim_growing_resize(struct world *w, unsigned f, uint64_t size)
{
    struct sim *s = w->owner;
    struct sim_file *file = &s->files[f];
    bool longer = size >= w->files[f].size;
    sim_say(s, "  %s has %llu bytes on disk", w->files[f].path, (unsigned long long)size);
    if (longer) {
        file->size_low = file->size_high = w->files[f].size;
        file->reserved = true;
    } else if (size < file->size_low && !file->touched) { /* in doubt neither */
        sim_fail(s, SIM_SIZE_LOST, "%s is cut to %llu bytes, and %llu were committed",
                 w->files[f].path, (unsigned long long)size, (unsigned long long)file->size_low);
    }
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        if (longer && sim_machine_can_use(s, m, f))
            sim_fail(s, SIM_FLAG_CLEARED,
                     "%s becomes longer on disk; client %u can still use its layout",
                     w->files[f].path, m);
    }
    sim_disk_resize(s, f, size);
}

/* The seal is off the books: the file has its size, and nothing is shown beside it. */
void sim_growing_ended(struct sim *s, unsigned f)
{
    struct sim_file *file = &s->files[f];
    const struct world_file *on_disk = &s->w->files[f];
    if (on_disk->overlay_has_size)
        sim_fail(s, SIM_SIZE_LOST, "%s is not sealed any more, and a size is shown for it",
                 on_disk->path);
    if (file->reserved && is_checked(s, f) && on_disk->size > file->size_high)
        sim_fail(s, SIM_RESERVE_KEPT, "%s has %llu bytes after its release, and nobody wrote them",
                 on_disk->path, (unsigned long long)on_disk->size);
}

/* ---- the server's own writes, and truncation */

void sim_growing_room(struct sim *s, unsigned m, unsigned f)
{
    struct sim_room *room = &s->rooms[s->next_call++ % SIM_CALLS];
    if (room->used || !is_growing(s, f) || !s->w->clients[m].id)
        return;
    sim_growing_mover(s, m);
    *room = (struct sim_room){.used = true, .file = f, .author = s->mover};
    s->mover.known = false;
    bool below = sim_chance(s, 50);
    uint64_t end = below ? 1 + sim_below(s, (unsigned)size_of(s, f) + 1) : some_end(s, f);
    room->call = (struct engine_room){
        .key = s->w->files[f].key, .client_id = s->w->clients[m].id, .end = end};
    s->acted = true;
    sim_say(s, "client %u is to write to %s through the server, up to %llu", m, s->w->files[f].path,
            (unsigned long long)room->call.end);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_ROOM, .room = &room->call});
}

/* Who holds the end writes all of the block that the file ends in, with what it has read of it. */
static void check_neighbours(struct sim *s, const struct sim_room *room)
{
    unsigned f = room->file, at = (unsigned)((room->call.end - 1) / BLOCK_SIZE);
    for (unsigned m = 0; m < WORLD_CLIENTS && is_checked(s, f) && is_growing(s, f); m++) {
        const struct sim_author other = {.machine = m, .run = s->machines[m].run};
        if (m != room->author.machine && sim_growing_is_past(s, f, at) && at < s->file_size[f] &&
            holds_to_write(s, &other, f, s->file_blocks[f][at]) && sim_machine_can_use(s, m, f))
            sim_fail(s, SIM_SIZE_LOST,
                     "the server writes for client %u into the end of %s, which client %u holds",
                     room->author.machine, s->w->files[f].path, m);
    }
}

/* Whose write may make the file longer over what this one has left. */
static bool is_beside_another(const struct sim *s, const struct sim_room *room)
{
    for (unsigned i = 0; i < SIM_CALLS; i++) {
        const struct sim_room *other = &s->rooms[i];
        if (other != room && other->used && other->granted && other->file == room->file)
            return true;
    }
    return false;
}

/* The data reaches the blocks, and then the engine hears of it. */
bool sim_growing_write(struct sim *s)
{
    for (unsigned i = 0; i < SIM_CALLS; i++) {
        struct sim_room *room = &s->rooms[i];
        struct engine_wrote *wrote = &s->wrotes[s->next_call % SIM_CALLS];
        if (!room->used || !room->granted || wrote->call.result == ENGINE_UNDER_WAY)
            continue;
        bool fails = !s->settling && sim_chance(s, 25);
        s->next_call++;
        room->used = false;
        s->acted = true;
        if (!s->w->files[room->file].flag && is_checked(s, room->file))
            sim_fail(s, SIM_FOREIGN_IO, "the server writes to blocks that were %s's",
                     s->w->files[room->file].path);
        check_neighbours(s, room);
        if (fails && !is_beside_another(s, room) && sim_chance(s, 50))
            soil(s, room);
        sim_say(s, "the server has written to %s%s", s->w->files[room->file].path,
                fails ? ", which failed" : "");
        *wrote = (struct engine_wrote){.key = room->call.key,
                                       .mtime_ns = s->w->now,
                                       .roomed = true,
                                       .client_id = room->call.client_id,
                                       .room = room->call.end,
                                       .end = fails ? 0 : room->call.end,
                                       .call = {.result = ENGINE_UNDER_WAY}};
        s->mover = room->author;
        if (wrote->end)
            sim_growing_intends(s, room->file,
                                wrote->end > s->files[room->file].size_low
                                    ? wrote->end
                                    : s->files[room->file].size_low);
        world_send(s->w, &(struct engine_event){.type = ENGINE_EV_WROTE, .wrote = wrote});
        return true;
    }
    return false;
}

void sim_growing_truncate(struct sim *s, unsigned m, unsigned f)
{
    struct sim_resize *resize = &s->resizes[s->next_call++ % SIM_CALLS];
    if (resize->used || !is_growing(s, f) || !s->w->clients[m].id)
        return;
    uint64_t size = sim_chance(s, 50) ? some_end(s, f) : sim_below(s, (unsigned)size_of(s, f) + 1);
    *resize = (struct sim_resize){.used = true, .file = f};
    resize->call = (struct engine_resize){.key = s->w->files[f].key,
                                          .client_id = s->w->clients[m].id,
                                          .size = size,
                                          .mtime_ns = s->w->now};
    s->acted = true;
    sim_say(s, "client %u sets the size of %s to %llu", m, s->w->files[f].path,
            (unsigned long long)size);
    sim_growing_mover(s, m);
    resize->author = s->mover;
    sim_growing_intends(s, f, size);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_RESIZE, .resize = &resize->call});
}

bool sim_growing_answer(struct sim *s, const struct engine_call *call)
{
    for (unsigned i = 0; i < SIM_CALLS; i++) {
        struct sim_room *room = &s->rooms[i];
        struct sim_resize *resize = &s->resizes[i];
        if (room->used && call == &room->call.call) {
            room->granted = call->result == ENGINE_OK;
            room->used = room->granted;
            return true;
        }
        if (resize->used && call == &resize->call.call) {
            resize->used = false;
            if (call->result == ENGINE_OK)
                said(s, resize->file, resize->call.size, true, "a SETATTR");
            return true;
        }
        if (call == &s->wrotes[i].call && s->wrotes[i].roomed) {
            if (call->result == ENGINE_OK && s->wrotes[i].end)
                said(s, world_file_of(s->w, &s->wrotes[i].key), s->wrotes[i].end, false, "a WRITE");
            s->wrotes[i].roomed = false;
            return true;
        }
    }
    return false;
}

/* It is under way when the server crashes. */
void sim_growing_last_room(struct sim *s)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (is_growing(s, f) && sim_chance(s, 50))
            sim_growing_room(s, sim_below(s, WORLD_CLIENTS), f);
    }
}

void sim_growing_crash(struct sim *s)
{
    for (unsigned i = 0; i < SIM_CALLS; i++) {
        if (s->rooms[i].used && s->rooms[i].granted && sim_chance(s, 50))
            soil(s, &s->rooms[i]);
        s->rooms[i].used = s->resizes[i].used = false;
    }
    for (unsigned f = 0; f < WORLD_FILES; f++)
        s->files[f].growing = false;
    s->mover.known = false;
}
