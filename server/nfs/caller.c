/*
 * caller.c - who sent a compound, as far as that has to be looked up before an operation runs: the
 * user's groups, for an export that goes by them (manage_gids), and whether a name in `clients`
 * admits the address; see compound.h.
 */
#include <errno.h>

#include "layout/container_of.h"
#include "server/export/export.h"
#include "server/export/user_groups.h"
#include "server/nfs/compound.h"
#include "server/server.h"

static bool wants_groups(const struct compound *c)
{
    const struct op_entry *entry = &op_table[c->op];

    return !c->groups && entry->who == WHO_EXPORT &&
           (export_wants_groups(c->current.export, &c->cred) ||
            ((entry->needs & OP_NEEDS_SAVED_FH) && export_wants_groups(c->saved.export, &c->cred)));
}

static void on_groups(struct lookup_wait *wait)
{
    struct compound *c = container_of(wait, struct compound, wait);

    c->groups = wait->answer;
    c->groups_late = !wait->answer;
    compound_resume(c);
}

static enum caller take_list(struct compound *c)
{
    if (c->groups->result == LOOKUP_FAILED)
        return CALLER_LATER;
    c->cred.known = user_groups_list(c->groups);
    return CALLER_KNOWN;
}

enum caller caller_groups_get(struct compound *c)
{
    int rc;

    if (c->groups_late)
        return CALLER_LATER;
    if (c->groups && c->cred.known.mark == 0)
        return take_list(c);
    if (!wants_groups(c))
        return CALLER_KNOWN;
    c->wait.done = on_groups;
    rc = user_groups_get(c->server->user_groups, c->cred.uid, peer_address_number(&c->peer),
                         c->on_worker ? NULL : &c->wait, &c->groups);
    if (rc == 0)
        return take_list(c);
    if (rc == -EAGAIN)
        return c->on_worker ? CALLER_ON_LOOP : CALLER_WAITED;
    return CALLER_LATER;
}

/* ---- names in `clients` ---- */

enum { NAME_WAITS = 3 }; /* one after another */

static void on_name(struct lookup_wait *wait)
{
    struct compound *c = container_of(wait, struct compound, wait);

    c->names_late = !wait->answer || ++c->name_waits == NAME_WAITS;
    lookup_unref(wait->answer);
    compound_resume(c);
}

static enum caller settle_place(struct compound *c, const struct export *export)
{
    bool waits = false;

    c->wait.done = on_name;
    (void)export_admit_or_wait(c->server->exports, export, &c->peer, c->on_worker ? NULL : &c->wait,
                               &waits);
    return waits ? CALLER_WAITED : CALLER_KNOWN;
}

enum caller caller_names_settle(struct compound *c)
{
    const struct op_entry *entry = &op_table[c->op];
    enum caller settled = CALLER_KNOWN;

    if (c->names_late)
        return CALLER_KNOWN;
    if (entry->who == WHO_ADMITTED)
        return settle_place(c, NULL);
    if (entry->who != WHO_EXPORT)
        return CALLER_KNOWN;
    if (c->current.export && c->current.export != c->admitted)
        settled = settle_place(c, c->current.export);
    if (settled == CALLER_KNOWN && (entry->needs & OP_NEEDS_SAVED_FH) && c->saved.export &&
        c->saved.export != c->admitted)
        settled = settle_place(c, c->saved.export);
    return settled;
}

void caller_groups_drop(struct compound *c)
{
    lookup_unref(c->groups);
    c->groups = NULL;
}
