/*
 * Grants: LAYOUTGET and LAYOUTRETURN (RFC 8881 sections 18.43, 18.44) and the layout stateid
 * (12.5.3).
 *
 * A sealed map never changes, so no two grants conflict: a LAYOUTGET looks at the seal's state and
 * kind and at nobody else's grants. One stateid per holder, seal and type; its seqid moves with
 * every LAYOUTGET, LAYOUTRETURN and recall.
 */
#include "layout/engine/private.h"

const struct layout_type *type_find(const struct engine *e, layouttype4 number)
{
    for (const struct layout_type *const *type = e->options.types; *type; type++) {
        if ((*type)->number == number)
            return *type;
    }
    return NULL;
}

enum journal_way type_way(const struct layout_type *type)
{
    return type && type->fence == LAYOUT_FENCE_DEREGISTER ? JOURNAL_WAY_MEMORY : JOURNAL_WAY_DISK;
}

bool range_is_sane(uint64_t offset, uint64_t length)
{
    return length == NFS4_UINT64_MAX || length <= NFS4_UINT64_MAX - offset;
}

struct grant *grant_find(const struct engine *e, const struct seal *seal,
                         const struct holder *holder, layouttype4 type)
{
    struct grant_key key = {.seal = seal->serial, .holder = holder->serial, .type = type};
    return grant_of_key(e, &key);
}

/* other: 'L', 24 bits of the boot, 64 of the serial number. */
void grant_stateid(const struct engine *e, const struct grant *grant, uint32_t seqid, stateid4 *out)
{
    out->seqid = seqid;
    out->other[0] = ENGINE_STATEID_KIND;
    for (unsigned i = 0; i < 3; i++)
        out->other[1 + i] = (uint8_t)(e->options.boot >> (16 - 8 * i));
    for (unsigned i = 0; i < 8; i++)
        out->other[4 + i] = (uint8_t)(grant->serial >> (56 - 8 * i));
}

static uint64_t serial_of(const stateid4 *stateid)
{
    uint64_t serial = 0;
    for (unsigned i = 0; i < 8; i++)
        serial = serial << 8 | stateid->other[4 + i];
    return serial;
}

enum engine_result grant_check_stateid(const struct engine *e, const struct grant *grant,
                                       const stateid4 *stateid)
{
    stateid4 now;
    if (!grant || stateid->seqid == 0)
        return ENGINE_BAD_STATEID;
    grant_stateid(e, grant, grant->seqid, &now);
    if (memcmp(now.other, stateid->other, sizeof now.other) != 0 ||
        !seqid_is_upto(stateid->seqid, grant->seqid))
        return ENGINE_BAD_STATEID;
    return grant->seqid - stateid->seqid > STATEID_LAG_MAX ? ENGINE_OLD_STATEID : ENGINE_OK;
}

static struct grant *grant_make(struct engine *e, struct seal *seal, struct reach *reach,
                                layouttype4 type)
{
    struct holder *holder = reach->holder;
    struct grant *grant = calloc(1, sizeof *grant);
    if (!grant)
        return NULL;
    grant->key = (struct grant_key){.seal = seal->serial, .holder = holder->serial, .type = type};
    grant->serial = ++e->next_serial;
    if (grant_table_add(e, grant)) {
        free(grant);
        return NULL;
    }
    grant->seal = seal;
    grant->holder = holder;
    grant->reach = reach;
    DL_APPEND2(seal->grants, grant, seal_prev, seal_next);
    DL_APPEND2(holder->grants, grant, holder_prev, holder_next);
    seal->grant_count++;
    at_rest_busy(e, seal);
    holder->grant_count++;
    e->grant_count++;
    reach_gained(reach);
    return grant;
}

/* One that is lost for want of memory is made up for at the seal's release, when nobody holds any
 * of it. */
static void tell_let_go(struct engine *e, const struct grant *grant, bool writing_only)
{
    if (grant->reach->way != JOURNAL_WAY_MEMORY || !effect_has_room(e))
        return;
    struct engine_effect *effect = effect_push(e, ENGINE_DO_LET_GO, &grant->seal->key);
    effect->let_go.owner = grant->holder->owner->bytes;
    effect->let_go.owner_len = grant->holder->owner->len;
    effect->let_go.verifier = grant->holder->verifier;
    effect->let_go.writing_only = writing_only;
}

static bool may_write(const struct grant *grant)
{
    return ranges_writable(&grant->ranges, 0, UINT64_MAX) != NULL;
}

static void grant_drop(struct engine *e, struct grant *grant)
{
    struct seal *seal = grant->seal;
    tell_let_go(e, grant, false);
    if (grant->stale) {
        e->stale_count--;
        grant->holder->stale_count--;
        grant->reach->stale_count--;
    } else
        grant_table_remove(e, grant);
    walks_leave_grant(e, grant);
    DL_DELETE2(grant->seal->grants, grant, seal_prev, seal_next);
    DL_DELETE2(grant->holder->grants, grant, holder_prev, holder_next);
    grant->seal->grant_count--;
    at_rest_idle(e, grant->seal);
    grant->holder->grant_count--;
    e->grant_count--;
    ask_heeded(grant->holder);
    reach_lost(e, grant->reach);
    ranges_free(&grant->ranges);
    free(grant->referrals);
    free(grant);
    growing_idle(e, seal);
}

void grant_end(struct engine *e, struct grant *grant, enum engine_end how)
{
    struct seal *seal = grant->seal;
    if (!end_is_proven(grant, how)) {
        e->counters.records_kept++;
        alarm_push(
            e, seal,
            "%s: a layout of client %s was to end (%s) although that does not prove that it "
            "cannot be used any more; it is kept; this is a fault in sealnfsd, please report "
            "it",
            seal->path, grant->holder->address, end_name(how));
        return;
    }
    if (grant->recalled_at)
        note_time(&e->counters.recall_times, e->now - grant->recalled_at);
    trace(e, "grant-ended", seal, grant->holder->last_client_id, "\"how\":\"%s\"", end_name(how));
    growing_ended(seal, grant, how);
    if (how == ENGINE_END_FENCED && grant->reach->way == JOURNAL_WAY_DISK &&
        !holder_is_local(grant->holder))
        leave_note_kept(grant->holder, &seal->key);
    /* Whoever has a stateid that lives is told to commit before he returns (RFC 8881 12.5.4). */
    if ((grant->stale || how == ENGINE_END_FENCED) && may_write(grant))
        seal->lost_writer = true;
    grant_drop(e, grant);
    release_check(e, seal);
}

void grant_make_stale(struct engine *e, struct grant *grant)
{
    if (grant->stale)
        return;
    grant_table_remove(e, grant);
    grant->stale = true;
    grant->recall = (struct recall){0};
    e->stale_count++;
    grant->holder->stale_count++;
    grant->reach->stale_count++;
}

/* Room for one more; most grants need one, so they do not carry ENGINE_REFERRALS of them. */
static bool make_referral(struct grant *grant)
{
    uint32_t count = grant->referral_count + 1;
    if (count > ENGINE_REFERRALS)
        return false;
    struct engine_referral *more = realloc(grant->referrals, count * sizeof(*more));
    if (!more)
        return false;
    grant->referrals = more;
    grant->referral_count = count;
    return true;
}

/*
 * The LAYOUTGETs whose replies may still be under way. One that came later on the same slot says
 * that the client has the reply to the earlier one (RFC 8881 section 2.10.6.1). With more slots
 * than there is room for, one may be under way that no recall names.
 */
static void note_referral(struct grant *grant, const struct engine_referral *referral)
{
    uint32_t i = 0;
    while (i < grant->referral_count &&
           (grant->referrals[i].slot != referral->slot ||
            memcmp(grant->referrals[i].session, referral->session, sizeof referral->session) != 0))
        i++;
    if (i == grant->referral_count && !make_referral(grant)) {
        grant->unnamed = true;
        if (i == 0)
            return;
        i--;
    }
    memmove(&grant->referrals[1], &grant->referrals[0], i * sizeof grant->referrals[0]);
    grant->referrals[0] = *referral;
}

/* A fence that failed and that no release needs any more is over. */
static bool fence_is_in_the_way(struct reach *reach)
{
    if (reach->fence == FENCE_NONE)
        return false;
    if (reach->fence == FENCE_RUNNING || reach->fence == FENCE_RECORDING)
        return true;
    if (reach->maybe) /* a local program that resumes asks again for what it has */
        return !holder_is_local(reach->holder);
    const struct grant *grant;
    DL_FOREACH2(reach->holder->grants, grant, holder_next)
    {
        if (grant->reach == reach && grant->seal->release_wanted)
            return true;
    }
    reach->fence = FENCE_NONE;
    return false;
}

/* Told that its stateid is bad, a client forgets the layout without waiting for its I/O (Linux). */
void grant_is_shaken(struct grant *grant)
{
    if (grant)
        grant->shaken = true;
}

static bool request_is_sane(struct engine *e, struct engine_layoutget *get)
{
    const struct layout_request *want = &get->want;
    if (!type_find(e, get->type))
        answer(e, &get->call, ENGINE_UNKNOWN_TYPE, "layout type %u is not offered",
               (unsigned)get->type);
    else if (want->iomode != LAYOUTIOMODE4_READ && want->iomode != LAYOUTIOMODE4_RW)
        answer(e, &get->call, ENGINE_BAD_IOMODE, "iomode %u", (unsigned)want->iomode);
    else if (want->length < want->minlength || !range_is_sane(want->offset, want->length) ||
             !range_is_sane(want->offset, want->minlength))
        answer(e, &get->call, ENGINE_INVALID, "the range asked for makes no sense");
    else
        return true;
    return false;
}

static struct holder *eligible_holder(struct engine *e, struct engine_layoutget *get)
{
    struct holder *holder = holder_find(e, get->client_id);
    if (!holder)
        answer(e, &get->call, ENGINE_UNAVAILABLE, "the client is not known to the layout engine");
    else if (holder->fenced)
        answer(e, &get->call, ENGINE_UNAVAILABLE,
               "the client was fenced; it gets layouts again when it has mounted anew");
    else if (holder_is_local(holder) != (get->type == LAYOUT_TYPE_LOCAL))
        answer(e, &get->call, ENGINE_UNKNOWN_TYPE, "this layout type is not for this holder");
    else if (holder_is_local(holder)) /* asked again what it holds before it can be recalled from */
        return holder;
    else if (!holder
                  ->callable) /* a new channel is tried within milliseconds of its CREATE_SESSION */
        answer(e, &get->call, ENGINE_TRY_LATER,
               "the client's callback channel has not answered yet");
    else if (bulk_is_pending(e, holder))
        answer(e, &get->call, ENGINE_RECALL_CONFLICT,
               "what the client held before is being recalled");
    else
        return holder;
    return NULL;
}

static void seal_at_rest(struct engine *e, struct engine_layoutget *get)
{
    bool write = get->want.iomode == LAYOUTIOMODE4_RW;
    uint64_t least = range_end(get->want.offset, get->want.minlength);
    struct engine_seal request = {.key = get->key,
                                  .path = get->path,
                                  .kind = write ? SEAL_KIND_PINNED : SEAL_KIND_FROZEN,
                                  .sparse = !write,
                                  .fill = write,
                                  .reserve = write ? get->reserve : 0,
                                  .at_rest = true};
    struct seal *seal;
    if (get->has_stateid)
        answer(e, &get->call, ENGINE_BAD_STATEID, "no layout is held");
    else if (!get->may_seal && !request.reserve)
        answer(e, &get->call, ENGINE_UNAVAILABLE, "the file is not sealed: sealctl seal");
    else if (write && !request.reserve)
        answer(e, &get->call, ENGINE_UNAVAILABLE, "a seal at rest gives layouts for reading only");
    else if (doubt_is_about(e, &get->key))
        answer(e, &get->call, ENGINE_UNAVAILABLE, "%s", ENGINE_DOUBT_TEXT);
    else if (!write && !at_rest_may_seal(e, get))
        return;
    else if (seal_start(e, &request, write ? least : get->min_size, &seal))
        answer(e, &get->call, ENGINE_TRY_LATER, "out of memory");
    else
        LL_APPEND(seal->get_calls, &get->call);
}

/*
 * The seal is being released, and gives no layouts meanwhile. That is a recall's conflict while the
 * recall takes its time, and for who has not returned. Once it is stuck nothing is to be waited for
 * but that somebody acts, so the others are told that there is none (RFC 8881 sections 15.1.10.4,
 * 18.43.3), and go on through the server: Linux repeats a LAYOUTGET that met a conflict for as long
 * as it does. A fence that is tried again does not make a conflict of it.
 */
static enum engine_result refusal_of(const struct engine *e, const struct seal *seal,
                                     const struct engine_layoutget *get)
{
    bool stuck = seal->state == ENGINE_STUCK_STATE || (seal->state == ENGINE_FENCING && seal->told);
    return !stuck || grant_find(e, seal, holder_find(e, get->client_id), get->type)
               ? ENGINE_RECALL_CONFLICT
               : ENGINE_UNAVAILABLE;
}

static bool seal_is_grantable(struct engine *e, struct seal *seal, struct engine_layoutget *get)
{
    if (seal->state == ENGINE_SEALING && !seal->undo && seal->at_rest &&
        (get->want.iomode == LAYOUTIOMODE4_READ || seal->reserve))
        LL_APPEND(seal->get_calls, &get->call);
    else if (seal->state == ENGINE_SEALING)
        answer(e, &get->call, ENGINE_TRY_LATER, "the file is being sealed");
    else if (seal->broken)
        answer(e, &get->call, ENGINE_UNAVAILABLE,
               "the seal was broken from outside: sealctl explain");
    else if (seal->state != ENGINE_SEALED)
        answer(e, &get->call, refusal_of(e, seal, get), "the seal is being released");
    else if (doubt_is_about(e, &seal->key))
        answer(e, &get->call, ENGINE_UNAVAILABLE, "%s", ENGINE_DOUBT_TEXT);
    else if (!seal->map || !seal->volume || !seal->volume->device)
        answer(e, &get->call, ENGINE_UNAVAILABLE,
               "the journal has lost the map or the device of this seal");
    else if (!volume_is_settled(seal->volume))
        answer(e, &get->call, ENGINE_UNAVAILABLE,
               "the volume under the file was changed (sealctl devices)");
    else if (get->want.iomode == LAYOUTIOMODE4_RW && seal->kind != SEAL_KIND_PINNED)
        answer(e, &get->call, ENGINE_UNAVAILABLE, "a frozen seal gives layouts for reading only");
    else if (watch_is_due(e, seal)) {
        LL_APPEND(seal->get_calls, &get->call);
        watch_start(e, seal);
    } else
        return true;
    return false;
}

static void refuse_encoding(struct engine *e, struct engine_layoutget *get, int err)
{
    switch (err) {
    case -EACCES:
        answer(e, &get->call, ENGINE_UNAVAILABLE, "the seal does not allow writing");
        return;
    case -ENXIO:
        answer(e, &get->call, get->want.minlength ? ENGINE_BAD_LAYOUT : ENGINE_TRY_LATER,
               "the range starts past the end of the file");
        return;
    case -ERANGE:
        answer(e, &get->call, ENGINE_BAD_LAYOUT,
               "the range reaches past the end of a file that cannot grow");
        return;
    case -EMSGSIZE:
        answer(e, &get->call, ENGINE_TOO_SMALL,
               "the layout does not fit in what the client can take");
        return;
    case -EAGAIN:
        answer(e, &get->call, ENGINE_NEEDS_MEMORY,
               "the file has to be registered for the client first");
        return;
    default:
        answer(e, &get->call, ENGINE_INVALID, "the request makes no sense");
        return;
    }
}

/* Who asks as one that has none, and may have thrown it away. What it returns from here on is what
 * it gets now. */
static bool was_forgotten(const struct grant *grant, const struct engine_layoutget *get)
{
    return grant->shaken && !get->has_stateid && grant->reach->way == JOURNAL_WAY_DISK &&
           !holder_is_local(grant->holder);
}

/* All is checked and on record: the grant itself. Nothing is given away unless all of it worked. */
static void give(struct engine *e, struct seal *seal, struct reach *reach,
                 struct engine_layoutget *get)
{
    struct holder *holder = reach->holder;
    const struct layout_type *type = type_find(e, get->type);
    struct layout_cover cover;
    const struct grant *had = grant_find(e, seal, holder, get->type);
    if (had && had->leaving_until) {
        answer(e, &get->call, ENGINE_TRY_LATER,
               "the client has yet to say that it has none of what it returned");
        return;
    }
    struct seal_map *map = growing_map(e, seal, holder, get);
    if (!map)
        return;
    int err = type->encode_grant(map, seal->volume->id, seal->kind == SEAL_KIND_PINNED, &get->want,
                                 get->body, get->body_room, &cover);
    map_free(map);
    if (err) {
        refuse_encoding(e, get, err);
        return;
    }
    struct grant *grant = grant_find(e, seal, holder, get->type);
    if (grant && was_forgotten(grant, get)) {
        haunt_begin(e, grant);
        grant = NULL;
    }
    bool is_new = !grant;
    if (is_new)
        grant = grant_make(e, seal, reach, get->type);
    uint32_t seqid = !grant || is_new ? 1 : seqid_next(grant->seqid);
    err = !grant ? -ENOMEM
                 : ranges_add(&grant->ranges, get->want.iomode, cover.offset,
                              range_end(cover.offset, cover.length), seqid);
    if (err) {
        if (grant && is_new)
            grant_drop(e, grant);
        answer(e, &get->call, ENGINE_TRY_LATER, "the server is out of room for the grant");
        return;
    }
    grant->seqid = seqid;
    if (get->referral.present)
        note_referral(grant, &get->referral);
    grant->place = get->place;
    grant_stateid(e, grant, seqid, &get->granted_stateid);
    get->cover = cover;
    trace(e, "grant", seal, holder->client_id,
          "\"iomode\":%u,\"offset\":%llu,\"length\":%llu,\"seqid\":%u", (unsigned)get->want.iomode,
          (unsigned long long)cover.offset, (unsigned long long)cover.length, seqid);
    answer(e, &get->call, ENGINE_OK, "%s", "");
    grant->closed = false;
    growing_idle(e, seal);
    if (is_new)
        ask_drive(e);
}

void layoutget(struct engine *e, struct engine_layoutget *get)
{
    get->call.next = NULL;
    if (!request_is_sane(e, get))
        return;
    struct seal *seal = seal_find(e, &get->key);
    struct holder *holder = holder_find(e, get->client_id);
    if (get->has_stateid && seal && holder) {
        struct grant *grant = grant_find(e, seal, holder, get->type);
        enum engine_result result = grant_check_stateid(e, grant, &get->stateid);
        if (result != ENGINE_OK) {
            grant_is_shaken(grant);
            answer(e, &get->call, result, "the layout stateid is not current");
            return;
        }
    }
    holder = eligible_holder(e, get);
    if (!holder)
        return;
    if (type_way(type_find(e, get->type)) == JOURNAL_WAY_DISK && leave_keeps(holder, &get->key)) {
        answer(e, &get->call, ENGINE_UNAVAILABLE,
               "the client was fenced for the file, or returned its layout and was not seen to "
               "forget it; it is given none before it has mounted anew");
        return;
    }
    if (!seal) {
        seal_at_rest(e, get);
        return;
    }
    if (!seal_is_grantable(e, seal, get))
        return;
    struct reach *reach = reach_make(holder, seal->volume, type_way(type_find(e, get->type)));
    if (!reach) {
        answer(e, &get->call, ENGINE_TRY_LATER, "out of memory");
    } else if (fence_is_in_the_way(reach)) {
        answer(e, &get->call, ENGINE_TRY_LATER, "the client is being fenced");
    } else if (reach->row == ROW_WRITTEN) {
        give(e, seal, reach, get);
    } else {
        LL_APPEND(reach->row_calls, &get->call);
        if (reach->row == ROW_NONE)
            reach_record(e, reach);
    }
}

static void return_file(struct engine *e, struct engine_layoutreturn *ret, struct holder *holder)
{
    struct seal *seal = seal_find(e, &ret->key);
    struct grant *grant = seal && holder ? grant_find(e, seal, holder, ret->type) : NULL;
    if (!range_is_sane(ret->offset, ret->length) || ret->length == 0) {
        answer(e, &ret->call, ENGINE_INVALID, "the range returned makes no sense");
        return;
    }
    enum engine_result result = grant_check_stateid(e, grant, &ret->stateid);
    if (result != ENGINE_OK) {
        grant_is_shaken(grant);
        answer(e, &ret->call, result, "the layout stateid is not current");
        return;
    }
    const bool could_write = may_write(grant);
    ranges_return(&grant->ranges, ret->iomode, ret->offset, range_end(ret->offset, ret->length),
                  ret->stateid.seqid);
    trace(e, "return", seal, holder->client_id,
          "\"iomode\":%u,\"offset\":%llu,\"length\":%llu,\"seqid\":%u", (unsigned)ret->iomode,
          (unsigned long long)ret->offset, (unsigned long long)ret->length, ret->stateid.seqid);
    ret->stateid_present = grant->ranges.count > 0;
    if (ret->stateid_present) {
        if (could_write && !may_write(grant)) {
            tell_let_go(e, grant, true);
            growing_idle(e, grant->seal);
        }
        grant->seqid = seqid_next(grant->seqid);
        grant_stateid(e, grant, grant->seqid, &ret->new_stateid);
    } else if (leave_is_asked_about(grant, ret->iomode)) {
        ret->stateid_present = leave_begin(e, grant, &ret->new_stateid);
        growing_idle(e, seal);
    } else {
        grant_end(e, grant, ENGINE_END_RETURNED);
    }
    answer(e, &ret->call, ENGINE_OK, "%s", "");
    if (ret->stateid_present)
        leave_drive(e, seal);
}

/* FSID and ALL: an empty set is no error (18.44.3). They name no stateid, so of what the client may
 * have lost they say nothing. */
static void return_bulk(struct engine *e, struct engine_layoutreturn *ret, struct holder *holder)
{
    struct grant *grant, *next;
    DL_FOREACH_SAFE2(holder->grants, grant, next, holder_next)
    {
        if (grant->stale || grant->key.type != ret->type)
            continue;
        if (ret->scope == LAYOUTRETURN4_FSID &&
            memcmp(grant->seal->key.data, ret->fs_uuid, FILE_KEY_UUID_SIZE) != 0)
            continue;
        if (!end_is_proven(grant, ENGINE_END_RETURNED_BULK))
            continue;
        const bool could_write = may_write(grant);
        ranges_drop(&grant->ranges, ret->iomode);
        if (grant->ranges.count == 0)
            grant_end(e, grant, ENGINE_END_RETURNED_BULK);
        else if (could_write && !may_write(grant)) {
            tell_let_go(e, grant, true);
            growing_idle(e, grant->seal);
        }
    }
    /* The answer to our bulk recall, which asked for all of it. */
    if (ret->scope == LAYOUTRETURN4_ALL && ret->iomode == LAYOUTIOMODE4_ANY &&
        holder->bulk.phase != RECALL_NONE &&
        type_way(type_find(e, ret->type)) == JOURNAL_WAY_MEMORY)
        holder_past_is_over(e, holder, JOURNAL_WAY_MEMORY, ENGINE_END_RETURNED_BULK);
    answer(e, &ret->call, ENGINE_OK, "%s", "");
}

void layoutreturn(struct engine *e, struct engine_layoutreturn *ret)
{
    ret->stateid_present = false;
    struct holder *holder = holder_find(e, ret->client_id);
    if (!type_find(e, ret->type)) {
        answer(e, &ret->call, ENGINE_UNKNOWN_TYPE, "layout type %u is not offered",
               (unsigned)ret->type);
        return;
    }
    if (ret->iomode != LAYOUTIOMODE4_READ && ret->iomode != LAYOUTIOMODE4_RW &&
        ret->iomode != LAYOUTIOMODE4_ANY) {
        answer(e, &ret->call, ENGINE_BAD_IOMODE, "iomode %u", (unsigned)ret->iomode);
        return;
    }
    if (ret->scope == LAYOUTRETURN4_FILE)
        return_file(e, ret, holder);
    else if (ret->scope != LAYOUTRETURN4_FSID && ret->scope != LAYOUTRETURN4_ALL)
        answer(e, &ret->call, ENGINE_INVALID, "unknown scope");
    else if (!holder)
        answer(e, &ret->call, ENGINE_OK, "%s", "");
    else
        return_bulk(e, ret, holder);
}

enum engine_result engine_test_stateid(const struct engine *e, uint64_t client_id,
                                       const stateid4 *stateid)
{
    const struct holder *holder = holder_find(e, client_id);
    const struct grant *grant = holder ? grant_of_serial(e, serial_of(stateid)) : NULL;
    if (!grant || grant->holder != holder)
        return ENGINE_BAD_STATEID;
    return grant_check_stateid(e, grant, stateid);
}
