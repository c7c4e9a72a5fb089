/*
 * sim_doubt.c - the journal is lost, or an older copy of it is put back: the host knows by the
 * marks of the file systems, and says so until the operator has cut off whoever nobody knows of. A
 * mark that cannot be read is a doubt that passes. See sim.h.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { LOSS_PERCENT = 20, UNREAD_PERCENT = 15 };

bool sim_doubt_is_on(const struct sim *s, unsigned v)
{
    return s->fs[v].lost || s->fs[v].found || s->fs[v].unread;
}

bool sim_doubt_is_spoken_for(const struct sim *s, unsigned v)
{
    return s->fs[v].forget.call.result == ENGINE_UNDER_WAY;
}

void sim_doubt_backup(struct sim *s)
{
    if (!s->has_doubts)
        return;
    if (!s->backup)
        s->backup = calloc(1, sizeof *s->backup);
    if (!s->backup)
        abort();
    s->acted = true;
    sim_say(s, "the journal is copied");
    world_backup(s->w, s->backup);
}

void sim_doubt_stop(struct sim *s)
{
    if (s->backup)
        world_durable_free(s->backup);
    free(s->backup);
}

static void lose_journal(struct sim *s)
{
    static const struct world_durable nothing;
    bool older = s->backup && sim_chance(s, 60);
    sim_say(s, "  the journal %s", older ? "is an older copy" : "is lost");
    world_put_back(s->w, older ? s->backup : &nothing);
    s->addresses_lost = true;
    for (unsigned v = 0; v < 1u + s->is_split; v++) {
        s->fs[v].lost = true;
        s->fs[v].found = world_is_in_doubt(s->w, v);
    }
}

/* A seal that was found is on record. */
static bool is_adopted(const struct sim *s, unsigned v)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        const struct journal_seal *seal = sim_durable_seal(s, f);
        if (s->w->files[f].fs == v && seal && seal->phase == JOURNAL_SEALED && !seal->map)
            return true;
    }
    return false;
}

/* That it was is a reason for doubt from there on. */
void sim_doubt_crash(struct sim *s)
{
    for (unsigned v = 0; v < 1u + s->is_split; v++) {
        bool kept = s->fs[v].found && !sim_doubt_is_spoken_for(s, v) && is_adopted(s, v);
        s->fs[v].found = kept || world_is_in_doubt(s->w, v);
        s->fs[v].unread = s->has_doubts && sim_chance(s, UNREAD_PERCENT);
        s->fs[v].forget = (struct engine_forget){.call.result = ENGINE_OK};
    }
    if (s->has_doubts && sim_chance(s, LOSS_PERCENT))
        lose_journal(s);
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        struct sim_file *file = &s->files[f];
        file->image = file->image && s->w->files[f].flag;
        if (file->image || (sim_doubt_is_on(s, s->w->files[f].fs) && !sim_durable_seal(s, f)))
            file->planted = s->w->files[f].flag;
    }
}

/* First of all, as the host does it at its start. */
void sim_doubt_restoring(struct world *w)
{
    struct sim *s = w->owner;
    for (unsigned v = 0; v < 1u + s->is_split; v++) {
        int err = s->fs[v].unread ? engine_restore_passing_doubt(w->engine, world_fs_uuid(w, v))
                  : s->fs[v].lost ? engine_restore_doubt(w->engine, world_fs_uuid(w, v), false)
                                  : 0;
        if (err)
            abort();
    }
}

static void find(struct sim *s, unsigned f)
{
    unsigned v = s->w->files[f].fs;
    struct engine_event event = {.type = ENGINE_EV_FOUND,
                                 .found = {.key = s->w->files[f].key,
                                           .path = s->w->files[f].path,
                                           .kind = f % 2 ? SEAL_KIND_FROZEN : SEAL_KIND_PINNED}};
    s->acted = true;
    sim_say(s, "%s is found, with flag and mark", s->w->files[f].path);
    if (s->files[f].state == ENGINE_OPEN) {
        for (unsigned i = 0; i < WORLD_FILES; i++) {
            if (s->files[i].state == ENGINE_RELEASING || s->files[i].state == ENGINE_SEALING)
                s->files[i].excused = true;
        }
        s->fs[v].found = s->fs[v].found_again = true;
    }
    world_send(s->w, &event);
}

/* The search goes through file systems that are in doubt. An image put back there may bring a flag
 * and a mark of its own. */
void sim_doubt_find(struct sim *s, unsigned f)
{
    struct world_file *file = &s->w->files[f];
    if (!sim_doubt_is_on(s, file->fs))
        return;
    if (!file->flag && s->files[f].state == ENGINE_OPEN && sim_chance(s, 30))
        file->flag = s->files[f].image = s->files[f].planted = true;
    if (file->flag)
        find(s, f);
}

static void cut_off(struct sim *s, unsigned m, unsigned v)
{
    struct sim_machine *machine = &s->machines[m];
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (s->w->files[f].fs != v)
            continue;
        machine->layouts[f].held = machine->replies[f].held = false;
        machine->knows_recall[f] = machine->old_registered[f] = false;
    }
    for (unsigned i = 0; i < machine->queued;) {
        if (s->w->files[machine->queue[i].file].fs == v)
            machine->queue[i] = machine->queue[--machine->queued];
        else
            i++;
    }
}

/* He cuts off whoever had a layout there, and says so. */
static void forget(struct sim *s, unsigned v)
{
    struct engine_forget *call = &s->fs[v].forget;
    if (call->call.result == ENGINE_UNDER_WAY)
        return;
    s->acted = true;
    sim_say(s, "the operator says that nobody can use a layout of file system %u of before", v);
    for (unsigned m = 0; m < WORLD_CLIENTS; m++)
        cut_off(s, m, v);
    s->fs[v].found_again = false;
    *call = (struct engine_forget){.call.result = ENGINE_UNDER_WAY};
    memcpy(call->fs_uuid, world_fs_uuid(s->w, v), sizeof call->fs_uuid);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_FORGET, .forget = call});
}

/* The mark can be read, and agrees with the journal. One that contradicts it is for the next start
 * to judge. */
static void read_mark(struct sim *s, unsigned v)
{
    if (s->fs[v].lost)
        return;
    s->fs[v].unread = false;
    s->acted = true;
    sim_say(s, "the mark of file system %u can be read", v);
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_DOUBT_PASSED,
                                            .doubt_passed = world_fs_uuid(s->w, v)});
}

void sim_doubt_operator(struct sim *s, unsigned v)
{
    if (!sim_doubt_is_on(s, v))
        return;
    if (s->fs[v].unread && sim_chance(s, 70))
        read_mark(s, v);
    else
        forget(s, v);
}

/* His word is on record. */
void sim_doubt_answer(struct sim *s, const struct engine_call *call)
{
    for (unsigned v = 0; v < WORLD_FILE_SYSTEMS; v++) {
        if (call == &s->fs[v].forget.call)
            s->fs[v].lost = s->fs[v].unread = false, s->fs[v].found = s->fs[v].found_again;
    }
}

/* All of it is found, and the operator speaks. */
void sim_doubt_mend(struct sim *s, unsigned v)
{
    if (!sim_doubt_is_on(s, v))
        return;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (s->w->files[f].fs == v && s->w->files[f].flag && s->files[f].state == ENGINE_OPEN)
            find(s, f);
    }
    if (s->fs[v].unread && !s->fs[v].lost)
        read_mark(s, v);
    if (sim_doubt_is_on(s, v))
        forget(s, v);
}
