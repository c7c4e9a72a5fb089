/* The journal: what comes back is what was committed, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "layout/journal/journal.h"
#include "layout/journal/pack.h"

static char dir[] = "/tmp/sealnfs-journal-XXXXXX";
static char path[64];

struct found {
    unsigned doubts, devices, seals, holders, fenced;
    struct journal_device device;
    struct device_volume volume;
    struct journal_seal seal;
    uint64_t client_ids;
    int kinds; /* of the holders, added up */
};

static int on_device(const struct journal_device *device, void *arg)
{
    struct found *found = arg;
    found->devices++;
    found->device = *device;
    found->volume = *device->volume;
    return 0;
}

static int on_seal(const struct journal_seal *seal, void *arg)
{
    struct found *found = arg;
    found->seals++;
    found->seal = *seal;
    if (seal->map)
        map_ref(seal->map);
    return 0;
}

static int on_holder(const struct journal_holder *holder, void *arg)
{
    struct found *found = arg;
    assert_int_equal(holder->owner_len, 5);
    assert_memory_equal(holder->owner, "ow\0er", 5);
    assert_string_equal(holder->address, "192.0.2.1");
    found->holders++;
    found->client_ids += holder->client_id;
    found->kinds += (int)holder->kind;
    return 0;
}

static int on_fenced(const struct journal_holder *holder, void *arg)
{
    struct found *found = arg;
    assert_int_equal(holder->owner_len, 5);
    found->fenced++;
    return 0;
}

static int on_doubt(const uint8_t *fs_uuid, void *arg)
{
    struct found *found = arg;
    assert_memory_equal(fs_uuid, "uuid-of-16-bytes", FILE_KEY_UUID_SIZE);
    found->doubts++;
    return 0;
}

static const struct journal_visitor visitor = {on_doubt, on_device, on_seal, on_holder, on_fenced};

static struct found load(struct journal *journal)
{
    struct found found = {0};
    assert_int_equal(journal_load(journal, &visitor, &found), 0);
    return found;
}

static struct journal *open_journal(void)
{
    struct journal *journal;
    assert_int_equal(journal_open(path, &journal), 0);
    return journal;
}

static int fresh(void **state)
{
    char other[80];
    (void)state;
    unlink(path);
    snprintf(other, sizeof other, "%s-wal", path);
    unlink(other);
    snprintf(other, sizeof other, "%s-shm", path);
    unlink(other);
    return 0;
}

static struct seal_map *make_map(unsigned extents)
{
    struct map_builder *builder;
    struct seal_map *map;
    assert_int_equal(map_builder_create((uint64_t)extents * 8192 - 1, 4096, &builder), 0);
    for (unsigned i = 0; i < extents; i++) {
        struct seal_extent extent = {.file_offset = (uint64_t)i * 8192,
                                     .length = 4096,
                                     .device_offset = (uint64_t)(i + 7) * 65536};
        assert_int_equal(map_builder_add(builder, &extent), 0);
    }
    assert_int_equal(map_builder_finish(builder, &map), 0);
    return map;
}

static struct journal_record seal_record(struct seal_map *map, enum journal_seal_phase phase)
{
    struct journal_record record = {.op = JOURNAL_SEAL_PUT,
                                    .seal = {.key = {.len = 24, .data = "0123456789abcdef\1handle"},
                                             .path = "/srv/a file with \" and \xff",
                                             .kind = SEAL_KIND_PINNED,
                                             .at_rest = true,
                                             .phase = phase,
                                             .map = map,
                                             .device_id = "device-of-16byte",
                                             .mtime_ns = UINT64_C(1) << 63 | 5,
                                             .change = 77}};
    return record;
}

static struct journal_record holder_record(enum journal_op op, uint64_t client_id)
{
    struct journal_record record = {.op = op,
                                    .holder = {.owner = (const uint8_t *)"ow\0er",
                                               .owner_len = 5,
                                               .verifier = "verify!",
                                               .client_id = client_id,
                                               .address = "192.0.2.1",
                                               .device_id = "device-of-16byte"}};
    return record;
}

static void put(struct journal *journal, struct journal_record record)
{
    assert_int_equal(journal_write(journal, &record), 0);
}

static struct found load_committed(struct journal *journal)
{
    assert_int_equal(journal_commit(journal), 0);
    return load(journal);
}

static void seal_comes_back_with_its_map(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct seal_map *map = make_map(1000);
    put(journal, seal_record(map, JOURNAL_SEALED));
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
    journal = open_journal();
    struct found found = load(journal);
    assert_int_equal(found.seals, 1);
    assert_non_null(found.seal.map);
    assert_true(map_equal(found.seal.map, map));
    assert_int_equal(found.seal.phase, JOURNAL_SEALED);
    assert_int_equal(found.seal.kind, SEAL_KIND_PINNED);
    assert_true(found.seal.at_rest);
    assert_true(found.seal.mtime_ns == (UINT64_C(1) << 63 | 5));
    assert_int_equal(found.seal.change, 77);
    assert_int_equal(found.seal.key.len, 24);
    map_free(found.seal.map);
    map_free(map);
    journal_close(journal);
}

static void seal_changes_phase_and_times_and_goes(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct seal_map *map = make_map(1);
    put(journal, seal_record(map, JOURNAL_SEALED));
    struct journal_record record = seal_record(NULL, JOURNAL_RELEASING);
    record.op = JOURNAL_SEAL_PHASE;
    put(journal, record);
    record.op = JOURNAL_SEAL_OVERLAY;
    record.seal.mtime_ns = 123;
    record.seal.change = 456;
    put(journal, record);
    assert_int_equal(journal_commit(journal), 0);
    struct found found = load(journal);
    assert_int_equal(found.seal.phase, JOURNAL_RELEASING);
    assert_int_equal(found.seal.mtime_ns, 123);
    assert_int_equal(found.seal.change, 456);
    assert_non_null(found.seal.map);
    map_free(found.seal.map);
    record.op = JOURNAL_SEAL_DELETE;
    put(journal, record);
    assert_int_equal(journal_commit(journal), 0);
    assert_int_equal(load(journal).seals, 0);
    map_free(map);
    journal_close(journal);
}

static struct device_base disk(const char *sign)
{
    struct device_base base = {.size = 1 << 30, .signature = {.count = 1}};
    base.signature.component[0] = (struct signature_component){.offset = 512, .len = 4};
    memcpy(base.signature.component[0].bytes, sign, 4);
    return base;
}

static void device_comes_back(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct device_volume volume = {0};
    struct device_base a = disk("one1"), b = disk("two2");
    uint32_t at[4];
    assert_int_equal(device_volume_add_base(&volume, &a, &at[0]), 0);
    assert_int_equal(device_volume_add_base(&volume, &b, &at[1]), 0);
    assert_int_equal(device_volume_add_slice(&volume, at[1], 1 << 20, 1 << 29, &at[1]), 0);
    assert_int_equal(device_volume_add_slice(&volume, at[0], 1 << 16, 1 << 29, &at[0]), 0);
    assert_int_equal(device_volume_add_stripe(&volume, 65536, at, 2, &at[2]), 0);
    struct journal_record record = {
        .op = JOURNAL_DEVICE_PUT,
        .device = {.id = "device-of-16byte", .fs_uuid = "uuid-of-16-bytes", .volume = &volume}};
    put(journal, record);
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
    journal = open_journal();
    struct found found = load(journal);
    assert_int_equal(found.devices, 1);
    assert_memory_equal(found.device.id, record.device.id, DEVICE_ID_SIZE);
    assert_memory_equal(found.device.fs_uuid, record.device.fs_uuid, DEVICE_UUID_SIZE);
    assert_true(device_volume_equal(&found.volume, &volume));
    journal_close(journal);
}

/* As journals before version 3 have it: size, sliced, start, length, and four components, 44 bytes
 * each. */
static void device_of_an_old_journal_is_read(void **state)
{
    (void)state;
    uint8_t old[208] = {[4] = 0x40, [11] = 1, [17] = 0x10, [24] = 0x20, [31] = 2};
    struct device_volume volume;
    memcpy(old + 32, "\0\0\0\0\0\0\4\x38\0\0\0\2\x53\xEF", 14);
    memcpy(old + 32 + 44,
           "\0\0\0\0\0\0\4\x68\0\0\0\x10"
           "0123456789abcdef",
           28);
    assert_int_equal(journal_unpack_volume(old, sizeof old, &volume), 0);
    assert_int_equal(volume.base_count, 1);
    assert_int_equal(volume.base[0].size, 1 << 30);
    assert_int_equal(volume.base[0].signature.component[1].offset, 1128);
    assert_memory_equal(volume.base[0].signature.component[1].bytes, "0123456789abcdef", 16);
    assert_int_equal(volume.node_count, 2);
    assert_int_equal(volume.node[1].kind, DEVICE_SLICE);
    assert_int_equal(volume.node[1].start, 1 << 20);
    assert_int_equal(volume.node[1].size, 1 << 29);
    old[11] = 0;
    assert_int_equal(journal_unpack_volume(old, sizeof old, &volume), 0);
    assert_int_equal(volume.node_count, 1);
    old[31] = 5; /* more components than there are */
    assert_int_equal(journal_unpack_volume(old, sizeof old, &volume), -EUCLEAN);
}

/* Whatever is in the journal, nothing but a volume comes out. */
static void damaged_device_is_no_device(void **state)
{
    (void)state;
    struct device_volume volume = {0}, got;
    struct device_base a = disk("one1");
    uint8_t *bytes;
    size_t len;
    uint32_t at;
    assert_int_equal(device_volume_add_base(&volume, &a, &at), 0);
    assert_int_equal(device_volume_add_slice(&volume, at, 512, 512, &at), 0);
    assert_int_equal(journal_pack_volume(&volume, &bytes, &len), 0);
    assert_int_equal(journal_unpack_volume(bytes, len, &got), 0);
    assert_int_equal(journal_unpack_volume(bytes, len - 1, &got), -EUCLEAN);
    for (size_t i = 0; i < 20; i++) { /* magic and counts */
        bytes[i] ^= 0x41;
        assert_int_equal(journal_unpack_volume(bytes, len, &got), -EUCLEAN);
        bytes[i] ^= 0x41;
    }
    bytes[len - 1] = 1; /* the slice of itself */
    assert_int_equal(journal_unpack_volume(bytes, len, &got), -EUCLEAN);
    free(bytes);
}

static void holders_are_kept_by_client_id_and_forgotten_but_for_one(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    for (uint64_t id = 1; id <= 3; id++)
        put(journal, holder_record(JOURNAL_HOLDER_PUT, id));
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 3));
    assert_int_equal(load_committed(journal).holders, 3);
    put(journal, holder_record(JOURNAL_HOLDER_DELETE, 2));
    struct found found = load_committed(journal);
    assert_int_equal(found.holders, 1);
    assert_int_equal(found.client_ids, 2);
    put(journal, holder_record(JOURNAL_HOLDER_DELETE, 0));
    assert_int_equal(load_committed(journal).holders, 0);
    journal_close(journal);
}

static void fence_leaves_a_mark_and_the_holder_until_it_is_taken_off_the_device(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct journal_record other = holder_record(JOURNAL_HOLDER_PUT, 1);
    memcpy(other.holder.device_id, "another--16bytes", DEVICE_ID_SIZE);
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 1));
    put(journal, other);
    put(journal, holder_record(JOURNAL_FENCED_PUT, 1));
    struct found found = load_committed(journal);
    assert_int_equal(found.holders, 2);
    assert_int_equal(found.fenced, 1);
    put(journal, holder_record(JOURNAL_HOLDER_CLEAR, 1));
    assert_int_equal(load_committed(journal).holders, 1);
    put(journal, holder_record(JOURNAL_FENCED_DELETE, 0));
    assert_int_equal(load_committed(journal).fenced, 0);
    journal_close(journal);
}

/* A process that is killed leaves what it committed, and nothing of what it only wrote. */
static void what_was_not_committed_is_not_there_after_a_kill(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct journal *journal;
        struct journal_record first = holder_record(JOURNAL_HOLDER_PUT, 1),
                              second = holder_record(JOURNAL_HOLDER_PUT, 2);
        if (journal_open(path, &journal) || journal_write(journal, &first) ||
            journal_commit(journal) || journal_write(journal, &second))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    struct journal *journal = open_journal();
    struct found found = load(journal);
    assert_int_equal(found.holders, 1);
    assert_int_equal(found.client_ids, 1);
    journal_close(journal);
}

static bool flush_fails;

/* SQLite's own, from its library. */
int fdatasync(int fd)
{
    if (!flush_fails)
        return (int)syscall(SYS_fdatasync, fd);
    flush_fails = false;
    errno = EIO;
    return -1;
}

/* Linux takes the pages of a flush that failed for clean, and may drop them: here they are as if
 * they had never been written. */
static void lose_what_is_past(off_t size)
{
    char wal[80], nothing[4096] = {0};
    struct stat st;
    snprintf(wal, sizeof wal, "%s-wal", path);
    int fd = open(wal, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size > size); /* it had got so far */
    for (off_t at = size; at < st.st_size; at += (off_t)sizeof nothing) {
        off_t left = st.st_size - at;
        size_t len = left < (off_t)sizeof nothing ? (size_t)left : sizeof nothing;
        assert_int_equal(pwrite(fd, nothing, len, at), len);
    }
    close(fd);
}

static void a_commit_whose_flush_failed_is_written_anew(void **state)
{
    char wal[80];
    struct stat st;
    (void)state;
    struct journal *journal = open_journal();
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 1));
    assert_int_equal(journal_commit(journal), 0);
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(stat(wal, &st), 0);
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 2));
    flush_fails = true;
    assert_int_equal(journal_commit(journal), -EIO);
    assert_false(flush_fails);
    lose_what_is_past(st.st_size);
    struct found found = load_committed(journal);
    assert_int_equal(found.holders, 2);
    journal_close(journal);
    journal = open_journal();
    found = load(journal);
    assert_int_equal(found.holders, 2);
    assert_int_equal(found.client_ids, 3);
    journal_close(journal);
}

static void every_open_is_another_boot(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    uint32_t boot = journal_boot(journal);
    journal_close(journal);
    journal = open_journal();
    assert_int_equal(journal_boot(journal), boot + 1);
    journal_close(journal);
}

static void second_opener_is_refused(void **state)
{
    (void)state;
    struct journal *journal = open_journal(), *second;
    assert_int_equal(journal_open(path, &second), -EBUSY);
    journal_close(journal);
}

static void commit_of_nothing_is_fine(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
}

static void damage(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* What cannot be believed in one place is believed nowhere. */
static void damage_of_any_row_is_seen(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "UPDATE seal SET map = zeroblob(length(map))",
        "UPDATE seal SET map = substr(map, 1, 30)",
        "UPDATE seal SET map = x''",
        "UPDATE seal SET map_sum = zeroblob(16)",
        "UPDATE seal SET map = x'00'",
        "UPDATE seal SET phase = 3",
        "UPDATE seal SET phase = 1",
        "UPDATE seal SET kind = 1 - kind",
        "UPDATE seal SET device = zeroblob(16)",
        "UPDATE seal SET key = zeroblob(24)",
        "UPDATE holder SET owner = 'other'",
        "UPDATE holder SET address = '192.0.2.2'",
        "UPDATE holder SET client_id = 2",
        "UPDATE holder SET device = zeroblob(16)",
        "UPDATE holder SET verifier = zeroblob(8)",
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct found found = {0};
        fresh(NULL);
        struct journal *journal = open_journal();
        struct seal_map *map = make_map(4);
        put(journal, seal_record(map, JOURNAL_SEALED));
        put(journal, holder_record(JOURNAL_HOLDER_PUT, 1));
        assert_int_equal(journal_commit(journal), 0);
        journal_close(journal);
        map_free(map);
        damage(damages[i]);
        journal = open_journal();
        assert_int_equal(journal_load(journal, &visitor, &found), -EUCLEAN);
        map_free(found.seal.map);
        journal_close(journal);
    }
}

/* A page from another time, as a lost write leaves it. */
static void damage_of_a_page_is_seen(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    char page[4096];
    for (unsigned i = 0; i < 200; i++)
        put(journal, holder_record(JOURNAL_HOLDER_PUT, i + 1));
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long pages = ftell(file) / (long)sizeof page;
    assert_true(pages > 8);
    memset(page, 0, sizeof page);
    fseek(file, (pages - 2) * (long)sizeof page, SEEK_SET);
    assert_int_equal(fwrite(page, sizeof page, 1, file), 1);
    fclose(file);
    struct found found = {0};
    int err = journal_open(path, &journal);
    if (!err) {
        err = journal_load(journal, &visitor, &found);
        journal_close(journal);
    }
    assert_int_equal(err, -EUCLEAN);
}

static void a_found_seal_comes_back_without_a_map(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct journal_record doubt = {.op = JOURNAL_DOUBT_PUT, .fs_uuid = "uuid-of-16-bytes"};
    put(journal, seal_record(NULL, JOURNAL_SEALED));
    put(journal, doubt);
    struct found found = load_committed(journal);
    assert_int_equal(found.seals, 1);
    assert_int_equal(found.doubts, 1);
    assert_null(found.seal.map);
    doubt.op = JOURNAL_DOUBT_DELETE;
    put(journal, doubt);
    assert_int_equal(load_committed(journal).doubts, 0);
    journal_close(journal);
}

static void the_watermark_goes_up_with_what_cannot_be_taken_back(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    uint64_t id = journal_id(journal), count = journal_watermark(journal);
    put(journal, seal_record(NULL, JOURNAL_SEALING));
    assert_int_equal(journal_commit(journal), 0);
    assert_int_equal(journal_watermark(journal), count);
    put(journal, seal_record(NULL, JOURNAL_SEALED));
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 1));
    assert_int_equal(journal_watermark(journal), count);
    assert_int_equal(journal_commit(journal), 0);
    assert_int_equal(journal_watermark(journal), count + 1);
    struct journal_record record = seal_record(NULL, JOURNAL_RELEASING);
    record.op = JOURNAL_SEAL_PHASE;
    put(journal, record);
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
    journal = open_journal();
    assert_int_equal(journal_watermark(journal), count + 2);
    assert_int_equal(journal_id(journal), id);
    journal_close(journal);
}

/* The disk is full for a while: nothing is lost, nothing is doubled. */
static void a_commit_that_failed_is_made_later(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 1));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_not_equal(journal_commit(journal), 0);
    assert_string_not_equal(journal_error(journal), "");
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 2));
    assert_int_not_equal(journal_commit(journal), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    struct found found = load_committed(journal);
    assert_int_equal(found.holders, 2);
    journal_close(journal);
    journal = open_journal();
    assert_int_equal(load(journal).holders, 2);
    journal_close(journal);
}

static struct journal_record growing_record(enum journal_op op, uint64_t size)
{
    struct journal_record record = seal_record(NULL, JOURNAL_SEALED);
    record.op = op;
    record.seal.reserve = 1 << 20;
    record.seal.size = size;
    record.seal.tail = UINT64_MAX;
    return record;
}

static void the_size_of_a_growing_file_comes_back(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    uint64_t before = journal_watermark(journal);
    struct journal_record intent = growing_record(JOURNAL_SEAL_PUT, 5);
    intent.seal.phase = JOURNAL_SEALING;
    put(journal, intent);
    assert_int_equal(load_committed(journal).seal.size, 5);
    assert_true(journal_watermark(journal) > before); /* what an older one says is cut off */
    put(journal, growing_record(JOURNAL_SEAL_PUT, 5));
    assert_int_equal(load_committed(journal).seal.size, 5);
    uint64_t mark = journal_watermark(journal);
    put(journal, growing_record(JOURNAL_SEAL_OVERLAY, 4097));
    struct found found = load_committed(journal);
    assert_int_equal(found.seal.size, 4097);
    assert_int_equal(found.seal.reserve, 1 << 20);
    assert_true(found.seal.tail == UINT64_MAX);
    assert_true(journal_watermark(journal) > mark); /* an older size would cut it off */
    journal_close(journal);
    damage("UPDATE seal SET size = 4096");
    journal = open_journal();
    assert_int_equal(journal_load(journal, &visitor, &found), -EUCLEAN);
    journal_close(journal);
}

/* As version 5 made it: the columns are not there. */
static void journal_of_before_there_were_growing_files_is_taken_over(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    put(journal, seal_record(NULL, JOURNAL_SEALED));
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
    damage("ALTER TABLE seal DROP COLUMN reserve; ALTER TABLE seal DROP COLUMN size;"
           "ALTER TABLE seal DROP COLUMN tail; ALTER TABLE seal DROP COLUMN size_sum;"
           "PRAGMA user_version = 5");
    journal = open_journal();
    struct found found = load(journal);
    assert_int_equal(found.seals, 1);
    assert_int_equal(found.seal.reserve, 0);
    put(journal, growing_record(JOURNAL_SEAL_PUT, 7));
    assert_int_equal(load_committed(journal).seal.size, 7);
    journal_close(journal);
}

static void journal_of_another_version_is_refused(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    journal_close(journal);
    damage("PRAGMA user_version = 99");
    assert_int_equal(journal_open(path, &journal), -EPROTO);
}

static void file_that_is_no_journal_is_refused(void **state)
{
    (void)state;
    struct journal *journal;
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 4096; i++)
        fputs("not a database, ", file);
    fclose(file);
    assert_int_equal(journal_open(path, &journal), -EUCLEAN);
}

#define T(name) cmocka_unit_test_setup(name, fresh)

static void holders_of_one_name_and_different_kinds_are_different(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct journal_record local = holder_record(JOURNAL_HOLDER_PUT, 7);
    local.holder.kind = JOURNAL_HOLDER_NONE;
    put(journal, holder_record(JOURNAL_HOLDER_PUT, 7));
    put(journal, local);
    assert_int_equal(journal_commit(journal), 0);
    assert_int_equal(load(journal).holders, 2);
    put(journal, holder_record(JOURNAL_HOLDER_CLEAR, 7));
    assert_int_equal(journal_commit(journal), 0);
    struct found found = load(journal);
    assert_int_equal(found.holders, 1);
    assert_int_equal(found.kinds, JOURNAL_HOLDER_NONE);
    journal_close(journal);
}

/* The keeper writes while its journal's thread commits. */
enum { MANY_RECORDS = 2000 };

static void *write_many(void *arg)
{
    for (uint64_t i = 1; i <= MANY_RECORDS; i++)
        put(arg, holder_record(JOURNAL_HOLDER_PUT, i));
    return NULL;
}

static void what_is_written_during_a_commit_waits_for_the_next(void **state)
{
    (void)state;
    pthread_t writer;
    struct journal *journal = open_journal();
    assert_int_equal(pthread_create(&writer, NULL, write_many, journal), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(journal_commit(journal), 0);
    pthread_join(writer, NULL);
    struct found found = load_committed(journal);
    assert_int_equal(found.holders, MANY_RECORDS);
    assert_int_equal(found.client_ids, (uint64_t)MANY_RECORDS * (MANY_RECORDS + 1) / 2);
    journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(seal_comes_back_with_its_map),
        T(seal_changes_phase_and_times_and_goes),
        T(device_comes_back),
        T(device_of_an_old_journal_is_read),
        T(damaged_device_is_no_device),
        T(holders_are_kept_by_client_id_and_forgotten_but_for_one),
        T(fence_leaves_a_mark_and_the_holder_until_it_is_taken_off_the_device),
        T(what_was_not_committed_is_not_there_after_a_kill),
        T(a_commit_whose_flush_failed_is_written_anew),
        T(every_open_is_another_boot),
        T(second_opener_is_refused),
        T(commit_of_nothing_is_fine),
        T(damage_of_any_row_is_seen),
        T(damage_of_a_page_is_seen),
        T(a_found_seal_comes_back_without_a_map),
        T(the_watermark_goes_up_with_what_cannot_be_taken_back),
        T(a_commit_that_failed_is_made_later),
        T(the_size_of_a_growing_file_comes_back),
        T(journal_of_before_there_were_growing_files_is_taken_over),
        T(journal_of_another_version_is_refused),
        T(holders_of_one_name_and_different_kinds_are_different),
        T(file_that_is_no_journal_is_refused),
        T(what_is_written_during_a_commit_waits_for_the_next),
    };
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/journal.db", dir);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fresh(NULL);
    rmdir(dir);
    return failed;
}
