/*
 * test_doctor.c - the daemon's report on itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/daemon.h"
#include "server/server.h"
#include "tests/unit/server/daemon_fixture.h"

enum { ANSWER_MAX = 1 << 20 };

static struct daemon *daemon_of_test;
static char answer[ANSWER_MAX];

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("fence_hook = \"/bin/true\"\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static json_t *examine(void)
{
    json_t *reply;
    fixture_ask("{\"op\":\"doctor\"}", answer, sizeof(answer));
    reply = json_loads(answer, 0, NULL);
    assert_non_null(reply);
    assert_true(json_is_true(json_object_get(reply, "ok")));
    return reply;
}

static const char *fact(const json_t *reply, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(json_object_get(reply, "doctor"), "facts"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            return json_string_value(json_object_get(row, "value"));
    }
    fail_msg("nothing is said of: %s", name);
    return "";
}

static void it_says_what_the_server_stands_on(void **state)
{
    (void)state;
    json_t *reply = examine();
    assert_non_null(strstr(fact(reply, "sealnfsd"), SEALNFS_VERSION));
    assert_memory_equal(fact(reply, "kernel"), "Linux ", 6);
    assert_non_null(strstr(fact(reply, "journal"), "journal.db"));
    assert_non_null(strstr(fact(reply, "journal"), "schema "));
    assert_non_null(strstr(fact(reply, "descriptors"), "at most"));
    assert_non_null(strstr(fact(reply, "memory"), "MiB"));
    assert_true(fact(reply, "capabilities")[0] != '\0');
    assert_string_equal(fact(reply, "fence hook"), "/bin/true");
    assert_string_equal(fact(reply, "seals"), "0, of which STUCK 0, BROKEN 0");
    assert_non_null(strstr(answer, "\"/data\""));
    json_decref(reply);
}

/* Whoever looks at it has another working directory. */
static void it_says_which_configuration_it_runs_with(void **state)
{
    (void)state;
    json_t *reply = examine();
    const char *config =
        json_string_value(json_object_get(json_object_get(reply, "doctor"), "config"));
    assert_non_null(config);
    assert_int_equal(config[0], '/');
    assert_int_equal(access(config, R_OK), 0);
    json_decref(reply);
}

static void to_hex(const uint8_t *bytes, size_t len, char *text)
{
    for (size_t i = 0; i < len; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

/* Whatever the log had to say of it. */
static void no_key_and_no_secret_is_in_it(void **state)
{
    (void)state;
    struct server *server = daemon_server(daemon_of_test);
    char secret[2 * sizeof(server->fh_key) + 1];
    to_hex(server->fh_key, sizeof(server->fh_key), secret);
    log_error("/dev/sdx: key 0x0123456789abcdef of somebody, and 0xFEDCBA9876543210 too");
    json_t *reply = examine();
    assert_non_null(strstr(answer, "/dev/sdx: key 0x---------------- of somebody"));
    assert_null(strstr(answer, "0123456789abcdef"));
    assert_null(strstr(answer, "FEDCBA9876543210"));
    assert_null(strstr(answer, secret));
    json_decref(reply);
}

/* The unit tests run as root or not: what is said has to agree with what is there. */
static void problems_come_with_what_to_type(void **state)
{
    (void)state;
    json_t *reply = examine(), *problem;
    size_t i;
    bool told = false;
    json_array_foreach(json_object_get(json_object_get(reply, "doctor"), "problems"), i, problem)
    {
        const char *what = json_string_value(json_object_get(problem, "what"));
        assert_true(json_string_length(json_object_get(problem, "advice")) > 0);
        told = told || strstr(what, "capabilities are missing") != NULL;
    }
    assert_int_equal(told, strstr(fact(reply, "capabilities"), "missing") != NULL);
    json_decref(reply);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_says_what_the_server_stands_on),
        T(it_says_which_configuration_it_runs_with),
        T(no_key_and_no_secret_is_in_it),
        T(problems_come_with_what_to_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
