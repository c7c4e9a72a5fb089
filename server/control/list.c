/*
 * list.c - "status" and "grants" of all files, of which there may be a million: the answer is one
 * line as any other, but it is written while the keeper gives it, piece by piece, and no further
 * than its peer reads. To a holder it is written at once, since a recall may come in between.
 * Control loop.
 */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/json_text.h"
#include "server/control/request.h"
#include "server/server.h"

static void ask_piece(struct control_request *request);

static void put(struct control_request *request, const char *text)
{
    evbuffer_add(request->line, text, strlen(text));
}

static void put_json(struct control_request *request, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    put(request, text ? text : "\"\"");
    free(text);
    json_decref(value);
}

static void begin_list(struct control_request *request)
{
    put(request, "{\"ok\":true,\"");
    put(request, request->op->name);
    put(request, "\":[");
    request->list = LIST_BEGUN;
}

/* The rows of a piece, without the brackets around them. */
static void put_rows(struct control_request *request, const char *json)
{
    const size_t len = strlen(json);

    if (len <= strlen("[]"))
        return;
    if (request->list == LIST_HAS_ROWS)
        put(request, ",");
    evbuffer_add(request->line, json + 1, len - 2);
    request->list = LIST_HAS_ROWS;
}

static void end_list(struct control_request *request, const char *warning)
{
    put(request, "]");
    if (warning[0]) {
        put(request, ",\"warning\":");
        put_json(request, json_text(warning));
    }
    put(request, "}\n");
    request->peer->put(request->peer, request->line);
    request->peer->answered = true;
    request_answer(request, NULL);
}

static void go_on(void *context)
{
    struct control_request *request = context;

    if (request->peer->gone(request->peer)) {
        keeper_view_end(request->server->keeper, &request->keeper.view);
        request_answer(request, NULL);
    } else {
        ask_piece(request);
    }
}

static void fail_list(struct control_request *request)
{
    const char *why = request->keeper.call.why[0]
                          ? request->keeper.call.why
                          : "the server could not make the answer; is it out of memory?";

    if (request->list == LIST_NONE)
        request_fail(request, "failed", why);
    else
        end_list(request, "this is not all: the server could not make the rest of the answer");
}

static void on_piece(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.view.call.reply, msg);
    struct keeper_view *view = &request->keeper.view;
    char *json = view->call.status == NFS4_OK ? view->json : NULL;

    if (json && json[0] == '[') {
        if (request->list == LIST_NONE)
            begin_list(request);
        put_rows(request, json);
        free(view->json);
    } else {
        free(view->json);
        keeper_view_end(request->server->keeper, view);
        fail_list(request);
        return;
    }
    if (!view->more) {
        end_list(request, view->call.why);
        return;
    }
    if (!request->peer->holder)
        request->peer->put(request->peer, request->line);
    request->peer->when_read(request->peer, go_on, request);
}

static void ask_piece(struct control_request *request)
{
    request->keeper.view.call =
        (struct keeper_call){.reply = {.run = on_piece}, .reply_loop = request->loop};
    keeper_view(request->server->keeper, &request->keeper.view);
}

void start_list(struct control_request *request)
{
    request->keeper.view = (struct keeper_view){.what = request->op->name};
    request->line = evbuffer_new();
    if (request->line)
        ask_piece(request);
    else
        request_answer(request, NULL);
}
