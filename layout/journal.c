/* The journal in SQLite: see layout/journal.h. Statements are prepared once; the schema's version is
 * user_version. */
#include "layout/journal.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/journal_pack.h"

enum { SCHEMA_VERSION = 3, BUSY_MS = 2000 };

static const char schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('boot', 0);"
    "CREATE TABLE device (id BLOB PRIMARY KEY, fs_uuid BLOB NOT NULL, volume BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE seal (key BLOB PRIMARY KEY, path TEXT NOT NULL, kind INTEGER NOT NULL, at_rest INTEGER NOT "
    "NULL,"
    " phase INTEGER NOT NULL, device BLOB, map BLOB, digest BLOB, mtime_ns INTEGER NOT NULL,"
    " change INTEGER NOT NULL);"
    "CREATE TABLE holder (kind INTEGER NOT NULL, owner BLOB NOT NULL, verifier BLOB NOT NULL,"
    " client_id INTEGER NOT NULL, device BLOB NOT NULL, address TEXT NOT NULL,"
    " PRIMARY KEY (kind, owner, verifier, client_id, device)) WITHOUT ROWID;"
    "CREATE TABLE fenced (kind INTEGER NOT NULL, owner BLOB NOT NULL, verifier BLOB NOT NULL,"
    " client_id INTEGER NOT NULL, device BLOB NOT NULL, address TEXT NOT NULL,"
    " PRIMARY KEY (kind, owner, verifier)) WITHOUT ROWID;"
    "PRAGMA user_version = 3;";

/* What makes a journal of version i + 1 one of version i + 2. */
static const char *const upgrades[SCHEMA_VERSION - 1] = {
    /* Holders got a kind: all of them were NFS clients (0). */
    "ALTER TABLE holder RENAME TO holder_1; ALTER TABLE fenced RENAME TO fenced_1;"
    "CREATE TABLE holder (kind INTEGER NOT NULL, owner BLOB NOT NULL, verifier BLOB NOT NULL,"
    " client_id INTEGER NOT NULL, device BLOB NOT NULL, address TEXT NOT NULL,"
    " PRIMARY KEY (kind, owner, verifier, client_id, device)) WITHOUT ROWID;"
    "CREATE TABLE fenced (kind INTEGER NOT NULL, owner BLOB NOT NULL, verifier BLOB NOT NULL,"
    " client_id INTEGER NOT NULL, device BLOB NOT NULL, address TEXT NOT NULL,"
    " PRIMARY KEY (kind, owner, verifier)) WITHOUT ROWID;"
    "INSERT INTO holder SELECT 0, owner, verifier, client_id, device, address FROM holder_1;"
    "INSERT INTO fenced SELECT 0, owner, verifier, client_id, device, address FROM fenced_1;"
    "DROP TABLE holder_1; DROP TABLE fenced_1;"
    "PRAGMA user_version = 2;",
    /* Devices may be made of several disks: a new description (journal_pack.h), the old one is read too. */
    "PRAGMA user_version = 3;",
};

enum statement {
    ST_BEGIN,
    ST_COMMIT,
    ST_DEVICE_PUT,
    ST_SEAL_PUT,
    ST_SEAL_PHASE,
    ST_SEAL_OVERLAY,
    ST_SEAL_DELETE,
    ST_HOLDER_PUT,
    ST_HOLDER_DELETE,
    ST_HOLDER_DELETE_DEVICE,
    ST_FENCED_PUT,
    ST_FENCED_DELETE,
    ST_COUNT,
};

static const char *const statements[ST_COUNT] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_DEVICE_PUT] = "INSERT OR REPLACE INTO device VALUES (?, ?, ?)",
    [ST_SEAL_PUT] = "INSERT OR REPLACE INTO seal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_SEAL_PHASE] = "UPDATE seal SET phase = ?2 WHERE key = ?1",
    [ST_SEAL_OVERLAY] = "UPDATE seal SET mtime_ns = ?2, change = ?3 WHERE key = ?1",
    [ST_SEAL_DELETE] = "DELETE FROM seal WHERE key = ?1",
    [ST_HOLDER_PUT] = "INSERT OR REPLACE INTO holder VALUES (?6, ?1, ?2, ?3, ?4, ?5)",
    [ST_HOLDER_DELETE] =
        "DELETE FROM holder WHERE kind = ?6 AND owner = ?1 AND verifier = ?2 AND client_id <> ?3",
    [ST_HOLDER_DELETE_DEVICE] =
        "DELETE FROM holder WHERE kind = ?6 AND owner = ?1 AND verifier = ?2 AND device = ?4",
    [ST_FENCED_PUT] = "INSERT OR REPLACE INTO fenced VALUES (?6, ?1, ?2, ?3, ?4, ?5)",
    [ST_FENCED_DELETE] = "DELETE FROM fenced WHERE kind = ?6 AND owner = ?1 AND verifier = ?2",
};

struct journal {
    sqlite3 *db;
    sqlite3_stmt *statement[ST_COUNT];
    uint32_t boot;
    bool in_transaction;
    bool broken;
};

static int to_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
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
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_READONLY:
        return -EROFS;
    default:
        return -EIO;
    }
}

static int query_int(sqlite3 *db, const char *sql, int64_t *value)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return to_errno(rc);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -ENOENT : to_errno(rc);
}

static int execute(sqlite3 *db, const char *sql)
{
    return to_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* Exclusive locking keeps a second server away for as long as this one runs. */
static int set_up(struct journal *journal)
{
    int64_t version = 0;
    int err = execute(journal->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;");
    if (!err)
        err = execute(journal->db, "BEGIN IMMEDIATE");
    if (!err)
        err = query_int(journal->db, "PRAGMA user_version", &version);
    if (!err && version == 0)
        err = execute(journal->db, schema);
    else if (!err && (version < 0 || version > SCHEMA_VERSION))
        err = -EPROTO;
    for (; !err && version > 0 && version < SCHEMA_VERSION; version++)
        err = execute(journal->db, upgrades[version - 1]);
    if (!err)
        err = execute(journal->db, "UPDATE meta SET value = value + 1 WHERE name = 'boot'");
    int64_t boot = 0;
    if (!err)
        err = query_int(journal->db, "SELECT value FROM meta WHERE name = 'boot'", &boot);
    if (!err)
        err = execute(journal->db, "COMMIT");
    journal->boot = (uint32_t)boot;
    return err;
}

int journal_open(const char *path, struct journal **out)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return -ENOMEM;
    int err = to_errno(sqlite3_open_v2(
        path, &journal->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    if (err)
        goto fail;
    sqlite3_extended_result_codes(journal->db, 1);
    sqlite3_busy_timeout(journal->db, BUSY_MS);
    err = set_up(journal);
    for (int i = 0; !err && i < ST_COUNT; i++)
        err = to_errno(sqlite3_prepare_v3(journal->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                          &journal->statement[i], NULL));
    if (err)
        goto fail;
    *out = journal;
    return 0;
fail:
    journal_close(journal);
    return err;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    for (int i = 0; i < ST_COUNT; i++)
        sqlite3_finalize(journal->statement[i]);
    sqlite3_close(journal->db);
    free(journal);
}

uint32_t journal_boot(const struct journal *journal)
{
    return journal->boot;
}

const char *journal_error(const struct journal *journal)
{
    return sqlite3_errmsg(journal->db);
}

static int run(struct journal *journal, enum statement which)
{
    sqlite3_stmt *stmt = journal->statement[which];
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE ? 0 : to_errno(rc);
}

/* Binding cannot fail but for want of memory; then the step writes NULL into a NOT NULL column and fails. */
static void bind_blob(sqlite3_stmt *stmt, int i, const void *data, size_t len)
{
    sqlite3_bind_blob64(stmt, i, len ? data : "", len, SQLITE_TRANSIENT);
}

static void bind_key(sqlite3_stmt *stmt, const struct file_key *key)
{
    bind_blob(stmt, 1, key->data, key->len);
}

static int write_seal(struct journal *journal, const struct journal_seal *seal)
{
    sqlite3_stmt *stmt = journal->statement[ST_SEAL_PUT];
    uint8_t digest[MAP_DIGEST_SIZE], *packed = NULL;
    size_t len = 0;
    bind_key(stmt, &seal->key);
    sqlite3_bind_text(stmt, 2, seal->path, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(stmt, 3, (int)seal->kind);
    sqlite3_bind_int(stmt, 4, seal->at_rest);
    sqlite3_bind_int(stmt, 5, (int)seal->phase);
    if (seal->map) {
        int err = journal_pack_map(seal->map, &packed, &len);
        if (err)
            return err;
        map_digest(seal->map, digest);
        bind_blob(stmt, 6, seal->device_id, DEVICE_ID_SIZE);
        bind_blob(stmt, 7, packed, len);
        bind_blob(stmt, 8, digest, sizeof digest);
        free(packed);
    }
    sqlite3_bind_int64(stmt, 9, (sqlite3_int64)seal->mtime_ns);
    sqlite3_bind_int64(stmt, 10, (sqlite3_int64)seal->change);
    return run(journal, ST_SEAL_PUT);
}

static int write_seal_field(struct journal *journal, enum statement which,
                            const struct journal_record *record)
{
    sqlite3_stmt *stmt = journal->statement[which];
    bind_key(stmt, &record->seal.key);
    if (which == ST_SEAL_PHASE)
        sqlite3_bind_int(stmt, 2, (int)record->seal.phase);
    if (which == ST_SEAL_OVERLAY) {
        sqlite3_bind_int64(stmt, 2, (sqlite3_int64)record->seal.mtime_ns);
        sqlite3_bind_int64(stmt, 3, (sqlite3_int64)record->seal.change);
    }
    return run(journal, which);
}

static int write_device(struct journal *journal, const struct journal_device *device)
{
    sqlite3_stmt *stmt = journal->statement[ST_DEVICE_PUT];
    uint8_t *packed;
    size_t len;
    int err = journal_pack_volume(device->volume, &packed, &len);
    if (err)
        return err;
    bind_blob(stmt, 1, device->id, DEVICE_ID_SIZE);
    bind_blob(stmt, 2, device->fs_uuid, DEVICE_UUID_SIZE);
    bind_blob(stmt, 3, packed, len);
    free(packed);
    return run(journal, ST_DEVICE_PUT);
}

static sqlite3_stmt *bind_holder(struct journal *journal, enum statement which,
                                 const struct journal_holder *holder)
{
    sqlite3_stmt *stmt = journal->statement[which];
    bind_blob(stmt, 1, holder->owner, holder->owner_len);
    bind_blob(stmt, 2, holder->verifier, JOURNAL_VERIFIER_SIZE);
    sqlite3_bind_int64(stmt, 3, (sqlite3_int64)holder->client_id);
    bind_blob(stmt, 4, holder->device_id, DEVICE_ID_SIZE);
    if (which == ST_HOLDER_PUT || which == ST_FENCED_PUT)
        sqlite3_bind_text(stmt, 5, holder->address ? holder->address : "", -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(stmt, 6, (int)holder->kind);
    return stmt;
}

static int write_holder(struct journal *journal, enum statement which, const struct journal_holder *holder)
{
    bind_holder(journal, which, holder);
    return run(journal, which);
}

static int apply(struct journal *journal, const struct journal_record *record)
{
    int err;
    switch (record->op) {
    case JOURNAL_SEAL_PUT:
        return write_seal(journal, &record->seal);
    case JOURNAL_SEAL_PHASE:
        return write_seal_field(journal, ST_SEAL_PHASE, record);
    case JOURNAL_SEAL_OVERLAY:
        return write_seal_field(journal, ST_SEAL_OVERLAY, record);
    case JOURNAL_SEAL_DELETE:
        return write_seal_field(journal, ST_SEAL_DELETE, record);
    case JOURNAL_DEVICE_PUT:
        return write_device(journal, &record->device);
    case JOURNAL_HOLDER_PUT:
        return write_holder(journal, ST_HOLDER_PUT, &record->holder);
    case JOURNAL_HOLDER_DELETE:
        return write_holder(journal, ST_HOLDER_DELETE, &record->holder);
    case JOURNAL_HOLDER_CLEAR:
        return write_holder(journal, ST_HOLDER_DELETE_DEVICE, &record->holder);
    case JOURNAL_FENCED_PUT:
        err = write_holder(journal, ST_HOLDER_DELETE_DEVICE, &record->holder);
        return err ? err : write_holder(journal, ST_FENCED_PUT, &record->holder);
    case JOURNAL_FENCED_DELETE:
        return write_holder(journal, ST_FENCED_DELETE, &record->holder);
    }
    return -EINVAL;
}

int journal_write(struct journal *journal, const struct journal_record *record)
{
    int err = journal->broken ? -EIO : 0;
    if (!err && !journal->in_transaction) {
        err = run(journal, ST_BEGIN);
        journal->in_transaction = !err;
    }
    if (!err)
        err = apply(journal, record);
    if (err)
        journal->broken = true;
    return err ? -EIO : 0;
}

int journal_commit(struct journal *journal)
{
    if (journal->broken)
        return -EIO;
    if (!journal->in_transaction)
        return 0;
    int err = run(journal, ST_COMMIT);
    if (!err) {
        journal->in_transaction = false;
        return 0;
    }
    /* SQLite may have rolled back by itself; then what was written is gone and must not be believed. */
    if (sqlite3_get_autocommit(journal->db)) {
        journal->broken = true;
        return -EIO;
    }
    return -EAGAIN;
}

static void take_bytes(sqlite3_stmt *stmt, int column, void *out, size_t size)
{
    size_t len = (size_t)sqlite3_column_bytes(stmt, column);
    if (len > 0)
        memcpy(out, sqlite3_column_blob(stmt, column), len < size ? len : size);
}

static int load_device(sqlite3_stmt *stmt, const struct journal_visitor *visitor, void *arg)
{
    struct device_volume volume;
    struct journal_device device = {.volume = &volume};
    take_bytes(stmt, 0, device.id, sizeof device.id);
    take_bytes(stmt, 1, device.fs_uuid, sizeof device.fs_uuid);
    /* Damaged: the engine then knows the id only, and grants nothing on it. */
    if (journal_unpack_volume(sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2),
                              &volume))
        return 0;
    return visitor->device(&device, arg);
}

static int load_seal(sqlite3_stmt *stmt, const struct journal_visitor *visitor, void *arg)
{
    struct journal_seal seal = {0};
    uint8_t kept[MAP_DIGEST_SIZE] = {0}, digest[MAP_DIGEST_SIZE];
    size_t len = (size_t)sqlite3_column_bytes(stmt, 0);
    seal.key.len = (uint8_t)(len < FILE_KEY_MAX ? len : FILE_KEY_MAX);
    take_bytes(stmt, 0, seal.key.data, sizeof seal.key.data);
    seal.path = (const char *)sqlite3_column_text(stmt, 1);
    seal.kind = sqlite3_column_int(stmt, 2) == SEAL_KIND_PINNED ? SEAL_KIND_PINNED : SEAL_KIND_FROZEN;
    seal.at_rest = sqlite3_column_int(stmt, 3) != 0;
    seal.phase = (enum journal_seal_phase)sqlite3_column_int(stmt, 4);
    take_bytes(stmt, 5, seal.device_id, sizeof seal.device_id);
    take_bytes(stmt, 7, kept, sizeof kept);
    seal.mtime_ns = (uint64_t)sqlite3_column_int64(stmt, 8);
    seal.change = (uint64_t)sqlite3_column_int64(stmt, 9);
    int err =
        journal_unpack_map(sqlite3_column_blob(stmt, 6), (size_t)sqlite3_column_bytes(stmt, 6), &seal.map);
    if (err == -ENOMEM)
        return err;
    if (seal.map) {
        map_digest(seal.map, digest);
        if (memcmp(digest, kept, sizeof digest) != 0) {
            map_free(seal.map);
            seal.map = NULL;
        }
    }
    err = visitor->seal(&seal, arg);
    map_free(seal.map);
    return err;
}

static void take_holder(sqlite3_stmt *stmt, struct journal_holder *holder)
{
    int kind = sqlite3_column_int(stmt, 5);
    *holder = (struct journal_holder){
        /* One that makes no sense is the one that nothing ends by itself. */
        .kind =
            kind >= 0 && kind < JOURNAL_HOLDER_KINDS ? (enum journal_holder_kind)kind : JOURNAL_HOLDER_NONE,
        .owner = sqlite3_column_blob(stmt, 0),
        .owner_len = (uint32_t)sqlite3_column_bytes(stmt, 0),
        .client_id = (uint64_t)sqlite3_column_int64(stmt, 2),
        .address = (const char *)sqlite3_column_text(stmt, 4),
    };
    take_bytes(stmt, 1, holder->verifier, sizeof holder->verifier);
    take_bytes(stmt, 3, holder->device_id, sizeof holder->device_id);
}

static int load_holder(sqlite3_stmt *stmt, const struct journal_visitor *visitor, void *arg)
{
    struct journal_holder holder;
    take_holder(stmt, &holder);
    return visitor->holder(&holder, arg);
}

static int load_fenced(sqlite3_stmt *stmt, const struct journal_visitor *visitor, void *arg)
{
    struct journal_holder holder;
    take_holder(stmt, &holder);
    return visitor->fenced(&holder, arg);
}

static int each_row(struct journal *journal, const char *sql,
                    int (*row)(sqlite3_stmt *stmt, const struct journal_visitor *visitor, void *arg),
                    const struct journal_visitor *visitor, void *arg)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(journal->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return to_errno(rc);
    int err = 0;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = row(stmt, visitor, arg);
    if (!err && rc != SQLITE_DONE)
        err = to_errno(rc);
    sqlite3_finalize(stmt);
    return err;
}

int journal_load(struct journal *journal, const struct journal_visitor *visitor, void *arg)
{
    int err = each_row(journal, "SELECT id, fs_uuid, volume FROM device", load_device, visitor, arg);
    if (!err)
        err = each_row(
            journal,
            "SELECT key, path, kind, at_rest, phase, device, map, digest, mtime_ns, change FROM seal",
            load_seal, visitor, arg);
    if (!err)
        err = each_row(journal, "SELECT owner, verifier, client_id, device, address, kind FROM holder",
                       load_holder, visitor, arg);
    if (!err)
        err = each_row(journal, "SELECT owner, verifier, client_id, device, address, kind FROM fenced",
                       load_fenced, visitor, arg);
    return err;
}
