/*
 * Growing files: a pinned seal over a reserve. Two numbers: the reserve, which is the file's size
 * on disk, all of it allocated and written; and the size, where the file ends for everybody but the
 * disk, which is never larger. The map up to the reserve does not change, so everything that holds
 * of a pinned seal holds here. More than the reserve is a release and a new seal.
 *
 * What lies past the size reads as zeros to whoever makes the file longer. So one run at a time is
 * let past it: the tail is its. Others write below, in whole blocks. While it lives, what it wrote
 * there and has not committed is its own affair, and one that returned its layout has said that it
 * has nothing more to commit. What a run left that was lost is zeroed before anybody else makes the
 * file longer, when no grant reaches there any more; where one still may, because the run is
 * haunted, the seal is released, and the reserve is cut off with what was in it. The journal has
 * the run that was let past the size last, so that a restart knows whom to suspect.
 *
 *   size down     when nobody may write; what was cut off is zeroed as what a lost run left
 *   size up       a commit, a WRITE through the server, a SETATTR: by whom the tail is, or by
 *                 anybody if it is nobody's
 *
 * The size is in the journal before anybody is told of it, and behind the data: a commit says that
 * its data is on the disk, and the server writes before it says so (growing_room, growing_wrote).
 */
#include "layout/engine/private.h"

#define TAIL_TAKEN_TEXT "another client writes past the end of the file"

/* Linux reads and writes whole pages by a layout, whatever the file system's blocks are. */
enum { CLIENT_PAGE = 4096 };

/* Of a run, for the journal; never 0. FNV-1a, with a beginning for each part. */
uint64_t growing_name(const struct holder *holder)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) + holder->owner->kind;
    for (uint32_t i = 0; i < holder->owner->len; i++)
        hash = (hash ^ holder->owner->bytes[i]) * UINT64_C(0x100000001b3);
    for (unsigned i = 0; i < JOURNAL_VERIFIER_SIZE; i++)
        hash = (hash ^ holder->verifier[i]) * UINT64_C(0x100000001b3);
    return hash | 1;
}

/* The block that the file ends in belongs to the tail. */
static uint64_t tail_start(const struct seal *seal)
{
    uint32_t block = map_block_size(seal->map);
    return seal->size - seal->size % (block > CLIENT_PAGE ? block : CLIENT_PAGE);
}

static bool reaches_past(const struct seal *seal, const struct grant *grant)
{
    return ranges_writable(&grant->ranges, tail_start(seal), UINT64_MAX) != NULL;
}

/* holder may be NULL: one that has never had a layout. */
static bool tail_is_granted(const struct seal *seal, const struct holder *holder)
{
    const struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        if (grant->holder != holder && reaches_past(seal, grant))
            return true;
    }
    return false;
}

static bool tail_is_anothers(const struct seal *seal, const struct holder *holder)
{
    const struct reach *reach;
    DL_FOREACH2(seal_maybes(seal), reach, maybe_next)
    {
        if (reach->holder != holder && growing_name(reach->holder) == seal->tail)
            return true;
    }
    return tail_is_granted(seal, holder);
}

/* It is past the end itself: what lies there it may have written, and has yet to commit. */
static bool tail_is_own(const struct seal *seal, const struct holder *holder)
{
    const struct grant *grant;
    const struct reach *reach;
    if (!holder)
        return false;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        if (grant->holder == holder && reaches_past(seal, grant))
            return true;
    }
    DL_FOREACH2(seal_maybes(seal), reach, maybe_next)
    {
        if (reach->holder == holder && growing_name(holder) == seal->tail)
            return true;
    }
    return false;
}

/* What of [size, end) is to be zeroed before this run may make the file longer. */
static bool dirty_part(const struct seal *seal, const struct holder *holder, uint64_t end,
                       uint64_t *from, uint64_t *to)
{
    *from = seal->dirty_start > seal->size ? seal->dirty_start : seal->size;
    *to = seal->dirty_end < end ? seal->dirty_end : end;
    return *from < *to && !(holder && seal->dirty_by == growing_name(holder));
}

static void make_dirty(struct seal *seal, uint64_t start, uint64_t end, uint64_t by)
{
    uint64_t from, to;
    if (start >= end)
        return;
    if (dirty_part(seal, NULL, UINT64_MAX, &from, &to)) {
        start = start < from ? start : from;
        end = end > to ? end : to;
        by = by == seal->dirty_by ? by : 0;
    }
    seal->dirty_start = start;
    seal->dirty_end = end;
    seal->dirty_by = by;
}

enum tail { TAIL_FREE, TAIL_TAKEN, TAIL_BUSY, TAIL_DIRTY };

/* May this run make the file as long as that? */
static enum tail judge_tail(const struct seal *seal, const struct holder *holder, uint64_t end)
{
    uint64_t from, to;
    if (tail_is_anothers(seal, holder))
        return TAIL_TAKEN;
    if (seal->zeroing)
        return TAIL_DIRTY;
    if (tail_is_own(seal, holder) || !dirty_part(seal, holder, end, &from, &to))
        return TAIL_FREE;
    return seal->writes ? TAIL_BUSY : TAIL_DIRTY;
}

static void start_zeroing(struct engine *e, struct seal *seal, uint64_t end)
{
    uint64_t from, to;
    if (seal->zeroing || !dirty_part(seal, NULL, end, &from, &to))
        return;
    seal->zeroing = true;
    seal->zero_to = to;
    struct engine_effect *effect = effect_push(e, ENGINE_DO_STEP, &seal->key);
    effect->step.step = ENGINE_STEP_ZERO;
    effect->step.kind = seal->kind;
    effect->step.offset = from;
    effect->step.length = to - from;
    trace(e, "step", seal, 0, "\"step\":\"zero\",\"offset\":%llu,\"length\":%llu",
          (unsigned long long)from, (unsigned long long)(to - from));
}

/* Not before the journal has it that the file was cut there: after a crash it would be as long as
 * it was, and zeros in it. It is answered, or goes on when there are zeros. */
static void await_zeros(struct engine *e, struct seal *seal, uint64_t end, struct engine_call *call,
                        struct engine_call **calls,
                        void (*again)(struct engine *e, struct engine_call *call))
{
    if (seal->cut_ticket <= e->committed) {
        LL_APPEND(*calls, call);
        start_zeroing(e, seal, end);
    } else if (e->failing) {
        answer(e, call, ENGINE_TRY_LATER, "the journal cannot be written just now");
    } else {
        answer_after(e, call, seal->cut_ticket);
        call->again = again;
    }
}

static void rerun(struct engine *e, struct engine_call **calls,
                  void (*again)(struct engine *e, struct engine_call *call))
{
    struct engine_call *next = *calls;
    *calls = NULL;
    while (next) {
        struct engine_call *call = next;
        next = call->next;
        again(e, call);
    }
}

static void get_again(struct engine *e, struct engine_call *call)
{
    layoutget(e, container_of(call, struct engine_layoutget, call));
}

static void room_again(struct engine *e, struct engine_call *call)
{
    growing_room(e, container_of(call, struct engine_room, call));
}

static void resize_again(struct engine *e, struct engine_call *call)
{
    growing_resize(e, container_of(call, struct engine_resize, call));
}

void growing_zero_done(struct engine *e, struct seal *seal, const struct engine_event *event)
{
    const char *why = "the blocks past the end of the file could not be zeroed";
    if (!seal->zeroing)
        return;
    seal->zeroing = false;
    if (event->step.error) {
        answer_all(e, &seal->tail_calls, ENGINE_TRY_LATER, why);
        answer_all(e, &seal->room_calls, ENGINE_TRY_LATER, why);
        answer_all(e, &seal->size_calls, ENGINE_TRY_LATER, why);
    } else {
        e->counters.zeroed += seal->zero_to - seal->dirty_start;
        seal->dirty_start = seal->zero_to;
    }
    rerun(e, &seal->tail_calls, get_again);
    rerun(e, &seal->room_calls, room_again);
    rerun(e, &seal->size_calls, resize_again);
    growing_idle(e, seal);
    release_drive(e, seal);
}

void growing_looked(struct engine *e, struct seal *seal)
{
    const char *why = "its map was not seen since the start";
    if (!seal->map_seen && !seal->broken) {
        answer_all(e, &seal->room_calls, ENGINE_TRY_LATER, why);
        answer_all(e, &seal->size_calls, ENGINE_TRY_LATER, why);
    }
    rerun(e, &seal->room_calls, room_again);
    rerun(e, &seal->size_calls, resize_again);
}

/* ---- grants */

static struct seal_map *prefix(struct engine *e, struct seal *seal, struct engine_layoutget *get)
{
    struct seal_map *map;
    if (map_prefix(seal->map, tail_start(seal), &map) == 0)
        return map;
    answer(e, &get->call, ENGINE_TRY_LATER, "out of memory");
    return NULL;
}

/* A seal that came by policy gives way: to a larger one, or to whoever else writes to the end. Not
 * in this event, in which others may have been given a layout: they are to hear of that first. */
static void give_way(struct engine *e, struct seal *seal, struct engine_layoutget *get,
                     const char *why)
{
    if (!seal->at_rest) {
        answer(e, &get->call, ENGINE_UNAVAILABLE, "%s", why);
        return;
    }
    trace(e, "gives-way", seal, get->client_id, "%s", "");
    seal->gives_way = true;
    seal_plan(e, seal, e->now);
    answer(e, &get->call, ENGINE_TRY_LATER, "%s", why);
}

/* After a restart it is the one to be suspected, so that is on record first. */
static struct seal_map *tail_for(struct engine *e, struct seal *seal, const struct holder *holder,
                                 struct engine_layoutget *get)
{
    bool pending = seal->tail_ticket > e->committed;
    if (seal->tail == growing_name(holder) && !pending)
        return map_ref(seal->map);
    if (pending || e->failing) {
        answer(e, &get->call, ENGINE_TRY_LATER, "the end of the file is being given to somebody");
        return NULL;
    }
    seal->tail = growing_name(holder);
    overlay_record(e, seal, &seal->tail_ticket);
    answer_after(e, &get->call, seal->tail_ticket);
    get->call.again = get_again;
    return NULL;
}

struct seal_map *growing_map(struct engine *e, struct seal *seal, const struct holder *holder,
                             struct engine_layoutget *get)
{
    const struct layout_request *want = &get->want;
    uint64_t least = want->minlength ? want->minlength : 1;
    uint64_t need = range_end(want->offset, least);
    if (!seal->reserve || want->iomode != LAYOUTIOMODE4_RW)
        return map_ref(seal->map);
    if (get->type == LAYOUT_TYPE_LOCAL || type_way(type_find(e, get->type)) == JOURNAL_WAY_MEMORY) {
        answer(e, &get->call, ENGINE_UNAVAILABLE,
               "a growing file is written to by block and SCSI layouts only");
        return NULL;
    }
    if (need > seal->reserve && seal->at_rest && need > get->reserve) {
        answer(e, &get->call, ENGINE_UNAVAILABLE, "so long a reserve is not made for a layout");
        return NULL;
    }
    if (need > seal->reserve && seal->at_rest) {
        e->counters.growths++;
        seal->next_reserve = get->reserve;
        seal->next_least = need;
        give_way(e, seal, get, "the reserve is used up, and a larger one is made");
        return NULL;
    }
    enum tail tail = judge_tail(seal, holder, seal->reserve);
    if (tail == TAIL_FREE && seal->writes) /* some of them may be past the size, and another's */
        tail = TAIL_BUSY;
    switch (tail) {
    case TAIL_FREE:
        return tail_for(e, seal, holder, get);
    case TAIL_TAKEN:
        if (need <= tail_start(seal))
            return prefix(e, seal, get);
        give_way(e, seal, get, TAIL_TAKEN_TEXT);
        return NULL;
    case TAIL_BUSY:
        if (need <= tail_start(seal))
            return prefix(e, seal, get);
        answer(e, &get->call, ENGINE_TRY_LATER, "the server is writing to the end of the file");
        return NULL;
    case TAIL_DIRTY:
        if (need <= tail_start(seal))
            return prefix(e, seal, get);
        await_zeros(e, seal, seal->reserve, &get->call, &seal->tail_calls, get_again);
        return NULL;
    }
    return NULL;
}

/* Who gave its layout back has committed what it wants to keep. What it had before a restart it
 * has not given back: of that something may come yet. */
void growing_ended(struct seal *seal, const struct grant *grant, enum engine_end how)
{
    bool returned = how == ENGINE_END_RETURNED || how == ENGINE_END_RETURNED_BULK;
    uint64_t name = growing_name(grant->holder);
    if (!seal->reserve || !seal->map)
        return;
    if (!returned && reaches_past(seal, grant))
        make_dirty(seal, seal->size, seal->reserve, name);
    else if (returned && seal->dirty_by == name && !tail_is_anothers(seal, NULL))
        seal->dirty_end = 0;
}

static bool somebody_writes(const struct seal *seal)
{
    const struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        if (grant->stale || (!grant->closed && ranges_writable(&grant->ranges, 0, UINT64_MAX)))
            return true;
    }
    return seal_maybes(seal) || seal->tail_calls || growing_is_busy(seal);
}

/* Haunted or not: to release it would fence whoever may still be there, and nobody asked for it. */
void growing_idle(struct engine *e, struct seal *seal)
{
    if (!seal->reserve || !seal->at_rest || seal->state != ENGINE_SEALED || somebody_writes(seal)) {
        seal->linger_at = 0;
        return;
    }
    if (seal->linger_at) /* who comes and goes to read does not move it on */
        return;
    seal->linger_at = e->now + e->options.growing_linger;
    seal_plan(e, seal, 0);
}

/* A layout stays good over closes: when no client that has one to write by has the file open it is
 * time to ask for them back. */
void growing_writer(struct engine *e, const struct engine_event *event)
{
    struct seal *seal = seal_find(e, &event->writer.key);
    const struct holder *holder = holder_find(e, event->writer.client_id);
    struct grant *grant;
    if (!seal || !seal->reserve || !holder)
        return;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        if (grant->holder == holder)
            grant->closed = !event->writer.writes;
    }
    growing_idle(e, seal);
}

void growing_idle_volume(struct engine *e, const struct volume *volume)
{
    if (!e->tally.growing) /* the usual case, and every client of before asks */
        return;
    for (struct seal *seal = e->seals; seal; seal = seal->hh.next) {
        if (seal->volume == volume && seal->reserve)
            growing_idle(e, seal);
    }
}

void growing_timer(struct engine *e, struct seal *seal)
{
    if (!seal->gives_way && (!seal->linger_at || seal->linger_at > e->now))
        return;
    const bool ends = seal->state == ENGINE_SEALED && !seal->broken;
    if (ends && !effect_has_room(e)) {
        seal->linger_at = e->now + e->options.recall_pause;
        return;
    }
    seal->linger_at = 0;
    seal->gives_way = false;
    if (ends)
        release_start(e, seal);
}

/*
 * The size on record may be an older one, and what was committed since would be cut off. So the
 * file keeps its reserve, which reads as zeros: never less than there was.
 */
bool growing_distrust(struct engine *e, const uint8_t *fs_uuid)
{
    uint64_t ticket;
    for (struct seal *seal = e->seals; seal; seal = seal->hh.next) {
        if (!seal->reserve || seal->state == ENGINE_SEALING ||
            memcmp(seal->key.data, fs_uuid, FILE_KEY_UUID_SIZE) != 0)
            continue;
        if (!effect_has_room(e))
            return false;
        seal->size = seal->reserve;
        overlay_record(e, seal, &ticket);
        overlay_push(e, seal);
    }
    return true;
}

/* ---- the server's own writes, and SETATTR */

bool growing_is_busy(const struct seal *seal)
{
    return seal->writes || seal->zeroing;
}

/* False: answered, or it waits until the file was looked at: its map is of before the start. */
static bool is_open_to_change(struct engine *e, struct seal *seal, struct engine_call *call,
                              bool resize)
{
    if (!seal || !seal->reserve || !seal->map || seal->state != ENGINE_SEALED || seal->broken) {
        answer(e, call, ENGINE_RECALL_CONFLICT, "the seal is being released");
        return false;
    }
    if (seal->map_seen)
        return true;
    if (resize)
        LL_APPEND(seal->size_calls, call);
    else
        LL_APPEND(seal->room_calls, call);
    watch_start(e, seal);
    return false;
}

/* The size on record may be an older one: then what lies past it was committed, and what is set now
 * is not what stays (growing_distrust). */
static bool size_is_doubted(struct engine *e, const struct seal *seal, struct engine_call *call)
{
    if (!doubt_is_about(e, &seal->key))
        return false;
    answer(e, call, ENGINE_RECALL_CONFLICT, "%s", ENGINE_DOUBT_TEXT);
    return true;
}

/* False: answered, or it waits in calls. */
static bool may_make_longer(struct engine *e, struct seal *seal, uint64_t client_id, uint64_t end,
                            struct engine_call *call, struct engine_call **calls,
                            void (*again)(struct engine *e, struct engine_call *call))
{
    switch (judge_tail(seal, holder_find(e, client_id), end)) {
    case TAIL_FREE:
        return true;
    case TAIL_TAKEN:
        answer(e, call, ENGINE_RECALL_CONFLICT, TAIL_TAKEN_TEXT);
        return false;
    case TAIL_BUSY:
        answer(e, call, ENGINE_TRY_LATER, "the server is writing to the end of the file");
        return false;
    case TAIL_DIRTY:
        await_zeros(e, seal, end, call, calls, again);
        return false;
    }
    return false;
}

/*
 * Who has the end writes whole blocks of it: what the server wrote into the block that the file
 * ends in would be written over by what that client has read of it. It is recalled first.
 */
static bool is_in_anothers_block(const struct engine *e, const struct seal *seal,
                                 const struct engine_room *call)
{
    return call->end > tail_start(seal) && call->end <= seal->size &&
           tail_is_anothers(seal, holder_find(e, call->client_id));
}

/*
 * After a restart what lies past the end counts as left there by the run on record, which is shown
 * it if it makes the file longer: it is its own. So nobody is on record before the server writes
 * there for another. False: answered, or it waits for the record.
 */
static bool tail_is_given_up(struct engine *e, struct seal *seal, struct engine_room *call)
{
    const struct holder *holder = holder_find(e, call->client_id);
    bool named = seal->tail && !(holder && seal->tail == growing_name(holder));
    bool pending = seal->tail_ticket > e->committed; /* who waits for that comes first */
    if (!named && !pending)
        return true;
    if (e->failing) {
        answer(e, &call->call, ENGINE_TRY_LATER, "the journal cannot be written just now");
        return false;
    }
    if (!pending) {
        seal->tail = 0;
        overlay_record(e, seal, &seal->tail_ticket);
    }
    answer_after(e, &call->call, seal->tail_ticket);
    call->call.again = room_again;
    return false;
}

static bool has_room_past_end(struct engine *e, struct seal *seal, struct engine_room *call)
{
    return !size_is_doubted(e, seal, &call->call) &&
           may_make_longer(e, seal, call->client_id, call->end, &call->call, &seal->room_calls,
                           room_again) &&
           tail_is_given_up(e, seal, call);
}

void growing_room(struct engine *e, struct engine_room *call)
{
    struct seal *seal = seal_find(e, &call->key);
    call->call.next = NULL;
    if (!is_open_to_change(e, seal, &call->call, false))
        return;
    if (call->end > seal->reserve)
        answer(e, &call->call, ENGINE_RECALL_CONFLICT, "it would reach past the reserve");
    else if (is_in_anothers_block(e, seal, call))
        answer(e, &call->call, ENGINE_RECALL_CONFLICT, TAIL_TAKEN_TEXT);
    else if (call->end <= seal->size || has_room_past_end(e, seal, call)) {
        seal->writes++;
        seal->linger_at = 0;
        answer(e, &call->call, ENGINE_OK, "%s", "");
    }
}

void growing_wrote(struct engine *e, struct seal *seal, struct engine_wrote *call)
{
    const struct holder *holder = holder_find(e, call->client_id);
    uint64_t by = tail_is_own(seal, holder) ? growing_name(holder) : 0;
    uint64_t size = call->end > seal->size ? call->end : seal->size;
    if (seal->writes)
        seal->writes--;
    if (!call->end) { /* some of it may be there */
        make_dirty(seal, seal->size, call->room, by);
        answer(e, &call->call, ENGINE_OK, "%s", "");
    } else if (!overlay_move(e, seal, &call->call, size, call->mtime_ns, call->mtime_ns)) {
        make_dirty(seal, seal->size, size, by);
    }
    growing_idle(e, seal);
    release_drive(e, seal);
}

static bool somebody_may_write(const struct seal *seal)
{
    const struct grant *grant;
    DL_FOREACH2(seal->grants, grant, seal_next)
    {
        if (ranges_writable(&grant->ranges, 0, UINT64_MAX))
            return true;
    }
    return seal_maybes(seal);
}

void growing_resize(struct engine *e, struct engine_resize *call)
{
    struct seal *seal = seal_find(e, &call->key);
    uint64_t was = seal ? seal->size : 0;
    call->call.next = NULL;
    if (!is_open_to_change(e, seal, &call->call, true) || size_is_doubted(e, seal, &call->call))
        return;
    if (call->size > seal->reserve || (call->size < was && somebody_may_write(seal))) {
        answer(e, &call->call, ENGINE_RECALL_CONFLICT,
               call->size > was ? "it would reach past the reserve" : "a client may write to it");
        return;
    }
    if (call->size < was && growing_is_busy(seal)) { /* which is soon over */
        answer(e, &call->call, ENGINE_TRY_LATER, "the server is writing to it");
        return;
    }
    if (call->size > was && !may_make_longer(e, seal, call->client_id, call->size, &call->call,
                                             &seal->size_calls, resize_again))
        return;
    if (call->size < was)
        seal->tail = 0; /* what is cut off is nobody's any more */
    if (overlay_move(e, seal, &call->call, call->size, call->mtime_ns, call->mtime_ns) &&
        call->size < was) {
        make_dirty(seal, call->size, was, 0);
        seal->cut_ticket = call->call.due;
    }
    seal->linger_at = 0;
    growing_idle(e, seal);
}

/*
 * A client whose server restarted under its LAYOUTCOMMIT sends it again, with a stateid of before.
 * Linux takes a refusal for success, so that what was written would be lost without a word. It is
 * taken for as long as what the run may have written is there.
 */
bool growing_takes_late(const struct seal *seal, const struct holder *holder)
{
    const struct reach *reach =
        seal->volume ? reach_find(holder, seal->volume, JOURNAL_WAY_DISK) : NULL;
    return seal->reserve && seal->map && seal->of_before && reach && reach->maybe &&
           seal->state != ENGINE_RELEASING && !seal->zeroing && !tail_is_granted(seal, holder) &&
           growing_name(holder) == seal->tail;
}

void growing_forget(struct engine *e, struct seal *seal, const char *why)
{
    answer_all(e, &seal->tail_calls, ENGINE_TRY_LATER, why);
    answer_all(e, &seal->room_calls, ENGINE_RECALL_CONFLICT, why);
    answer_all(e, &seal->size_calls, ENGINE_RECALL_CONFLICT, why);
}
