/*
 * ops.c - the requests of the control socket; those of holders are in control/hold.c,
 * those about clients in control/clients.c.
 *
 * A request names its file by a path on this machine. A worker opens it, the keeper answers, and
 * the answer becomes one JSON object:
 * {"ok":true,...} or {"ok":false,"code":...,"error":sentence}. Control loop, but for the worker's
 * part.
 */
#include "server/control/ops.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "server/base/json_text.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
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
    if (request->line)
        evbuffer_free(request->line);
    free(request->path);
    free(request);
    answer(context, reply);
}

void request_fail(struct control_request *request, const char *code, const char *sentence)
{
    request_answer(
        request, json_pack("{s:b, s:s, s:o}", "ok", 0, "code", code, "error", json_text(sentence)));
}

static bool has_flag(const struct control_request *request, const char *name)
{
    return json_is_true(json_object_get(request->json, name));
}

/* ---- seal and unseal ---- */

static void start_try(struct control_request *request);

static void on_sealed(struct loop_msg *msg)
{
    struct control_request *request =
        container_of(msg, struct control_request, keeper.seal.call.reply);
    struct keeper_call *call = &request->keeper.call;
    const int dry_run = request->op->start == start_try;

    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b, s:o, s:b}", "ok", 1, "note", json_text(call->why),
                                          "dry_run", dry_run));
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
    json_int_t reserve = json_integer_value(json_object_get(request->json, "reserve"));
    if (reserve < 0 || (reserve && has_flag(request, "sparse"))) {
        request_fail(request, "refused", "a growing file can have no holes, and has a size");
        return;
    }
    request->keeper.seal = (struct keeper_seal){
        .call = {.reply = {.run = on_sealed}, .reply_loop = request->loop},
        .file = request->file,
        .pinned = has_flag(request, "pinned") || reserve,
        .reserve = (uint64_t)reserve,
        .fill = has_flag(request, "fill"),
        .sparse = has_flag(request, "sparse"),
    };
    if (request->op->start == start_try)
        keeper_seal_try(request->server->keeper, &request->keeper.seal);
    else
        keeper_seal(request->server->keeper, &request->keeper.seal);
}

/* A request of its own, so that a server which does not know it seals nothing. */
static void start_try(struct control_request *request)
{
    start_seal(request);
}

static void on_released(struct loop_msg *msg)
{
    struct control_request *request =
        container_of(msg, struct control_request, keeper.release.call.reply);
    struct keeper_call *call = &request->keeper.call;

    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b, s:o}", "ok", 1, "note", json_text(call->why)));
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
        .path = request->path,
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
        request_answer(request, json_pack("{s:b, s:o}", "ok", 1, "note", json_text(call->why)));
    else
        request_fail(request, call->status == NFS4ERR_DELAY ? "pending" : "refused", call->why);
}

static void start_forget(struct control_request *request)
{
    if (!has_flag(request, "yes")) {
        request_fail(request, "refused",
                     "this says that no client that ever had a layout of this file system can "
                     "still use it: each has been restarted, or cut off from the disk; if that is "
                     "so, say --yes");
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
        json_object_set_new(reply, "warning", json_text(view->call.why));
    request_answer(request, reply);
}

static bool is_of_all(const struct control_request *request)
{
    return !request->file && !request->path && request->peer && request->op->file == FILE_MAY;
}

static void start_view(struct control_request *request)
{
    if (is_of_all(request)) {
        start_list(request);
        return;
    }
    request->keeper.view = (struct keeper_view){
        .call = {.reply = {.run = on_viewed}, .reply_loop = request->loop},
        .what = request->op->name,
        .file = request->file,
        .path = request->path,
    };
    keeper_view(request->server->keeper, &request->keeper.view);
}

/* ---- reload ---- */

static json_t *lines_of(const char *text)
{
    json_t *lines = json_array();

    for (size_t len; text && *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        json_array_append_new(lines, json_textn(text, len));
    }
    return lines;
}

static void on_reloaded(struct loop_msg *msg)
{
    struct control_request *request = container_of(msg, struct control_request, reload.home);
    const int error = request->reload.error;
    json_t *lines = lines_of(request->reload.told);

    free(request->reload.told);
    if (error)
        request_answer(request, json_pack("{s:b, s:s, s:s, s:o}", "ok", 0, "code",
                                          error == -ESHUTDOWN ? "try-later" : "refused", "error",
                                          error == -ESHUTDOWN
                                              ? "the server is stopping; nothing was reloaded"
                                              : "the configuration was not reloaded, and is as it "
                                                "was",
                                          "notes", lines));
    else
        request_answer(request, json_pack("{s:b, s:o}", "ok", 1, "notes", lines));
}

static void start_reload(struct control_request *request)
{
    request->reload =
        (struct reload_ask){.home = {.run = on_reloaded}, .loop = request->loop, .error = 0};
    reload_desk_ask(request->server->reloads, &request->reload);
}

/* ---- a line becomes a request ---- */

static const struct control_op operations[] = {
    {"seal", FILE_MUST, start_seal},
    {"try-seal", FILE_MUST, start_try},
    {"unseal", FILE_MUST, start_unseal},
    {"status", FILE_MAY, start_view},
    {"grants", FILE_MAY, start_view},
    {"explain", FILE_MUST, start_view},
    {"clients", FILE_NONE, start_clients},
    {"expel", FILE_NONE, start_expel},
    {"holder", FILE_NONE, start_holder},
    {"hold", FILE_MUST, start_hold},
    {"return", FILE_NONE, start_return},
    {"resumed", FILE_NONE, start_resumed},
    {"wrote", FILE_NONE, start_wrote},
    {"fenced", FILE_NONE, start_fenced},
    {"forget-holders", FILE_MUST, start_forget},
    {"devices", FILE_NONE, start_view},
    {"exports", FILE_NONE, start_view},
    {"doctor", FILE_NONE, start_doctor},
    {"counters", FILE_NONE, start_counters},
    {"reload", FILE_NONE, start_reload},
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
    const char *path = request->path;
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
    else if (request->error == -EXDEV || request->error == -EOPNOTSUPP) /* no handles: as little */
        snprintf(sentence, sizeof(sentence),
                 "%.800s is in no export of this server; see sealnfs.conf", path);
    else
        snprintf(sentence, sizeof(sentence), "%.800s: %s", path, strerror(-request->error));
    request_fail(request, "not-found", sentence);
}

static void open_file(struct work *work)
{
    struct control_request *request = container_of(work, struct control_request, work);

    request->error = file_from_path(request->server->files, request->path, &request->file);
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
           (request->op->start == start_seal || request->op->start == start_try ||
            request->op->start == start_unseal);
}

static void begin_batch(struct control_request *request)
{
    json_t *json = request->json;

    control_batch(request->server, request->loop, json, request->answer, request->context);
    free(request->path);
    free(request);
    json_decref(json);
}

void control_submit(struct server *server, struct loop *loop, struct control_peer *peer,
                    json_t *json, control_answer_fn answer, void *context)
{
    struct control_request *request = calloc(1, sizeof(*request));

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
    request->path = json_take_path(json);
    if (!json_is_object(json) || !request->op)
        request_fail(
            request, "bad-request",
            "not a request of the control protocol: one JSON object a line, with a known \"op\"");
    else if (is_batch(request))
        begin_batch(request);
    else if (!request->path &&
             (request->op->file == FILE_MUST || json_object_get(json, "file_hex")))
        request_fail(request, "bad-request", "this request needs a \"file\", or a \"file_hex\"");
    else if (request->op->file != FILE_NONE && request->path) {
        request->work.run = open_file;
        request->work.key = export_work_key_of_path(server->exports, request->path);
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
