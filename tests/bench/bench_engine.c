/*
 * The layout engine with its journal at scale: bench_engine DIRECTORY [SEALS [GRANTS [CLIENTS]]]
 * seals SEALS files (100,000), has CLIENTS clients (1,000) hold GRANTS layouts of them (1,000,000),
 * releases a tenth, no more than 1,000, has every client hold one more file and releases that,
 * reads the journal again as a restart does. The files do not exist: what the file system has to do
 * is answered at once.
 *
 * Prints rows "name<TAB>unit<TAB>value". Times are of the processor. Memory is what malloc says is
 * in use. The journal stays in DIRECTORY, so that a server can be started on it.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "layout/engine/engine.h"
#include "layout/journal/journal.h"
#include "layout/type/block.h"

enum { BATCH = 1000, RELEASES = 1000, LOOKS = 1000, BODY = 65536, STEPS_MAX = 2 * BATCH };

#define SCRUB_NS (UINT64_C(86400) * 1000000000)

static const struct layout_type *const types[] = {&block_layout_type, NULL};

struct host {
    struct engine *engine;
    struct journal *journal;
    struct device *device;
    struct seal_map *map;
    uint64_t ticket, answers, failures, recalls;
    unsigned clients;
    struct engine_effect steps[STEPS_MAX], *recall; /* one for each client */
    size_t step_count, recall_count;
    stateid4 stateid; /* the first client's first */
    uint8_t body[BODY];
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of this process, so that a busy machine does not count. */
static double now_s(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t now_ns(void)
{
    return (uint64_t)(seconds_of(CLOCK_MONOTONIC) * 1e9);
}

static void must(int err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "bench_engine: %s: %s\n", what, strerror(-err));
    exit(1);
}

static void row(const char *name, const char *unit, double value)
{
    printf("%s\t%s\t%.3f\n", name, unit, value);
    fflush(stdout);
}

static struct engine_options options_of(const struct host *h)
{
    const uint64_t second = UINT64_C(1000000000);
    return (struct engine_options){.types = types,
                                   .boot = journal_boot(h->journal),
                                   .recall_timeout = 90 * second,
                                   .lease_time = 90 * second,
                                   .recall_pause = second,
                                   .fence_retry = 60 * second,
                                   .scrub_interval = SCRUB_NS,
                                   .fence_hook = true};
}

static void carry_out(struct host *h, const struct engine_effect *effect)
{
    if (effect->type == ENGINE_DO_JOURNAL) {
        must(journal_write(h->journal, &effect->journal.record), "writing the journal");
        h->ticket = effect->journal.ticket;
    } else if (effect->type == ENGINE_DO_STEP && h->step_count < STEPS_MAX) {
        h->steps[h->step_count++] = *effect;
    } else if (effect->type == ENGINE_DO_RECALL && h->recall_count < h->clients) {
        h->recall[h->recall_count++] = *effect;
        h->recalls++;
    } else if (effect->type == ENGINE_DO_ANSWER) {
        h->answers++;
        h->failures += effect->answer->result != ENGINE_OK;
    }
}

static void feed_at(struct host *h, const struct engine_event *event, uint64_t now)
{
    struct engine_effect effect;
    must(engine_event(h->engine, event, now), "an event");
    while (engine_next_effect(h->engine, &effect))
        carry_out(h, &effect);
}

static void feed(struct host *h, const struct engine_event *event)
{
    feed_at(h, event, now_ns());
}

static void commit(struct host *h)
{
    must(journal_commit(h->journal), "committing the journal");
    feed(h, &(struct engine_event){.type = ENGINE_EV_JOURNAL_COMMITTED, .committed = h->ticket});
}

/* Until nothing is under way but what waits for clients. */
static void settle(struct host *h)
{
    uint64_t before;
    do {
        before = h->ticket;
        while (h->step_count) {
            struct engine_effect step = h->steps[--h->step_count];
            struct engine_event event = {.type = ENGINE_EV_STEP_DONE};
            event.step.key = step.key;
            event.step.step = step.step.step;
            event.step.ticket = step.step.ticket;
            event.step.map = h->map;
            event.step.device = h->device;
            feed(h, &event);
        }
        commit(h);
    } while (h->step_count || h->ticket != before);
}

static struct file_key key_of(unsigned file)
{
    struct file_key key = {.len = 28, .data = {1, 2, 3}};
    memcpy(key.data + 20, &file, sizeof file);
    return key;
}

static void open_host(struct host *h, const char *dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/journal.db", dir);
    must(journal_open(path, &h->journal), path);
    struct engine_options options = options_of(h);
    must(engine_create(&options, &h->engine), "making the engine");
}

static void make_disk(struct host *h)
{
    const uint8_t uuid[DEVICE_UUID_SIZE] = {1, 2, 3};
    struct device_volume volume = {.base_count = 0};
    struct device_base base = {.size = UINT64_C(1) << 40};
    uint32_t at;
    struct seal_extent extent = {.length = 1 << 20, .device_offset = 1 << 24};
    struct map_builder *builder;
    base.signature.count = 1;
    base.signature.component[0] =
        (struct signature_component){.offset = 4096, .len = 4, .bytes = "sign"};
    must(device_volume_add_base(&volume, &base, &at), "making the device");
    must(device_from_description(uuid, &volume, &h->device), "making the device");
    must(map_builder_create(1 << 20, 4096, &builder), "making the map");
    must(map_builder_add(builder, &extent), "making the map");
    must(map_builder_finish(builder, &h->map), "making the map");
}

static double used(void)
{
    return (double)mallinfo2().uordblks + (double)mallinfo2().hblkhd;
}

/* The map of each seal is its own in a server; here it is one, so its bytes are added. */
static void seal_all(struct host *h, unsigned seals)
{
    static struct engine_seal calls[BATCH];
    char path[64];
    double begin = now_s(), before = used();
    for (unsigned at = 0; at < seals; at += BATCH) {
        for (unsigned i = 0; i < BATCH && at + i < seals; i++) {
            snprintf(path, sizeof path, "/srv/data/directory/file-%u", at + i);
            calls[i] =
                (struct engine_seal){.key = key_of(at + i), .path = path, .kind = SEAL_KIND_FROZEN};
            feed(h, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &calls[i]});
        }
        settle(h);
    }
    row("sealing a file, the engine and its journal", "us", 1e6 * (now_s() - begin) / seals);
    row("memory of a seal (without its map)", "bytes", (used() - before) / seals);
}

static void confirm_all(struct host *h)
{
    double begin = now_s(), before = used();
    for (unsigned i = 0; i < h->clients; i++) {
        char owner[32];
        snprintf(owner, sizeof owner, "client-%u", i);
        struct engine_event event = {.type = ENGINE_EV_CLIENT,
                                     .client = {.what = ENGINE_CLIENT_CONFIRMED,
                                                .client_id = 1 + i,
                                                .owner = (const uint8_t *)owner,
                                                .owner_len = (uint32_t)strlen(owner),
                                                .address = "192.0.2.1"}};
        feed(h, &event);
        event.client.what = ENGINE_CLIENT_CALLABLE;
        feed(h, &event);
    }
    row("a client's arrival in the engine", "us", 1e6 * (now_s() - begin) / h->clients);
    row("memory of a client", "bytes", (used() - before) / h->clients);
}

static struct engine_layoutget get_of(struct host *h, unsigned file, unsigned client)
{
    return (struct engine_layoutget){
        .key = key_of(file),
        .client_id = 1 + client,
        .type = LAYOUT4_BLOCK_VOLUME,
        .want = {.iomode = LAYOUTIOMODE4_READ, .length = NFS4_UINT64_MAX, .maxcount = BODY},
        .body = h->body,
        .body_room = BODY};
}

/* One each: a client's first grant waits for its record. */
static void grant_each(struct host *h, unsigned file, unsigned files)
{
    static struct engine_layoutget first[BATCH];
    for (unsigned at = 0; at < h->clients; at += BATCH) {
        for (unsigned i = 0; i < BATCH && at + i < h->clients; i++) {
            first[i] = get_of(h, file + (at + i) % files, at + i);
            feed(h, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &first[i]});
        }
        settle(h);
        if (at == 0)
            h->stateid = first[0].granted_stateid;
    }
}

static void grant_all(struct host *h, unsigned seals, unsigned grants)
{
    confirm_all(h);
    grant_each(h, 0, seals);
    double begin = now_s(), before = used();
    for (unsigned i = h->clients; i < grants; i++) {
        struct engine_layoutget get =
            get_of(h, i % seals, (i % seals + i / seals * 7) % h->clients);
        feed(h, &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &get});
    }
    struct engine_figures figures;
    engine_figures(h->engine, &figures);
    row("LAYOUTGET in the engine", "us", 1e6 * (now_s() - begin) / (grants - h->clients));
    row("grants", "", (double)figures.grants);
    row("memory of a grant", "bytes", (used() - before) / ((double)figures.grants - h->clients));
}

/* The clients are idle, so each says that it has none: it forgets it as it is asked. */
static void release(struct host *h, unsigned file)
{
    struct engine_release call = {.key = key_of(file), .by_operator = true, .patience = 1};
    feed(h, &(struct engine_event){.type = ENGINE_EV_RELEASE, .release = &call});
    while (h->recall_count) {
        const struct engine_effect recall = h->recall[--h->recall_count];
        feed(h, &(struct engine_event){.type = ENGINE_EV_RECALL_ANSWERED,
                                       .recall = {.ticket = recall.recall.ticket,
                                                  .client_id = recall.recall.client_id,
                                                  .scope = recall.recall.scope,
                                                  .type = recall.recall.type,
                                                  .key = recall.key,
                                                  .outcome = ENGINE_RECALL_ANSWERED,
                                                  .status = NFS4ERR_NOMATCHING_LAYOUT}});
    }
    settle(h);
}

/* One after the other, among all the others that stay. */
static void release_some(struct host *h, unsigned seals)
{
    unsigned count = seals / 10 < RELEASES ? seals / 10 : RELEASES;
    double begin = now_s();
    for (unsigned i = 0; i < count; i++)
        release(h, i * (seals / count));
    struct engine_figures figures;
    engine_figures(h->engine, &figures);
    row("a release among all of them, commits included", "ms", 1e3 * (now_s() - begin) / count);
    row("recalls of these releases", "", (double)h->recalls);
    if (figures.seals != seals - count)
        must(-EIO, "releasing");
}

/* One more file, which every client holds. */
static void release_from_all(struct host *h, unsigned file)
{
    static struct engine_seal call;
    call = (struct engine_seal){
        .key = key_of(file), .path = "/srv/data/everybodys", .kind = SEAL_KIND_FROZEN};
    feed(h, &(struct engine_event){.type = ENGINE_EV_SEAL, .seal = &call});
    settle(h);
    grant_each(h, file, 1);
    uint64_t recalls = h->recalls;
    double begin = now_s();
    release(h, file);
    row("release of a file that all clients hold", "ms", 1e3 * (now_s() - begin));
    if (h->recalls - recalls != h->clients)
        must(-EIO, "recalling from every client");
}

/* The time goes on by a scrub's gap, again and again: each is a look at one seal. */
static void scrub_some(struct host *h)
{
    struct engine_figures before, after;
    uint64_t now = now_ns();
    engine_figures(h->engine, &before);
    double begin = now_s();
    for (unsigned i = 0; i < LOOKS; i++) {
        now += SCRUB_NS / (before.seals ? before.seals : 1) + 1;
        feed_at(h, &(struct engine_event){.type = ENGINE_EV_TIMER}, now);
        settle(h);
    }
    row("a look of the scrub", "us", 1e6 * (now_s() - begin) / LOOKS);
    engine_figures(h->engine, &after);
    if (after.counters.watched - before.counters.watched < LOOKS / 2)
        must(-EIO, "scrubbing");
}

/* Of what one client holds, and of what nobody does. */
static void test_some(struct host *h)
{
    unsigned found = 0;
    double begin = now_s();
    for (unsigned i = 0; i < LOOKS; i++) {
        stateid4 stateid = h->stateid;
        stateid.other[11] = (uint8_t)(stateid.other[11] + i % 2);
        found += engine_test_stateid(h->engine, 1, &stateid) == ENGINE_OK;
    }
    row("TEST_STATEID in the engine", "us", 1e6 * (now_s() - begin) / LOOKS);
    if (found < LOOKS / 2)
        must(-EIO, "testing stateids");
}

static void ask_figures(const struct host *h)
{
    struct engine_figures figures;
    double begin = now_s();
    engine_figures(h->engine, &figures);
    row("the engine's figures", "us", 1e6 * (now_s() - begin));
}

static int take_device(const struct journal_device *device, void *arg)
{
    return engine_restore_device(arg, device);
}

static int take_seal(const struct journal_seal *seal, void *arg)
{
    return engine_restore_seal(arg, seal);
}

static int take_holder(const struct journal_holder *holder, void *arg)
{
    return engine_restore_holder(arg, holder);
}

static int take_fenced(const struct journal_holder *holder, void *arg)
{
    return engine_restore_fenced(arg, holder);
}

static void restart(struct host *h, const char *dir)
{
    static const struct journal_visitor visitor = {
        .device = take_device, .seal = take_seal, .holder = take_holder, .fenced = take_fenced};
    engine_destroy(h->engine);
    journal_close(h->journal);
    double begin = now_s(), before = used();
    open_host(h, dir);
    must(journal_load(h->journal, &visitor, h->engine), "reading the journal");
    feed(h, &(struct engine_event){.type = ENGINE_EV_START});
    struct engine_figures figures;
    engine_figures(h->engine, &figures);
    row("start-up with that journal, the engine's part", "ms", 1e3 * (now_s() - begin));
    feed(h, &(struct engine_event){.type = ENGINE_EV_TIMER}); /* the start's effects are over */
    row("memory of a seal with a map of one extent", "bytes",
        (used() - before) / (double)figures.seals);
}

static unsigned number_at(int argc, char **argv, int i, unsigned otherwise)
{
    return i < argc ? (unsigned)strtoul(argv[i], NULL, 10) : otherwise;
}

static struct host *make_host(unsigned clients)
{
    struct host *h = calloc(1, sizeof *h);
    must(h ? 0 : -ENOMEM, "memory");
    h->clients = clients;
    h->recall = calloc(clients, sizeof h->recall[0]);
    must(h->recall ? 0 : -ENOMEM, "memory");
    return h;
}

int main(int argc, char **argv)
{
    unsigned seals = number_at(argc, argv, 2, 100000);
    unsigned grants = number_at(argc, argv, 3, 1000000);
    unsigned clients = number_at(argc, argv, 4, 1000);
    if (argc < 2 || seals == 0 || clients == 0 || grants <= clients) {
        fprintf(stderr, "usage: bench_engine DIRECTORY [SEALS [GRANTS [CLIENTS]]], more grants "
                        "than clients\n");
        return 2;
    }
    struct host *h = make_host(clients);
    make_disk(h);
    open_host(h, argv[1]);
    feed(h, &(struct engine_event){.type = ENGINE_EV_START});
    row("seals", "", seals);
    seal_all(h, seals);
    grant_all(h, seals, grants);
    must(h->failures ? -EIO : 0, "a request was refused");
    ask_figures(h);
    test_some(h);
    scrub_some(h);
    release_some(h, seals);
    release_from_all(h, seals);
    restart(h, argv[1]);
    engine_destroy(h->engine);
    journal_close(h->journal);
    map_free(h->map);
    device_free(h->device);
    free(h->recall);
    free(h);
    return 0;
}
