/*
 * clients.c - the control socket's requests about NFS clients: who is there, and the end of one.
 *
 * Clients belong to their loops, what they hold is the keeper's: a request travels from one to the
 * next and comes home with what it has gathered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/json_text.h"
#include "server/base/log.h"
#include "server/base/peer.h"
#include "server/client/client.h"
#include "server/client/clients.h"
#include "server/client/session.h"
#include "server/control/request.h"
#include "server/server.h"
#include "server/state/state.h"

enum { CLIENT_NAME_MAX = 1024, CLIENTS_A_TURN = 64 /* rows: less than a millisecond */ };

static void print_id(uint64_t id, char text[24])
{
    snprintf(text, 24, "%016" PRIx64, id);
}

/* ---- who is there ---- */

static const char *state_name(const struct client_view *view)
{
    return !view->confirmed ? "unconfirmed" : view->lapsed ? "expired" : "active";
}

static void add_client(struct client *client, void *arg)
{
    struct control_request *request = arg;
    struct client_view view;
    size_t opens = 0, locks = 0;
    char id[24];

    print_id(client_id(client), id);
    client_look(client, &view);
    if (client_state(client))
        client_state_count(client_state(client), &opens, &locks);
    json_array_append_new(
        request->clients,
        json_pack("{s:s, s:o, s:b, s:b, s:o, s:o, s:s, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:I}",
                  "client_id", id, "client", json_text(client_describe(client)), "callable",
                  client_is_callable(client), "reclaim_complete",
                  client_reclaim_is_complete(client), "address", json_text(view.address), "owner",
                  json_textn((const char *)view.owner, view.owner_len), "state", state_name(&view),
                  "opens", (json_int_t)opens, "locks", (json_int_t)locks, "layouts", 0, "maybe", 0,
                  "renewed_ms", (json_int_t)((loop_now_ns() - view.renewed_at) / 1000000),
                  "operations", (json_int_t)view.operations, "read_bytes", (json_int_t)view.read,
                  "written_bytes", (json_int_t)view.written));
}

/* The rows by client id. */
static json_t *index_rows(const json_t *rows)
{
    json_t *by_id = json_object(), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        json_object_set(by_id, json_string_value(json_object_get(row, "client_id")), row);
    }
    return by_id;
}

/* Its state is gone, what it may still do at the disk is not. */
static json_t *row_of_gone(const json_t *holder)
{
    json_t *row = json_copy((json_t *)(uintptr_t)holder);
    json_t *rest = json_pack("{s:s, s:b, s:b, s:i, s:i, s:n, s:i, s:i, s:i}", "state", "gone",
                             "callable", 0, "reclaim_complete", 0, "opens", 0, "locks", 0,
                             "renewed_ms", "operations", 0, "read_bytes", 0, "written_bytes", 0);

    json_object_update_missing(row, rest);
    json_decref(rest);
    return row;
}

static void add_holdings(json_t *rows, const json_t *holders)
{
    size_t i;
    json_t *holder, *by_id = index_rows(rows);

    json_array_foreach(holders, i, holder)
    {
        json_t *row =
            json_object_get(by_id, json_string_value(json_object_get(holder, "client_id")));
        if (!row) {
            json_array_append_new(rows, row_of_gone(holder));
            continue;
        }
        json_object_set(row, "layouts", json_object_get(holder, "layouts"));
        json_object_set(row, "maybe", json_object_get(holder, "maybe"));
    }
    json_decref(by_id);
}

static void on_holders(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.view.call.reply, msg);
    struct keeper_view *view = &request->keeper.view;
    json_t *holders = view->json ? json_loads(view->json, 0, NULL) : NULL, *list;

    free(view->json);
    if (!holders) {
        request_fail(request, "failed",
                     "the server could not make the answer; is it out of memory?");
        return;
    }
    list = request->clients;
    request->clients = NULL;
    add_holdings(list, holders);
    json_decref(holders);
    request_answer(request, json_pack("{s:b, s:o}", "ok", 1, "clients", list));
}

static void ask_holders(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(home, msg);

    request->keeper.view = (struct keeper_view){
        .call = {.reply = {.run = on_holders}, .reply_loop = request->loop}, .what = "holders"};
    keeper_view(request->server->keeper, &request->keeper.view);
}

/* The clients of the loop, some in a turn of it. True: it comes here once more. */
static bool visit_clients(struct control_request *request,
                          void (*visit)(struct client *client, void *arg))
{
    struct server *server = request->server;

    if (!client_table_walk(clients_table(server->clients, request->next_loop), &request->walk,
                           CLIENTS_A_TURN, visit, request))
        return false;
    loop_post(server->loops[request->next_loop], &request->home);
    return true;
}

/* On to the next loop; after the last, home to `then`. */
static void travel_on(struct control_request *request, void (*then)(struct loop_msg *msg))
{
    struct server *server = request->server;

    if (++request->next_loop < server->loop_count) {
        loop_post(server->loops[request->next_loop], &request->home);
        return;
    }
    request->home.run = then;
    loop_post(request->loop, &request->home);
}

static void look_on_loop(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(home, msg);

    if (!visit_clients(request, add_client))
        travel_on(request, ask_holders);
}

static void visit_loops(struct control_request *request, void (*visit)(struct loop_msg *msg))
{
    request->clients = json_array();
    if (!request->clients) {
        request_fail(request, "failed", "out of memory");
        return;
    }
    request->home.run = visit;
    loop_post(request->server->loops[0], &request->home);
}

void start_clients(struct control_request *request)
{
    visit_loops(request, look_on_loop);
}

/* ---- the end of one ---- */

static const char *name_of(const struct control_request *request)
{
    return json_string_value(json_object_get(request->json, "name"));
}

/* By its id, its address or its owner, as they are shown. */
static void match_client(struct client *client, void *arg)
{
    struct control_request *request = arg;
    const char *name = name_of(request);
    struct client_view view;
    char id[24];

    client_look(client, &view);
    print_id(client_id(client), id);
    if (!view.confirmed ||
        (strcmp(name, id) != 0 && strcmp(name, view.address) != 0 &&
         (strlen(name) != view.owner_len || memcmp(name, view.owner, view.owner_len) != 0)))
        return;
    request->client_id = client_id(client);
    json_array_append_new(request->clients, json_string(id));
}

static void client_ended(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(home, msg);

    if (request->error)
        request_fail(request, "failed",
                     "its record could not be removed (the log says why), so its opens and locks "
                     "are kept; see that state_dir can be written, and ask again");
    else
        request_answer(request,
                       json_pack("{s:b, s:s}", "ok", 1, "note",
                                 request->was_fenced
                                     ? "it was fenced from what it held, and its opens and locks "
                                       "are dropped; it gets layouts again when it has mounted anew"
                                     : "its opens and locks are dropped"));
}

/* On its loop. */
static void on_ended(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(expiry.msg, msg);
    struct client_table *table = clients_table(request->server->clients, request->next_loop);

    request->error = client_find(table, request->client_id) != NULL;
    request->home.run = client_ended;
    loop_post(request->loop, &request->home);
}

static void end_on_loop(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(home, msg);
    struct client_table *table = clients_table(request->server->clients, request->next_loop);
    struct client *client = client_find(table, request->client_id);

    request->expiry.msg.run = on_ended;
    if (client)
        client_expel_then(client, &request->expiry);
    else
        on_ended(&request->expiry.msg);
}

static void on_expelled(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.expel.call.reply, msg);
    struct keeper_call *call = &request->keeper.call;

    if (call->status != NFS4_OK) {
        request_fail(request, call->status == NFS4ERR_DELAY ? "pending" : "refused", call->why);
        return;
    }
    request->was_fenced = keeper_client_was_fenced(request->server->keeper, request->client_id);
    request->next_loop = client_id_loop(request->client_id);
    request->home.run = end_on_loop;
    loop_post(request->server->loops[request->next_loop], &request->home);
}

static void refuse_several(struct control_request *request)
{
    char sentence[512];
    int n = snprintf(sentence, sizeof(sentence), "several clients are meant; name one by its id:");
    size_t i;
    json_t *id;

    json_array_foreach(request->clients, i, id)
    {
        if (n + 24 > (int)sizeof(sentence))
            break;
        n += snprintf(sentence + n, sizeof(sentence) - (size_t)n, " %s", json_string_value(id));
    }
    request_fail(request, "refused", sentence);
}

static void matched(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(home, msg);
    const size_t count = json_array_size(request->clients);

    if (count == 0)
        request_fail(request, "not-found",
                     "no client of this id, address or owner has state here: see sealctl clients; "
                     "what a client that is gone may still hold ends by sealctl fenced");
    else if (count > 1)
        refuse_several(request);
    else {
        log_warning("the operator (%s) expels the client with the id %016" PRIx64, request->asker,
                    request->client_id);
        request->keeper.expel = (struct keeper_expel){
            .call = {.reply = {.run = on_expelled}, .reply_loop = request->loop},
            .client_id = request->client_id};
        keeper_expel(request->server->keeper, &request->keeper.expel);
    }
}

static void match_on_loop(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(home, msg);

    if (!visit_clients(request, match_client))
        travel_on(request, matched);
}

void start_expel(struct control_request *request)
{
    const char *name = name_of(request);

    if (!name || !name[0] || strlen(name) > CLIENT_NAME_MAX) {
        request_fail(request, "bad-request",
                     "this request needs the \"name\" of a client: its id, address or owner");
        return;
    }
    if (!request->peer || peer_describe(request->peer->fd, request->asker, sizeof request->asker))
        strcpy(request->asker, "unknown process");
    visit_loops(request, match_on_loop);
}
