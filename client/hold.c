/*
 * Holds for local programs: see sealio_hold.h. Requests wait for their answer; events that come in
 * between are kept in line until the program asks for them.
 */
#include "client/sealio_hold.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/hold_wire.h"
#include "client/sealio.h"

enum { TOKEN_TEXT = 17 };

struct sealio_hold {
    struct sealio_holder *holder;
    struct sealio_hold *next;
    json_int_t id;
    char path[PATH_MAX], device[PATH_MAX];
    bool write;
    uint64_t size;
    struct sealio_hold_extent *extents;
    size_t extent_count;
    /* News that the program has not been told. */
    bool recalled, lost, told_lost;
    uint64_t left_ms;
};

struct sealio_holder {
    struct hold_wire wire;
    char socket[108], name[65], token[TOKEN_TEXT], error[SEALIO_ERROR_MAX];
    enum sealio_fence fence;
    struct sealio_hold *holds;
};

static void note_error(struct sealio_holder *holder, const char *what)
{
    snprintf(holder->error, sizeof holder->error, "%s", what ? what : "the server gave no reason");
}

static void take_event(struct sealio_holder *holder, const json_t *line)
{
    const char *what = json_string_value(json_object_get(line, "event"));
    json_int_t id = json_integer_value(json_object_get(line, "hold"));
    json_int_t left = json_integer_value(json_object_get(line, "left_ms"));
    if (!what || strcmp(what, "recall") != 0)
        return;
    for (struct sealio_hold *hold = holder->holds; hold; hold = hold->next) {
        if (hold->id != id)
            continue;
        hold->recalled = true;
        hold->left_ms = left > 0 ? (uint64_t)left : 0;
    }
}

static int to_errno(const char *code)
{
    static const struct {
        const char *code;
        int err;
    } words[] = {{"refused", -EPERM},
                 {"pending", -EAGAIN},
                 {"try-later", -EAGAIN},
                 {"not-found", -ENOENT},
                 {"bad-request", -EINVAL}};
    for (size_t i = 0; code && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(code, words[i].code) == 0)
            return words[i].err;
    }
    return -EIO;
}

static int judge_answer(struct sealio_holder *holder, json_t *answer, json_t **out)
{
    if (json_is_true(json_object_get(answer, "ok"))) {
        *out = answer;
        return 0;
    }
    int err = to_errno(json_string_value(json_object_get(answer, "code")));
    note_error(holder, json_string_value(json_object_get(answer, "error")));
    json_decref(answer);
    return err;
}

/* One request and its answer; takes over the request. *out (may be NULL) is the caller's. */
static int ask_server(struct sealio_holder *holder, json_t *request, json_t **out)
{
    json_t *line = NULL;
    int err = hold_wire_send(&holder->wire, request);
    json_decref(request);
    while (!err) {
        err = hold_wire_next(&holder->wire, -1, &line);
        if (err == -EINTR) {
            err = 0;
            continue;
        }
        if (err || !json_object_get(line, "event"))
            break;
        take_event(holder, line);
        json_decref(line);
    }
    if (err) {
        note_error(holder,
                   err == -ENOTCONN ? "the server has closed the connection" : strerror(-err));
        if (err == -ENOTCONN)
            hold_wire_close(&holder->wire);
        return err;
    }
    json_t *answer = NULL;
    err = judge_answer(holder, line, &answer);
    if (!err && out)
        *out = answer;
    else
        json_decref(answer);
    return err;
}

static int introduce_program(struct sealio_holder *holder, bool resume)
{
    static const char *const fences[] = {
        [SEALIO_FENCE_CLOSE] = "close", [SEALIO_FENCE_HOOK] = "hook", [SEALIO_FENCE_NONE] = "none"};
    json_t *request = json_pack("{s:s, s:s, s:s}", "op", "holder", "name", holder->name, "fence",
                                fences[holder->fence]);
    json_t *answer = NULL;
    if (resume)
        json_object_set_new(request, "token", json_string(holder->token));
    int err = ask_server(holder, request, &answer);
    if (err)
        return err;
    const char *token = json_string_value(json_object_get(answer, "token"));
    if (token)
        snprintf(holder->token, sizeof holder->token, "%s", token);
    json_decref(answer);
    return token ? 0 : -EIO;
}

static int connect_to(struct sealio_holder *holder)
{
    hold_wire_close(&holder->wire);
    int err = hold_wire_connect(&holder->wire, holder->socket);
    if (err)
        snprintf(holder->error, sizeof holder->error,
                 "%s: %s; is sealnfsd running, and may you use its socket?", holder->socket,
                 strerror(-err));
    return err;
}

static int set_up(struct sealio_holder *holder, const struct sealio_holder_options *options)
{
    const char *path = options->socket ? options->socket : getenv("SEALNFS_SOCKET");
    if (!path)
        path = "/run/sealnfs/control.sock";
    if (!options->name || options->fence < SEALIO_FENCE_CLOSE ||
        options->fence > SEALIO_FENCE_NONE) {
        note_error(holder, "a holder needs a name and a declared fence");
        return -EINVAL;
    }
    if (strlen(path) >= sizeof holder->socket || strlen(options->name) >= sizeof holder->name ||
        (options->token && strlen(options->token) >= sizeof holder->token)) {
        note_error(holder, "the socket's path, the name or the token is too long");
        return -ENAMETOOLONG;
    }
    strcpy(holder->socket, path);
    strcpy(holder->name, options->name);
    strcpy(holder->token, options->token ? options->token : "");
    holder->fence = options->fence;
    return 0;
}

int sealio_holder_open(const struct sealio_holder_options *options, char *error,
                       struct sealio_holder **out)
{
    struct sealio_holder *holder = calloc(1, sizeof *holder);
    if (!holder)
        return -ENOMEM;
    holder->wire.fd = -1;
    int err = set_up(holder, options);
    if (!err)
        err = connect_to(holder);
    if (!err)
        err = introduce_program(holder, options->token != NULL);
    if (!err) {
        *out = holder;
        return 0;
    }
    if (error)
        snprintf(error, SEALIO_ERROR_MAX, "%s", holder->error);
    hold_wire_close(&holder->wire);
    free(holder);
    return err;
}

void sealio_holder_close(struct sealio_holder *holder)
{
    if (!holder)
        return;
    while (holder->holds)
        sealio_hold_close(holder->holds);
    hold_wire_close(&holder->wire);
    free(holder);
}

int sealio_holder_resumed(struct sealio_holder *holder)
{
    return ask_server(holder, json_pack("{s:s}", "op", "resumed"), NULL);
}

const char *sealio_holder_token(const struct sealio_holder *holder)
{
    return holder->token;
}

void sealio_holder_error(const struct sealio_holder *holder, char *text, size_t size)
{
    snprintf(text, size, "%s", holder->error);
}

int sealio_holder_fd(const struct sealio_holder *holder)
{
    return holder->wire.fd;
}

/* ---- one file ---- */

static int take_extents(struct sealio_hold *hold, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "extents"), *one;
    size_t i, count = json_array_size(list);
    struct sealio_hold_extent *extents = calloc(count ? count : 1, sizeof *extents);
    if (!extents)
        return -ENOMEM;
    json_array_foreach(list, i, one)
    {
        const json_t *at = json_array_get(one, 2);
        extents[i] = (struct sealio_hold_extent){
            .offset = (uint64_t)json_integer_value(json_array_get(one, 0)),
            .length = (uint64_t)json_integer_value(json_array_get(one, 1)),
            .device_offset = (uint64_t)json_integer_value(at),
            .hole = !json_is_integer(at),
        };
    }
    free(hold->extents);
    hold->extents = extents;
    hold->extent_count = count;
    return 0;
}

static int take_answer(struct sealio_hold *hold, const json_t *answer)
{
    const char *device =
        json_string_value(json_object_get(json_object_get(answer, "device"), "path"));
    if (!device || strlen(device) >= sizeof hold->device ||
        !json_is_array(json_object_get(answer, "extents")))
        return -EIO;
    strcpy(hold->device, device);
    hold->id = json_integer_value(json_object_get(answer, "hold"));
    hold->size = (uint64_t)json_integer_value(json_object_get(answer, "size"));
    return take_extents(hold, answer);
}

static int ask_for(struct sealio_hold *hold, json_t **answer)
{
    return ask_server(
        hold->holder,
        json_pack("{s:s, s:s, s:b}", "op", "hold", "file", hold->path, "write", hold->write),
        answer);
}

static void hold_free(struct sealio_hold *hold)
{
    free(hold->extents);
    free(hold);
}

int sealio_hold_open(struct sealio_holder *holder, const char *path, bool write,
                     struct sealio_hold **out)
{
    struct sealio_hold *hold = calloc(1, sizeof *hold);
    json_t *answer = NULL;
    if (!hold)
        return -ENOMEM;
    hold->holder = holder;
    hold->write = write;
    int err = strlen(path) < sizeof hold->path ? 0 : -ENAMETOOLONG;
    if (err) {
        note_error(holder, "the path is too long");
        goto fail;
    }
    strcpy(hold->path, path);
    for (const struct sealio_hold *other = holder->holds; other; other = other->next) {
        if (strcmp(other->path, path) == 0) {
            note_error(holder, "this holder holds the file already");
            err = -EALREADY;
            goto fail;
        }
    }
    err = ask_for(hold, &answer);
    if (!err)
        err = take_answer(hold, answer);
    json_decref(answer);
    if (err)
        goto fail;
    hold->next = holder->holds;
    holder->holds = hold;
    *out = hold;
    return 0;
fail:
    hold_free(hold);
    return err;
}

static int ask_about(struct sealio_hold *hold, const char *op)
{
    return ask_server(hold->holder, json_pack("{s:s, s:I}", "op", op, "hold", hold->id), NULL);
}

int sealio_hold_close(struct sealio_hold *hold)
{
    struct sealio_holder *holder = hold->holder;
    struct sealio_hold **link = &holder->holds;
    int err = hold->lost ? -ESTALE : 0;
    while (*link != hold)
        link = &(*link)->next;
    *link = hold->next;
    if (!err)
        err = ask_about(hold, "return");
    hold_free(hold);
    return err == -EPERM || err == -ENOENT ? -ESTALE : err;
}

int sealio_hold_wrote(struct sealio_hold *hold)
{
    return hold->lost ? -ESTALE : ask_about(hold, "wrote");
}

const struct sealio_hold_extent *sealio_hold_extents(const struct sealio_hold *hold, size_t *count)
{
    *count = hold->extent_count;
    return hold->extents;
}

const char *sealio_hold_device(const struct sealio_hold *hold)
{
    return hold->device;
}

uint64_t sealio_hold_size(const struct sealio_hold *hold)
{
    return hold->size;
}

const char *sealio_hold_path(const struct sealio_hold *hold)
{
    return hold->path;
}

/* ---- news ---- */

static bool take_news(struct sealio_holder *holder, struct sealio_hold_event *out)
{
    for (struct sealio_hold *hold = holder->holds; hold; hold = hold->next) {
        bool lost = hold->lost && !hold->told_lost;
        if (!lost && (!hold->recalled || hold->lost))
            continue;
        *out = (struct sealio_hold_event){
            .what = lost ? SEALIO_HOLD_LOST : SEALIO_HOLD_RECALLED,
            .hold = hold,
            .left_ms = lost ? 0 : hold->left_ms,
        };
        hold->told_lost = lost;
        hold->recalled = false;
        return true;
    }
    return false;
}

int sealio_holder_next(struct sealio_holder *holder, int timeout_ms, struct sealio_hold_event *out)
{
    for (;;) {
        json_t *line;
        if (take_news(holder, out))
            return 1;
        int err = hold_wire_next(&holder->wire, timeout_ms, &line);
        if (err == -ENOTCONN)
            hold_wire_close(&holder->wire);
        if (err || !line)
            return err;
        take_event(holder, line);
        json_decref(line);
    }
}

static bool is_what_it_was(const struct sealio_hold *hold, const json_t *answer)
{
    struct sealio_hold again = {.holder = hold->holder};
    bool same = take_answer(&again, answer) == 0 && again.size == hold->size &&
                again.extent_count == hold->extent_count && strcmp(again.device, hold->device) == 0;
    for (size_t i = 0; same && i < again.extent_count; i++) {
        const struct sealio_hold_extent *a = &again.extents[i], *b = &hold->extents[i];
        same = a->offset == b->offset && a->length == b->length &&
               a->device_offset == b->device_offset && a->hole == b->hole;
    }
    free(again.extents);
    return same;
}

static int hold_again(struct sealio_hold *hold)
{
    json_t *answer = NULL;
    int err = ask_for(hold, &answer);
    if (err == -ENOTCONN)
        return err;
    if (!err) {
        hold->id = json_integer_value(json_object_get(answer, "hold"));
        hold->lost = !is_what_it_was(hold, answer);
        if (hold->lost)
            err = ask_about(hold, "return");
    } else {
        hold->lost = true;
    }
    json_decref(answer);
    return err == -ENOTCONN ? err : 0;
}

/* The socket is never closed over an error while it may carry holds: that would say that they have
 * ended. */
int sealio_holder_resume(struct sealio_holder *holder)
{
    if (holder->wire.fd >= 0)
        return -EISCONN;
    int err = connect_to(holder);
    if (err)
        return err;
    err = introduce_program(holder, true);
    if (err)
        hold_wire_close(&holder->wire);
    if (err == -ENOENT) { /* it was ended while we were away: nothing of it is left */
        for (struct sealio_hold *hold = holder->holds; hold; hold = hold->next)
            hold->lost = true;
        err = connect_to(holder);
        return err ? err : introduce_program(holder, false);
    }
    if (err)
        return err;
    for (struct sealio_hold *hold = holder->holds; hold && !err; hold = hold->next) {
        if (!hold->lost)
            err = hold_again(hold);
    }
    return err ? err : sealio_holder_resumed(holder);
}
