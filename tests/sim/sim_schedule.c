/* sim_schedule.c - schedules: made from a seed, run, shrunk. See sim.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { SETTLE_ROUNDS = 80, WEIGHT_TURNS = 4, SHRINK_RUNS = 20000, KNOBS = 0x6b6e6f62 };

static const unsigned weights[STEP_COUNT] = {
    [STEP_GET] = 20,      [STEP_DELIVER] = 18,  [STEP_LOSE_REPLY] = 1,  [STEP_IO] = 10,
    [STEP_LAND] = 6,      [STEP_RETURN] = 5,    [STEP_RETURN_PART] = 3, [STEP_RETURN_ALL] = 1,
    [STEP_COMMIT] = 3,    [STEP_WROTE] = 1,     [STEP_RECALL] = 8,      [STEP_SERVE] = 4,
    [STEP_FENCE] = 3,     [STEP_EXPIRE] = 3,    [STEP_SEAL] = 8,        [STEP_RELEASE] = 3,
    [STEP_LOCAL] = 5,     [STEP_STEP] = 14,     [STEP_JOURNAL] = 16,    [STEP_PASS] = 5,
    [STEP_PASS_LONG] = 4, [STEP_NETWORK] = 4,   [STEP_DISK_PATH] = 2,   [STEP_PAUSE] = 1,
    [STEP_COME_BACK] = 4, [STEP_FORGET] = 1,    [STEP_RESTART] = 1,     [STEP_CALLABLE] = 1,
    [STEP_GRACE] = 1,     [STEP_CRASH] = 1,     [STEP_UNMOUNT] = 1,     [STEP_SHAKE] = 1,
    [STEP_REGISTER] = 6,  [STEP_GAP] = 1,       [STEP_VOID] = 1,        [STEP_ARRIVE] = 6,
    [STEP_LOOK] = 6,      [STEP_TARGET] = 1,    [STEP_STRUCK] = 4,      [STEP_BREACH] = 1,
    [STEP_FREEZE] = 1,    [STEP_VOLUME] = 1,    [STEP_FOUND] = 2,       [STEP_OPERATOR] = 1,
    [STEP_BACKUP] = 1,    [STEP_NEIGHBOUR] = 5, [STEP_AWAY] = 2,        [STEP_ROOM] = 2,
    [STEP_TRUNCATE] = 2,
};

/* xorshift64*, so that a seed means the same schedule everywhere. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

static uint64_t start_of(uint64_t seed)
{
    return (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

uint64_t sim_random(struct sim *s)
{
    return next(&s->random) >> 11;
}

unsigned sim_below(struct sim *s, unsigned n)
{
    return (unsigned)(sim_random(s) % n);
}

bool sim_chance(struct sim *s, unsigned percent)
{
    return sim_below(s, 100) < percent;
}

void sim_say(struct sim *s, const char *format, ...)
{
    if (!s->loud)
        return;
    va_list args;
    printf("%4u %9.3f s  ", s->step, (double)(s->w->now - 1000 * SECOND) / (double)SECOND);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* The first fault is the one that counts. */
void sim_fail(struct sim *s, enum sim_fault fault, const char *format, ...)
{
    if (s->fault != SIM_FINE)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(s->fault_text, sizeof s->fault_text, format, args);
    va_end(args);
    s->fault = fault;
    sim_say(s, "VIOLATION (%s): %s", sim_fault_name(fault), s->fault_text);
}

const char *sim_fault_name(enum sim_fault fault)
{
    static const char *const names[] = {
        [SIM_FINE] = "none",
        [SIM_FOREIGN_IO] = "foreign I/O",
        [SIM_FLAG_CLEARED] = "flag cleared too early",
        [SIM_GRANT_UNSEALED] = "grant while not sealed",
        [SIM_GRANT_UNRECORDED] = "grant not on record",
        [SIM_HOLDER_UNRECORDED] = "holder not on record",
        [SIM_GRANT_WRONG] = "wrong layout",
        [SIM_GRANT_FENCED] = "grant to a fenced client",
        [SIM_FENCED_EARLY] = "fence before the deadline",
        [SIM_EXPELLED_HOLDS] = "expelled, and holds",
        [SIM_FENCED_HEALTHY] = "healthy client fenced",
        [SIM_RECALLED_FOR_NOTHING] = "recall for no release",
        [SIM_COMMIT_LOST] = "commit not on record",
        [SIM_FALSE_ALARM] = "false alarm",
        [SIM_NOT_RELEASED] = "not released",
        [SIM_GRANT_IN_DOUBT] = "grant in doubt",
        [SIM_UNFLAGGED_IN_DOUBT] = "flag cleared in doubt",
        [SIM_GRANT_BROKEN] = "grant on a broken seal",
        [SIM_BREACH_IGNORED] = "breach ignored",
        [SIM_BROKEN_DROPPED] = "broken seal taken off without a word",
        [SIM_GRANT_MOVED] = "grant on a volume that has moved",
        [SIM_MOVE_IGNORED] = "move of a volume ignored",
        [SIM_RELEASED_FOR_NOTHING] = "released for nothing",
        [SIM_FLAG_FORGOTTEN] = "flag forgotten",
        [SIM_REFUSED_FOR_EVER] = "refused for ever",
        [SIM_NOT_SERVED] = "not served",
        [SIM_SIZE_LOST] = "size lost",
        [SIM_RESERVE_KEPT] = "reserve kept",
        [SIM_STALE_BYTES] = "stale bytes",
    };
    return names[fault];
}

/* Each schedule has its own taste: some kinds of step are frequent in it, some do not happen. */
void sim_schedule_make(uint64_t seed, struct sim_schedule *schedule)
{
    uint64_t state = start_of(seed);
    unsigned taste[STEP_COUNT], total = 0;
    for (unsigned op = 0; op < STEP_COUNT; op++) {
        taste[op] = weights[op] * (unsigned)(next(&state) >> 33) % (WEIGHT_TURNS * weights[op] + 1);
        total += taste[op];
    }
    schedule->seed = seed;
    schedule->count = SIM_STEPS;
    for (unsigned i = 0; i < SIM_STEPS; i++) {
        unsigned dice = (unsigned)((next(&state) >> 11) % (total ? total : 1)), op = 0;
        while (op + 1 < STEP_COUNT && dice >= taste[op])
            dice -= taste[op++];
        schedule->steps[i] = (struct sim_step){.op = (enum sim_op)op, .random = next(&state) | 1};
    }
}

static void toggle(struct sim *s, unsigned m, bool *what, const char *on, const char *off)
{
    if (s->machines[m].good)
        return;
    *what = !*what;
    s->acted = true;
    sim_say(s, "client %u %s", m, *what ? on : off);
}

static void one_recall(struct sim *s)
{
    if (s->w->ask_count && sim_chance(s, 30))
        world_answer_ask(s->w, sim_below(s, (unsigned)s->w->ask_count));
    if (s->w->recall_count)
        sim_machine_recall(s, sim_below(s, (unsigned)s->w->recall_count), false);
}

static bool is_possible(const struct sim *s, unsigned m, enum sim_op op, unsigned f)
{
    const struct sim_machine *machine = &s->machines[m];
    switch (op) {
    case STEP_DELIVER:
    case STEP_LOSE_REPLY:
        return machine->replies[f].held;
    case STEP_IO:
    case STEP_RETURN:
    case STEP_RETURN_PART:
        return machine->layouts[f].held;
    case STEP_COMMIT:
        return machine->layouts[f].held && machine->layouts[f].write;
    case STEP_LAND:
        return machine->queued > 0;
    case STEP_STRUCK:
        return sim_san_is_struck(s, m);
    case STEP_AWAY:
        return machine->runs[machine->run].ready && !machine->good;
    case STEP_NEIGHBOUR:
        return sim_san_has_neighbour(s, m);
    default:
        return true;
    }
}

/* From a random client and file on, the first for which the step makes sense. */
static void find_actor(const struct sim *s, enum sim_op op, unsigned *m, unsigned *f)
{
    for (unsigned i = 0; i < WORLD_CLIENTS * WORLD_FILES; i++) {
        if (is_possible(s, *m, op, *f))
            return;
        *f = (*f + 1) % WORLD_FILES;
        if (*f == 0)
            *m = (*m + 1) % WORLD_CLIENTS;
    }
}

/* Steps that take a client, or a client and a file. */
static void (*const of_machine[STEP_COUNT])(struct sim *s, unsigned m) = {
    [STEP_LAND] = sim_machine_land,       [STEP_RETURN_ALL] = sim_machine_return_all,
    [STEP_SERVE] = sim_machine_serve,     [STEP_COME_BACK] = sim_machine_come_back,
    [STEP_UNMOUNT] = sim_machine_unmount, [STEP_SHAKE] = sim_machine_shake,
    [STEP_REGISTER] = sim_san_ask,        [STEP_STRUCK] = sim_machine_come_back_fenced,
    [STEP_AWAY] = sim_machine_away,       [STEP_NEIGHBOUR] = sim_san_neighbour,
};
static void (*const of_file[STEP_COUNT])(struct sim *s, unsigned m, unsigned f) = {
    [STEP_GET] = sim_machine_get,
    [STEP_DELIVER] = sim_machine_deliver,
    [STEP_LOSE_REPLY] = sim_machine_lose_reply,
    [STEP_IO] = sim_machine_io,
    [STEP_COMMIT] = sim_machine_commit,
};

static void lose_network(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (machine->kind != JOURNAL_HOLDER_NFS)
        sim_program_close(s, m);
    else
        toggle(s, m, &machine->offline, "is cut off from the server", "reaches the server again");
}

static void be_called(struct sim *s, unsigned m)
{
    if (!s->w->clients[m].id || !sim_machine_reaches_server(s, m))
        return;
    sim_machine_lives(s, m);
    world_client_event(s->w, m, ENGINE_CLIENT_CALLABLE);
}

static void step_of_its_own(struct sim *s, enum sim_op op, unsigned m, unsigned f)
{
    struct sim_machine *machine = &s->machines[m];
    switch (op) {
    case STEP_RETURN:
    case STEP_RETURN_PART:
        sim_machine_return(s, m, f, op == STEP_RETURN);
        return;
    case STEP_NETWORK:
        lose_network(s, m);
        return;
    case STEP_DISK_PATH:
        if (!machine->cut_off)
            toggle(s, m, &machine->disk_away, "loses its path to the disk",
                   "has its path to the disk back");
        return;
    case STEP_PAUSE:
        toggle(s, m, &machine->paused, "is stopped", "is continued");
        return;
    case STEP_RESTART:
        if (!machine->good && !machine->kind && sim_chance(s, 50))
            sim_machine_restart(s, m);
        return;
    case STEP_CALLABLE:
        be_called(s, m);
        return;
    default:
        return;
    }
}

static void step_of_machine(struct sim *s, enum sim_op op, unsigned m, unsigned f)
{
    find_actor(s, op, &m, &f);
    if (of_machine[op])
        of_machine[op](s, m);
    else if (of_file[op])
        of_file[op](s, m, f);
    else
        step_of_its_own(s, op, m, f);
}

/* What others do: disks and their targets, programs of the server's machine, the operator. */
static void step_outside(struct sim *s, enum sim_op op, unsigned m, unsigned f)
{
    switch (op) {
    case STEP_ARRIVE:
        sim_san_arrive(s);
        return;
    case STEP_TARGET:
        if (sim_chance(s, 30))
            sim_san_target(s);
        return;
    case STEP_BREACH:
        sim_outside_breach(s, f);
        sim_outside_clone(s, f);
        return;
    case STEP_FREEZE:
        sim_outside_freeze(s, s->w->files[f].fs);
        return;
    case STEP_VOLUME:
        sim_outside_volume(s, s->w->files[f].fs);
        return;
    case STEP_FOUND:
        sim_doubt_find(s, f);
        return;
    case STEP_OPERATOR:
        sim_doubt_operator(s, s->w->files[f].fs);
        sim_machine_cut_off(s, m);
        if (sim_chance(s, 50))
            sim_machine_expel(s, m);
        return;
    case STEP_BACKUP:
        sim_doubt_backup(s);
        return;
    default:
        step_of_machine(s, op, m, f);
        return;
    }
}

static void step_of_server(struct sim *s, enum sim_op op, unsigned m, unsigned f)
{
    switch (op) {
    case STEP_WROTE:
        sim_server_wrote(s, f);
        return;
    case STEP_ROOM:
        sim_growing_room(s, m, f);
        return;
    case STEP_TRUNCATE:
        sim_growing_truncate(s, m, f);
        return;
    case STEP_RECALL:
        one_recall(s);
        return;
    case STEP_FENCE:
        sim_server_fence(s, false);
        return;
    case STEP_EXPIRE:
        sim_server_expire(s);
        return;
    case STEP_SEAL:
        sim_server_seal(s, f);
        return;
    case STEP_RELEASE:
        sim_server_release(s, f);
        return;
    case STEP_LOCAL:
        sim_disk_local_change(s, f);
        return;
    case STEP_STEP:
        (void)sim_server_step(s);
        return;
    case STEP_JOURNAL:
        sim_server_journal(s);
        return;
    case STEP_PASS:
        sim_server_pass(s, sim_below(s, 3000) * (SECOND / 1000));
        return;
    case STEP_PASS_LONG:
        sim_server_pass(s, sim_below(s, 60) * SECOND);
        return;
    case STEP_FORGET:
        sim_server_forget(s, m);
        return;
    case STEP_GRACE:
        world_send(s->w, &(struct engine_event){.type = ENGINE_EV_GRACE_ENDED});
        return;
    case STEP_GAP:
        sim_server_gap(s, sim_below(s, 100) * SECOND);
        return;
    case STEP_LOOK:
        sim_san_look(s);
        return;
    case STEP_VOID:
        sim_server_void(s);
        return;
    case STEP_CRASH:
        if (sim_chance(s, 30))
            sim_server_crash(s);
        return;
    default:
        step_outside(s, op, m, f);
        return;
    }
}

/* Half of the schedules begin with sealed files, so that they come to the point. */
static void seal_some(struct sim *s)
{
    if (sim_chance(s, 50))
        return;
    s->settling = true; /* nothing fails yet */
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (sim_chance(s, 50))
            sim_server_seal(s, f);
    }
    while (s->w->step_count || s->w->record_count) {
        world_commit_all(s->w);
        (void)sim_server_step(s);
    }
    s->settling = false;
}

/* How this server is configured, who its clients are: of the seed, not of the steps. */
static void set_up(struct sim *s, uint64_t seed)
{
    struct engine_options *options = &s->w->options;
    s->random = start_of(seed ^ KNOBS);
    s->w->auto_commit = s->w->auto_step = s->w->auto_expire = false;
    options->trace = false;
    options->fence_hook = sim_chance(s, 55);
    options->quiesce_is_safe = !options->fence_hook && sim_chance(s, 80);
    options->recall_timeout = (30 + sim_below(s, 60)) * SECOND;
    options->lease_time = (30 + sim_below(s, 90)) * SECOND;
    options->quiesce_time = (5 + sim_below(s, 30)) * SECOND;
    options->max_grants = sim_below(s, WORLD_FILES);
    options->scrub_interval = sim_below(s, 4) * 100 * SECOND;
    if (sim_chance(s, 40)) {
        device_set_reserved(s->w->devices[0]);
        options->settle_time = sim_below(s, 4) * 30 * SECOND;
    }
    s->is_split = sim_chance(s, 50);
    if (s->is_split)
        world_split(s->w, WORLD_FILES / 2);
    s->has_breaches = sim_chance(s, 35);
    s->has_doubts = sim_chance(s, 35);
    s->has_moves = sim_chance(s, 35);
    s->has_growing = sim_chance(s, 50);
    s->w->reserve_grain =
        seed % 2 ? 2 * 4096 : 0; /* reserves end where they are wanted, or later */
    options->growing_linger = (1 + sim_below(s, 20)) * SECOND;
    engine_set_options(s->w->engine, options);
    sim_disk_format(s);
    sim_server_start(s);
    sim_san_start(s);
    bool twins = sim_chance(s, options->quiesce_is_safe ? 50 : 25);
    if (sim_chance(s, 30))
        s->machines[0].kind = (enum journal_holder_kind)(JOURNAL_HOLDER_CLOSE +
                                                         sim_below(s, JOURNAL_HOLDER_KINDS - 1));
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        struct world_client *client = &s->w->clients[m];
        client->verifier[1] = (uint8_t)m;
        s->machines[m].twin = twins && m >= WORLD_CLIENTS - 2;
        if (s->machines[m].twin)
            snprintf(client->owner, sizeof client->owner, "twins");
        bool program = s->machines[m].kind != JOURNAL_HOLDER_NFS;
        s->machines[m].good = !program && !s->machines[m].twin && sim_chance(s, 25);
        s->machines[m].dead = !program && !s->machines[m].good && sim_chance(s, 20);
        s->machines[m].memory = !program && sim_chance(s, 20);
        s->machines[m].last_seen = s->w->now;
        sim_machine_come_back(s, m);
    }
    seal_some(s);
}

static void settle_machine(struct sim *s, unsigned m)
{
    s->machines[m].disk_away = s->machines[m].cut_off;
    while (s->machines[m].queued && !s->machines[m].disk_away && !s->fault)
        sim_machine_land(s, m);
    sim_machine_serve(s, m);
    if (s->w->clients[m].id && !s->machines[m].dead) {
        sim_machine_lives(s, m);
        world_client_event(s->w, m, ENGINE_CLIENT_CALLABLE);
    }
    sim_machine_serve(s, m);
}

static void settle_round(struct sim *s)
{
    struct world *w = s->w;
    for (unsigned f = 0; f < WORLD_FILES; f++)
        sim_server_release(s, f);
    while (sim_growing_write(s))
        sim_server_carry_out(s);
    for (unsigned m = 0; m < WORLD_CLIENTS; m++)
        settle_machine(s, m);
    for (unsigned m = 0; m < WORLD_CLIENTS; m++)
        sim_san_arrive_all(s, m);
    sim_san_look(s);
    while (w->fence_count && !s->fault)
        sim_server_fence(s, true);
    sim_server_void(s);
    while (w->expire_count)
        sim_server_expire(s);
    sim_server_carry_out(s);
    sim_outside_clear(s);
}

static bool is_served(const struct sim *s, unsigned m)
{
    const struct sim_machine *machine = &s->machines[m];
    return machine->good && !machine->lost && !machine->memory && s->w->clients[m].id;
}

/* Who is well gets layouts of what is sealed and well. */
static void check_service(struct sim *s)
{
    sim_server_carry_out(s);
    for (unsigned m = 0; m < WORLD_CLIENTS && !s->fault; m++) {
        struct engine_seal_view view;
        if (is_served(s, m))
            settle_machine(s, m);
        for (unsigned f = 0; f < WORLD_FILES && is_served(s, m) && !s->fault; f++) {
            unsigned fs = s->w->files[f].fs;
            if (s->files[f].state == ENGINE_SEALED && !s->files[f].touched && !s->fs[fs].frozen &&
                !sim_doubt_is_on(s, fs) && !s->fs[fs].undescribed &&
                engine_seal_view(s->w->engine, &s->w->files[f].key, &view) == 0 && view.map)
                sim_machine_is_served(s, m, f, view.kind == SEAL_KIND_PINNED && !view.reserve);
        }
    }
}

static bool is_troubled(const struct sim *s, unsigned fs)
{
    return s->fs[fs].frozen || sim_doubt_is_on(s, fs);
}

/* The other one is frozen or in doubt, and stays so: that is no matter to this one. */
static void settle_fs(struct sim *s, unsigned fs)
{
    for (unsigned round = 0; !s->fault && !sim_server_fs_is_clean(s, fs); round++) {
        if (round == SETTLE_ROUNDS) {
            sim_fail(s, SIM_NOT_RELEASED,
                     "everybody behaves, but file system %u is not released beside one that is %s",
                     fs, s->fs[1 - fs].frozen ? "frozen" : "in doubt");
            return;
        }
        settle_round(s);
        sim_server_pass(s, 20 * SECOND);
    }
}

/* Everybody who lives behaves, fences work, nothing is lost: then everything must come off. */
static void settle(struct sim *s)
{
    struct world *w = s->w;
    s->settling = true;
    sim_say(s, "from here on everybody behaves, and every fence works");
    w->options.fence_hook = true;
    engine_set_options(w->engine, &w->options);
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        struct sim_machine *machine = &s->machines[m];
        machine->paused = machine->offline = machine->dead;
        machine->disk_away = machine->cut_off;
    }
    check_service(s);
    for (unsigned fs = 0; s->is_split && fs < WORLD_FILE_SYSTEMS; fs++) {
        if (is_troubled(s, 1 - fs) && !is_troubled(s, fs))
            settle_fs(s, fs);
    }
    sim_say(s, "nothing is frozen any more, and there is no doubt");
    sim_outside_mend(s);
    for (unsigned round = 0; round < SETTLE_ROUNDS && !s->fault && !sim_server_is_clean(s);
         round++) {
        for (unsigned fs = 0; fs < WORLD_FILE_SYSTEMS; fs++)
            sim_doubt_mend(s, fs);
        settle_round(s);
        if (!sim_server_is_clean(s))
            sim_server_pass(s, 20 * SECOND);
    }
    if (!s->fault && !sim_server_is_clean(s))
        sim_fail(s, SIM_NOT_RELEASED, "everybody behaves, but not everything is released");
}

enum sim_fault sim_schedule_run(const struct sim_schedule *schedule, struct sim_figures *figures,
                                bool loud, unsigned *at)
{
    struct sim *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->w = world_create();
    s->figures = figures;
    s->loud = loud;
    set_up(s, schedule->seed);
    unsigned i = 0;
    for (; i < schedule->count && !s->fault; i++) {
        s->step = i + 1;
        s->random = schedule->steps[i].random;
        s->acted = false;
        unsigned m = sim_below(s, WORLD_CLIENTS), f = sim_below(s, WORLD_FILES);
        step_of_server(s, schedule->steps[i].op, m, f);
        figures->steps += s->acted;
    }
    if (!s->fault) {
        s->step++;
        settle(s);
    }
    figures->schedules++;
    *at = i;
    enum sim_fault fault = s->fault;
    sim_san_stop(s);
    sim_doubt_stop(s);
    for (unsigned fs = 0; fs < WORLD_FILE_SYSTEMS; fs++)
        device_free(s->fs[fs].before);
    world_destroy(s->w);
    free(s);
    return fault;
}

static bool still_fails(const struct sim_schedule *schedule, enum sim_fault fault, unsigned *at)
{
    struct sim_figures figures = {0};
    return sim_schedule_run(schedule, &figures, false, at) == fault;
}

static void without(const struct sim_schedule *from, unsigned first, unsigned count,
                    struct sim_schedule *to)
{
    *to = *from;
    memmove(&to->steps[first], &from->steps[first + count],
            (from->count - first - count) * sizeof from->steps[0]);
    to->count = from->count - count;
}

unsigned sim_schedule_shrink(struct sim_schedule *schedule, enum sim_fault fault, unsigned at)
{
    static struct sim_schedule shorter;
    unsigned runs = 0;
    schedule->count = at;
    for (unsigned piece = (at + 1) / 2; piece > 0 && runs < SHRINK_RUNS;) {
        bool any = false;
        for (unsigned first = 0; first + piece <= schedule->count && runs < SHRINK_RUNS;) {
            without(schedule, first, piece, &shorter);
            runs++;
            if (still_fails(&shorter, fault, &at)) {
                shorter.count = at;
                *schedule = shorter;
                any = true;
            } else {
                first += piece;
            }
        }
        if (piece == 1 && !any)
            break;
        piece = piece > 1 ? (piece + 1) / 2 : 1;
    }
    return schedule->count;
}
