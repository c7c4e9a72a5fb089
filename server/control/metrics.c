/* metrics.c - see metrics.h. The names are documented in docs/metrics.md. */
#include "server/control/metrics.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/util.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "layout/container_of.h"
#include "layout/engine/engine.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/client/client.h"
#include "server/client/clients.h"
#include "server/client/session.h"
#include "server/config/config.h"
#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"
#include "server/nfs/op_counts.h"
#include "server/server.h"

enum { HEADERS_MAX = 8192, BODY_MAX = 1024, TIMEOUT_SECONDS = 10 };

struct metrics {
    struct server *server;
    struct loop *loop;
    struct evhttp *http;
};

/* What was asked of the owners. */
struct facts {
    sem_t answered;
    struct keeper_figures keeper;
    struct engine_figures engine;
    unsigned next_loop;
    struct loop_msg visit;
    struct server *server;
    uint64_t clients, callable;
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
}

static void visit_loop(struct loop_msg *msg)
{
    struct facts *facts = FACTS(msg, visit);
    struct server *server = facts->server;
    client_table_each(clients_table(server->clients, facts->next_loop), count_client, facts);
    if (++facts->next_loop < server->loop_count)
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
    put_one(text, "seals_broken", "gauge", "Seals broken from outside, not yet taken off.",
            f->broken);
    put_one(text, "sealed_total", "counter", "Files sealed.", c->sealed);
    put_one(text, "seal_refusals_total", "counter", "Files that could not be sealed.", c->refused);
    put_one(text, "released_total", "counter", "Seals released.", c->released);
    put_one(text, "at_rest_gave_way_total", "counter",
            "Seals at rest released for somebody who changes the file.", c->at_rest_gave_way);
    put_one(text, "at_rest_made_room_total", "counter",
            "Idle seals at rest released because of at_rest_max.", c->at_rest_made_room);
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

static void serve_metrics(struct evhttp_request *request, void *arg)
{
    struct metrics *metrics = arg;
    struct facts facts;
    struct evbuffer *text = evhttp_request_get_output_buffer(request);
    gather_facts(metrics->server, &facts);
    if (facts.keeper.call.status != NFS4_OK) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    say_seals(text, &facts.engine);
    say_holders(text, &facts.engine);
    put_one(text, "clients", "gauge", "NFS clients known.", facts.clients);
    put_one(text, "clients_callable", "gauge", "NFS clients whose callback channel answers.",
            facts.callable);
    say_journal(text, &facts.keeper);
    say_rdma(text, &facts.keeper.rdma);
    say_operations(text, metrics->server->op_counts);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                      "text/plain; version=0.0.4; charset=utf-8");
    evhttp_send_reply(request, HTTP_OK, "OK", NULL);
}

static int listen_on(struct metrics *metrics, const char *endpoint)
{
    struct sockaddr_storage address;
    int len = sizeof address, on = 1, err;
    if (evutil_parse_sockaddr_port(endpoint, (struct sockaddr *)&address, &len) != 0)
        return -EINVAL;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, (socklen_t)len) != 0 || listen(fd, 16) != 0) {
        err = -errno;
        evutil_closesocket(fd);
        return err;
    }
    if (evhttp_accept_socket(metrics->http, fd) != 0) {
        evutil_closesocket(fd);
        return -ENOMEM;
    }
    return 0;
}

static int make_http(struct metrics *metrics, const char *endpoint)
{
    metrics->http = evhttp_new(loop_base(metrics->loop));
    if (!metrics->http)
        return -ENOMEM;
    evhttp_set_allowed_methods(metrics->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(metrics->http, HEADERS_MAX);
    evhttp_set_max_body_size(metrics->http, BODY_MAX);
    evhttp_set_timeout(metrics->http, TIMEOUT_SECONDS);
    if (evhttp_set_cb(metrics->http, "/metrics", serve_metrics, metrics) != 0)
        return -ENOMEM;
    return listen_on(metrics, endpoint);
}

int metrics_create(struct server *server, struct metrics **out)
{
    const struct config *config = server->config;
    const char *endpoint = config->metrics_listen;
    struct metrics *metrics;
    int err;
    *out = NULL;
    if (!endpoint)
        return 0;
    metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return -ENOMEM;
    metrics->server = server;
    err = loop_create("metrics", 0, &metrics->loop);
    if (err == 0)
        err = make_http(metrics, endpoint);
    if (err == 0)
        err = loop_start(metrics->loop);
    if (err != 0) {
        log_error("metrics_listen %s: %s; is another program listening there?", endpoint,
                  strerror(-err));
        if (metrics->http)
            evhttp_free(metrics->http);
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
    evhttp_free(metrics->http);
    loop_destroy(metrics->loop);
    free(metrics);
}
