/* The journal in SQLite, its commits: see layout/journal/journal.h. The schema's version is
 * user_version.
 */
#include "layout/journal/private.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout/database.h"

enum { SCHEMA_VERSION = JOURNAL_SCHEMA, BEFORE_GROWING = 5, BUSY_MS = 2000 };

/* quick_check of SQLite 3.40 wants the columns of such keys to come first, and in their order. */
static const char schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE doubt (fs_uuid BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE device (id BLOB PRIMARY KEY, fs_uuid BLOB NOT NULL, volume BLOB NOT NULL,"
    " sum BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE seal (key BLOB PRIMARY KEY, path TEXT NOT NULL, kind INTEGER NOT NULL,"
    " at_rest INTEGER NOT NULL, phase INTEGER NOT NULL, phase_sum BLOB NOT NULL, device BLOB NOT "
    "NULL,"
    " map BLOB NOT NULL, map_sum BLOB NOT NULL, mtime_ns INTEGER NOT NULL, change INTEGER NOT "
    "NULL,"
    " reserve INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0, tail INTEGER NOT NULL "
    "DEFAULT 0,"
    " size_sum BLOB NOT NULL DEFAULT x'');"
    "CREATE TABLE holder (kind INTEGER NOT NULL, owner BLOB NOT NULL, verifier BLOB NOT NULL, "
    "client_id "
    "INTEGER NOT NULL,"
    " device BLOB NOT NULL, way INTEGER NOT NULL, address TEXT NOT NULL, sum BLOB NOT NULL,"
    " PRIMARY KEY (kind, owner, verifier, client_id, device, way)) WITHOUT ROWID;"
    "CREATE TABLE fenced (kind INTEGER NOT NULL, owner BLOB NOT NULL, verifier BLOB NOT NULL, way "
    "INTEGER "
    "NOT NULL,"
    " client_id INTEGER NOT NULL, device BLOB NOT NULL, address TEXT NOT NULL, sum BLOB NOT NULL,"
    " PRIMARY KEY (kind, owner, verifier, way)) WITHOUT ROWID;"
    "PRAGMA user_version = 6;";

/* One of version 5 is as it was, but for the files that grow, of which it has none. */
static const char growing[] = "ALTER TABLE seal ADD COLUMN reserve INTEGER NOT NULL DEFAULT 0;"
                              "ALTER TABLE seal ADD COLUMN size INTEGER NOT NULL DEFAULT 0;"
                              "ALTER TABLE seal ADD COLUMN tail INTEGER NOT NULL DEFAULT 0;"
                              "ALTER TABLE seal ADD COLUMN size_sum BLOB NOT NULL DEFAULT x'';"
                              "PRAGMA user_version = 6;";

static int make_schema(sqlite3 *db)
{
    char sql[256];
    uint64_t id;
    int err = database_execute(db, schema);
    if (err)
        return err;
    randombytes_buf(&id, sizeof id);
    snprintf(sql, sizeof sql,
             "INSERT INTO meta VALUES ('boot', 0); INSERT INTO meta VALUES ('watermark', 0);"
             "INSERT INTO meta VALUES ('id', %lld);",
             (long long)(id >> 1));
    return database_execute(db, sql);
}

static int read_meta(struct journal *journal)
{
    int64_t boot = 0, id = 0, watermark = 0;
    int err = database_query(journal->db, "SELECT value FROM meta WHERE name = 'boot'", &boot);
    if (!err)
        err = database_query(journal->db, "SELECT value FROM meta WHERE name = 'id'", &id);
    if (!err)
        err = database_query(journal->db, "SELECT value FROM meta WHERE name = 'watermark'",
                             &watermark);
    journal->boot = (uint32_t)boot;
    journal->id = (uint64_t)id;
    journal->watermark = (uint64_t)watermark;
    return err;
}

/* Exclusive locking keeps a second server away for as long as this one runs. */
static int set_up(struct journal *journal)
{
    int64_t version = 0;
    int err =
        database_execute(journal->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                                      "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;");
    if (!err)
        err = database_execute(journal->db, "BEGIN IMMEDIATE");
    if (!err)
        err = database_query(journal->db, "PRAGMA user_version", &version);
    if (!err && version == 0)
        err = make_schema(journal->db);
    else if (!err && version != SCHEMA_VERSION && version != BEFORE_GROWING)
        err = -EPROTO;
    else if (!err)
        err = database_check_pages(journal->db);
    if (!err && version == BEFORE_GROWING)
        err = database_execute(journal->db, growing);
    if (!err)
        err =
            database_execute(journal->db, "UPDATE meta SET value = value + 1 WHERE name = 'boot'");
    if (!err)
        err = read_meta(journal);
    if (!err)
        err = database_execute(journal->db, "COMMIT");
    return err;
}

int journal_open(const char *path, struct journal **out)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return -ENOMEM;
    pthread_mutex_init(&journal->lock, NULL);
    int err = database_errno(
        sqlite3_open_v2(path, &journal->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    if (err)
        goto fail;
    sqlite3_extended_result_codes(journal->db, 1);
    sqlite3_busy_timeout(journal->db, BUSY_MS);
    err = set_up(journal);
    if (!err)
        err = journal_prepare(journal);
    if (err)
        goto fail;
    *out = journal;
    return 0;
fail:
    journal_close(journal);
    return err;
}

/* Read only, so that what another machine is writing is not taken for a crash and rolled back. */
int journal_last_node(const char *path, uint64_t *key)
{
    sqlite3 *db = NULL;
    int64_t value = 0;
    *key = 0;
    if (access(path, F_OK) < 0)
        return errno == ENOENT ? 0 : -errno;
    int err = database_errno(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL));
    if (!err)
        err = database_query(db, "SELECT COALESCE((SELECT value FROM meta WHERE name = 'node'), 0)",
                             &value);
    sqlite3_close(db);
    *key = (uint64_t)value;
    return err;
}

int journal_set_node(struct journal *journal, uint64_t key)
{
    char sql[96];
    snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO meta VALUES ('node', %lld)", (long long)key);
    return database_execute(journal->db, sql);
}

static void free_waiting(struct journal_waiting *waiting)
{
    if (waiting->record.op == JOURNAL_SEAL_PUT)
        map_free(waiting->record.seal.map);
    free(waiting->volume);
    free(waiting);
}

static void drop_batch(struct journal_batch *batch)
{
    while (batch->first) {
        struct journal_waiting *waiting = batch->first;
        batch->first = waiting->next;
        free_waiting(waiting);
    }
    *batch = (struct journal_batch){.first = NULL};
}

static struct journal_batch take_batch(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    struct journal_batch batch = journal->waiting;
    journal->waiting = (struct journal_batch){.first = NULL};
    pthread_mutex_unlock(&journal->lock);
    return batch;
}

/* Before what was written since. */
static void put_back(struct journal *journal, const struct journal_batch *batch)
{
    pthread_mutex_lock(&journal->lock);
    batch->last->next = journal->waiting.first;
    journal->waiting.first = batch->first;
    if (!journal->waiting.last)
        journal->waiting.last = batch->last;
    journal->waiting.raise = journal->waiting.raise || batch->raise;
    pthread_mutex_unlock(&journal->lock);
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    drop_batch(&journal->waiting);
    for (int i = 0; i < JOURNAL_STATEMENTS; i++)
        sqlite3_finalize(journal->statement[i]);
    sqlite3_close(journal->db);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
}

uint32_t journal_boot(const struct journal *journal)
{
    return journal->boot;
}

uint64_t journal_id(const struct journal *journal)
{
    return journal->id;
}

uint64_t journal_watermark(const struct journal *journal)
{
    return journal->watermark;
}

const char *journal_error(const struct journal *journal)
{
    return journal->error;
}

static bool is_seal_put(const struct journal_record *record)
{
    return record->op == JOURNAL_SEAL_PUT;
}

static bool is_holder(const struct journal_record *record)
{
    return record->op >= JOURNAL_HOLDER_PUT && record->op <= JOURNAL_FENCED_DELETE;
}

/* Without these a seal, a holder or the end of a seal would be unknown after the journal went back
 * in time.
 */
static bool raises_watermark(const struct journal_record *record)
{
    if (is_seal_put(record)) /* what an older reserve was to come to is not to be cut off */
        return record->seal.phase == JOURNAL_SEALED || record->seal.reserve > 0;
    if (record->op == JOURNAL_SEAL_OVERLAY) /* what an older size cuts off is lost */
        return record->seal.reserve > 0;
    return record->op == JOURNAL_HOLDER_PUT ||
           (record->op == JOURNAL_SEAL_PHASE && record->seal.phase == JOURNAL_RELEASING);
}

static struct journal_waiting *copy(const struct journal_record *record)
{
    const char *text = is_seal_put(record) ? record->seal.path
                       : is_holder(record) ? record->holder.address
                                           : "";
    size_t text_size = strlen(text ? text : "") + 1,
           owner_len = is_holder(record) ? record->holder.owner_len : 0;
    struct journal_waiting *waiting = malloc(sizeof *waiting + text_size + owner_len);
    if (!waiting)
        return NULL;
    waiting->record = *record;
    waiting->next = NULL;
    waiting->volume = NULL;
    if (record->op == JOURNAL_DEVICE_PUT) {
        waiting->volume = malloc(sizeof *waiting->volume);
        if (!waiting->volume) {
            free(waiting);
            return NULL;
        }
        *waiting->volume = *record->device.volume;
        waiting->record.device.volume = waiting->volume;
    }
    memcpy(waiting->bytes, text ? text : "", text_size);
    if (is_seal_put(record)) {
        waiting->record.seal.path = waiting->bytes;
        if (record->seal.map)
            map_ref(record->seal.map);
    } else if (is_holder(record)) {
        waiting->record.holder.address = waiting->bytes;
        waiting->record.holder.owner = (uint8_t *)waiting->bytes + text_size;
        if (owner_len)
            memcpy(waiting->bytes + text_size, record->holder.owner, owner_len);
    }
    return waiting;
}

int journal_write(struct journal *journal, const struct journal_record *record)
{
    struct journal_waiting *waiting = copy(record);
    if (!waiting)
        return -ENOMEM;
    pthread_mutex_lock(&journal->lock);
    struct journal_batch *batch = &journal->waiting;
    if (batch->last)
        batch->last->next = waiting;
    else
        batch->first = waiting;
    batch->last = waiting;
    batch->raise = batch->raise || raises_watermark(record);
    pthread_mutex_unlock(&journal->lock);
    return 0;
}

int journal_commit(struct journal *journal)
{
    struct journal_batch batch = take_batch(journal);
    if (!batch.first)
        return 0;
    uint64_t watermark = journal->watermark + batch.raise;
    int err = database_execute(journal->db, "BEGIN IMMEDIATE");
    for (struct journal_waiting *waiting = batch.first; !err && waiting; waiting = waiting->next)
        err = journal_apply(journal, &waiting->record);
    if (!err && batch.raise)
        err = journal_set_watermark(journal, watermark);
    if (!err)
        err = database_execute(journal->db, "COMMIT");
    if (err) {
        /* SQLite may have rolled back by itself already. */
        snprintf(journal->error, sizeof journal->error, "%s", sqlite3_errmsg(journal->db));
        if (!sqlite3_get_autocommit(journal->db))
            (void)database_execute(journal->db, "ROLLBACK");
        put_back(journal, &batch);
        return err;
    }
    journal->watermark = watermark;
    drop_batch(&batch);
    return 0;
}
