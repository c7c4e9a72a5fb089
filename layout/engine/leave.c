/*
 * leave.c - a return is asked about before it is believed.
 *
 * RFC 8881 section 18.44.3 forbids a client to use what it has returned. Linux (fs/nfs, 6.1 to 7.3)
 * returns and still has the blocks: they are in a tree beside its layout segments, and it takes
 * them out when it returns a layout of all iomodes by itself (SETATTR of the size, the end of the
 * inode), and when a recall finds that no segment is left (NOMATCHING_LAYOUT). It does not when it
 * returns what was in use as it was recalled, nor after an error, nor with a CLOSE (return on
 * close). What is in the tree goes before what it is told later. So after the next LAYOUTGET of the
 * same file it would read and write where its blocks had been, which are another file's by then.
 *
 * So who returned like that is recalled once more, and until it says that it has none it has not
 * returned: no layout is given to it, and the seal stays. Its stateid lives on meanwhile, since a
 * recall is pending (section 18.44.3). Who cannot be asked, or does not answer until the time of a
 * recall is over, has returned all the same, since nothing is left that could be fenced for; but it
 * is given no layout of the file any more as long as it does not start anew, and does no harm by
 * what it still has. Nor is who was fenced for it: its errors empty no tree.
 */
#include <stdlib.h>

#include <utlist.h>

#include "layout/engine/private.h"

enum { KEPT_MAX = 64 };

bool leave_keeps(const struct holder *holder, const struct file_key *key)
{
    const struct kept_file *kept = holder->kept;
    while (kept && !file_key_equal(&kept->key, key))
        kept = kept->next;
    return kept || holder->kept_any;
}

void leave_forget(struct holder *holder)
{
    struct kept_file *kept, *next;
    LL_FOREACH_SAFE(holder->kept, kept, next)
    free(kept);
    holder->kept = NULL;
    holder->kept_count = 0;
    holder->kept_any = false;
}

void leave_note_kept(struct holder *holder, const struct file_key *key)
{
    struct kept_file *kept;
    if (leave_keeps(holder, key))
        return;
    kept = holder->kept_count < KEPT_MAX ? malloc(sizeof *kept) : NULL;
    if (!kept) {
        holder->kept_any = true;
        return;
    }
    kept->key = *key;
    LL_PREPEND(holder->kept, kept);
    holder->kept_count++;
}

static void believe(struct engine *e, struct grant *grant)
{
    trace(e, "return-believed", grant->seal, grant->holder->client_id, "%s", "");
    leave_note_kept(grant->holder, &grant->seal->key);
    grant_end(e, grant, ENGINE_END_RETURNED);
}

static bool is_cleared_by_itself(const struct grant *grant, layoutiomode4 iomode)
{
    return grant->recall.phase == RECALL_NONE && iomode == LAYOUTIOMODE4_ANY;
}

bool leave_is_asked_about(const struct grant *grant, layoutiomode4 iomode)
{
    return grant->reach->way == JOURNAL_WAY_DISK && !holder_is_local(grant->holder) &&
           !is_cleared_by_itself(grant, iomode);
}

static void ask(struct grant *grant)
{
    grant->seqid = seqid_next(grant->seqid);
    grant->recall = (struct recall){.phase = RECALL_DUE, .seqid = grant->seqid};
    grant->asked = true;
}

/* The return counts as a step of the stateid, and so does the recall after it. False: there is no
 * way to ask, and the grant is gone. */
bool leave_begin(struct engine *e, struct grant *grant, stateid4 *stateid)
{
    const bool under_way = grant->recall.phase == RECALL_SENT;
    if (!grant->holder->callable) {
        believe(e, grant);
        return false;
    }
    grant->seqid = seqid_next(grant->seqid);
    grant_stateid(e, grant, grant->seqid, stateid);
    if (!grant->leaving_until)
        grant->leaving_until = e->now + e->options.recall_timeout;
    grant->asked = false;
    if (!under_way)
        ask(grant);
    seal_plan(e, grant->seal, sooner(grant->seal->wake, grant->leaving_until));
    return true;
}

/* When each is to be asked again, or believed. */
uint64_t leave_drive(struct engine *e, struct seal *seal)
{
    struct grant *grant, *next;
    uint64_t wake = 0;
    DL_FOREACH_SAFE2(seal->grants, grant, next, seal_next)
    {
        if (!grant->leaving_until)
            continue;
        if (grant->leaving_until <= e->now) {
            believe(e, grant);
            continue;
        }
        recall_drive(e, grant);
        wake = sooner(wake, grant->leaving_until);
        if (grant->recall.phase == RECALL_PAUSED)
            wake = sooner(wake, grant->recall.at);
    }
    return wake;
}

void leave_answered(struct engine *e, const struct engine_event *event, struct grant *grant)
{
    struct seal *seal = grant->seal;
    struct recall *recall = &grant->recall;
    const bool answered = event->recall.outcome == ENGINE_RECALL_ANSWERED;
    if (answered && event->recall.status == NFS4ERR_NOMATCHING_LAYOUT) {
        grant_end(e, grant, ENGINE_END_RETURNED);
        return;
    }
    if (event->recall.outcome == ENGINE_RECALL_NO_CHANNEL) {
        grant->holder->callable = false;
        believe(e, grant);
        return;
    }
    if (!grant->asked) { /* of the recall that it returned for, which it overtook */
        ask(grant);
        recall_drive(e, grant);
        return;
    }
    if (answered && event->recall.status == NFS4_OK) {
        recall->phase = RECALL_KNOWN; /* it returns something again */
        recall->at = UINT64_MAX;
        return;
    }
    if (answered && event->recall.status == NFS4ERR_OLD_STATEID) /* of one whose answer was lost */
        ask(grant);
    recall->phase = RECALL_PAUSED;
    recall->at = e->now + e->options.recall_pause;
    seal_plan(e, seal, sooner(seal->wake, recall->at));
}

/* The client id is gone, and all that the client had with it: it drops its inodes' layouts with the
 * trees (pnfs_destroy_all_layouts). */
void leave_end_all(struct engine *e, struct holder *holder)
{
    struct grant *grant, *next;
    DL_FOREACH_SAFE2(holder->grants, grant, next, holder_next)
    {
        if (grant->leaving_until)
            grant_end(e, grant, ENGINE_END_RETURNED);
    }
    leave_forget(holder);
}
