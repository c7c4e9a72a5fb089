/* Rows to records: see layout/journal/journal.h. A row that is not as it was written is no record:
 * -EUCLEAN. */
#include "layout/journal/private.h"

#include <errno.h>
#include <string.h>

#include "layout/database.h"
#include "layout/journal/pack.h"

static void take_bytes(sqlite3_stmt *stmt, int column, void *out, size_t size)
{
    size_t len = (size_t)sqlite3_column_bytes(stmt, column);
    if (len > 0)
        memcpy(out, sqlite3_column_blob(stmt, column), len < size ? len : size);
}

static bool sum_is(sqlite3_stmt *stmt, int column, const uint8_t sum[JOURNAL_SUM_SIZE])
{
    return sqlite3_column_bytes(stmt, column) == JOURNAL_SUM_SIZE &&
           memcmp(sqlite3_column_blob(stmt, column), sum, JOURNAL_SUM_SIZE) == 0;
}

struct walk {
    struct journal *journal;
    const struct journal_visitor *visitor;
    void *arg;
};

static int load_doubt(sqlite3_stmt *stmt, const struct walk *walk)
{
    uint8_t fs_uuid[FILE_KEY_UUID_SIZE] = {0};
    take_bytes(stmt, 0, fs_uuid, sizeof fs_uuid);
    return walk->visitor->doubt(fs_uuid, walk->arg);
}

static int load_device(sqlite3_stmt *stmt, const struct walk *walk)
{
    struct device_volume volume;
    struct journal_device device = {.volume = &volume};
    uint8_t sum[JOURNAL_SUM_SIZE];
    const void *packed = sqlite3_column_blob(stmt, 2);
    size_t len = (size_t)sqlite3_column_bytes(stmt, 2);
    take_bytes(stmt, 0, device.id, sizeof device.id);
    take_bytes(stmt, 1, device.fs_uuid, sizeof device.fs_uuid);
    journal_sum_device(device.id, device.fs_uuid, packed, len, sum);
    if (!sum_is(stmt, 3, sum) || journal_unpack_volume(packed, len, &volume))
        return -EUCLEAN;
    return walk->visitor->device(&device, walk->arg);
}

static int load_map(sqlite3_stmt *stmt, struct journal_seal *seal)
{
    uint8_t sum[JOURNAL_SUM_SIZE];
    const void *packed = sqlite3_column_blob(stmt, 7);
    size_t len = (size_t)sqlite3_column_bytes(stmt, 7);
    take_bytes(stmt, 6, seal->device_id, sizeof seal->device_id);
    journal_sum_map(&seal->key, sqlite3_column_int64(stmt, 2), seal->device_id, packed, len, sum);
    if (!sum_is(stmt, 8, sum))
        return -EUCLEAN;
    return len ? journal_unpack_map(packed, len, &seal->map) : 0;
}

/* A row of before there were such files has no sum, and no size either. */
static bool take_size(sqlite3_stmt *stmt, struct journal_seal *seal)
{
    uint8_t sum[JOURNAL_SUM_SIZE];
    seal->reserve = (uint64_t)sqlite3_column_int64(stmt, 11);
    seal->size = (uint64_t)sqlite3_column_int64(stmt, 12);
    seal->tail = (uint64_t)sqlite3_column_int64(stmt, 13);
    if (sqlite3_column_bytes(stmt, 14) == 0)
        return !seal->reserve && !seal->size && !seal->tail;
    journal_sum_size(seal, sum);
    return sum_is(stmt, 14, sum) && seal->size <= seal->reserve;
}

static int load_seal(sqlite3_stmt *stmt, const struct walk *walk)
{
    struct journal_seal seal = {0};
    uint8_t sum[JOURNAL_SUM_SIZE];
    size_t len = (size_t)sqlite3_column_bytes(stmt, 0);
    seal.key.len = (uint8_t)(len < FILE_KEY_MAX ? len : FILE_KEY_MAX);
    take_bytes(stmt, 0, seal.key.data, sizeof seal.key.data);
    seal.path = (const char *)sqlite3_column_text(stmt, 1);
    seal.kind =
        sqlite3_column_int(stmt, 2) == SEAL_KIND_PINNED ? SEAL_KIND_PINNED : SEAL_KIND_FROZEN;
    seal.at_rest = sqlite3_column_int(stmt, 3) != 0;
    seal.phase = (enum journal_seal_phase)sqlite3_column_int(stmt, 4);
    journal_sum_phase(&seal.key, sqlite3_column_int64(stmt, 4), sum);
    if (!sum_is(stmt, 5, sum))
        return -EUCLEAN;
    seal.mtime_ns = (uint64_t)sqlite3_column_int64(stmt, 9);
    seal.change = (uint64_t)sqlite3_column_int64(stmt, 10);
    if (!take_size(stmt, &seal))
        return -EUCLEAN;
    int err = load_map(stmt, &seal);
    if (!err)
        err = walk->visitor->seal(&seal, walk->arg);
    map_free(seal.map);
    return err;
}

static bool take_holder(sqlite3_stmt *stmt, struct journal_holder *holder)
{
    uint8_t sum[JOURNAL_SUM_SIZE];
    *holder = (struct journal_holder){
        .kind = (enum journal_holder_kind)sqlite3_column_int(stmt, 6),
        .way = (enum journal_way)sqlite3_column_int(stmt, 7),
        .owner = sqlite3_column_blob(stmt, 0),
        .owner_len = (uint32_t)sqlite3_column_bytes(stmt, 0),
        .client_id = (uint64_t)sqlite3_column_int64(stmt, 2),
        .address = (const char *)sqlite3_column_text(stmt, 4),
    };
    take_bytes(stmt, 1, holder->verifier, sizeof holder->verifier);
    take_bytes(stmt, 3, holder->device_id, sizeof holder->device_id);
    journal_sum_holder(holder, sum);
    return sum_is(stmt, 5, sum);
}

static int load_holder(sqlite3_stmt *stmt, const struct walk *walk)
{
    struct journal_holder holder;
    return take_holder(stmt, &holder) ? walk->visitor->holder(&holder, walk->arg) : -EUCLEAN;
}

static int load_fenced(sqlite3_stmt *stmt, const struct walk *walk)
{
    struct journal_holder holder;
    return take_holder(stmt, &holder) ? walk->visitor->fenced(&holder, walk->arg) : -EUCLEAN;
}

static int each_row(const struct walk *walk, const char *sql,
                    int (*row)(sqlite3_stmt *stmt, const struct walk *walk))
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(walk->journal->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return database_errno(rc);
    int err = 0;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = row(stmt, walk);
    if (!err && rc != SQLITE_DONE)
        err = database_errno(rc);
    sqlite3_finalize(stmt);
    return err;
}

int journal_load(struct journal *journal, const struct journal_visitor *visitor, void *arg)
{
    const struct walk walk = {journal, visitor, arg};
    int err = each_row(&walk, "SELECT fs_uuid FROM doubt", load_doubt);
    if (!err)
        err = each_row(&walk, "SELECT id, fs_uuid, volume, sum FROM device", load_device);
    if (!err)
        err = each_row(
            &walk,
            "SELECT key, path, kind, at_rest, phase, phase_sum, device, map, map_sum, mtime_ns, "
            "change, reserve, size, tail, size_sum FROM seal",
            load_seal);
    if (!err)
        err = each_row(
            &walk, "SELECT owner, verifier, client_id, device, address, sum, kind, way FROM holder",
            load_holder);
    if (!err)
        err = each_row(
            &walk, "SELECT owner, verifier, client_id, device, address, sum, kind, way FROM fenced",
            load_fenced);
    return err;
}
