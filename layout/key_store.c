/* The reservation keys in SQLite: see layout/key_store.h. AUTOINCREMENT is what never gives a
 * number twice.
 */
#include "layout/key_store.h"

#include <errno.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "layout/reservation.h"

enum { SCHEMA_VERSION = 2, BUSY_MS = 2000, SERVER_MAX = 1 << 24 };

static const char schema[] = "CREATE TABLE server (id INTEGER NOT NULL);"
                             "CREATE TABLE key (number INTEGER PRIMARY KEY AUTOINCREMENT, owner "
                             "BLOB NOT NULL, verifier BLOB NOT NULL,"
                             " UNIQUE (owner, verifier));"
                             "CREATE TABLE use (number INTEGER NOT NULL, disk BLOB NOT NULL, state "
                             "INTEGER NOT NULL, since INTEGER NOT "
                             "NULL,"
                             " PRIMARY KEY (number, disk)) WITHOUT ROWID;"
                             "PRAGMA user_version = 2;";

enum statement { ST_FIND, ST_GIVE, ST_RETIRE, ST_FORGET, ST_HAS, ST_SET_USE, ST_USE, ST_COUNT };

static const char *const statements[ST_COUNT] = {
    [ST_FIND] = "SELECT number FROM key WHERE owner = ?1 AND verifier = ?2",
    [ST_GIVE] = "INSERT INTO key (owner, verifier) VALUES (?1, ?2)",
    [ST_RETIRE] = "DELETE FROM key WHERE number = ?1",
    [ST_FORGET] = "DELETE FROM use WHERE number = ?1",
    [ST_HAS] = "SELECT 1 FROM key WHERE number = ?1",
    [ST_SET_USE] = "INSERT OR REPLACE INTO use VALUES (?1, ?2, ?3, ?4)",
    [ST_USE] = "SELECT state, since FROM use WHERE number = ?1 AND disk = ?2",
};

struct key_store {
    sqlite3 *db;
    sqlite3_stmt *statement[ST_COUNT];
    uint32_t server;
    uint64_t clock; /* counts what was told and removed */
};

static int to_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return -EUCLEAN;
    default:
        return -EIO;
    }
}

static int execute(struct key_store *store, const char *sql)
{
    return to_errno(sqlite3_exec(store->db, sql, NULL, NULL, NULL));
}

static int query(struct key_store *store, const char *sql, int64_t *value)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return to_errno(rc);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -EUCLEAN : to_errno(rc);
}

static int make(struct key_store *store)
{
    sqlite3_stmt *stmt;
    int err = execute(store, schema);
    int rc;

    if (err)
        return err;
    rc = sqlite3_prepare_v2(store->db, "INSERT INTO server VALUES (?1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(stmt, 1, randombytes_uniform(SERVER_MAX));
        rc = sqlite3_step(stmt);
    }
    sqlite3_finalize(stmt);
    return to_errno(rc);
}

static int set_up(struct key_store *store)
{
    int64_t version = 0, server = 0, clock = 0;
    int err = execute(
        store,
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");

    if (!err)
        err = execute(store, "BEGIN IMMEDIATE");
    if (!err)
        err = query(store, "PRAGMA user_version", &version);
    if (!err && version == 0)
        err = make(store);
    else if (!err && version != SCHEMA_VERSION)
        err = -EPROTO;
    if (!err)
        err = query(store, "SELECT id FROM server", &server);
    if (!err)
        err = query(store, "SELECT COALESCE(MAX(since), 0) FROM use", &clock);
    if (!err)
        err = execute(store, "COMMIT");
    store->server = (uint32_t)server;
    store->clock = (uint64_t)clock;
    return err;
}

int key_store_open(const char *path, struct key_store **out)
{
    struct key_store *store = calloc(1, sizeof(*store));
    int err;

    if (!store)
        return -ENOMEM;
    err = sodium_init() < 0 ? -EIO : to_errno(sqlite3_open(path, &store->db));
    if (err)
        goto fail;
    sqlite3_busy_timeout(store->db, BUSY_MS);
    err = set_up(store);
    for (int i = 0; !err && i < ST_COUNT; i++)
        err = to_errno(sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                          &store->statement[i], NULL));
    if (err)
        goto fail;
    *out = store;
    return 0;
fail:
    key_store_close(store);
    return err;
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

uint32_t key_store_server(const struct key_store *store)
{
    return store->server;
}

/* 1: there is a row, its first column in *value. 0: none. */
static int step(sqlite3_stmt *stmt, int64_t *value)
{
    int rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW && value)
        *value = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_ROW ? 1 : to_errno(rc);
}

static void bind_blob(sqlite3_stmt *stmt, int i, const void *data, size_t len)
{
    sqlite3_bind_blob64(stmt, i, len ? data : "", len, SQLITE_TRANSIENT);
}

static sqlite3_stmt *bind_run(struct key_store *store, enum statement which,
                              const struct key_run *run)
{
    bind_blob(store->statement[which], 1, run->owner, run->owner_len);
    bind_blob(store->statement[which], 2, run->verifier, sizeof(run->verifier));
    return store->statement[which];
}

static sqlite3_stmt *bind_number(struct key_store *store, enum statement which, uint32_t number)
{
    sqlite3_bind_int64(store->statement[which], 1, number);
    return store->statement[which];
}

int key_store_find(struct key_store *store, const struct key_run *run, uint32_t *number)
{
    int64_t found;
    int rc = step(bind_run(store, ST_FIND, run), &found);

    if (rc != 1)
        return rc < 0 ? rc : -ENOENT;
    *number = (uint32_t)found;
    return 0;
}

int key_store_give(struct key_store *store, const struct key_run *run, uint32_t *number)
{
    int err = key_store_find(store, run, number);
    int64_t row;

    if (err != -ENOENT)
        return err;
    err = step(bind_run(store, ST_GIVE, run), NULL);
    if (err)
        return err;
    row = sqlite3_last_insert_rowid(store->db);
    if (row > RESERVATION_NUMBER_MAX)
        return -ENOSPC;
    *number = (uint32_t)row;
    return 0;
}

int key_store_retire(struct key_store *store, uint32_t number)
{
    int err = step(bind_number(store, ST_RETIRE, number), NULL);

    return err ? err : step(bind_number(store, ST_FORGET, number), NULL);
}

bool key_store_has(struct key_store *store, uint32_t number)
{
    return step(bind_number(store, ST_HAS, number), NULL) !=
           0; /* what cannot be read is taken to be somebody's */
}

int key_store_each(struct key_store *store,
                   void (*visit)(uint32_t number, const struct key_run *run, void *arg), void *arg)
{
    sqlite3_stmt *stmt;
    int rc =
        sqlite3_prepare_v2(store->db, "SELECT number, owner, verifier FROM key", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return to_errno(rc);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct key_run run = {.owner = sqlite3_column_blob(stmt, 1),
                              .owner_len = (uint32_t)sqlite3_column_bytes(stmt, 1)};

        if (sqlite3_column_bytes(stmt, 2) == JOURNAL_VERIFIER_SIZE)
            memcpy(run.verifier, sqlite3_column_blob(stmt, 2), JOURNAL_VERIFIER_SIZE);
        visit((uint32_t)sqlite3_column_int64(stmt, 0), &run, arg);
    }
    sqlite3_finalize(stmt);
    return to_errno(rc);
}

static sqlite3_stmt *bind_use(struct key_store *store, enum statement which, uint32_t number,
                              const struct designator *disk)
{
    sqlite3_stmt *stmt = bind_number(store, which, number);
    uint8_t name[2 + DESIGNATOR_MAX] = {disk->code_set, disk->type};

    memcpy(name + 2, disk->bytes, disk->len);
    bind_blob(stmt, 2, name, 2U + disk->len);
    return stmt;
}

struct use {
    enum key_use state;
    uint64_t since; /* the clock, when it was told or removed last */
};

static int use_get(struct key_store *store, uint32_t number, const struct designator *disk,
                   struct use *use)
{
    sqlite3_stmt *stmt = bind_use(store, ST_USE, number, disk);
    int rc = sqlite3_step(stmt);

    *use = (struct use){.state = KEY_UNKNOWN};
    if (rc == SQLITE_ROW)
        *use = (struct use){.state = (enum key_use)sqlite3_column_int(stmt, 0),
                            .since = (uint64_t)sqlite3_column_int64(stmt, 1)};
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_ROW ? 0 : to_errno(rc);
}

static int use_put(struct key_store *store, uint32_t number, const struct designator *disk,
                   const struct use *use)
{
    sqlite3_stmt *stmt = bind_use(store, ST_SET_USE, number, disk);

    sqlite3_bind_int(stmt, 3, use->state);
    sqlite3_bind_int64(stmt, 4, (int64_t)use->since);
    return step(stmt, NULL);
}

int key_store_tell(struct key_store *store, uint32_t number, const struct designator *disk)
{
    return use_put(store, number, disk, &(struct use){.state = KEY_TOLD, .since = ++store->clock});
}

uint64_t key_store_now(const struct key_store *store)
{
    return store->clock;
}

int key_store_seen(struct key_store *store, uint32_t number, const struct designator *disk,
                   uint64_t since, enum key_sight *sight)
{
    struct use use;
    int err = use_get(store, number, disk, &use);

    *sight = KEY_IS_KNOWN;
    if (err || use.since > since || use.state == KEY_SEEN)
        return err;
    if (use.state == KEY_REMOVED) {
        *sight = KEY_IS_BACK;
        return 0;
    }
    use.state = KEY_SEEN;
    err = use_put(store, number, disk, &use);
    if (!err)
        *sight = KEY_IS_NEW;
    return err;
}

int key_store_removed(struct key_store *store, uint32_t number, const struct designator *disk)
{
    return use_put(store, number, disk,
                   &(struct use){.state = KEY_REMOVED, .since = ++store->clock});
}

int key_store_use(struct key_store *store, uint32_t number, const struct designator *disk,
                  enum key_use *use)
{
    struct use now;
    int err = use_get(store, number, disk, &now);

    *use = now.state;
    return err;
}
