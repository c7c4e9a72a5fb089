/*
 * sim_san.c - the reserved disk and its host: what is registered by which nexus, REGISTERs under
 * way, looks, and fences by key. What may be believed of it is the rule's (layout/key/rule.h),
 * which is driven here as the server drives it. See sim.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/reservation/reservation.h"
#include "tests/sim/sim.h"

enum { SERVER = 0x5ea1, OWN_NEXUS = 255, ROUNDS = 3, NEVER_CAME = 30 };

bool sim_san_is_on(const struct sim *s)
{
    return device_is_reserved(s->w->devices[0]);
}

bool sim_san_guards(const struct sim *s, unsigned f)
{
    return sim_san_is_on(s) && s->w->files[f].fs == 0;
}

bool sim_san_is_struck(const struct sim *s, unsigned m)
{
    const struct sim_machine *machine = &s->machines[m];
    return sim_san_is_on(s) && s->san.preempted[machine->runs[machine->run].host];
}

static struct designator disk_name(void)
{
    return (struct designator){.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"};
}

/* ---- the rule's store ---- */

static bool same_row(const struct key_row *a, const struct key_row *b)
{
    return a->number == b->number && key_nexus_equal(&a->nexus, &b->nexus);
}

static bool store_fails(struct sim *s)
{
    return !s->settling && sim_chance(s, 2);
}

static void take_row(struct sim_san *san, const struct key_row *row)
{
    for (size_t i = 0; i < san->row_count; i++) {
        if (same_row(&san->rows[i], row))
            san->rows[i--] = san->rows[--san->row_count];
    }
}

static int put_row(void *arg, const struct key_row *row)
{
    struct sim *s = arg;
    if (store_fails(s))
        return -EIO;
    take_row(&s->san, row);
    if (s->san.row_count == SIM_KEY_ROWS)
        abort();
    s->san.rows[s->san.row_count++] = *row;
    return 0;
}

static int drop_row(void *arg, const struct key_row *row)
{
    struct sim *s = arg;
    if (store_fails(s))
        return -EIO;
    take_row(&s->san, row);
    return 0;
}

static int drop_run(void *arg, uint32_t run)
{
    struct sim *s = arg;
    struct sim_san *san = &s->san;
    for (size_t i = 0; i < san->row_count; i++) {
        if (san->rows[i].run == run)
            san->rows[i--] = san->rows[--san->row_count];
    }
    san->known[run] = false;
    return 0;
}

/* ---- runs ---- */

static uint32_t id_of(unsigned m, uint32_t run)
{
    return m * SIM_RUNS + run + 1;
}

static struct key_run name_of(const struct sim *s, uint32_t id)
{
    unsigned m = (id - 1) / SIM_RUNS;
    const struct world_client *client = &s->w->clients[m];
    struct key_run name = {.owner = (const uint8_t *)client->owner,
                           .owner_len = (uint32_t)strlen(client->owner)};
    memcpy(name.verifier, client->verifier, sizeof name.verifier);
    name.verifier[0] = (uint8_t)((id - 1) % SIM_RUNS + 1);
    return name;
}

static void add_run(struct sim *s, uint32_t id)
{
    const struct key_run name = name_of(s, id);
    if (key_rule_add_run(s->san.rule, id, &name, false))
        abort();
    s->san.known[id] = true;
}

/* Before a layout over the disk is given. */
void sim_san_prepare(struct sim *s, unsigned m)
{
    uint32_t id = id_of(m, s->machines[m].run);
    if (sim_san_is_on(s) && !s->machines[m].kind && !s->san.known[id])
        add_run(s, id);
}

static void make_rule(struct sim *s)
{
    const struct key_rule_store store = {
        .arg = s, .put = put_row, .drop = drop_row, .drop_run = drop_run};
    if (key_rule_create(SERVER, &store, &s->san.rule))
        abort();
    key_rule_set_time(s->san.rule, s->w->now, s->w->options.settle_time);
}

void sim_san_start(struct sim *s)
{
    for (unsigned host = 0; host < SIM_HOSTS; host++)
        s->san.paths[host] = 1 + sim_below(s, SIM_PATHS);
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        bool shares = m > 0 && sim_chance(s, 45);
        s->machines[m].runs[0].host = shares ? s->machines[m - 1].runs[0].host : s->san.hosts++;
    }
    s->san.generation = 1;
    make_rule(s);
}

void sim_san_stop(struct sim *s)
{
    key_rule_destroy(s->san.rule);
}

/* The server starts anew from what is on record. */
void sim_san_crash(struct sim *s)
{
    key_rule_destroy(s->san.rule);
    make_rule(s);
    memset(s->san.told, 0, sizeof s->san.told);
    memset(s->san.fences, 0, sizeof s->san.fences);
    for (uint32_t id = 1; id < SIM_KEY_RUNS; id++) {
        if (s->san.known[id])
            add_run(s, id);
    }
    for (size_t i = 0; i < s->san.row_count; i++) {
        if (key_rule_restore(s->san.rule, &s->san.rows[i]))
            abort();
    }
}

/* The same machine, or where a name was made anew, another. */
void sim_san_next_run(struct sim *s, unsigned m, bool elsewhere)
{
    struct sim_machine *machine = &s->machines[m];
    machine->runs[machine->run].host = elsewhere && s->san.hosts < SIM_HOSTS
                                           ? s->san.hosts++
                                           : machine->runs[machine->run - 1].host;
}

/* ---- the target ---- */

static uint64_t *path_of(struct sim *s, unsigned host, unsigned path)
{
    return &s->san.key[host * SIM_PATHS + path];
}

static bool is_registered(const struct sim *s, unsigned host)
{
    for (unsigned p = 0; p < s->san.paths[host]; p++) {
        if (s->san.key[host * SIM_PATHS + p])
            return true;
    }
    return false;
}

bool sim_san_lets_in(const struct sim *s, unsigned m, uint32_t run)
{
    return is_registered(s, s->machines[m].runs[run].host);
}

static bool is_alive(const struct sim *s, const struct sim_register *reg)
{
    return reg->used && (!reg->dies_at || s->w->now < reg->dies_at);
}

/* A REGISTER under way, whoever's, would open the nexus. */
bool sim_san_may_let_in(const struct sim *s, unsigned m, uint32_t run)
{
    unsigned host = s->machines[m].runs[run].host;
    for (unsigned i = 0; i < SIM_REGISTERS; i++) {
        const struct sim_register *reg = &s->san.registers[i];
        if (is_alive(s, reg) && s->machines[reg->machine].runs[reg->run].host == host)
            return true;
    }
    return is_registered(s, host);
}

static void take_off(struct sim *s, uint64_t key)
{
    for (unsigned n = 0; n < SIM_HOSTS * SIM_PATHS; n++) {
        if (s->san.key[n] == key)
            s->san.key[n] = 0;
    }
    s->san.generation++;
}

static void view_target(struct sim *s, struct key_look *look, struct key_registration *out)
{
    static const struct designator name = {.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"};
    size_t count = 0;
    out[count++] = (struct key_registration){
        .key = reservation_key(SERVER, 0), .nexus = {.protocol = 5, .len = 1, .name = {OWN_NEXUS}}};
    for (unsigned n = 0; n < SIM_HOSTS * SIM_PATHS; n++) {
        if (s->san.key[n])
            out[count++] =
                (struct key_registration){.key = s->san.key[n],
                                          .nexus = {.protocol = 5,
                                                    .len = 5,
                                                    .name = {(uint8_t)(n / SIM_PATHS + 1), ',', 'i',
                                                             ',', (uint8_t)(n % SIM_PATHS + 1)}}};
    }
    look->disk = &name;
    look->generation = s->san.generation;
    look->reg = out;
    look->count = count;
}

/* ---- telling, and the REGISTERs that come of it ---- */

static bool is_being_fenced(const struct sim *s, unsigned m)
{
    for (size_t i = 0; i < s->w->fence_count; i++) {
        uint32_t run;
        if (sim_fence_machine(s, i, &run) == m && run == s->machines[m].run)
            return true;
    }
    return false;
}

/* A client that is new on a machine where another was fenced is found out only by its REGISTER. */
static bool is_intruder(const struct sim *s, unsigned m)
{
    const struct sim_run *mine = &s->machines[m].runs[s->machines[m].run];
    return !mine->seen && s->san.preempted[mine->host];
}

static struct sim_register *free_register(struct sim *s)
{
    for (unsigned i = 0; i < SIM_REGISTERS; i++) {
        if (!is_alive(s, &s->san.registers[i]))
            return &s->san.registers[i];
    }
    return NULL;
}

static void note_told(struct sim *s, unsigned m, uint32_t number)
{
    s->san.told[m] = (struct sim_told){
        .number = number, .run = id_of(m, s->machines[m].run), .client_id = s->w->clients[m].id};
}

/* GETDEVICEINFO: it is told of a key, and sends its REGISTERs at once. */
void sim_san_ask(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    const struct designator disk = disk_name();
    struct sim_run *run = &machine->runs[machine->run];
    uint32_t id = id_of(m, machine->run), number = s->san.numbers + 1;
    struct sim_register *reg = free_register(s);
    if (!sim_san_is_on(s) || machine->kind || !reg || !s->w->clients[m].id ||
        !sim_machine_reaches_server(s, m) || is_intruder(s, m) || is_being_fenced(s, m) ||
        engine_client_was_fenced(s->w->engine, s->w->clients[m].id))
        return;
    sim_san_prepare(s, m);
    key_rule_set_time(s->san.rule, s->w->now, s->w->options.settle_time);
    if (key_rule_may_tell(s->san.rule, id, &disk, 1) != KEY_MAY)
        return;
    s->san.numbers++;
    s->acted = true;
    if (key_rule_tell(s->san.rule, id, number, &disk, 1))
        return;
    sim_say(s, "client %u is told of key %u", m, number);
    note_told(s, m, number);
    *reg = (struct sim_register){.used = true,
                                 .machine = m,
                                 .run = machine->run,
                                 .number = number,
                                 .paths = (1u << s->san.paths[run->host]) - 1,
                                 .told_at = s->w->now,
                                 .dies_at = run->seen ? 0 : s->w->now + NEVER_CAME * SECOND};
}

/* Its path works: what the initiator had queued has the settle time left. */
static void first_path(struct sim *s, struct sim_register *reg)
{
    struct sim_machine *machine = &s->machines[reg->machine];
    uint64_t settle = s->w->options.settle_time;
    reg->come = true;
    if (!reg->dies_at && settle)
        reg->dies_at = s->w->now + settle;
    for (unsigned i = 0; settle && i < machine->queued; i++) {
        struct sim_io *io = &machine->queue[i];
        if (io->haunted && io->run == reg->run && io->haunted_at <= reg->told_at &&
            sim_san_guards(s, io->file))
            sim_io_dooms(io, s->w->now + settle);
    }
}

static void arrive_by(struct sim *s, struct sim_register *reg, unsigned path)
{
    struct sim_run *run = &s->machines[reg->machine].runs[reg->run];
    *path_of(s, run->host, path) = reservation_key(SERVER, reg->number);
    s->san.unseen[run->host * SIM_PATHS + path] = id_of(reg->machine, reg->run);
    s->san.generation++;
    reg->paths &= ~(1u << path);
    if (!reg->come)
        first_path(s, reg);
    sim_say(s, "client %u registers key %u by path %u of machine %u", reg->machine, reg->number,
            path, run->host);
    if (!reg->paths) {
        run->ready = reg->number;
        reg->used = false;
    }
}

/* Path by path where a key is registered already; else there was no command by it before, and its
 * REGISTER does not stay behind the first. */
static bool arrive(struct sim *s, struct sim_register *reg)
{
    bool any = false;
    unsigned host = s->machines[reg->machine].runs[reg->run].host, first = sim_below(s, SIM_PATHS);
    for (unsigned i = 0; i < SIM_PATHS && reg->used; i++) {
        unsigned path = (first + i) % SIM_PATHS;
        if (!(reg->paths & 1u << path))
            continue;
        arrive_by(s, reg, path);
        any = true;
        if (reg->used && *path_of(s, host, 1 - path))
            break;
    }
    return any;
}

/* Its machine is lost with its REGISTER on the way by the other path. */
static void lose_between_paths(struct sim *s, const struct sim_register *reg)
{
    struct sim_machine *machine = &s->machines[reg->machine];
    if (!is_alive(s, reg) || machine->good || s->settling || !sim_chance(s, 50))
        return;
    sim_say(s, "client %u is lost between two of its paths", reg->machine);
    machine->disk_away = machine->offline = true;
}

void sim_san_arrive(struct sim *s)
{
    unsigned first = sim_below(s, SIM_REGISTERS);
    for (unsigned i = 0; i < SIM_REGISTERS; i++) {
        struct sim_register *reg = &s->san.registers[(first + i) % SIM_REGISTERS];
        if (is_alive(s, reg) && !s->machines[reg->machine].disk_away && arrive(s, reg)) {
            s->acted = true;
            lose_between_paths(s, reg);
            return;
        }
    }
}

void sim_san_arrive_all(struct sim *s, unsigned m)
{
    for (unsigned i = 0; i < SIM_REGISTERS; i++) {
        struct sim_register *reg = &s->san.registers[i];
        bool more = reg->machine == m && !s->machines[m].disk_away;
        while (more && is_alive(s, reg))
            more = arrive(s, reg);
    }
}

static unsigned neighbour_of(const struct sim *s, unsigned m)
{
    unsigned host = s->machines[m].runs[s->machines[m].run].host;
    for (unsigned i = 1; i < WORLD_CLIENTS; i++) {
        const struct sim_machine *other = &s->machines[(m + i) % WORLD_CLIENTS];
        if (!other->kind && !other->memory && other->runs[other->run].host == host)
            return (m + i) % WORLD_CLIENTS;
    }
    return m;
}

bool sim_san_has_neighbour(const struct sim *s, unsigned m)
{
    return sim_san_is_on(s) && neighbour_of(s, m) != m;
}

/* Another client of its machine comes and goes, and registers the nexus that they share. */
void sim_san_neighbour(struct sim *s, unsigned m)
{
    unsigned other = neighbour_of(s, m), what = sim_below(s, 4);
    if (!sim_san_is_on(s) || other == m)
        return;
    if (what == 0) {
        sim_machine_unmount(s, other);
        return;
    }
    sim_machine_come_back(s, other);
    sim_san_look(s);
    sim_san_ask(s, other);
    if (what > 1)
        sim_san_arrive_all(s, other);
    if (what > 2)
        sim_san_look(s);
}

bool sim_san_is_ready(const struct sim *s, unsigned m)
{
    const struct sim_machine *machine = &s->machines[m];
    return !sim_san_is_on(s) || machine->kind || machine->runs[machine->run].ready;
}

/* Without a key of its own a run begins no I/O, whoever else has registered its nexus. */
bool sim_san_may_begin(const struct sim *s, unsigned m)
{
    uint32_t run = s->machines[m].run;
    for (unsigned i = 0; i < SIM_REGISTERS; i++) {
        const struct sim_register *reg = &s->san.registers[i];
        if (is_alive(s, reg) && reg->machine == m && reg->run == run)
            return true;
    }
    return sim_san_is_ready(s, m);
}

/* Its machine is off: what its initiator had under way is gone. */
void sim_san_forget(struct sim *s, unsigned m, uint32_t run)
{
    for (unsigned i = 0; i < SIM_REGISTERS; i++) {
        struct sim_register *reg = &s->san.registers[i];
        if (reg->machine == m && reg->run == run)
            reg->used = false;
    }
}

/* ---- looks ---- */

static void take_finding(const struct key_finding *finding, void *arg)
{
    struct sim *s = arg;
    if (finding->kind == KEY_IS_NEW || finding->kind == KEY_SHARES)
        s->machines[(finding->run - 1) / SIM_RUNS].runs[(finding->run - 1) % SIM_RUNS].seen = true;
    if (finding->kind == KEY_IS_BACK || finding->kind == KEY_OPENS_FENCED ||
        finding->kind == KEY_IS_ORPHAN)
        take_off(s, finding->key);
}

static void tell_seen(struct sim *s, unsigned m)
{
    struct sim_told *told = &s->san.told[m];
    const struct designator disk = disk_name();
    struct engine_event event = {.type = ENGINE_EV_NEXUS_SEEN,
                                 .seen = {.client_id = told->client_id}};
    if (!told->number)
        return;
    enum key_state state = key_rule_telling(s->san.rule, told->run, told->number, &disk);
    if (state == KEY_TOLD)
        return;
    told->number = 0;
    if (state != KEY_SEEN)
        return;
    sim_say(s, "  client %u's path is seen to work", m);
    memcpy(event.seen.device_id, device_id(s->w->devices[0]), DEVICE_ID_SIZE);
    world_send(s->w, &event);
}

static void take_look(struct sim *s, struct key_look *look)
{
    key_rule_set_time(s->san.rule, s->w->now, s->w->options.settle_time);
    (void)key_rule_look(s->san.rule, look, take_finding, s);
    memset(s->san.unseen, 0, sizeof s->san.unseen);
}

struct search {
    const uint8_t *verifier;
    bool found;
    uint64_t client_id;
};

static void compare_run(const struct engine_run_view *run, void *arg)
{
    struct search *search = arg;
    if (memcmp(run->verifier, search->verifier, JOURNAL_VERIFIER_SIZE) != 0)
        return;
    search->found = true;
    search->client_id = run->client_id;
}

static struct search search_engine(const struct sim *s, uint32_t id)
{
    const struct key_run name = name_of(s, id);
    struct search search = {.verifier = name.verifier};
    engine_each_run(s->w->engine, JOURNAL_HOLDER_NFS, name.owner, name.owner_len, compare_run,
                    &search);
    return search;
}

/* As the server says it (keeper/san/fence.c). */
static bool is_drained(uint32_t id, void *arg)
{
    const struct sim *s = arg;
    struct search search = search_engine(s, id);
    return !search.found ||
           (search.client_id != 0 && !engine_client_holds(s->w->engine, search.client_id));
}

static bool is_known(uint32_t id, void *arg)
{
    return search_engine(arg, id).found;
}

void sim_san_look(struct sim *s)
{
    struct key_registration reg[SIM_HOSTS * SIM_PATHS + 1];
    struct key_look look = {.since = key_rule_clock(s->san.rule)};
    if (!sim_san_is_on(s))
        return;
    s->acted = true;
    view_target(s, &look, reg);
    take_look(s, &look);
    for (unsigned m = 0; m < WORLD_CLIENTS; m++)
        tell_seen(s, m);
    (void)key_rule_retire(s->san.rule, is_known, s);
}

/* ---- fences ---- */

bool sim_san_is_fenced_by(const struct sim *s, size_t i)
{
    const struct engine_effect *fence = &s->w->fences[i];
    return fence->fence.device && sim_san_is_on(s) && fence->fence.way == JOURNAL_WAY_DISK &&
           fence->fence.kind == JOURNAL_HOLDER_NFS;
}

static struct sim_key_fence *fence_of(struct sim *s, size_t i)
{
    struct sim_key_fence *unused = NULL;
    uint64_t ticket = s->w->fences[i].fence.ticket;
    for (unsigned n = 0; n < SIM_KEY_FENCES; n++) {
        struct sim_key_fence *fence = &s->san.fences[n];
        if (fence->ticket == ticket)
            return fence;
        if (!fence->ticket)
            unused = fence;
    }
    if (!unused)
        abort();
    *unused = (struct sim_key_fence){.ticket = ticket};
    return unused;
}

/* *false*: it could not be written down. */
static bool mark(struct sim *s, struct sim_key_fence *fence, uint32_t id)
{
    struct key_registration reg[SIM_HOSTS * SIM_PATHS + 1];
    struct key_look look = {.since = key_rule_clock(s->san.rule)};
    view_target(s, &look, reg);
    take_look(s, &look);
    view_target(s, &look, reg);
    key_rule_plan(s->san.rule, id, &look, &fence->plan);
    fence->marked = true;
    return key_rule_mark(s->san.rule, &fence->plan, &look) == 0;
}

/* PREEMPT AND ABORT: what the target has under way of it is gone, not what an initiator queues. Of
 * a key that is not there it says so, whatever else it does not do. */
static bool preempt(struct sim *s, const struct sim_key_fence *fence, bool works)
{
    bool missed = false;
    for (size_t v = 0; v < fence->plan.victim_count; v++) {
        uint64_t key = fence->plan.victim[v];
        bool there = false;
        for (unsigned n = 0; n < SIM_HOSTS * SIM_PATHS; n++) {
            if (s->san.key[n] != key)
                continue;
            there = true;
            s->san.preempted[n / SIM_PATHS] = s->san.preempted[n / SIM_PATHS] || works;
        }
        if (there && works)
            take_off(s, key);
        missed = missed || !there;
    }
    return missed;
}

static enum key_proof judge(struct sim *s, uint32_t id, bool missed, bool haunted, uint64_t since)
{
    struct key_registration reg[SIM_HOSTS * SIM_PATHS + 1];
    struct key_look look = {.since = since};
    struct key_verdict verdict;
    view_target(s, &look, reg);
    take_look(s, &look);
    view_target(s, &look, reg);
    if (missed)
        (void)key_rule_missed(s->san.rule, id, look.disk);
    key_rule_verdict(s->san.rule, id, &look, haunted, is_drained, s, &verdict);
    return verdict.proof;
}

/* The initiator gives up what it had queued before it lost its state. */
static void doom_fenced(struct sim *s, unsigned m, uint32_t run)
{
    struct sim_machine *machine = &s->machines[m];
    uint64_t settle = s->w->options.settle_time;
    machine->runs[run].fenced = true;
    for (unsigned i = 0; settle && i < machine->queued; i++) {
        struct sim_io *io = &machine->queue[i];
        if (io->run == run && io->haunted && sim_san_guards(s, io->file))
            sim_io_dooms(io, io->haunted_at + settle);
    }
}

static void end_fence(struct sim *s, size_t i, enum key_proof proof)
{
    const struct designator disk = disk_name();
    uint32_t run;
    unsigned m = sim_fence_machine(s, i, &run);
    struct sim_key_fence *fence = fence_of(s, i);
    key_rule_fence_over(s->san.rule, id_of(m, run), &disk);
    fence->ticket = 0;
    sim_say(s, "  the fence of run %u of client %u is %s (%d)", run, m,
            proof == KEY_PROVEN ? "proven" : "not proven", (int)proof);
    if (proof == KEY_PROVEN)
        doom_fenced(s, m, run);
    else if (s->settling)
        sim_san_give_word(s, m, run);
    s->fences_seen--;
    world_report_fence(s->w, i, proof == KEY_PROVEN);
}

/* The operator has it unmount, or where that is not to be had restarts its machine and says so. */
void sim_san_give_word(struct sim *s, unsigned m, uint32_t run)
{
    struct sim_machine *machine = &s->machines[m];
    struct key_run name = name_of(s, id_of(m, run));
    struct engine_event event = {
        .type = ENGINE_EV_CLIENT,
        .client = {.what = ENGINE_CLIENT_FENCED, .owner = name.owner, .owner_len = name.owner_len}};
    if (!machine->dead && run == machine->run && s->w->clients[m].id) {
        sim_machine_unmount(s, m);
        if (!s->w->clients[m].id || !(s->fs[0].frozen || s->fs[1].frozen))
            return; /* a frozen file system keeps it from unmounting */
    }
    for (unsigned i = 0; i < machine->queued;) {
        if (machine->queue[i].run == run)
            machine->queue[i] = machine->queue[--machine->queued];
        else
            i++;
    }
    for (unsigned f = 0; run == machine->run && f < WORLD_FILES; f++)
        machine->layouts[f].held = machine->replies[f].held = false;
    sim_san_forget(s, m, run);
    if (run == machine->run)
        sim_server_forget(s, m);
    sim_say(s, "the operator says that run %u of client %u is over", run, m);
    memcpy(event.client.verifier, name.verifier, sizeof name.verifier);
    world_send(s->w, &event);
}

void sim_san_fence(struct sim *s, size_t i, bool acts, bool reports)
{
    uint32_t run;
    unsigned m = sim_fence_machine(s, i, &run);
    uint32_t id = id_of(m, run);
    enum key_proof proof = KEY_NOT_WRITTEN;
    key_rule_set_time(s->san.rule, s->w->now, s->w->options.settle_time);
    if (!s->san.known[id]) {
        end_fence(s, i, KEY_DOUBTFUL);
        return;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct sim_key_fence *fence = fence_of(s, i);
        if (!fence->marked && !mark(s, fence, id))
            break;
        if (round == 0 && !s->settling && sim_chance(s, 30))
            return; /* the rest later */
        uint64_t since = key_rule_clock(s->san.rule);
        bool missed = preempt(s, fence, acts);
        fence->marked = false;
        if (!reports)
            break;
        if (!s->settling && sim_chance(s, 30))
            sim_san_arrive(s);
        proof = judge(s, id, missed, s->w->fences[i].fence.forgot, since);
        if (proof != KEY_PRESENT)
            break;
    }
    end_fence(s, i, proof);
}

/* ---- ends ---- */

static bool is_unseen(const struct sim *s, unsigned m)
{
    unsigned first = s->machines[m].runs[s->machines[m].run].host * SIM_PATHS;
    uint32_t id = id_of(m, s->machines[m].run);
    return s->san.unseen[first] == id || s->san.unseen[first + 1] == id;
}

/* What its run registered last goes with it, whoever shares the nexus. */
void sim_san_unmount(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    struct sim_run *run = &machine->runs[machine->run];
    uint32_t id = id_of(m, machine->run);
    if (!sim_san_is_on(s) || machine->kind)
        return;
    sim_san_forget(s, m, machine->run);
    if (is_unseen(s, m))
        sim_san_look(s);
    for (unsigned p = 0; run->ready && p < s->san.paths[run->host]; p++) {
        uint64_t *key = path_of(s, run->host, p);
        if (*key == reservation_key(SERVER, run->ready))
            *key = 0;
    }
    run->ready = 0;
    s->san.generation++;
    if (s->san.known[id] && !search_engine(s, id).found && key_rule_end_run(s->san.rule, id) == 0)
        run->seen = false; /* it is new to the rule */
}

/* It confirms another client id: it believes in nothing of before. Its device is still set up,
 * however long it was away. */
void sim_san_began_anew(struct sim *s, unsigned m)
{
    if (!sim_san_is_on(s) || s->machines[m].kind)
        return;
    key_rule_set_time(s->san.rule, s->w->now, s->w->options.settle_time);
    key_rule_forgot(s->san.rule, id_of(m, s->machines[m].run));
}

/* With its registrations, or without: then it counts from the start, and the server, which finds
 * its own gone, is there before anybody else. */
void sim_san_target(struct sim *s)
{
    bool forgets = sim_chance(s, 50);
    if (!sim_san_is_on(s))
        return;
    s->acted = true;
    sim_say(s, "the target restarts%s", forgets ? " and has forgotten" : "");
    if (!forgets)
        return;
    memset(s->san.key, 0, sizeof s->san.key);
    s->san.generation = 1;
}
