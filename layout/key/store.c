/* The record of reservation keys in SQLite: see layout/key/store.h. */
#include "layout/key/store.h"

#include <errno.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/database.h"
#include "layout/reservation/reservation.h"

enum {
    SCHEMA_VERSION = 3,
    VERSION_BEFORE = 2,
    BUSY_MS = 2000,
    SERVER_MAX = 1 << 24,
    SUM_SIZE = 16,
    LEAP = 1 << 16, /* numbers that an older copy may have given meanwhile */
    NEXUS_HEAD = 3,
    NEXUS_BYTES = NEXUS_HEAD + KEY_NEXUS_MAX,
    DISK_BYTES = 2 + DESIGNATOR_MAX,
};

/* quick_check of SQLite 3.40 wants the columns of such keys to come first, and in their order. */
static const char schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE run (id INTEGER PRIMARY KEY AUTOINCREMENT, owner BLOB NOT NULL,"
    " verifier BLOB NOT NULL, sum BLOB NOT NULL, UNIQUE (owner, verifier));"
    "CREATE TABLE tell (number INTEGER NOT NULL, disk BLOB NOT NULL, nexus BLOB NOT NULL,"
    " run INTEGER NOT NULL, state INTEGER NOT NULL, drained INTEGER NOT NULL,"
    " generation INTEGER NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (number, disk, nexus))"
    " WITHOUT ROWID;"
    "CREATE TABLE disk (name BLOB PRIMARY KEY, generation INTEGER NOT NULL,"
    " forgets INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('server', 0), ('number', 0), ('journal', 0), ('boot', 0),"
    " ('doubt', 0);"
    "PRAGMA user_version = 3;";

enum statement {
    ST_ADD_RUN,
    ST_PUT,
    ST_DROP,
    ST_DROP_RUN,
    ST_DROP_ROWS,
    ST_META,
    ST_DISK,
    ST_NOTE,
    ST_COUNT
};

static const char *const statements[ST_COUNT] = {
    [ST_ADD_RUN] = "INSERT INTO run (owner, verifier, sum) VALUES (?1, ?2, ?3)",
    [ST_PUT] = "INSERT OR REPLACE INTO tell VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [ST_DROP] = "DELETE FROM tell WHERE number = ?1 AND disk = ?2 AND nexus = ?3",
    [ST_DROP_RUN] = "DELETE FROM run WHERE id = ?1",
    [ST_DROP_ROWS] = "DELETE FROM tell WHERE run = ?1",
    [ST_META] = "UPDATE meta SET value = ?2 WHERE name = ?1",
    [ST_DISK] = "SELECT generation, forgets FROM disk WHERE name = ?1",
    [ST_NOTE] = "INSERT OR REPLACE INTO disk VALUES (?1, ?2, ?3)",
};

struct key_store {
    sqlite3 *db;
    sqlite3_stmt *statement[ST_COUNT];
    uint32_t server, number, doubt; /* runs up to this one are doubtful */
};

static void bind_blob(sqlite3_stmt *stmt, int i, const void *data, size_t len)
{
    sqlite3_bind_blob64(stmt, i, len ? data : "", len, SQLITE_TRANSIENT);
}

static int set_meta(struct key_store *store, const char *name, int64_t value)
{
    sqlite3_stmt *stmt = store->statement[ST_META];

    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, value);
    return database_run(stmt);
}

/* ---- rows as bytes ---- */

static size_t pack_disk(const struct designator *disk, uint8_t bytes[DISK_BYTES])
{
    bytes[0] = disk->code_set;
    bytes[1] = disk->type;
    memcpy(bytes + 2, disk->bytes, disk->len);
    return 2U + disk->len;
}

static bool unpack_disk(const uint8_t *bytes, size_t len, struct designator *disk)
{
    *disk = (struct designator){0};
    if (len < 2 || len > DISK_BYTES)
        return false;
    disk->code_set = bytes[0];
    disk->type = bytes[1];
    disk->len = (uint8_t)(len - 2);
    memcpy(disk->bytes, bytes + 2, disk->len);
    return true;
}

static size_t pack_nexus(const struct key_nexus *nexus, uint8_t bytes[NEXUS_BYTES])
{
    if (nexus->len == 0)
        return 0;
    bytes[0] = nexus->protocol;
    bytes[1] = (uint8_t)(nexus->port >> 8);
    bytes[2] = (uint8_t)nexus->port;
    memcpy(bytes + NEXUS_HEAD, nexus->name, nexus->len);
    return (size_t)NEXUS_HEAD + nexus->len;
}

static bool unpack_nexus(const uint8_t *bytes, size_t len, struct key_nexus *nexus)
{
    *nexus = (struct key_nexus){0};
    if (len == 0)
        return true;
    if (len <= NEXUS_HEAD || len > NEXUS_BYTES)
        return false;
    nexus->protocol = bytes[0];
    nexus->port = (uint16_t)(bytes[1] << 8 | bytes[2]);
    nexus->len = (uint8_t)(len - NEXUS_HEAD);
    memcpy(nexus->name, bytes + NEXUS_HEAD, nexus->len);
    return true;
}

/* Each part with its length, so that no two rows make the same bytes. */
static void sum_part(crypto_generichash_state *state, const void *data, size_t len)
{
    uint64_t size = len;

    crypto_generichash_update(state, (const uint8_t *)&size, sizeof(size));
    crypto_generichash_update(state, data, len);
}

static void sum_run(const struct key_run *name, uint8_t sum[SUM_SIZE])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, SUM_SIZE);
    sum_part(&state, name->owner_len ? name->owner : (const uint8_t *)"", name->owner_len);
    sum_part(&state, name->verifier, sizeof(name->verifier));
    crypto_generichash_final(&state, sum, SUM_SIZE);
}

static void sum_row(const struct key_row *row, uint8_t sum[SUM_SIZE])
{
    const uint32_t numbers[] = {row->number, row->run, row->state, row->drained, row->generation};
    uint8_t disk[DISK_BYTES], nexus[NEXUS_BYTES];
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, SUM_SIZE);
    sum_part(&state, numbers, sizeof(numbers));
    sum_part(&state, disk, pack_disk(&row->disk, disk));
    sum_part(&state, nexus, pack_nexus(&row->nexus, nexus));
    crypto_generichash_final(&state, sum, SUM_SIZE);
}

static sqlite3_stmt *bind_row(struct key_store *store, enum statement which,
                              const struct key_row *row)
{
    sqlite3_stmt *stmt = store->statement[which];
    uint8_t disk[DISK_BYTES], nexus[NEXUS_BYTES];

    sqlite3_bind_int64(stmt, 1, row->number);
    bind_blob(stmt, 2, disk, pack_disk(&row->disk, disk));
    bind_blob(stmt, 3, nexus, pack_nexus(&row->nexus, nexus));
    return stmt;
}

int key_store_put(void *arg, const struct key_row *row)
{
    sqlite3_stmt *stmt = bind_row(arg, ST_PUT, row);
    uint8_t sum[SUM_SIZE];

    sum_row(row, sum);
    sqlite3_bind_int64(stmt, 4, row->run);
    sqlite3_bind_int(stmt, 5, row->state);
    sqlite3_bind_int(stmt, 6, row->drained);
    sqlite3_bind_int64(stmt, 7, row->generation);
    bind_blob(stmt, 8, sum, sizeof(sum));
    return database_run(stmt);
}

int key_store_drop(void *arg, const struct key_row *row)
{
    return database_run(bind_row(arg, ST_DROP, row));
}

int key_store_disk(struct key_store *store, const struct designator *disk,
                   struct key_store_disk *out)
{
    sqlite3_stmt *stmt = store->statement[ST_DISK];
    uint8_t name[DISK_BYTES];
    int rc;

    bind_blob(stmt, 1, name, pack_disk(disk, name));
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = (struct key_store_disk){.generation = (uint32_t)sqlite3_column_int64(stmt, 0),
                                       .forgets = sqlite3_column_int(stmt, 1) != 0};
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -ENOENT : database_errno(rc);
}

int key_store_note_disk(struct key_store *store, const struct designator *disk,
                        const struct key_store_disk *note)
{
    sqlite3_stmt *stmt = store->statement[ST_NOTE];
    uint8_t name[DISK_BYTES];

    bind_blob(stmt, 1, name, pack_disk(disk, name));
    sqlite3_bind_int64(stmt, 2, note->generation);
    sqlite3_bind_int(stmt, 3, note->forgets);
    return database_run(stmt);
}

/* Rows of a run that is not there are dropped at the next start: see load_rows. */
int key_store_drop_run(void *arg, uint32_t run)
{
    struct key_store *store = arg;
    int err;

    sqlite3_bind_int64(store->statement[ST_DROP_RUN], 1, run);
    err = database_run(store->statement[ST_DROP_RUN]);
    if (err)
        return err;
    sqlite3_bind_int64(store->statement[ST_DROP_ROWS], 1, run);
    (void)database_run(store->statement[ST_DROP_ROWS]);
    return 0;
}

int key_store_add_run(struct key_store *store, const struct key_run *name, uint32_t *id)
{
    sqlite3_stmt *stmt = store->statement[ST_ADD_RUN];
    uint8_t sum[SUM_SIZE];
    int err;

    sum_run(name, sum);
    bind_blob(stmt, 1, name->owner, name->owner_len);
    bind_blob(stmt, 2, name->verifier, sizeof(name->verifier));
    bind_blob(stmt, 3, sum, sizeof(sum));
    err = database_run(stmt);
    if (!err)
        *id = (uint32_t)sqlite3_last_insert_rowid(store->db);
    return err;
}

int key_store_number(struct key_store *store, uint32_t *number)
{
    int err = store->number >= RESERVATION_NUMBER_MAX
                  ? -ENOSPC
                  : set_meta(store, "number", (int64_t)store->number + 1);

    if (!err)
        *number = ++store->number;
    return err;
}

uint32_t key_store_server(const struct key_store *store)
{
    return store->server;
}

/* ---- reading ---- */

static bool has_sum(sqlite3_stmt *stmt, int column, const uint8_t sum[SUM_SIZE])
{
    return sqlite3_column_bytes(stmt, column) == SUM_SIZE &&
           memcmp(sqlite3_column_blob(stmt, column), sum, SUM_SIZE) == 0;
}

static int load_run(struct key_store *store, sqlite3_stmt *stmt,
                    const struct key_store_visitor *visitor, void *arg)
{
    uint32_t id = (uint32_t)sqlite3_column_int64(stmt, 0);
    struct key_run name = {.owner = sqlite3_column_blob(stmt, 1),
                           .owner_len = (uint32_t)sqlite3_column_bytes(stmt, 1)};
    uint8_t sum[SUM_SIZE];

    if (sqlite3_column_bytes(stmt, 2) != sizeof(name.verifier))
        return -EUCLEAN;
    memcpy(name.verifier, sqlite3_column_blob(stmt, 2), sizeof(name.verifier));
    sum_run(&name, sum);
    return has_sum(stmt, 3, sum) ? visitor->run(id, &name, id <= store->doubt, arg) : -EUCLEAN;
}

static int load_row(struct key_store *store, sqlite3_stmt *stmt,
                    const struct key_store_visitor *visitor, void *arg)
{
    struct key_row row = {.number = (uint32_t)sqlite3_column_int64(stmt, 0),
                          .run = (uint32_t)sqlite3_column_int64(stmt, 3),
                          .state = (uint8_t)sqlite3_column_int(stmt, 4),
                          .drained = sqlite3_column_int(stmt, 5) != 0,
                          .generation = (uint32_t)sqlite3_column_int64(stmt, 6)};
    uint8_t sum[SUM_SIZE];

    (void)store;
    if (!unpack_disk(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1),
                     &row.disk) ||
        !unpack_nexus(sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2),
                      &row.nexus))
        return -EUCLEAN;
    sum_row(&row, sum);
    return has_sum(stmt, 7, sum) ? visitor->row(&row, arg) : -EUCLEAN;
}

static int each(struct key_store *store, const char *sql,
                int (*take)(struct key_store *store, sqlite3_stmt *stmt,
                            const struct key_store_visitor *visitor, void *arg),
                const struct key_store_visitor *visitor, void *arg)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
    int err = database_errno(rc);

    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = take(store, stmt, visitor, arg);
    if (!err)
        err = database_errno(rc);
    sqlite3_finalize(stmt);
    return err;
}

int key_store_load(struct key_store *store, const struct key_store_visitor *visitor, void *arg)
{
    int err = database_execute(store->db, "DELETE FROM tell WHERE run NOT IN (SELECT id FROM run)");

    if (!err)
        err = each(store, "SELECT id, owner, verifier, sum FROM run", load_run, visitor, arg);
    return err ? err
               : each(store, "SELECT * FROM tell ORDER BY number, nexus", load_row, visitor, arg);
}

/* ---- opening ---- */

/* SQLite finds a torn or foreign page only when it comes upon it. */
static int prepare(struct key_store *store)
{
    int err = 0;

    for (int i = 0; !err && i < ST_COUNT; i++)
        err = database_errno(sqlite3_prepare_v3(
            store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statement[i], NULL));
    return err;
}

static int make(struct key_store *store)
{
    int err = database_execute(store->db, schema);

    if (!err)
        err = prepare(store);
    return err ? err : set_meta(store, "server", randombytes_uniform(SERVER_MAX));
}

/* Of a key of version 2: one for a run, however often it was told of it. */
static int take_old(struct key_store *store, sqlite3_stmt *stmt,
                    const struct key_store_visitor *visitor, void *arg)
{
    struct key_run name = {.owner = sqlite3_column_blob(stmt, 1),
                           .owner_len = (uint32_t)sqlite3_column_bytes(stmt, 1)};
    struct key_row row = {.number = (uint32_t)sqlite3_column_int64(stmt, 0), .state = KEY_TOLD};
    uint32_t *last = arg; /* its number, its run */
    int err = 0;

    (void)visitor;
    if (sqlite3_column_bytes(stmt, 2) == sizeof(name.verifier))
        memcpy(name.verifier, sqlite3_column_blob(stmt, 2), sizeof(name.verifier));
    if (last[0] != row.number)
        err = key_store_add_run(store, &name, &last[1]);
    last[0] = row.number;
    row.run = last[1];
    if (err || !unpack_disk(sqlite3_column_blob(stmt, 3), (size_t)sqlite3_column_bytes(stmt, 3),
                            &row.disk))
        return err; /* it was never told */
    return key_store_put(store, &row);
}

static int upgrade(struct key_store *store)
{
    int64_t server = 0, number = 0;
    uint32_t last[2] = {0, 0};
    int err = database_check_pages(store->db);

    if (!err)
        err = database_query(store->db, "SELECT id FROM server", &server);
    if (!err)
        err =
            database_query(store->db, "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence", &number);
    if (!err)
        err = database_execute(store->db, schema);
    if (!err)
        err = prepare(store);
    if (!err)
        err = each(store,
                   "SELECT key.number, owner, verifier, disk FROM key LEFT JOIN use"
                   " ON use.number = key.number ORDER BY key.number",
                   take_old, NULL, last);
    if (!err)
        err = database_execute(store->db, "DROP TABLE use; DROP TABLE key; DROP TABLE server");
    if (!err)
        err = set_meta(store, "server", server);
    if (!err)
        err = set_meta(store, "number", number);
    return err ? err : set_meta(store, "doubt", last[1]);
}

/* All that is known so far may lack something, and numbers may have been given since. */
static int doubt_all(struct key_store *store)
{
    return database_execute(store->db,
                            "UPDATE meta SET value = (SELECT COALESCE(MAX(id), 0) FROM run)"
                            " WHERE name = 'doubt'") ||
                   set_meta(store, "number", (int64_t)store->number + LEAP)
               ? -EIO
               : 0;
}

static int read_meta(struct key_store *store)
{
    int64_t server = 0, number = 0, doubt = 0;
    int err = database_query(store->db, "SELECT value FROM meta WHERE name = 'server'", &server);

    if (!err)
        err = database_query(store->db, "SELECT value FROM meta WHERE name = 'number'", &number);
    if (!err)
        err = database_query(store->db, "SELECT value FROM meta WHERE name = 'doubt'", &doubt);
    store->server = (uint32_t)server;
    store->number = (uint32_t)number;
    store->doubt = (uint32_t)doubt;
    return err;
}

static int follow_journal(struct key_store *store, const struct key_store_journal *journal,
                          enum key_store_news *news)
{
    int64_t id = 0, boot = 0;
    int err = database_query(store->db, "SELECT value FROM meta WHERE name = 'journal'", &id);

    if (!err)
        err = database_query(store->db, "SELECT value FROM meta WHERE name = 'boot'", &boot);
    if (!err && *news == KEY_STORE_CONTINUED &&
        ((uint64_t)id != journal->id || boot + 1 < (int64_t)journal->boot)) {
        *news = KEY_STORE_BEHIND;
        err = doubt_all(store);
    }
    if (!err)
        err = set_meta(store, "journal", (int64_t)journal->id);
    return err ? err : set_meta(store, "boot", journal->boot);
}

static int set_up_version(struct key_store *store, enum key_store_news *news)
{
    int64_t version = 0;
    int err = database_query(store->db, "PRAGMA user_version", &version);

    if (err)
        return err;
    if (version == 0) {
        *news = KEY_STORE_MADE;
        return make(store);
    }
    if (version == VERSION_BEFORE) {
        *news = KEY_STORE_UPGRADED;
        return upgrade(store);
    }
    *news = KEY_STORE_CONTINUED;
    if (version != SCHEMA_VERSION)
        return -EPROTO;
    err = database_check_pages(store->db);
    return err ? err : prepare(store);
}

static int set_up(struct key_store *store, const struct key_store_journal *journal,
                  enum key_store_news *news)
{
    int err = database_execute(
        store->db,
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");

    if (!err)
        err = database_execute(store->db, "BEGIN IMMEDIATE");
    if (!err)
        err = set_up_version(store, news);
    if (!err)
        err = read_meta(store);
    if (!err)
        err = follow_journal(store, journal, news);
    if (!err)
        err = read_meta(store);
    return err ? err : database_execute(store->db, "COMMIT");
}

int key_store_open(const char *path, const struct key_store_journal *journal,
                   struct key_store **out, enum key_store_news *news)
{
    struct key_store *store = calloc(1, sizeof(*store));
    int err;

    if (!store)
        return -ENOMEM;
    err = sodium_init() < 0 ? -EIO : database_errno(sqlite3_open(path, &store->db));
    if (!err) {
        sqlite3_busy_timeout(store->db, BUSY_MS);
        err = set_up(store, journal, news);
    }
    if (err) {
        key_store_close(store);
        return err;
    }
    *out = store;
    return 0;
}

void key_store_close(struct key_store *store)
{
    if (!store)
        return;
    for (int i = 0; i < ST_COUNT; i++)
        sqlite3_finalize(store->statement[i]);
    sqlite3_close(store->db);
    free(store);
}
