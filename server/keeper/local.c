/*
 * local.c - local programs as holders (the control socket's hold interface): they come and
 * go by these requests, take holds by a LAYOUTGET of their own layout type, and are recalled by a
 * message to their connection instead of a callback. To the engine they are holders like any other.
 * On the keeper's thread.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "layout/container_of.h"
#include "layout/type/local.h"
#include "server/base/log.h"
#include "server/export/export.h"
#include "server/keeper/private.h"
#include "server/keeper/request.h"

/* The byte of a client id that names its loop (client.h); no loop has this one. */
#define LOCAL_LOOP     UINT64_C(0xff)
#define LOCAL_SERIAL   UINT64_C(0xffffff)
#define LOCAL_KINDS(k) for (int k = JOURNAL_HOLDER_NFS + 1; k < JOURNAL_HOLDER_KINDS; k++)

static enum journal_holder_kind to_kind(enum keeper_fence fence)
{
    static const enum journal_holder_kind kinds[] = {
        [KEEPER_FENCE_CLOSE] = JOURNAL_HOLDER_CLOSE,
        [KEEPER_FENCE_HOOK] = JOURNAL_HOLDER_HOOK,
        [KEEPER_FENCE_NONE] = JOURNAL_HOLDER_NONE,
    };
    return kinds[fence];
}

static struct keeper_local *find_local(struct keeper *keeper, uint64_t client_id)
{
    struct keeper_local *local;
    DL_SEARCH_SCALAR(keeper->locals, local, client_id, client_id);
    return local;
}

static uint64_t next_client_id(struct keeper *keeper)
{
    uint64_t id;
    do
        id = (uint64_t)journal_boot(keeper->journal) << 32 | LOCAL_LOOP << 24 |
             (++keeper->next_local & LOCAL_SERIAL);
    while (find_local(keeper, id));
    return id;
}

static void ask(struct keeper *keeper, struct keeper_local_request *request,
                void (*run)(struct loop_msg *msg))
{
    request->keeper = keeper;
    request->ask.run = run;
    loop_post(keeper->loop, &request->ask);
}

static void reply(struct keeper_local_request *request, nfsstat4 status, const char *why)
{
    keeper_reply(&request->call, status, why);
}

static void tell(struct keeper_local_request *request, enum engine_client_event what,
                 uint64_t client_id, enum journal_holder_kind kind,
                 const uint8_t token[KEEPER_TOKEN_SIZE])
{
    struct engine_event event = {
        .type = ENGINE_EV_CLIENT,
        .client = {.what = what,
                   .client_id = client_id,
                   .kind = kind,
                   .owner = (const uint8_t *)request->name,
                   .owner_len = request->name ? (uint32_t)strlen(request->name) : 0,
                   .address = request->address}};
    memcpy(event.client.verifier, token, sizeof event.client.verifier);
    keeper_feed(request->keeper, &event);
}

struct run_search {
    const uint8_t *token;
    bool found;
    struct engine_run_view run;
};

static void match_run(const struct engine_run_view *run, void *arg)
{
    struct run_search *search = arg;
    if (memcmp(run->verifier, search->token, sizeof run->verifier) != 0)
        return;
    search->found = true;
    search->run = *run;
}

static struct run_search find_run(const struct keeper_local_request *request)
{
    struct run_search search = {.token = request->token};
    engine_each_run(request->keeper->engine, to_kind(request->fence),
                    (const uint8_t *)request->name, (uint32_t)strlen(request->name), match_run,
                    &search);
    return search;
}

/* Why a run cannot be resumed by who asks; NULL: it can. */
static const char *why_no_resume(const struct keeper_local_request *request)
{
    struct run_search search = find_run(request);
    if (!search.found)
        return "nothing is held under this name, fence and token: what was held has ended";
    if (search.run.fenced)
        return "this holder was fenced: what it held has ended";
    /* Who declared that its end is its process's end is that process. */
    if (request->fence == KEEPER_FENCE_CLOSE && strcmp(search.run.address, request->address) != 0)
        return "this holder is another process, and its holds end with that; begin without a token";
    return NULL;
}

static void run_open(struct loop_msg *msg)
{
    struct keeper_local_request *request = container_of(msg, struct keeper_local_request, ask);
    struct keeper *keeper = request->keeper;
    struct keeper_local *local = request->local;
    const char *why = request->resume ? why_no_resume(request) : NULL;
    if (request->resume && find_run(request).run.client_id) {
        reply(request, NFS4ERR_DELAY, "this holder is still connected");
        return;
    }
    if (why) {
        reply(request, NFS4ERR_NOENT, why);
        return;
    }
    if (!request->resume)
        randombytes_buf(request->token, sizeof request->token);
    uint64_t id = next_client_id(keeper);
    enum journal_holder_kind kind = to_kind(request->fence);
    tell(request, ENGINE_CLIENT_CONFIRMED, id, kind, request->token);
    if (!request->resume)
        tell(request, ENGINE_CLIENT_CALLABLE, id, kind, request->token);
    if (find_run(request).run.client_id != id) {
        reply(request, NFS4ERR_DELAY, "out of memory");
        return;
    }
    local->client_id = id;
    DL_APPEND(keeper->locals, local);
    reply(request, NFS4_OK, "");
}

void keeper_local_open(struct keeper *keeper, struct keeper_local_request *request)
{
    ask(keeper, request, run_open);
}

static void run_resumed(struct loop_msg *msg)
{
    struct keeper_local_request *request = container_of(msg, struct keeper_local_request, ask);
    static const uint8_t none[KEEPER_TOKEN_SIZE];
    tell(request, ENGINE_CLIENT_RESUMED, request->local->client_id, JOURNAL_HOLDER_NFS, none);
    reply(request, NFS4_OK, "");
}

void keeper_local_resumed(struct keeper *keeper, struct keeper_local_request *request)
{
    ask(keeper, request, run_resumed);
}

static void run_close(struct loop_msg *msg)
{
    struct keeper_local_request *request = container_of(msg, struct keeper_local_request, ask);
    struct keeper_local *local = request->local;
    static const uint8_t none[KEEPER_TOKEN_SIZE];
    if (local->client_id) {
        uint64_t id = local->client_id;
        DL_DELETE(request->keeper->locals, local);
        local->client_id = 0;
        tell(request, request->closed ? ENGINE_CLIENT_CLOSED : ENGINE_CLIENT_FORGOTTEN, id,
             JOURNAL_HOLDER_NFS, none);
        keeper_forget_fenced(request->keeper, id);
    }
    reply(request, NFS4_OK, "");
}

void keeper_local_close(struct keeper *keeper, struct keeper_local_request *request)
{
    ask(keeper, request, run_close);
}

enum { RUNS_AT_ONCE = 64 };

struct absent {
    unsigned count, connected;
    uint8_t token[RUNS_AT_ONCE][KEEPER_TOKEN_SIZE];
};

/* One that holds nothing has ended, and is there for a moment still, when it is being fenced. */
static void note_absent(const struct engine_run_view *run, void *arg)
{
    struct absent *absent = arg;
    if (run->client_id)
        absent->connected++;
    else if (run->holds && absent->count < RUNS_AT_ONCE)
        memcpy(absent->token[absent->count++], run->verifier, KEEPER_TOKEN_SIZE);
}

/* Clients by address or owner, for what they had before they lost their state. */
struct haunted {
    const char *name;
    unsigned count;
    struct {
        uint8_t verifier[JOURNAL_VERIFIER_SIZE];
        uint8_t owner[NFS4_OPAQUE_LIMIT];
        uint32_t owner_len;
    } run[RUNS_AT_ONCE];
};

static void note_haunted(const struct engine_run_name *run, void *arg)
{
    struct haunted *haunted = arg;
    size_t len = strlen(haunted->name);
    bool named = strcmp(run->address, haunted->name) == 0 ||
                 (run->owner_len == len && memcmp(run->owner, haunted->name, len) == 0);
    if (!named || haunted->count == RUNS_AT_ONCE || run->owner_len > NFS4_OPAQUE_LIMIT)
        return;
    haunted->run[haunted->count].owner_len = run->owner_len;
    memcpy(haunted->run[haunted->count].owner, run->owner, run->owner_len);
    memcpy(haunted->run[haunted->count++].verifier, run->verifier, JOURNAL_VERIFIER_SIZE);
}

static unsigned end_haunts(struct keeper *keeper, const char *name)
{
    struct haunted *haunted = calloc(1, sizeof *haunted);
    if (!haunted)
        return 0;
    haunted->name = name;
    engine_each_haunted(keeper->engine, note_haunted, haunted);
    unsigned count = haunted->count;
    for (unsigned i = 0; i < count; i++) {
        struct engine_event event = {.type = ENGINE_EV_CLIENT,
                                     .client = {.what = ENGINE_CLIENT_FENCED,
                                                .kind = JOURNAL_HOLDER_NFS,
                                                .owner = haunted->run[i].owner,
                                                .owner_len = haunted->run[i].owner_len}};
        memcpy(event.client.verifier, haunted->run[i].verifier, JOURNAL_VERIFIER_SIZE);
        keeper_feed(keeper, &event);
    }
    free(haunted);
    if (count)
        log_warning(
            "the operator says that nothing of what client %s was granted before it lost its "
            "state can reach the disk any more",
            name);
    return count;
}

static unsigned end_absent(struct keeper_local_request *request, unsigned *connected)
{
    unsigned ended = 0;
    LOCAL_KINDS(kind)
    {
        struct absent absent;
        do {
            absent.count = absent.connected = 0;
            engine_each_run(request->keeper->engine, (enum journal_holder_kind)kind,
                            (const uint8_t *)request->name, (uint32_t)strlen(request->name),
                            note_absent, &absent);
            for (unsigned i = 0; i < absent.count; i++)
                tell(request, ENGINE_CLIENT_FENCED, 0, (enum journal_holder_kind)kind,
                     absent.token[i]);
            ended += absent.count;
        } while (absent.count == RUNS_AT_ONCE);
        *connected += absent.connected;
    }
    if (ended)
        log_warning("the operator (%s) says that local program %s cannot touch the disk: what it "
                    "held has ended",
                    request->address, request->name);
    return ended;
}

/* As the log and sealctl show it. */
static bool read_client_id(const char *name, uint64_t *id)
{
    if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16)
        return false;
    *id = strtoull(name, NULL, 16);
    return true;
}

/* A client that has its id still. False: this one is not known. */
static bool answer_for_client(struct keeper_local_request *request)
{
    struct engine *engine = request->keeper->engine;
    static const uint8_t nobody[KEEPER_TOKEN_SIZE];
    struct engine_run_name run;
    uint64_t id;
    if (!read_client_id(request->name, &id) || !engine_client_run(engine, id, &run))
        return false;
    if (!engine_client_is_lapsed(engine, id)) {
        reply(request, NFS4ERR_PERM,
              "is a client that renews its lease: unmount there, or sealctl expel it");
        return true;
    }
    log_warning("the operator (%s) says that client %s (id %s) cannot reach the disk any more",
                request->address, run.address, request->name);
    tell(request, ENGINE_CLIENT_CUT_OFF, id, JOURNAL_HOLDER_NFS, nobody);
    reply(request, NFS4_OK,
          "it counts as fenced until it is heard of again; from disks under reservations its key "
          "is taken off all the same");
    return true;
}

static void run_fenced(struct loop_msg *msg)
{
    struct keeper_local_request *request = container_of(msg, struct keeper_local_request, ask);
    unsigned connected = 0, ended = end_absent(request, &connected);
    ended += end_haunts(request->keeper, request->name);
    if (ended)
        reply(request, NFS4_OK, "what it held has ended");
    else if (connected)
        reply(request, NFS4ERR_PERM,
              "is connected: have it give back what it holds, or end it first");
    else if (!answer_for_client(request))
        reply(request, NFS4ERR_NOENT,
              "no local program of this name, and no client of this address, owner or id, "
              "holds anything of before");
}

void keeper_local_fenced(struct keeper *keeper, struct keeper_local_request *request)
{
    ask(keeper, request, run_fenced);
}

/* A program is told where on which node the file is, so a device that is not here is of no use to
 * it. */
static bool device_is_here(struct request *request)
{
    struct engine_seal_view view;
    return engine_seal_view(request->keeper->engine, &request->get.key, &view) != 0 ||
           !view.device || device_volume_path(view.device)[0];
}

static void run_hold(struct loop_msg *msg)
{
    struct request *request = container_of(msg, struct request, msg);
    if (!device_is_here(request)) {
        request_finish(
            request, NFS4ERR_LAYOUTUNAVAILABLE,
            "the device of this seal is not here now: is its file system mounted and exported?");
        return;
    }
    keeper_feed(request->keeper,
                &(struct engine_event){.type = ENGINE_EV_LAYOUTGET, .layoutget = &request->get});
}

void keeper_hold(struct keeper *keeper, struct keeper_hold *hold)
{
    struct request *request = request_make(keeper, REQUEST_HOLD, &hold->call, run_hold);
    if (!request)
        return;
    hold->map = NULL;
    hold->device = NULL;
    if (!request_for_layout(request, hold->file, file_export(hold->file), 0))
        return;
    request->get.client_id = hold->local->client_id;
    request->get.type = LAYOUT_TYPE_LOCAL;
    request->get.want =
        (struct layout_request){.iomode = hold->write ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ,
                                .length = NFS4_UINT64_MAX,
                                .maxcount = UINT32_MAX};
    request_post(request);
}

void keeper_hold_granted(struct request *request)
{
    struct keeper_hold *hold = container_of(request->of, struct keeper_hold, call);
    struct engine_seal_view view;
    hold->stateid = request->get.granted_stateid;
    if (engine_seal_view(request->keeper->engine, &request->get.key, &view) || !view.map ||
        !view.device)
        return; /* the engine grants nothing without them */
    hold->map = map_ref(view.map);
    hold->device = device_ref((struct device *)(uintptr_t)view.device);
}

/* A recall on its way to the program's loop and back. */
struct local_recall {
    struct loop_msg msg;
    struct keeper *keeper;
    struct keeper_local *local;
    struct engine_effect effect;
    uint64_t left_ns;
    enum engine_recall_outcome outcome;
};

static void recall_back(struct loop_msg *msg)
{
    struct local_recall *recall = container_of(msg, struct local_recall, msg);
    keeper_recall_answered(recall->keeper, &recall->effect, recall->outcome, NFS4_OK);
    free(recall);
}

/* On the program's loop. A line that is on a unix socket arrives, or the socket closes: told is
 * known. */
static void recall_there(struct loop_msg *msg)
{
    struct local_recall *recall = container_of(msg, struct local_recall, msg);
    recall->local->recalled(recall->local, &recall->effect.key, recall->left_ns);
    recall->msg.run = recall_back;
    loop_post(recall->keeper->loop, &recall->msg);
}

void keeper_recall_local(struct keeper *keeper, const struct engine_effect *effect)
{
    struct local_recall *recall = calloc(1, sizeof *recall);
    if (!recall) {
        log_error("out of memory: local program %016llx is not told of a recall",
                  (unsigned long long)effect->recall.client_id);
        return;
    }
    struct engine_seal_view view;
    recall->keeper = keeper;
    recall->effect = *effect;
    recall->local = find_local(keeper, effect->recall.client_id);
    if (engine_seal_view(keeper->engine, &effect->key, &view) == 0 && view.deadline > loop_now_ns())
        recall->left_ns = view.deadline - loop_now_ns();
    if (!recall->local) {
        recall->outcome = ENGINE_RECALL_NO_CHANNEL;
        recall->msg.run = recall_back;
        loop_post(keeper->loop, &recall->msg);
        return;
    }
    recall->outcome = ENGINE_RECALL_ANSWERED;
    recall->msg.run = recall_there;
    loop_post(recall->local->loop, &recall->msg);
}
