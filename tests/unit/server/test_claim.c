/*
 * May this node serve? State directories are the test's, and so are the disks of the exports and of
 * the state: what is under them is a target that keeps the keys of nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/device/device.h"
#include "layout/journal/journal.h"
#include "layout/reservation/reservation.h"
#include "server/base/node_record.h"
#include "server/claim.h"
#include "server/config/config.h"
#include "server/export/export.h"

static char directory[] = "/tmp/test_claim.XXXXXX";
static struct config config;
static char export_path[] = "/srv/data";
static struct config_export export_text = {.path = export_path};
static struct device *exported, *of_state;
static bool away;

/* One target for all of them. */
static struct {
    uint64_t key[8]; /* the first one is this machine's path */
    size_t count;
    uint64_t holder;
    int error;
    bool deaf; /* a preempt does nothing */
} target;

/* ---- exports ---- */

unsigned __wrap_export_count(const struct export_table *table);
unsigned __wrap_export_count(const struct export_table *table)
{
    (void)table;
    return 1;
}

struct export *__wrap_export_at(const struct export_table *table, unsigned index);
struct export *__wrap_export_at(const struct export_table *table, unsigned index)
{
    (void)table;
    assert_int_equal(index, 0);
    return NULL;
}

const struct config_export *__wrap_export_config(const struct export *export);
const struct config_export *__wrap_export_config(const struct export *export)
{
    (void)export;
    return &export_text;
}

bool __wrap_export_is_away(const struct export *export);
bool __wrap_export_is_away(const struct export *export)
{
    (void)export;
    return away;
}

const struct device *__wrap_export_device(const struct export *export);
const struct device *__wrap_export_device(const struct export *export)
{
    (void)export;
    return exported;
}

/* ---- disks ---- */

int __wrap_device_find(int fd, struct device **out, struct seal_refusal *why);
int __wrap_device_find(int fd, struct device **out, struct seal_refusal *why)
{
    (void)fd;
    snprintf(why->text, sizeof why->text, "it is on a tmpfs");
    if (!of_state)
        return -ENOTBLK;
    *out = device_ref(of_state);
    return 0;
}

bool __wrap_device_can_reserve(const struct device *device);
bool __wrap_device_can_reserve(const struct device *device)
{
    return device_is_reserved(device);
}

int __wrap_device_open_disk(const struct device *device, uint32_t base, bool write, int *fd);
int __wrap_device_open_disk(const struct device *device, uint32_t base, bool write, int *fd)
{
    (void)device;
    (void)base;
    assert_true(write);
    *fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return 0;
}

static int probe(int fd, bool *persists)
{
    (void)fd;
    *persists = true;
    return target.error;
}

static int register_key(int fd, uint64_t key, bool persists)
{
    (void)fd;
    (void)persists;
    target.key[0] = key;
    return 0;
}

static int reserve(int fd, uint64_t key)
{
    (void)fd;
    if (target.holder && target.holder != key)
        return -EBADE;
    target.holder = key;
    return 0;
}

static int preempt(int fd, uint64_t own, uint64_t victim)
{
    (void)fd;
    assert_int_equal(target.key[0], own);
    for (size_t i = 1; !target.deaf && i < target.count; i++) {
        if (target.key[i] == victim)
            target.key[i--] = target.key[--target.count];
    }
    if (!target.deaf && target.holder == victim)
        target.holder = own;
    return 0;
}

static int read_view(int fd, struct reservation_view *view)
{
    (void)fd;
    memset(view, 0, sizeof *view);
    view->held = view->exclusive_registrants = target.holder != 0;
    view->holder_key = target.holder;
    for (size_t i = 0; i < target.count; i++) {
        if (target.key[i])
            view->reg[view->count++].key = target.key[i];
    }
    return target.error;
}

static const struct reservation_ops ops = {.name = "played",
                                           .probe = probe,
                                           .register_key = register_key,
                                           .reserve = reserve,
                                           .preempt = preempt,
                                           .read = read_view};

int __wrap_reservation_of(int fd, const struct reservation_ops **out);
int __wrap_reservation_of(int fd, const struct reservation_ops **out)
{
    (void)fd;
    *out = &ops;
    return 0;
}

static struct device *make_disk(bool reserved)
{
    static const uint8_t uuid[DEVICE_UUID_SIZE] = {1};
    struct device_volume volume = {0};
    struct device_base disk = {
        .size = 1 << 30,
        .signature = {.count = 1, .component[0] = {.offset = 512, .len = 4, .bytes = "sign"}},
        .designator = {.code_set = 1, .type = 3, .len = 8, .bytes = "one disk"},
    };
    struct device *device;
    uint32_t at;
    assert_int_equal(device_volume_add_base(&volume, &disk, &at), 0);
    assert_int_equal(device_volume_add_slice(&volume, at, 0, 1 << 20, &at), 0);
    assert_int_equal(device_from_description(uuid, &volume, &device), 0);
    if (reserved)
        device_set_reserved(device);
    return device;
}

/* ---- nodes ---- */

static void put_on(bool export_is_reserved, bool state_is)
{
    device_free(exported);
    device_free(of_state);
    exported = make_disk(export_is_reserved);
    of_state = make_disk(state_is);
}

static int setup(void **state)
{
    (void)state;
    strcpy(directory + sizeof directory - 7, "XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    memset(&target, 0, sizeof target);
    target.count = 1;
    away = false;
    put_on(true, true);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"nodes", "journal.db", "journal.db-wal", "journal.db-shm"};
    char path[96];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    device_free(exported);
    device_free(of_state);
    exported = of_state = NULL;
    return rmdir(directory);
}

static int starts(const char *node, bool take_over)
{
    char name[NODE_NAME_SIZE];
    struct node_record *record;
    snprintf(name, sizeof name, "%s", node);
    config.node = name;
    config.state_dir = directory;
    int err = claim_open(&config, &record);
    if (err)
        return err;
    err = claim_state(&config, NULL, take_over, record);
    node_record_close(record);
    return err;
}

/* A serves, by a path that is not ours. */
static void a_serves(void)
{
    assert_int_equal(starts("a", false), 0);
    target.key[1] = target.holder = reservation_node_key("a");
    target.count = 2;
}

static int says_fenced(const char *node)
{
    char name[] = "b";
    FILE *nowhere = fopen("/dev/null", "w");
    config.node = name;
    config.state_dir = directory;
    int err = claim_note_fenced(&config, node, "the word of root", nowhere, nowhere);
    fclose(nowhere);
    return err;
}

static void another_node_does_not_start_by_itself(void **state)
{
    (void)state;
    a_serves();
    assert_int_equal(starts("b", false), -EKEYREVOKED);
    assert_int_equal(target.holder, reservation_node_key("a"));
    assert_int_equal(target.key[0], 0); /* nor did it touch the disk */
    assert_int_equal(starts("a", false), 0);
}

static void a_take_over_cuts_the_other_one_off_and_stays(void **state)
{
    (void)state;
    a_serves();
    assert_int_equal(starts("b", true), 0);
    assert_int_equal(target.holder, reservation_node_key("b"));
    assert_int_equal(target.count, 1);
    assert_int_equal(starts("b", false), 0);
    target.key[1] = reservation_node_key("b"); /* on a again */
    target.key[0] = 0;
    target.count = 2;
    assert_int_equal(starts("a", false), -EKEYREVOKED);
    assert_int_equal(starts("a", true), 0);
    assert_int_equal(target.holder, reservation_node_key("a"));
}

/* Its file systems may be mounted since before it was fenced. */
static void a_node_that_had_taken_the_disks_does_not_register_again(void **state)
{
    char file[] = "/tmp/test_claim.taken.XXXXXX";
    int fd = mkstemp(file);
    (void)state;
    assert_true(fd >= 0 && close(fd) == 0);
    assert_int_equal(setenv("SEALNFS_TAKEN", file, 1), 0);
    assert_int_equal(starts("a", true), 0); /* a disk that was nobody's */
    assert_int_equal(starts("a", true), 0); /* and is its own */
    target.key[0] = 0;
    target.key[1] = target.holder = reservation_node_key("b");
    target.count = 2;
    assert_int_equal(starts("a", true), -EKEYREVOKED);
    assert_int_equal(target.holder, reservation_node_key("b"));
    assert_int_equal(target.key[0], 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(starts("a", true), 0);
    assert_int_equal(unsetenv("SEALNFS_TAKEN"), 0);
}

static void a_take_over_that_is_not_seen_does_not_start(void **state)
{
    (void)state;
    a_serves();
    target.deaf = true;
    assert_int_equal(starts("b", true), -EKEYREVOKED);
    target.deaf = false;
    target.error = -ENXIO;
    assert_int_equal(starts("b", true), -EKEYREVOKED);
    target.error = 0;
    assert_int_equal(starts("b", false), -EKEYREVOKED); /* nor is it on record as fenced now */
    assert_int_equal(starts("b", true), 0);
}

static void every_disk_counts_also_the_states(void **state)
{
    (void)state;
    a_serves();
    away = true;
    assert_int_equal(starts("b", true), -EKEYREVOKED);
    away = false;
    put_on(false, true);
    assert_int_equal(starts("b", true), -EKEYREVOKED);
    put_on(true, false);
    assert_int_equal(starts("b", true), -EKEYREVOKED);
    device_free(of_state);
    of_state = NULL;
    assert_int_equal(starts("b", true), -EKEYREVOKED);
    put_on(true, true);
    assert_int_equal(starts("b", true), 0);
}

static void without_reservations_a_word_is_needed_and_is_kept(void **state)
{
    (void)state;
    put_on(false, false);
    assert_int_equal(starts("a", false), 0);
    assert_int_equal(says_fenced("c"), -ENOENT);
    assert_int_equal(says_fenced("b"), -EINVAL); /* of oneself */
    assert_int_equal(starts("b", false), -EKEYREVOKED);
    assert_int_equal(says_fenced("a"), 0);
    assert_int_equal(starts("b", false), 0);
    assert_int_equal(starts("a", false), -EKEYREVOKED);
}

/* Its state may be a page that it read before it was fenced. */
static void who_was_fenced_does_not_start_on_what_it_remembers(void **state)
{
    (void)state;
    a_serves();
    target.holder = target.key[1] = reservation_node_key("b");
    assert_int_equal(starts("a", false), -EKEYREVOKED);
    assert_int_equal(target.key[0], 0);
}

static void a_disk_that_does_not_answer_keeps_nobody_from_his_other_exports(void **state)
{
    (void)state;
    a_serves();
    target.error = -ENXIO;
    assert_int_equal(starts("a", false), 0);
    assert_int_equal(starts("a", true), -EKEYREVOKED);
    assert_int_equal(starts("b", false), -EKEYREVOKED);
}

static void a_lone_node_takes_over_from_nobody(void **state)
{
    (void)state;
    put_on(false, false);
    assert_int_equal(starts("a", true), 0);
    assert_int_equal(starts("a", true), 0);
}

static void a_lost_record_is_noticed_by_the_journal(void **state)
{
    struct journal *journal;
    char path[96];
    uint64_t key;
    (void)state;
    snprintf(path, sizeof path, "%s/journal.db", directory);
    assert_int_equal(journal_last_node(path, &key), 0);
    assert_int_equal(key, 0);
    assert_int_equal(journal_open(path, &journal), 0);
    assert_int_equal(journal_set_node(journal, reservation_node_key("a")), 0);
    journal_close(journal);
    assert_int_equal(journal_last_node(path, &key), 0);
    assert_int_equal(key, reservation_node_key("a"));
    assert_int_equal(starts("b", false), -EKEYREVOKED);
    put_on(false, true);
    assert_int_equal(starts("b", true), -EKEYREVOKED);
    put_on(true, true);
    assert_int_equal(starts("b", true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(another_node_does_not_start_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(a_take_over_cuts_the_other_one_off_and_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_node_that_had_taken_the_disks_does_not_register_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_take_over_that_is_not_seen_does_not_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_disk_counts_also_the_states, setup, teardown),
        cmocka_unit_test_setup_teardown(without_reservations_a_word_is_needed_and_is_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_was_fenced_does_not_start_on_what_it_remembers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_disk_that_does_not_answer_keeps_nobody_from_his_other_exports, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lone_node_takes_over_from_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_record_is_noticed_by_the_journal, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
