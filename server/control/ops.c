/*
 * ops.c - the requests of the control socket; those of holders are in control/hold.c.
 *
 * A request names its file by a path on this machine. A worker opens it, the keeper answers, and
 * the answer becomes one JSON object:
 * {"ok":true,...} or {"ok":false,"code":...,"error":sentence}. Control loop, but for the worker's
 * part.
 */
#include "server/control/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/client/client.h"
#include "server/client/clients.h"
#include "server/client/session.h"
#include "server/control/batch.h"
#include "server/control/request.h"
#include "server/export/export.h"
#include "server/export/fs_root.h"
#include "server/file/file.h"
#include "server/server.h"

void request_answer(struct control_request *request, json_t *reply)
{
    control_answer_fn answer = request->answer;
    void *context = request->context;

    file_unref(request->file);
    json_decref(request->json);
    json_decref(request->clients);
    free(request);
    answer(context, reply);
}

void request_fail(struct control_request *request, const char *code, const char *sentence)
{
    request_answer(request, json_pack("{s:b, s:s, s:s}", "ok", 0, "code", code, "error", sentence));
}

static bool has_flag(const struct control_request *request, const char *name)
{
    return json_is_true(json_object_get(request->json, name));
}

/* ---- seal and unseal ---- */

static void on_sealed(struct loop_msg *msg)
{
    struct control_request *request =
        container_of(msg, struct control_request, keeper.seal.call.reply);
    struct keeper_call *call = &request->keeper.call;

    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b, s:s}", "ok", 1, "note", call->why));
    else
        request_fail(request, call->status == NFS4ERR_DELAY ? "pending" : "refused", call->why);
}

static void start_seal(struct control_request *request)
{
    if (has_flag(request, "pinned") && has_flag(request, "sparse")) {
        request_fail(request, "refused",
                     "a pinned file can have no holes: use --fill instead of --sparse");
        return;
    }
    request->keeper.seal = (struct keeper_seal){
        .call = {.reply = {.run = on_sealed}, .reply_loop = request->loop},
        .file = request->file,
        .pinned = has_flag(request, "pinned"),
        .fill = has_flag(request, "fill"),
        .sparse = has_flag(request, "sparse"),
    };
    keeper_seal(request->server->keeper, &request->keeper.seal);
}

static void on_released(struct loop_msg *msg)
{
    struct control_request *request =
        container_of(msg, struct control_request, keeper.release.call.reply);
    struct keeper_call *call = &request->keeper.call;

    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b, s:s}", "ok", 1, "note", call->why));
    else
        request_fail(request,
                     call->status == NFS4ERR_DELAY   ? "pending"
                     : call->status == NFS4ERR_NOENT ? "not-found"
                                                     : "refused",
                     call->why);
}

static void start_unseal(struct control_request *request)
{
    json_int_t timeout = json_integer_value(json_object_get(request->json, "timeout_ms"));

    if (timeout < 0 || timeout > UINT32_MAX)
        timeout = UINT32_MAX;
    request->keeper.release = (struct keeper_release){
        .call = {.reply = {.run = on_released}, .reply_loop = request->loop},
        .file = request->file,
        .path = json_string_value(json_object_get(request->json, "file")),
        .by_operator = true,
        .timeout_ms = (uint32_t)timeout,
    };
    keeper_release(request->server->keeper, &request->keeper.release);
}

static void on_forgotten(struct loop_msg *msg)
{
    struct control_request *request =
        container_of(msg, struct control_request, keeper.forget.call.reply);
    struct keeper_call *call = &request->keeper.call;

    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b, s:s}", "ok", 1, "note", call->why));
    else
        request_fail(request, call->status == NFS4ERR_DELAY ? "pending" : "refused", call->why);
}

static void start_forget(struct control_request *request)
{
    if (!has_flag(request, "yes")) {
        request_fail(request, "refused",
                     "this says that no client that ever had a layout of this file system can "
                     "still use it: each has "
                     "been "
                     "restarted, or cut off from the disk; if that is so, say --yes");
        return;
    }
    request->keeper.forget = (struct keeper_forget){
        .call = {.reply = {.run = on_forgotten}, .reply_loop = request->loop},
        .file = request->file,
    };
    keeper_forget_holders(request->server->keeper, &request->keeper.forget);
}

/* ---- views ---- */

static void on_viewed(struct loop_msg *msg)
{
    struct control_request *request =
        container_of(msg, struct control_request, keeper.view.call.reply);
    struct keeper_view *view = &request->keeper.view;
    json_t *value = view->json ? json_loads(view->json, 0, NULL) : NULL;

    free(view->json);
    if (view->call.status != NFS4_OK || !value) {
        json_decref(value);
        request_fail(request, view->call.status == NFS4ERR_NOENT ? "not-found" : "failed",
                     view->call.why[0]
                         ? view->call.why
                         : "the server could not make the answer; is it out of memory?");
        return;
    }
    json_t *reply = json_pack("{s:b, s:o}", "ok", 1, request->op->name, value);
    if (reply && view->call.why[0])
        json_object_set_new(reply, "warning", json_string(view->call.why));
    request_answer(request, reply);
}

static void start_view(struct control_request *request)
{
    request->keeper.view = (struct keeper_view){
        .call = {.reply = {.run = on_viewed}, .reply_loop = request->loop},
        .what = request->op->name,
        .file = request->file,
        .path = json_string_value(json_object_get(request->json, "file")),
    };
    keeper_view(request->server->keeper, &request->keeper.view);
}

/* Clients belong to their loops: the request travels from loop to loop and comes home with the
 * list. */
static void add_client(struct client *client, void *arg)
{
    char id[24];

    snprintf(id, sizeof(id), "%016llx", (unsigned long long)client_id(client));
    json_array_append_new(arg,
                          json_pack("{s:s, s:s, s:b, s:b}", "client_id", id, "client",
                                    client_describe(client), "callable", client_is_callable(client),
                                    "reclaim_complete", client_reclaim_is_complete(client)));
}

static void clients_home(struct loop_msg *msg)
{
    struct control_request *request = container_of(msg, struct control_request, home);
    json_t *list = request->clients;

    request->clients = NULL;
    request_answer(request, json_pack("{s:b, s:o}", "ok", 1, "clients", list));
}

static void clients_of_loop(struct loop_msg *msg)
{
    struct control_request *request = container_of(msg, struct control_request, home);
    struct server *server = request->server;

    client_table_each(clients_table(server->clients, request->next_loop), add_client,
                      request->clients);
    request->next_loop++;
    if (request->next_loop < server->loop_count) {
        loop_post(server->loops[request->next_loop], &request->home);
        return;
    }
    request->home.run = clients_home;
    loop_post(request->loop, &request->home);
}

static void start_clients(struct control_request *request)
{
    request->clients = json_array();
    if (!request->clients) {
        request_fail(request, "failed", "out of memory");
        return;
    }
    request->home.run = clients_of_loop;
    loop_post(request->server->loops[0], &request->home);
}

/* ---- a line becomes a request ---- */

static const struct control_op operations[] = {
    {"seal", FILE_MUST, start_seal},
    {"unseal", FILE_MUST, start_unseal},
    {"status", FILE_MAY, start_view},
    {"grants", FILE_MAY, start_view},
    {"explain", FILE_MUST, start_view},
    {"clients", FILE_NONE, start_clients},
    {"holder", FILE_NONE, start_holder},
    {"hold", FILE_MUST, start_hold},
    {"return", FILE_NONE, start_return},
    {"resumed", FILE_NONE, start_resumed},
    {"wrote", FILE_NONE, start_wrote},
    {"fenced", FILE_NONE, start_fenced},
    {"forget-holders", FILE_MUST, start_forget},
    {"devices", FILE_NONE, start_view},
};

/* The file is gone, but its seal may be known by the path it had. */
static bool is_on_record_perhaps(const struct control_request *request)
{
    return (request->error == -ENOENT || request->error == -ENOTDIR || request->error == -ESTALE ||
            request->error == -EIO) &&
           (request->op->start == start_unseal || request->op->start == start_view);
}

static void file_opened(struct loop_msg *msg)
{
    struct control_request *request = container_of(msg, struct control_request, home);
    const char *path = json_string_value(json_object_get(request->json, "file"));
    const struct export *away = export_away_of_path(request->server->exports, path);
    const bool is_explain = strcmp(request->op->name, "explain") == 0;
    char sentence[2048], why[FS_WHY_MAX];

    if (!request->error || (is_on_record_perhaps(request) && !(away && is_explain))) {
        request->op->start(request);
        return;
    }
    if (away && export_why_away(away, why, sizeof(why)))
        snprintf(sentence, sizeof(sentence), "%.400s is of export %.80s, which is not served: %s",
                 path, export_config(away)->pseudo, why);
    else if (request->error == -EXDEV)
        snprintf(sentence, sizeof(sentence),
                 "%.800s is in no export of this server; see sealnfs.conf", path);
    else
        snprintf(sentence, sizeof(sentence), "%.800s: %s", path, strerror(-request->error));
    request_fail(request, "not-found", sentence);
}

static void open_file(struct work *work)
{
    struct control_request *request = container_of(work, struct control_request, work);

    request->error =
        file_from_path(request->server->files,
                       json_string_value(json_object_get(request->json, "file")), &request->file);
    request->home.run = file_opened;
    loop_post(request->loop, &request->home);
}

static const struct control_op *find_op(const char *name)
{
    for (size_t i = 0; name && i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

static bool is_batch(const struct control_request *request)
{
    return json_is_array(json_object_get(request->json, "files")) &&
           (request->op->start == start_seal || request->op->start == start_unseal);
}

static void begin_batch(struct control_request *request)
{
    json_t *json = request->json;

    control_batch(request->server, request->loop, json, request->answer, request->context);
    free(request);
    json_decref(json);
}

void control_submit(struct server *server, struct loop *loop, struct control_peer *peer,
                    json_t *json, control_answer_fn answer, void *context)
{
    struct control_request *request = calloc(1, sizeof(*request));
    const char *path;

    if (!request || !json) {
        free(request);
        json_decref(json);
        answer(context, NULL);
        return;
    }
    *request = (struct control_request){.server = server,
                                        .loop = loop,
                                        .peer = peer,
                                        .answer = answer,
                                        .context = context,
                                        .json = json};
    request->op = find_op(json_string_value(json_object_get(json, "op")));
    path = json_string_value(json_object_get(json, "file"));
    if (!json_is_object(json) || !request->op)
        request_fail(
            request, "bad-request",
            "not a request of the control protocol: one JSON object a line, with a known \"op\"");
    else if (is_batch(request))
        begin_batch(request);
    else if (request->op->file == FILE_MUST && !path)
        request_fail(request, "bad-request", "this request needs a \"file\"");
    else if (request->op->file != FILE_NONE && path) {
        request->work.run = open_file;
        request->work.key = export_work_key_of_path(server->exports, path);
        worker_submit(server->workers, &request->work);
    } else
        request->op->start(request);
}

void control_request(struct server *server, struct loop *loop, struct control_peer *peer,
                     const char *line, size_t length, control_answer_fn answer, void *context)
{
    json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);

    control_submit(server, loop, peer, json ? json : json_null(), answer, context);
}
