/* Records to rows. Statements are prepared once. See layout/journal/private.h. */
#include "layout/journal/private.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "layout/database.h"
#include "layout/journal/pack.h"

enum statement {
    ST_DEVICE_PUT,
    ST_SEAL_PUT,
    ST_SEAL_PHASE,
    ST_SEAL_OVERLAY,
    ST_SEAL_DELETE,
    ST_HOLDER_PUT,
    ST_HOLDER_DELETE,
    ST_HOLDER_CLEAR,
    ST_FENCED_PUT,
    ST_FENCED_DELETE,
    ST_DOUBT_PUT,
    ST_DOUBT_DELETE,
    ST_WATERMARK,
    ST_COUNT,
};
_Static_assert((int)ST_COUNT <= (int)JOURNAL_STATEMENTS, "room for every statement");

static const char *const statements[ST_COUNT] = {
    [ST_DEVICE_PUT] = "INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?)",
    [ST_SEAL_PUT] =
        "INSERT OR REPLACE INTO seal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_SEAL_PHASE] = "UPDATE seal SET phase = ?2, phase_sum = ?3 WHERE key = ?1",
    [ST_SEAL_OVERLAY] = "UPDATE seal SET mtime_ns = ?2, change = ?3, reserve = ?4, size = ?5, "
                        "tail = ?6, size_sum = ?7 WHERE key = ?1",
    [ST_SEAL_DELETE] = "DELETE FROM seal WHERE key = ?1",
    [ST_HOLDER_PUT] = "INSERT OR REPLACE INTO holder VALUES (?1, ?2, ?3, ?4, ?5, ?8, ?6, ?7)",
    [ST_HOLDER_DELETE] =
        "DELETE FROM holder WHERE kind = ?1 AND owner = ?2 AND verifier = ?3 AND client_id <> ?4",
    [ST_HOLDER_CLEAR] = ("DELETE FROM holder WHERE kind = ?1 AND owner = ?2 AND verifier = ?3 AND "
                         "device = ?4 AND way = ?5"),
    [ST_FENCED_PUT] = "INSERT OR REPLACE INTO fenced VALUES (?1, ?2, ?3, ?8, ?4, ?5, ?6, ?7)",
    [ST_FENCED_DELETE] = "DELETE FROM fenced WHERE kind = ?1 AND owner = ?2 AND verifier = ?3",
    [ST_DOUBT_PUT] = "INSERT OR REPLACE INTO doubt VALUES (?)",
    [ST_DOUBT_DELETE] = "DELETE FROM doubt WHERE fs_uuid = ?",
    [ST_WATERMARK] = "UPDATE meta SET value = ? WHERE name = 'watermark'",
};

int journal_prepare(struct journal *journal)
{
    int err = 0;
    for (int i = 0; !err && i < ST_COUNT; i++)
        err = database_errno(sqlite3_prepare_v3(journal->db, statements[i], -1,
                                                SQLITE_PREPARE_PERSISTENT, &journal->statement[i],
                                                NULL));
    return err;
}

/* ---- sums: each part with its length, so that no two rows make the same bytes ---- */

static void sum_part(crypto_generichash_state *state, const void *data, size_t len)
{
    uint64_t size = len;
    (void)crypto_generichash_update(state, (const uint8_t *)&size, sizeof size);
    if (len)
        (void)crypto_generichash_update(state, data, len);
}

static void sum_number(crypto_generichash_state *state, uint64_t number)
{
    sum_part(state, &number, sizeof number);
}

void journal_sum_phase(const struct file_key *key, int64_t phase, uint8_t sum[JOURNAL_SUM_SIZE])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, JOURNAL_SUM_SIZE);
    sum_part(&state, key->data, key->len);
    sum_number(&state, (uint64_t)phase);
    (void)crypto_generichash_final(&state, sum, JOURNAL_SUM_SIZE);
}

void journal_sum_map(const struct file_key *key, int64_t kind, const uint8_t *device,
                     const void *packed, size_t len, uint8_t sum[JOURNAL_SUM_SIZE])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, JOURNAL_SUM_SIZE);
    sum_part(&state, key->data, key->len);
    sum_number(&state, (uint64_t)kind);
    sum_part(&state, device, DEVICE_ID_SIZE);
    sum_part(&state, packed, len);
    (void)crypto_generichash_final(&state, sum, JOURNAL_SUM_SIZE);
}

void journal_sum_size(const struct journal_seal *seal, uint8_t sum[JOURNAL_SUM_SIZE])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, JOURNAL_SUM_SIZE);
    sum_part(&state, seal->key.data, seal->key.len);
    sum_number(&state, seal->reserve);
    sum_number(&state, seal->size);
    sum_number(&state, seal->tail);
    (void)crypto_generichash_final(&state, sum, JOURNAL_SUM_SIZE);
}

void journal_sum_holder(const struct journal_holder *holder, uint8_t sum[JOURNAL_SUM_SIZE])
{
    crypto_generichash_state state;
    const char *address = holder->address ? holder->address : "";
    (void)crypto_generichash_init(&state, NULL, 0, JOURNAL_SUM_SIZE);
    sum_number(&state, holder->kind);
    sum_part(&state, holder->owner, holder->owner_len);
    sum_part(&state, holder->verifier, JOURNAL_VERIFIER_SIZE);
    sum_number(&state, holder->client_id);
    sum_part(&state, holder->device_id, DEVICE_ID_SIZE);
    sum_part(&state, address, strlen(address));
    sum_number(&state, holder->way);
    (void)crypto_generichash_final(&state, sum, JOURNAL_SUM_SIZE);
}

void journal_sum_device(const uint8_t *id, const uint8_t *fs_uuid, const void *packed, size_t len,
                        uint8_t sum[JOURNAL_SUM_SIZE])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, JOURNAL_SUM_SIZE);
    sum_part(&state, id, DEVICE_ID_SIZE);
    sum_part(&state, fs_uuid, DEVICE_UUID_SIZE);
    sum_part(&state, packed, len);
    (void)crypto_generichash_final(&state, sum, JOURNAL_SUM_SIZE);
}

/* ---- rows ---- */

static int run(struct journal *journal, enum statement which)
{
    return database_run(journal->statement[which]);
}

/* Binding cannot fail but for want of memory; then the step writes NULL into a NOT NULL column and
 * fails. */
static void bind_blob(sqlite3_stmt *stmt, int i, const void *data, size_t len)
{
    sqlite3_bind_blob64(stmt, i, len ? data : "", len, SQLITE_TRANSIENT);
}

static void bind_key(sqlite3_stmt *stmt, const struct file_key *key)
{
    bind_blob(stmt, 1, key->data, key->len);
}

/* From this column on: what there is of a file that grows. */
static void bind_size(sqlite3_stmt *stmt, int i, const struct journal_seal *seal)
{
    uint8_t sum[JOURNAL_SUM_SIZE];
    journal_sum_size(seal, sum);
    sqlite3_bind_int64(stmt, i, (sqlite3_int64)seal->reserve);
    sqlite3_bind_int64(stmt, i + 1, (sqlite3_int64)seal->size);
    sqlite3_bind_int64(stmt, i + 2, (sqlite3_int64)seal->tail);
    bind_blob(stmt, i + 3, sum, sizeof sum);
}

static int put_seal(struct journal *journal, const struct journal_seal *seal)
{
    sqlite3_stmt *stmt = journal->statement[ST_SEAL_PUT];
    uint8_t sum[JOURNAL_SUM_SIZE], *packed = NULL;
    size_t len = 0;
    int err = seal->map ? journal_pack_map(seal->map, &packed, &len) : 0;
    if (err)
        return err;
    bind_key(stmt, &seal->key);
    sqlite3_bind_text(stmt, 2, seal->path, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(stmt, 3, (int)seal->kind);
    sqlite3_bind_int(stmt, 4, seal->at_rest);
    sqlite3_bind_int(stmt, 5, (int)seal->phase);
    journal_sum_phase(&seal->key, seal->phase, sum);
    bind_blob(stmt, 6, sum, sizeof sum);
    bind_blob(stmt, 7, seal->device_id, DEVICE_ID_SIZE);
    bind_blob(stmt, 8, packed, len);
    journal_sum_map(&seal->key, seal->kind, seal->device_id, packed, len, sum);
    bind_blob(stmt, 9, sum, sizeof sum);
    sqlite3_bind_int64(stmt, 10, (sqlite3_int64)seal->mtime_ns);
    sqlite3_bind_int64(stmt, 11, (sqlite3_int64)seal->change);
    bind_size(stmt, 12, seal);
    free(packed);
    return run(journal, ST_SEAL_PUT);
}

static int put_phase(struct journal *journal, const struct journal_seal *seal)
{
    sqlite3_stmt *stmt = journal->statement[ST_SEAL_PHASE];
    uint8_t sum[JOURNAL_SUM_SIZE];
    journal_sum_phase(&seal->key, seal->phase, sum);
    bind_key(stmt, &seal->key);
    sqlite3_bind_int(stmt, 2, (int)seal->phase);
    bind_blob(stmt, 3, sum, sizeof sum);
    return run(journal, ST_SEAL_PHASE);
}

static int put_overlay(struct journal *journal, const struct journal_seal *seal)
{
    sqlite3_stmt *stmt = journal->statement[ST_SEAL_OVERLAY];
    bind_key(stmt, &seal->key);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)seal->mtime_ns);
    sqlite3_bind_int64(stmt, 3, (sqlite3_int64)seal->change);
    bind_size(stmt, 4, seal);
    return run(journal, ST_SEAL_OVERLAY);
}

static int delete_seal(struct journal *journal, const struct journal_seal *seal)
{
    bind_key(journal->statement[ST_SEAL_DELETE], &seal->key);
    return run(journal, ST_SEAL_DELETE);
}

static int put_device(struct journal *journal, const struct journal_device *device)
{
    sqlite3_stmt *stmt = journal->statement[ST_DEVICE_PUT];
    uint8_t sum[JOURNAL_SUM_SIZE], *packed;
    size_t len;
    int err = journal_pack_volume(device->volume, &packed, &len);
    if (err)
        return err;
    journal_sum_device(device->id, device->fs_uuid, packed, len, sum);
    bind_blob(stmt, 1, device->id, DEVICE_ID_SIZE);
    bind_blob(stmt, 2, device->fs_uuid, DEVICE_UUID_SIZE);
    bind_blob(stmt, 3, packed, len);
    bind_blob(stmt, 4, sum, sizeof sum);
    free(packed);
    return run(journal, ST_DEVICE_PUT);
}

static void bind_run(sqlite3_stmt *stmt, const struct journal_holder *holder)
{
    sqlite3_bind_int(stmt, 1, (int)holder->kind);
    bind_blob(stmt, 2, holder->owner, holder->owner_len);
    bind_blob(stmt, 3, holder->verifier, JOURNAL_VERIFIER_SIZE);
}

static int put_holder(struct journal *journal, enum statement which,
                      const struct journal_holder *holder)
{
    sqlite3_stmt *stmt = journal->statement[which];
    uint8_t sum[JOURNAL_SUM_SIZE];
    journal_sum_holder(holder, sum);
    bind_run(stmt, holder);
    sqlite3_bind_int64(stmt, 4, (sqlite3_int64)holder->client_id);
    bind_blob(stmt, 5, holder->device_id, DEVICE_ID_SIZE);
    sqlite3_bind_text(stmt, 6, holder->address ? holder->address : "", -1, SQLITE_TRANSIENT);
    bind_blob(stmt, 7, sum, sizeof sum);
    sqlite3_bind_int(stmt, 8, (int)holder->way);
    return run(journal, which);
}

static int delete_holder(struct journal *journal, enum statement which,
                         const struct journal_holder *holder)
{
    sqlite3_stmt *stmt = journal->statement[which];
    bind_run(stmt, holder);
    if (which == ST_HOLDER_CLEAR) {
        bind_blob(stmt, 4, holder->device_id, DEVICE_ID_SIZE);
        sqlite3_bind_int(stmt, 5, (int)holder->way);
    } else if (which == ST_HOLDER_DELETE)
        sqlite3_bind_int64(stmt, 4, (sqlite3_int64)holder->client_id);
    return run(journal, which);
}

static int put_fs(struct journal *journal, enum statement which, const uint8_t *fs_uuid)
{
    bind_blob(journal->statement[which], 1, fs_uuid, FILE_KEY_UUID_SIZE);
    return run(journal, which);
}

int journal_apply(struct journal *journal, const struct journal_record *record)
{
    switch (record->op) {
    case JOURNAL_SEAL_PUT:
        return put_seal(journal, &record->seal);
    case JOURNAL_SEAL_PHASE:
        return put_phase(journal, &record->seal);
    case JOURNAL_SEAL_OVERLAY:
        return put_overlay(journal, &record->seal);
    case JOURNAL_SEAL_DELETE:
        return delete_seal(journal, &record->seal);
    case JOURNAL_DEVICE_PUT:
        return put_device(journal, &record->device);
    case JOURNAL_HOLDER_PUT:
        return put_holder(journal, ST_HOLDER_PUT, &record->holder);
    case JOURNAL_HOLDER_DELETE:
        return delete_holder(journal, ST_HOLDER_DELETE, &record->holder);
    case JOURNAL_HOLDER_CLEAR:
        return delete_holder(journal, ST_HOLDER_CLEAR, &record->holder);
    case JOURNAL_FENCED_PUT:
        return put_holder(journal, ST_FENCED_PUT, &record->holder);
    case JOURNAL_FENCED_DELETE:
        return delete_holder(journal, ST_FENCED_DELETE, &record->holder);
    case JOURNAL_DOUBT_PUT:
        return put_fs(journal, ST_DOUBT_PUT, record->fs_uuid);
    case JOURNAL_DOUBT_DELETE:
        return put_fs(journal, ST_DOUBT_DELETE, record->fs_uuid);
    }
    return -EINVAL;
}

int journal_set_watermark(struct journal *journal, uint64_t watermark)
{
    sqlite3_bind_int64(journal->statement[ST_WATERMARK], 1, (sqlite3_int64)watermark);
    return run(journal, ST_WATERMARK);
}
