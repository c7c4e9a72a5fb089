/*
 * view.c - what the operator sees: "status" and "grants" as arrays of rows, "explain" as one
 * object with the sentence that says why a file has no layout, and what to do about it. On the
 * keeper's thread.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/layout/rdma.h"
#include "proto/quote.h"
#include "server/base/json_text.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/export/fs_root.h"
#include "server/file/at_rest.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/rdma.h"
#include "server/state/state.h"

enum { TEXT_MAX = 512, STUCK_SECONDS = 5, PIECE = 128 /* rows: about a millisecond */ };

static const char *policy_name(bool at_rest)
{
    return at_rest ? "at-rest" : "manual";
}

static json_t *seal_row(const struct engine_seal_view *view)
{
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:b}", "state", engine_state_name(view->state), "kind",
        view->kind == SEAL_KIND_PINNED ? "pinned" : "frozen", "policy", policy_name(view->at_rest),
        "size",
        (json_int_t)(view->reserve ? view->size
                     : view->map   ? map_file_size(view->map)
                                   : 0),
        "extents", (json_int_t)(view->map ? map_extent_count(view->map) : 0), "holders",
        (int)view->grants, "maybe", (int)view->maybe, "broken", view->broken);
    if (!row)
        return NULL;
    json_put_path(row, view->path);
    json_object_set_new(row, "why", json_text(view->why));
    return row;
}

static void add_seal(const struct engine_seal_view *view, void *arg)
{
    json_array_append_new(arg, seal_row(view));
}

static json_t *status(const struct keeper *keeper, const struct file_key *key)
{
    struct engine_seal_view view;
    json_t *rows = json_array();
    if (engine_seal_view(keeper->engine, key, &view) == 0)
        add_seal(&view, rows);
    return rows;
}

static void add_grant(const struct engine_grant_view *view, void *arg)
{
    char client[TEXT_MAX], id[24];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)view->client_id);
    size_t n = (size_t)snprintf(client, sizeof client, "%s ", view->address);
    quote_text(client + n, sizeof client - n, view->owner, view->owner_len, NULL);
    json_t *row =
        json_pack("{s:s, s:s, s:I, s:I, s:s}", "client_id", id, "iomode",
                  view->maybe                        ? "?"
                  : view->iomode == LAYOUTIOMODE4_RW ? "RW"
                                                     : "READ",
                  "offset", (json_int_t)view->offset, "length", (json_int_t)view->length, "state",
                  view->maybe      ? "maybe, from before the restart"
                  : view->recalled ? "recalled"
                                   : "granted");
    json_object_set_new(row, "client", json_string(client));
    json_put_path(row, view->path);
    if (view->files)
        json_object_set_new(row, "files", json_integer((json_int_t)view->files));
    json_array_append_new(arg, row);
}

static json_t *grants(const struct keeper *keeper, const struct file_key *key)
{
    json_t *rows = json_array();
    engine_each_grant(keeper->engine, key, add_grant, rows);
    return rows;
}

static json_t *because(const char *why, const char *advice)
{
    return json_pack("{s:o, s:o}", "why", json_text(why), "advice", json_text(advice));
}

/* What of layouts in memory is known to be refused, and why. */
struct memory_view {
    bool no_reading, no_writing, was_refused; /* the last that was asked for */
    char why[KEEPER_RDMA_WHY_MAX];
};

static struct memory_view look_at_memory(struct keeper *keeper, struct file *file,
                                         const struct engine_seal_view *seal)
{
    struct memory_view memory = {.why = ""};
    const struct export *export = file_export(file);
    if (!keeper->rdma || !export || !export_offers(export, LAYOUT4_SEALNFS_RDMA))
        return memory;
    memory.no_reading = keeper_rdma_ops->refuses(keeper->rdma, file, seal, false, memory.why);
    if (!memory.no_reading && seal->kind == SEAL_KIND_PINNED)
        memory.no_writing = keeper_rdma_ops->refuses(keeper->rdma, file, seal, true, memory.why);
    if (memory.no_reading || memory.no_writing)
        return memory;
    snprintf(memory.why, sizeof memory.why, "%s", keeper_rdma_ops->why(keeper->rdma, &seal->key));
    memory.was_refused = memory.why[0] != '\0';
    return memory;
}

static const char *say_layouts(const struct memory_view *memory, bool offers_disk,
                               const char *disk_why_not, enum seal_kind kind)
{
    if (offers_disk && disk_why_not)
        return "clients get no layouts of the disk";
    if (!offers_disk && memory->no_reading)
        return "clients get no layouts";
    if (!offers_disk && memory->no_writing)
        return "clients get layouts for reading only";
    if (!offers_disk && memory->was_refused)
        return "the last layout that was asked for was refused";
    return kind == SEAL_KIND_PINNED ? "clients get layouts for reading and writing"
                                    : "clients get layouts for reading";
}

/* Beside layouts of the disk it has to be said which are meant. */
static void advise_memory(const struct memory_view *memory, bool offers_disk, char *text,
                          size_t size)
{
    const char *head = !offers_disk         ? ""
                       : memory->no_reading ? "there are no RDMA layouts: "
                       : memory->no_writing ? "RDMA layouts are for reading only: "
                                            : "the last RDMA layout asked for was refused: ";
    snprintf(text, size, "%s%s", head, memory->why);
}

static json_t *explain_sealed(struct keeper *keeper, struct file *file,
                              const struct engine_seal_view *view)
{
    char why[TEXT_MAX], rdma[KEEPER_RDMA_WHY_MAX + 64] = "";
    const struct memory_view memory = look_at_memory(keeper, file, view);
    const bool offers_disk = !file_export(file) || export_offers_disk(file_export(file));
    const char *disk = keeper_disk_why_not(keeper, view->device);
    const char *told = say_layouts(&memory, offers_disk, disk, view->kind);
    char growing[TEXT_MAX / 2];
    if (view->reserve && !disk) {
        snprintf(growing, sizeof growing,
                 "clients write to it past its end: it has %llu bytes, and is %llu bytes long on "
                 "disk until its seal goes",
                 (unsigned long long)view->size, (unsigned long long)view->reserve);
        told = growing;
    }
    if (memory.why[0])
        advise_memory(&memory, offers_disk, rdma, sizeof rdma);
    snprintf(why, sizeof why, "it has a %s seal (%s, %s) and %u grant%s: %s",
             view->reserve                    ? "growing"
             : view->kind == SEAL_KIND_PINNED ? "pinned"
                                              : "frozen",
             policy_name(view->at_rest), engine_state_name(view->state), view->grants,
             view->grants == 1 ? "" : "s", told);
    if (disk || rdma[0])
        return because(why, disk ? disk : rdma);
    return because(
        why,
        view->why[0]
            ? view->why
            : "if a client uses READ and WRITE all the same, see that it finds the disk (blkmapd, "
              "/proc/self/mountstats there) and that it has a callback channel (sealctl clients)");
}

static json_t *explain_unsealed(struct keeper *keeper, struct file *file)
{
    char why[TEXT_MAX];
    struct file_stat stat;
    const struct export *export = file_export(file);
    const char *why_not = NULL;
    if (!export)
        return because("it is not in an export", "");
    if (file_type(file) != S_IFREG)
        return because("it is not a regular file", "");
    if (!export_has_layouts(export, &why_not))
        return because(why_not ? why_not : "its export gives no layouts",
                       "see the export in sealnfs.conf");
    if ((why_not = keeper_disk_why_not(keeper, export_device(export))))
        return because("it is not sealed, and clients get no layouts of its disk", why_not);
    const struct config_export *config = export_config(export);
    if (config->policy != POLICY_AT_REST)
        return because("it is not sealed, and its export's policy is manual",
                       "seal it: sealctl seal FILE");
    if (state_file_has_writer(file))
        return because("it is not sealed: a client has it open for writing",
                       "it is sealed when it is read after the last close");
    if (file_stat(file, &stat) == 0 && stat.stx.stx_size < config->at_rest_min_size)
        return because("it is not sealed: it is smaller than at_rest_min_size",
                       "seal it by hand: sealctl seal FILE");
    if (!at_rest_is_wanted(export, file))
        return because(
            "it is not sealed: at_rest_include or at_rest_exclude of its export leaves it out",
            "seal it by hand: sealctl seal FILE");
    if (engine_at_rest_explain(keeper->engine, file_key(file), loop_now_ns(), why, sizeof why))
        return because(why, "seal it by hand if it is not to wait: sealctl seal FILE");
    return because(
        "it is not sealed yet",
        "it is sealed when a client asks for a layout to read it; sealctl seal FILE does it now, "
        "and says what is in the way");
}

static void print_uuid(const struct file_key *key, char text[40])
{
    const uint8_t *u = key->data;
    snprintf(text, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
             u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
             u[14], u[15]);
}

static json_t *explain_relabelled(const struct file_key *key)
{
    char uuid[40], why[TEXT_MAX], advice[TEXT_MAX];
    print_uuid(key, uuid);
    snprintf(why, sizeof why,
             "it was sealed when its file system had the UUID %s, and that was changed under the "
             "seal: no layouts of it are given, and it stays immutable",
             uuid);
    snprintf(advice, sizeof advice,
             "take the seal off: sealctl unseal FILE; or give the file system its UUID back while "
             "it is not mounted (xfs_admin -U or tune2fs -U, with %s), and restart sealnfsd",
             uuid);
    return because(why, advice);
}

static json_t *explain_lost(const struct engine_seal_view *view)
{
    char why[TEXT_MAX];
    snprintf(why, sizeof why, "there is no file by this name, but a seal on record (%s)%s%.*s",
             engine_state_name(view->state), view->why[0] ? ": " : "", TEXT_MAX / 2, view->why);
    return because(why,
                   "if the file was removed or its file system made anew, take the seal off by "
                   "this name: sealctl unseal; if it was renamed, name it as it is now");
}

static json_t *explain(struct keeper *keeper, struct file *file, const struct file_key *key)
{
    struct engine_seal_view view;
    if (!key)
        return because("no file was named", "");
    if (engine_seal_view(keeper->engine, key, &view) != 0)
        return file ? explain_unsealed(keeper, file) : because("it is not sealed", "");
    if (!file)
        return explain_lost(&view);
    if (view.state == ENGINE_SEALED && !file_key_equal(key, file_key(file)))
        return explain_relabelled(key);
    return view.state == ENGINE_SEALED ? explain_sealed(keeper, file, &view)
                                       : because(view.why, "");
}

/* A file system on which work has not come to an end for a while. */
static bool warn_of_stuck(const struct keeper *keeper, char *text, size_t size)
{
    for (unsigned i = 0; i < export_count(keeper->exports); i++) {
        const struct export *export = export_at(keeper->exports, i);
        uint64_t longest = worker_longest(keeper->jobs.workers, export_work_key(export));
        if (longest < SECONDS(STUCK_SECONDS))
            continue;
        snprintf(text, size,
                 "the file system of %.250s has not answered for %llu s: it is frozen, or its disk "
                 "hangs; what is to be done there waits until it answers, the rest goes on",
                 export_config(export)->path, (unsigned long long)(longest / SECONDS(1)));
        return true;
    }
    return false;
}

/* Disks that are not there; one is named with the reason, the others are counted. */
static bool warn_of_away(const struct keeper *keeper, char *text, size_t size)
{
    const unsigned away = export_away_count(keeper->exports);
    char why[FS_WHY_MAX], more[48] = "";
    if (away > 1)
        snprintf(more, sizeof more, " (and %u more, see the log)", away - 1);
    for (unsigned i = 0; i < export_count(keeper->exports); i++) {
        const struct export *export = export_at(keeper->exports, i);
        if (!export_why_away(export, why, sizeof why))
            continue;
        snprintf(text, size, "export %.80s is not served%s: %s", export_config(export)->pseudo,
                 more, why);
        return true;
    }
    return false;
}

void keeper_view_warning(const struct keeper *keeper, char *text, size_t size)
{
    struct export_table *exports = keeper->exports;
    if (keeper->failing[0]) {
        snprintf(text, size, "%s", keeper->failing);
        return;
    }
    if (warn_of_stuck(keeper, text, size) || warn_of_away(keeper, text, size))
        return;
    for (unsigned i = 0; i < export_count(exports); i++) {
        const struct export *export = export_at(exports, i);
        if (!engine_is_in_doubt(keeper->engine, export_fs_uuid(export)))
            continue;
        snprintf(text, size,
                 "the journal was lost, damaged or replaced: there may be clients with layouts "
                 "below %.90s that "
                 "nobody knows of; see the log, and sealctl forget-holders --yes FILE%s",
                 export_config(export)->path,
                 keeper_scan_is_running(keeper) ? " (seals are being searched)" : "");
        return;
    }
}

/* Takes over the reference. */
static char *write_json(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    return text;
}

char *keeper_view_piece(struct keeper *keeper, struct keeper_view *view)
{
    json_t *rows = json_array();
    view->more = false;
    if (!view->walk)
        view->walk = engine_walk_begin(keeper->engine);
    if (view->walk && strcmp(view->what, "status") == 0)
        view->more = engine_walk_seals(keeper->engine, view->walk, PIECE, add_seal, rows);
    else if (view->walk)
        view->more = engine_walk_grants(view->walk, PIECE, add_grant, rows);
    char *text = view->walk ? write_json(json_incref(rows)) : NULL;
    json_decref(rows);
    view->more = view->more && text;
    if (!view->more) {
        engine_walk_end(keeper->engine, view->walk);
        view->walk = NULL;
    }
    return text;
}

char *keeper_view_json(struct keeper *keeper, const char *what, struct file *file,
                       const struct file_key *key)
{
    json_t *value = strcmp(what, "status") == 0    ? status(keeper, key)
                    : strcmp(what, "devices") == 0 ? keeper_view_devices(keeper)
                    : strcmp(what, "exports") == 0 ? keeper_view_exports(keeper)
                    : strcmp(what, "holders") == 0 ? keeper_view_holders(keeper)
                    : strcmp(what, "grants") == 0  ? grants(keeper, key)
                    : strcmp(what, "explain") == 0 ? explain(keeper, file, key)
                                                   : NULL;
    return write_json(value);
}
