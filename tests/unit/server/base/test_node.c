/* Which machine is meant: the record of nodes, and processes of one that is not here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/node_record.h"
#include "server/base/peer.h"

static char directory[] = "/tmp/test_node.XXXXXX", file[64];
static struct node_record *record;

static int setup(void **state)
{
    (void)state;
    strcpy(directory + sizeof directory - 7, "XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(file, sizeof file, "%s/nodes", directory);
    record = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_set_nodes(NULL, NULL);
    node_record_close(record);
    unlink(file);
    return rmdir(directory);
}

/* As the node of that name would. */
static int opened_by(const char *name)
{
    peer_set_nodes(NULL, NULL);
    node_record_close(record);
    record = NULL;
    int err = node_record_open(directory, name, &record);
    if (!err)
        peer_set_nodes(record, name);
    return err;
}

static void a_served(void)
{
    assert_int_equal(opened_by("a"), 0);
    assert_int_equal(node_record_take(record), 0);
}

static void the_same_node_finds_no_other(void **state)
{
    (void)state;
    assert_int_equal(opened_by("a"), 0);
    assert_true(node_record_is_new(record));
    assert_int_equal(node_record_take(record), 0);
    assert_int_equal(opened_by("a"), 0);
    assert_false(node_record_is_new(record));
    assert_null(node_record_other(record));
}

static void another_node_is_in_use_until_it_was_fenced(void **state)
{
    (void)state;
    a_served();
    assert_int_equal(opened_by("b"), 0);
    assert_string_equal(node_record_other(record)->name, "a");
    assert_int_equal(node_record_fenced(record, "nobody", NODE_OFF, "x"), -ENOENT);
    assert_int_equal(node_record_fenced(record, "a", NODE_CUT, "us"), 0);
    assert_int_equal(node_record_take(record), 0);
    assert_int_equal(opened_by("b"), 0);
    assert_null(node_record_other(record));
    assert_int_equal(opened_by("a"), 0); /* and back */
    assert_string_equal(node_record_other(record)->name, "b");
}

static void who_was_fenced_is_in_use_again_once_it_serves(void **state)
{
    (void)state;
    a_served();
    assert_int_equal(opened_by("b"), 0);
    assert_int_equal(node_record_fenced(record, "a", NODE_OFF, "the word of root"), 0);
    assert_int_equal(node_record_take(record), 0);
    assert_int_equal(opened_by("a"), 0);
    assert_int_equal(node_record_fenced(record, "b", NODE_CUT, "us"), 0);
    assert_int_equal(node_record_take(record), 0);
    assert_int_equal(opened_by("b"), 0);
    assert_string_equal(node_record_other(record)->name, "a");
}

static void write_file(const char *text)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void a_record_that_is_cut_short_or_foreign_is_not_taken_for_empty(void **state)
{
    static const char *const bad[] = {
        "",
        "end 0\n",
        "node a boot 01234567 in-use since 1 by its own start\n",
        "node a boot 01234567 in-use since 1 by its own start\nend 2\n",
        "node a boot 01234567 in-use since 1 by its own start\nend 1\nnode b",
        "node a boot 01234567 in-use since 1 by x\nnode a boot 01234567 off since 1 by x\nend 2\n",
        "node a boot 0123 in-use since 1 by its own start\nend 1\n",
        "node a boot 01234567 gone since 1 by its own start\nend 1\n",
        "node a/b boot 01234567 in-use since 1 by its own start\nend 1\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(bad[i]);
        assert_int_equal(opened_by("a"), -EUCLEAN);
    }
    write_file("node a boot 01234567 in-use since 1 by its own start\nend 1\n");
    assert_int_equal(opened_by("b"), 0);
    assert_non_null(node_record_other(record));
}

/* ---- processes ---- */

static void a_process_of_another_machine_is_not_gone_because_its_boot_is_another(void **state)
{
    char self[64], other[80], tag[NODE_TAG_SIZE];
    (void)state;
    a_served();
    assert_int_equal(peer_describe_self(self, sizeof self), 0);
    assert_false(peer_is_gone(self));
    node_tag("a", tag);
    snprintf(other, sizeof other, "pid 1 started 1 boot deadbeef node %s", tag);
    assert_true(peer_is_gone(other)); /* this machine was started anew */
    assert_int_equal(opened_by("b"), 0);
    assert_false(peer_is_gone(other));
    assert_false(peer_is_gone(self)); /* though no such process were here */
    assert_false(peer_is_cut(other));
    assert_int_equal(node_record_fenced(record, "a", NODE_CUT, "us"), 0);
    assert_false(peer_is_gone(other)); /* it lives, and has no disk */
    assert_true(peer_is_cut(other));
    assert_int_equal(node_record_fenced(record, "a", NODE_OFF, "the word of root"), 0);
    assert_true(peer_is_gone(other));
    assert_true(peer_is_gone(self));
    assert_false(peer_is_gone("pid 1 started 1 boot deadbeef node 00000000")); /* nobody knows it */
}

static void a_process_of_before_nodes_had_names_is_of_the_first_one(void **state)
{
    static const char *const old = "pid 1 started 1 boot deadbeef";
    (void)state;
    assert_true(peer_is_gone(old)); /* where there are none */
    a_served();
    assert_true(peer_is_gone(old));
    assert_int_equal(opened_by("b"), 0);
    assert_false(peer_is_gone(old));
    assert_int_equal(node_record_fenced(record, "a", NODE_OFF, "the word of root"), 0);
    assert_true(peer_is_gone(old));
}

static void names_are_what_a_key_and_a_line_can_hold(void **state)
{
    char name[NODE_NAME_SIZE], longest[NODE_NAME_SIZE + 1];
    (void)state;
    node_default_name(name);
    assert_true(node_name_is_good(name));
    memset(longest, 'x', sizeof longest);
    longest[NODE_NAME_SIZE] = '\0';
    assert_false(node_name_is_good(longest));
    longest[NODE_NAME_SIZE - 1] = '\0';
    assert_true(node_name_is_good(longest));
    assert_false(node_name_is_good(""));
    assert_false(node_name_is_good("a b"));
    assert_false(node_name_is_good("a\nend 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_node_finds_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(another_node_is_in_use_until_it_was_fenced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_was_fenced_is_in_use_again_once_it_serves, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_record_that_is_cut_short_or_foreign_is_not_taken_for_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_process_of_another_machine_is_not_gone_because_its_boot_is_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_process_of_before_nodes_had_names_is_of_the_first_one,
                                        setup, teardown),
        cmocka_unit_test(names_are_what_a_key_and_a_line_can_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
