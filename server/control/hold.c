/*
 * hold.c - the hold interface of the control socket: a program that is no NFS client holds
 * sealed files (docs/control-protocol.md). One connection is one holder, whose name, fence and
 * token the keeper knows.
 *
 * What ends a hold is decided by the engine alone. In particular nothing here closes a holder's
 * connection: only the peer does, so a closed socket says something of the peer. All of this is on
 * the control loop.
 */
#include "server/control/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <utlist.h>

#include "layout/container_of.h"
#include "layout/device/device.h"
#include "layout/seal/map.h"
#include "layout/type/local.h"
#include "server/base/json_text.h"
#include "server/base/peer.h"
#include "server/control/request.h"
#include "server/file/file.h"
#include "server/server.h"

enum { HOLDS_MAX = 1024, EXTENTS_MAX = 65536, NAME_MAX_BYTES = 64, ADDRESS_MAX = 64 };
enum { OWNER_MAX = 1024 }; /* of a client; what NFS allows, and it may call itself anything */

struct hold {
    struct hold *prev, *next;
    json_int_t id;
    struct file *file;
    bool write;
    stateid4 stateid;
};

struct control_holder {
    struct keeper_local local;
    struct control_peer *peer;
    char name[NAME_MAX_BYTES + 1], address[ADDRESS_MAX];
    bool open;    /* the keeper has taken it on */
    bool closing; /* the connection is gone; freed when the keeper knows */
    struct hold *holds;
    unsigned hold_count;
    json_int_t last_id;
    struct keeper_local_request goodbye;
    struct server *server;
    void (*done)(void *arg);
    void *arg;
};

static const char *const fence_names[] = {
    [KEEPER_FENCE_CLOSE] = "close", [KEEPER_FENCE_HOOK] = "hook", [KEEPER_FENCE_NONE] = "none"};

static void hold_free(struct hold *hold)
{
    if (hold)
        file_unref(hold->file);
    free(hold);
}

static void hold_drop(struct control_holder *holder, struct hold *hold)
{
    DL_DELETE(holder->holds, hold);
    holder->hold_count--;
    hold_free(hold);
}

void control_holder_free(struct control_holder *holder)
{
    if (!holder)
        return;
    while (holder->holds)
        hold_drop(holder, holder->holds);
    free(holder);
}

static void on_closed(struct loop_msg *msg)
{
    struct control_holder *holder = container_of(msg, struct control_holder, goodbye.call.reply);
    void (*done)(void *) = holder->done;
    void *arg = holder->arg;
    control_holder_free(holder);
    done(arg);
}

void control_holder_close(struct control_holder *holder, bool by_peer, void (*done)(void *arg),
                          void *arg)
{
    holder->closing = true;
    holder->done = done;
    holder->arg = arg;
    holder->goodbye = (struct keeper_local_request){
        .call = {.reply = {.run = on_closed}, .reply_loop = holder->local.loop},
        .local = &holder->local,
        .closed = by_peer,
    };
    keeper_local_close(holder->server->keeper, &holder->goodbye);
}

/* ---- recalls */

static void on_recalled(struct keeper_local *local, const struct file_key *key, uint64_t left_ns)
{
    struct control_holder *holder = container_of(local, struct control_holder, local);
    struct hold *hold;
    DL_FOREACH(holder->holds, hold)
    {
        if (file_key_equal(file_key(hold->file), key))
            break;
    }
    if (hold && !holder->closing)
        holder->peer->say(holder->peer,
                          json_pack("{s:s, s:I, s:I}", "event", "recall", "hold", hold->id,
                                    "left_ms", (json_int_t)(left_ns / 1000000)));
}

/* ---- becoming a holder */

static bool name_is_good(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    return len > 0 && len <= NAME_MAX_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:@") ==
               len;
}

static bool parse_fence(const char *word, enum keeper_fence *out)
{
    for (unsigned i = 0; word && i < sizeof fence_names / sizeof fence_names[0]; i++) {
        if (strcmp(word, fence_names[i]) == 0) {
            *out = (enum keeper_fence)i;
            return true;
        }
    }
    return false;
}

static bool parse_token(const char *text, uint8_t token[KEEPER_TOKEN_SIZE])
{
    if (strlen(text) != 2 * KEEPER_TOKEN_SIZE ||
        strspn(text, "0123456789abcdef") != 2 * KEEPER_TOKEN_SIZE)
        return false;
    for (unsigned i = 0; i < KEEPER_TOKEN_SIZE; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        token[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

static void put_hex(const uint8_t *bytes, size_t len, char *text)
{
    for (size_t i = 0; i < len; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

static void on_opened(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.local.call.reply, msg);
    struct keeper_local_request *local = &request->keeper.local;
    struct control_holder *holder = request->peer->holder;
    char token[2 * KEEPER_TOKEN_SIZE + 1];

    if (local->call.status != NFS4_OK) {
        if (!holder->closing) {
            request->peer->holder = NULL;
            control_holder_free(holder);
        }
        request_fail(request, local->call.status == NFS4ERR_NOENT ? "not-found" : "try-later",
                     local->call.why);
        return;
    }
    holder->open = true;
    put_hex(local->token, sizeof local->token, token);
    request_answer(request,
                   json_pack("{s:b, s:s, s:b}", "ok", 1, "token", token, "resumed", local->resume));
}

void start_holder(struct control_request *request)
{
    const char *name = json_string_value(json_object_get(request->json, "name"));
    const json_t *token = json_object_get(request->json, "token");
    struct keeper_local_request *local = &request->keeper.local;
    struct control_holder *holder;

    *local = (struct keeper_local_request){
        .call = {.reply = {.run = on_opened}, .reply_loop = request->loop}, .resume = token};
    if (request->peer->holder)
        request_fail(request, "bad-request", "this connection is a holder already");
    else if (!name_is_good(name))
        request_fail(request, "bad-request",
                     "a holder needs a \"name\" of 1 to 64 letters, digits and ._-:@");
    else if (!parse_fence(json_string_value(json_object_get(request->json, "fence")),
                          &local->fence))
        request_fail(request, "bad-request",
                     "a holder has to declare its \"fence\": \"close\", \"hook\" or \"none\"");
    else if (token &&
             (!json_is_string(token) || !parse_token(json_string_value(token), local->token)))
        request_fail(request, "bad-request",
                     "a \"token\" is the 16 hexadecimal digits that were given out");
    else if (!request->peer->may_hold)
        request_fail(request, "refused", "there are too many holders connected");
    else if (!(holder = calloc(1, sizeof *holder)))
        request_fail(request, "failed", "out of memory");
    else {
        strcpy(holder->name, name);
        if (peer_describe(request->peer->fd, holder->address, sizeof holder->address))
            strcpy(holder->address, "unknown process");
        holder->local = (struct keeper_local){.loop = request->loop, .recalled = on_recalled};
        holder->peer = request->peer;
        holder->server = request->server;
        request->peer->holder = holder;
        local->local = &holder->local;
        local->name = holder->name;
        local->address = holder->address;
        keeper_local_open(request->server->keeper, local);
    }
}

/* The connection's holder, or NULL and answered. */
static struct control_holder *need_holder(struct control_request *request)
{
    struct control_holder *holder = request->peer->holder;
    if (holder && holder->open)
        return holder;
    request_fail(request, "bad-request", "this connection is no holder: send \"holder\" first");
    return NULL;
}

static void on_resumed(struct loop_msg *msg)
{
    request_answer(REQUEST_OF(keeper.local.call.reply, msg), json_pack("{s:b}", "ok", 1));
}

void start_resumed(struct control_request *request)
{
    struct control_holder *holder = need_holder(request);
    if (!holder)
        return;
    request->keeper.local = (struct keeper_local_request){
        .call = {.reply = {.run = on_resumed}, .reply_loop = request->loop},
        .local = &holder->local};
    keeper_local_resumed(request->server->keeper, &request->keeper.local);
}

/* ---- holds */

/* [file offset, length, offset on the device or null for a hole], ... */
static json_t *extents_json(const struct seal_map *map)
{
    json_t *list = json_array();
    for (size_t i = 0; i < map_extent_count(map); i++) {
        const struct seal_extent *e = map_extent(map, i);
        json_t *one =
            e->kind == SEAL_EXTENT_HOLE
                ? json_pack("[I, I, n]", (json_int_t)e->file_offset, (json_int_t)e->length)
                : json_pack("[I, I, I]", (json_int_t)e->file_offset, (json_int_t)e->length,
                            (json_int_t)e->device_offset);
        if (json_array_append_new(list, one) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *hold_json(const struct hold *hold, const struct seal_map *map,
                         const struct device *device)
{
    char id[2 * DEVICE_ID_SIZE + 1];
    dev_t dev = device_st_dev(device);
    put_hex(device_id(device), DEVICE_ID_SIZE, id);
    return json_pack("{s:b, s:I, s:b, s:I, s:I, s:{s:s, s:s, s:I, s:I}, s:o}", "ok", 1, "hold",
                     hold->id, "write", hold->write, "size", (json_int_t)map_file_size(map),
                     "block_size", (json_int_t)map_block_size(map), "device", "id", id, "path",
                     device_volume_path(device), "major", (json_int_t)major(dev), "minor",
                     (json_int_t)minor(dev), "extents", extents_json(map));
}

static const char *code_of(nfsstat4 status)
{
    return status == NFS4ERR_LAYOUTTRYLATER || status == NFS4ERR_RECALLCONFLICT ||
                   status == NFS4ERR_DELAY
               ? "try-later"
               : "refused";
}

static void give_back(struct control_request *request, const struct hold *hold,
                      void (*then)(struct loop_msg *msg))
{
    request->keeper.ret = (struct keeper_layoutreturn){
        .call = {.reply = {.run = then}, .reply_loop = request->loop},
        .file = hold->file,
        .scope = LAYOUTRETURN4_FILE,
        .client_id = request->peer->holder->local.client_id,
        .type = LAYOUT_TYPE_LOCAL,
        .iomode = LAYOUTIOMODE4_ANY,
        .length = NFS4_UINT64_MAX,
        .stateid = hold->stateid,
    };
    keeper_layoutreturn(request->server->keeper, &request->keeper.ret);
}

static void gave_back_unusable(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.ret.call.reply, msg);
    hold_free(request->hold);
    request_fail(request, "refused", "the file is in more than 65536 pieces: it cannot be held");
}

static void on_held(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.hold.call.reply, msg);
    struct keeper_hold *keeper = &request->keeper.hold;
    struct control_holder *holder = request->peer->holder;
    struct seal_map *map = keeper->map;
    struct device *device = keeper->device;
    struct hold *hold = request->hold;

    if (keeper->call.status != NFS4_OK || !map || !device || !holder || holder->closing) {
        hold_free(hold);
        request_fail(request, code_of(keeper->call.status), keeper->call.why);
    } else if (map_extent_count(map) > EXTENTS_MAX) {
        hold->stateid = keeper->stateid;
        give_back(request, hold, gave_back_unusable);
    } else {
        hold->stateid = keeper->stateid;
        hold->id = ++holder->last_id;
        DL_APPEND(holder->holds, hold);
        holder->hold_count++;
        request_answer(request, hold_json(hold, map, device));
    }
    map_free(map);
    device_free(device);
}

void start_hold(struct control_request *request)
{
    struct control_holder *holder = need_holder(request);
    struct hold *hold;

    if (!holder)
        return;
    DL_FOREACH(holder->holds, hold)
    {
        if (hold->file == request->file) {
            request_fail(request, "bad-request", "this holder holds the file already");
            return;
        }
    }
    if (holder->hold_count >= HOLDS_MAX) {
        request_fail(request, "refused", "a connection holds 1024 files at most: give some back");
        return;
    }
    hold = calloc(1, sizeof *hold);
    if (!hold) {
        request_fail(request, "failed", "out of memory");
        return;
    }
    hold->file = file_ref(request->file);
    hold->write = json_is_true(json_object_get(request->json, "write"));
    request->hold = hold;
    request->keeper.hold = (struct keeper_hold){
        .call = {.reply = {.run = on_held}, .reply_loop = request->loop},
        .local = &holder->local,
        .file = hold->file,
        .write = hold->write,
    };
    keeper_hold(request->server->keeper, &request->keeper.hold);
}

/* The hold that the request names, or NULL and answered. */
static struct hold *need_hold(struct control_request *request, struct control_holder *holder)
{
    const json_t *id = json_object_get(request->json, "hold");
    struct hold *hold;
    DL_FOREACH(holder->holds, hold)
    {
        if (json_is_integer(id) && json_integer_value(id) == hold->id)
            return hold;
    }
    request_fail(request, "not-found", "this connection has no such \"hold\"");
    return NULL;
}

static void on_returned(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.ret.call.reply, msg);
    struct keeper_call *call = &request->keeper.call;
    struct control_holder *holder = request->peer->holder;
    bool was_fenced = call->status == NFS4ERR_BAD_STATEID;

    if (holder && !holder->closing && (call->status == NFS4_OK || was_fenced))
        hold_drop(holder, request->hold);
    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b}", "ok", 1));
    else
        request_fail(request, "refused",
                     was_fenced ? "this hold has ended already: the holder was fenced" : call->why);
}

void start_return(struct control_request *request)
{
    struct control_holder *holder = need_holder(request);
    struct hold *hold = holder ? need_hold(request, holder) : NULL;
    if (!hold)
        return;
    request->hold = hold;
    give_back(request, hold, on_returned);
}

static void on_wrote(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.wrote.call.reply, msg);
    struct keeper_call *call = &request->keeper.call;
    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b}", "ok", 1));
    else
        request_fail(request, code_of(call->status), call->why);
}

void start_wrote(struct control_request *request)
{
    struct control_holder *holder = need_holder(request);
    struct hold *hold = holder ? need_hold(request, holder) : NULL;
    struct timespec now;

    if (!hold)
        return;
    if (!hold->write) {
        request_fail(request, "bad-request", "this hold is for reading only");
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    request->keeper.wrote = (struct keeper_wrote){
        .call = {.reply = {.run = on_wrote}, .reply_loop = request->loop},
        .file = hold->file,
        .mtime_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec,
    };
    keeper_wrote(request->server->keeper, &request->keeper.wrote);
}

/* ---- the operator's word */

static void on_fenced(struct loop_msg *msg)
{
    struct control_request *request = REQUEST_OF(keeper.local.call.reply, msg);
    struct keeper_call *call = &request->keeper.call;
    if (call->status == NFS4_OK)
        request_answer(request, json_pack("{s:b, s:o}", "ok", 1, "note", json_text(call->why)));
    else
        request_fail(request, call->status == NFS4ERR_NOENT ? "not-found" : "refused", call->why);
}

/* A client that is known and lost: nothing shows that it is cut off but what is said here. */
static bool is_unconfirmed(const struct control_request *request, const char *name)
{
    return strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16 &&
           !json_is_true(json_object_get(request->json, "yes"));
}

void start_fenced(struct control_request *request)
{
    const char *name = json_string_value(json_object_get(request->json, "name"));
    if (!name || !name[0] || strlen(name) > OWNER_MAX) {
        request_fail(request, "bad-request",
                     "this request needs the \"name\" of a local program, or a client's address, "
                     "owner or id");
        return;
    }
    if (is_unconfirmed(request, name)) {
        request_fail(
            request, "refused",
            "this says that the client cannot reach the disk any more: it is switched off, "
            "or cut off from it; if it is not, its late writes land in other files; if "
            "that is so, say --yes");
        return;
    }
    if (peer_describe(request->peer->fd, request->asker, sizeof request->asker))
        strcpy(request->asker, "unknown process");
    request->keeper.local = (struct keeper_local_request){
        .call = {.reply = {.run = on_fenced}, .reply_loop = request->loop},
        .name = name,
        .address = request->asker,
    };
    keeper_local_fenced(request->server->keeper, &request->keeper.local);
}
