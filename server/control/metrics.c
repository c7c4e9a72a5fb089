/* metrics.c - see metrics.h. The names are documented in docs/metrics.md. */
#include "server/control/metrics.h"

#include <errno.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "layout/engine/engine.h"
#include "proto/quote.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/client/client.h"
#include "server/client/clients.h"
#include "server/client/session.h"
#include "server/config/config.h"
#include "server/control/http.h"
#include "server/export/export.h"
#include "server/export/fs_root.h"
#include "server/keeper/keeper.h"
#include "server/keeper/rdma/rdma.h"
#include "server/nfs/compound.h"
#include "server/nfs/op_counts.h"
#include "server/server.h"

enum { OWNER_ROOM = 128, CLIENTS_A_TURN = 1024 };

struct metrics {
    struct loop *loop;
    struct http *http;
};

/* What was asked of the owners. */
struct facts {
    sem_t answered;
    struct keeper_figures keeper;
    struct engine_figures engine;
    unsigned next_loop;
    struct loop_msg visit;
    struct client_walk walk;
    struct server *server;
    uint64_t clients, callable;
    struct row {
        uint64_t id, operations, read, written, silent_ms;
        char address[INET6_ADDRSTRLEN], owner[OWNER_ROOM];
    } * rows; /* NULL: none are wanted */
    unsigned row_count, row_room;
};

#define FACTS(pointer, member) container_of(pointer, struct facts, member)

static void keeper_answered(struct loop_msg *msg)
{
    sem_post(&FACTS(msg, keeper.call.reply)->answered);
}

static void count_client(struct client *client, void *arg)
{
    struct facts *facts = arg;
    facts->clients++;
    facts->callable += client_is_callable(client);
    if (facts->row_count == facts->row_room)
        return;
    struct client_view view;
    struct row *row = &facts->rows[facts->row_count++];
    client_look(client, &view);
    *row = (struct row){.id = client_id(client),
                        .operations = view.operations,
                        .read = view.read,
                        .written = view.written,
                        .silent_ms = (loop_now_ns() - view.renewed_at) / 1000000};
    snprintf(row->address, sizeof row->address, "%s", view.address);
    quote_text(row->owner, sizeof row->owner, view.owner, view.owner_len, "\"\\");
}

static void visit_loop(struct loop_msg *msg)
{
    struct facts *facts = FACTS(msg, visit);
    struct server *server = facts->server;
    if (client_table_walk(clients_table(server->clients, facts->next_loop), &facts->walk,
                          CLIENTS_A_TURN, count_client, facts))
        loop_post(server->loops[facts->next_loop], &facts->visit);
    else if (++facts->next_loop < server->loop_count)
        loop_post(server->loops[facts->next_loop], &facts->visit);
    else
        sem_post(&facts->answered);
}

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0 && errno == EINTR)
        ;
}

static void gather_facts(struct server *server, struct facts *facts)
{
    *facts = (struct facts){
        .keeper = {.call = {.reply = {.run = keeper_answered}, .reply_loop = server->loops[0]},
                   .engine = &facts->engine},
        .visit = {.run = visit_loop},
        .server = server,
    };
    const unsigned rows = ((const struct config *)server->config)->metrics_rows;
    facts->rows = rows ? calloc(rows, sizeof facts->rows[0]) : NULL;
    facts->row_room = facts->rows ? rows : 0;
    sem_init(&facts->answered, 0, 0);
    keeper_figures(server->keeper, &facts->keeper);
    loop_post(server->loops[0], &facts->visit);
    wait_for(&facts->answered);
    wait_for(&facts->answered);
    sem_destroy(&facts->answered);
}

static void put_head(struct evbuffer *text, const char *name, const char *type, const char *help)
{
    evbuffer_add_printf(text, "# HELP sealnfs_%s %s\n# TYPE sealnfs_%s %s\n", name, help, name,
                        type);
}

static void put_one(struct evbuffer *text, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    put_head(text, name, type, help);
    evbuffer_add_printf(text, "sealnfs_%s %" PRIu64 "\n", name, value);
}

static void put_row(struct evbuffer *text, const char *name, const char *label, const char *word,
                    uint64_t value)
{
    evbuffer_add_printf(text, "sealnfs_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, value);
}

static void say_seals(struct evbuffer *text, const struct engine_figures *f)
{
    const struct engine_counters *c = &f->counters;
    put_head(text, "seals", "gauge", "Seals by state.");
    for (unsigned i = ENGINE_SEALING; i < ENGINE_STATES; i++)
        put_row(text, "seals", "state", engine_state_name((enum engine_state)i), f->by_state[i]);
    put_one(text, "seals_at_rest", "gauge", "Seals that the server made by policy at-rest.",
            f->at_rest);
    put_one(text, "seals_growing", "gauge", "Seals under which the file grows.", f->growing);
    put_one(text, "seals_broken", "gauge", "Seals broken from outside, not yet taken off.",
            f->broken);
    put_one(text, "sealed_total", "counter", "Files sealed.", c->sealed);
    put_one(text, "seal_refusals_total", "counter", "Files that could not be sealed.", c->refused);
    put_one(text, "released_total", "counter", "Seals released.", c->released);
    put_one(text, "at_rest_gave_way_total", "counter",
            "Seals at rest released for somebody who changes the file.", c->at_rest_gave_way);
    put_one(text, "at_rest_made_room_total", "counter",
            "Idle seals at rest released because of at_rest_max.", c->at_rest_made_room);
    put_one(text, "growths_total", "counter",
            "Seals of growing files released because their reserve was used up.", c->growths);
    put_one(text, "zeroed_bytes_total", "counter",
            "Bytes past the end of growing files zeroed after a client was lost.", c->zeroed);
    put_one(text, "watched_total", "counter",
            "Looks at sealed files: whether flag and map are as sealed.", c->watched);
    put_one(text, "broken_total", "counter", "Seals found broken from outside.", c->breaches);
}

static void say_holders(struct evbuffer *text, const struct engine_figures *f)
{
    const struct engine_counters *c = &f->counters;
    put_one(text, "grants", "gauge", "Grants out.", f->grants);
    put_one(text, "holders", "gauge",
            "Runs of clients and programs that hold or may hold grants, or may be given some.",
            f->holders);
    put_one(text, "recalls_total", "counter", "Recalls sent, repeats included.", c->recalls);
    put_head(text, "fences_total", "counter", "Fences by outcome.");
    put_row(text, "fences_total", "outcome", "succeeded", c->fences_succeeded);
    put_row(text, "fences_total", "outcome", "failed", c->fences_failed);
    put_row(text, "fences_total", "outcome", "outlived", c->fences_outlived);
}

static void say_journal(struct evbuffer *text, const struct keeper_figures *k)
{
    put_one(text, "journal_records_total", "counter", "Records written to the journal.",
            k->records);
    put_head(text, "journal_commit_seconds", "summary",
             "Flushes of the journal, and the time they took.");
    evbuffer_add_printf(text, "sealnfs_journal_commit_seconds_sum %" PRIu64 ".%09" PRIu64 "\n",
                        k->commit_ns / 1000000000, k->commit_ns % 1000000000);
    evbuffer_add_printf(text, "sealnfs_journal_commit_seconds_count %" PRIu64 "\n", k->commits);
    put_one(text, "journal_broken", "gauge", "1: the journal cannot be written just now.",
            k->broken);
}

static void say_rdma(struct evbuffer *text, const struct keeper_rdma_figures *f)
{
    if (!f->configured)
        return;
    put_one(text, "rdma_listening", "gauge", "1: the RDMA device is there and listened on.",
            f->listening);
    put_head(text, "rdma_admissions_total", "counter",
             "Requests to connect to the RDMA data path by outcome.");
    put_row(text, "rdma_admissions_total", "outcome", "admitted", f->admitted);
    put_row(text, "rdma_admissions_total", "outcome", "refused", f->refused);
    put_one(text, "rdma_connections", "gauge", "Connections of the RDMA data path.",
            f->connections);
    put_one(text, "rdma_registrations", "gauge",
            "Files registered for clients, each for each client.", f->regions);
    put_one(text, "rdma_registered_bytes", "gauge", "Bytes in them.", f->bytes);
    put_one(text, "rdma_pinned_bytes", "gauge",
            "Bytes of pages pinned for them; what several clients have counts once.", f->pinned);
    put_one(text, "rdma_max_pinned_bytes", "gauge", "What of that there may be (rdma_max_pinned).",
            f->pinned_max);
    put_head(text, "rdma_connections_ended_total", "counter",
             "Connections of the RDMA data path ended by the server, by why.");
    put_row(text, "rdma_connections_ended_total", "why", "newer", f->gave_way);
    put_row(text, "rdma_connections_ended_total", "why", "dead", f->dead);
}

/* Only what has happened: a few rows, not three for every operation there is. */
static void say_operations(struct evbuffer *text, const struct op_counts *counts)
{
    static const char *const outcomes[OP_OUTCOMES] = {"ok", "delay", "error"};
    put_head(text, "operations_total", "counter", "NFSv4.1 operations by name and outcome.");
    for (uint32_t op = 0; op < OP_TABLE_SIZE; op++) {
        for (unsigned o = 0; o < OP_OUTCOMES; o++) {
            uint64_t n = op_counts_get(counts, op, (enum op_outcome)o);
            if (n > 0 && op_table[op].name)
                evbuffer_add_printf(
                    text, "sealnfs_operations_total{operation=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                    op_table[op].name + strlen("OP_"), outcomes[o], n);
        }
    }
}

/* Prometheus counts in each bucket what is in those before it, too. */
static void put_bucket(struct evbuffer *text, const char *name, const char *label,
                       const char *seconds, uint64_t value)
{
    evbuffer_add_printf(text, "sealnfs_%s_bucket{%sle=\"%s\"} %" PRIu64 "\n", name, label, seconds,
                        value);
}

/* label: empty, or with a comma behind it. */
static void put_histogram(struct evbuffer *text, const char *name, const char *label,
                          const char *const *seconds, const uint64_t *within, unsigned buckets,
                          uint64_t count, uint64_t sum_ns)
{
    uint64_t sum = 0;
    const int len = label[0] ? (int)strlen(label) - 1 : 0;
    for (unsigned i = 0; i < buckets; i++) {
        sum += within[i];
        put_bucket(text, name, label, seconds[i], sum);
    }
    put_bucket(text, name, label, "+Inf", count > sum ? count : sum);
    evbuffer_add_printf(text, "sealnfs_%s_sum%s%.*s%s %" PRIu64 ".%09" PRIu64 "\n", name,
                        len ? "{" : "", len, label, len ? "}" : "", sum_ns / 1000000000,
                        sum_ns % 1000000000);
    evbuffer_add_printf(text, "sealnfs_%s_count%s%.*s%s %" PRIu64 "\n", name, len ? "{" : "", len,
                        label, len ? "}" : "", count > sum ? count : sum);
}

static void say_latencies(struct evbuffer *text, const struct op_counts *counts)
{
    static const char *const seconds[OP_TIMES] = {"0.0001", "0.001", "0.01", "0.1", "1", "10"};
    put_head(text, "operation_seconds", "histogram",
             "From the beginning of an operation to its result.");
    for (uint32_t op = 0; op < OP_TABLE_SIZE; op++) {
        struct op_times times;
        char label[64];
        op_counts_times(counts, op, &times);
        if (!times.count || !op_table[op].name)
            continue;
        snprintf(label, sizeof label, "operation=\"%s\",", op_table[op].name + strlen("OP_"));
        put_histogram(text, "operation_seconds", label, seconds, times.within, OP_TIMES,
                      times.count, times.sum_ns);
    }
}

static void say_times(struct evbuffer *text, const char *name, const char *help,
                      const struct engine_times *times)
{
    static const char *const seconds[ENGINE_TIMES] = {"0.1", "1", "10", "60", "300"};
    put_head(text, name, "histogram", help);
    put_histogram(text, name, "", seconds, times->within, ENGINE_TIMES, times->count,
                  times->sum_ns);
}

static void put_client(struct evbuffer *text, const char *name, const struct row *row,
                       uint64_t value)
{
    evbuffer_add_printf(
        text, "sealnfs_%s{client_id=\"%016" PRIx64 "\",address=\"%s\",owner=\"%s\"} %" PRIu64 "\n",
        name, row->id, row->address, row->owner, value);
}

static void say_clients(struct evbuffer *text, const struct facts *facts)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } figures[] = {
        {"client_operations_total", "counter", "Operations of the client.",
         offsetof(struct row, operations)},
        {"client_read_bytes_total", "counter", "Bytes that it read through the server.",
         offsetof(struct row, read)},
        {"client_written_bytes_total", "counter", "Bytes that it wrote through the server.",
         offsetof(struct row, written)},
        {"client_silent_milliseconds", "gauge", "Since it was heard of.",
         offsetof(struct row, silent_ms)},
    };
    for (size_t f = 0; facts->rows && f < sizeof figures / sizeof figures[0]; f++) {
        put_head(text, figures[f].name, figures[f].type, figures[f].help);
        for (unsigned i = 0; i < facts->row_count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&facts->rows[i] + figures[f].at, sizeof value);
            put_client(text, figures[f].name, &facts->rows[i], value);
        }
    }
}

static void say_exports(struct evbuffer *text, const struct server *server, unsigned rows)
{
    const unsigned count = export_count(server->exports);
    if (!rows)
        return;
    put_head(text, "export_served", "gauge", "0: the export is not served; sealctl exports.");
    for (unsigned i = 0; i < count && i < rows; i++) {
        const struct export *export = export_at(server->exports, i);
        const char *pseudo = export_config(export)->pseudo;
        char why[FS_WHY_MAX], name[256];
        quote_text(name, sizeof name, pseudo, strlen(pseudo), "\"\\");
        put_row(text, "export_served", "export", name, !export_why_away(export, why, sizeof why));
    }
}

static void say_build(struct evbuffer *text)
{
    put_head(text, "build_info", "gauge", "1, with what was built.");
    evbuffer_add_printf(text, "sealnfs_build_info{version=\"%s\",rdma=\"%s\"} 1\n", SEALNFS_VERSION,
                        keeper_rdma_ops ? "yes" : "no");
}

static bool write_metrics(void *context, struct evbuffer *text)
{
    struct server *server = context;
    struct facts facts;
    gather_facts(server, &facts);
    if (facts.keeper.call.status != NFS4_OK) {
        free(facts.rows);
        return false;
    }
    say_build(text);
    say_seals(text, &facts.engine);
    say_holders(text, &facts.engine);
    put_one(text, "clients", "gauge", "NFS clients known.", facts.clients);
    put_one(text, "clients_callable", "gauge", "NFS clients whose callback channel answers.",
            facts.callable);
    say_journal(text, &facts.keeper);
    say_rdma(text, &facts.keeper.rdma);
    say_operations(text, server->op_counts);
    say_latencies(text, server->op_counts);
    say_times(text, "recall_seconds", "From the recall of a layout to its end, however it ended.",
              &facts.engine.counters.recall_times);
    say_times(text, "fence_seconds",
              "From the beginning of a fence until it was known how it went.",
              &facts.engine.counters.fence_times);
    say_clients(text, &facts);
    say_exports(text, server, facts.row_room);
    free(facts.rows);
    return true;
}

int metrics_create(struct server *server, struct metrics **out)
{
    const struct config *config = server->config;
    const char *endpoint = config->metrics_listen;
    const struct http_page page = {.path = "/metrics",
                                   .type = "text/plain; version=0.0.4; charset=utf-8",
                                   .write = write_metrics,
                                   .context = server};
    struct metrics *metrics;
    int err;
    *out = NULL;
    if (!endpoint)
        return 0;
    metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return -ENOMEM;
    err = loop_create("metrics", 0, &metrics->loop);
    if (err == 0)
        loop_confine(metrics->loop, CONFINE_SPEAKER);
    if (err == 0)
        err = http_create(metrics->loop, endpoint, &page, &metrics->http);
    if (err == 0)
        err = loop_start(metrics->loop);
    if (err != 0) {
        log_error("metrics_listen %s: %s; is another program listening there?", endpoint,
                  strerror(-err));
        http_destroy(metrics->http);
        if (metrics->loop)
            loop_destroy(metrics->loop);
        free(metrics);
        return err;
    }
    *out = metrics;
    return 0;
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics)
        return;
    loop_stop(metrics->loop);
    http_destroy(metrics->http);
    loop_destroy(metrics->loop);
    free(metrics);
}
