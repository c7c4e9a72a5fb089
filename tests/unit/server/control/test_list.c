/*
 * test_list.c - "status" and "grants" of all files when there are many: one line, written in pieces
 * and no further than it is read. The seals are of a journal, their files of a disk that is away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "layout/journal/journal.h"
#include "tests/unit/server/daemon_fixture.h"

enum { SEALS = 20000 }; /* 4 MB of rows: more than is written before some is read */

static struct daemon *daemon_of_test;

static void write_journal(void)
{
    struct journal *journal;
    char path[256];
    snprintf(path, sizeof(path), "%s/../state/journal.db", fixture_files());
    assert_int_equal(journal_open(path, &journal), 0);
    for (unsigned i = 0; i < SEALS; i++) {
        struct journal_record record = {.op = JOURNAL_SEAL_PUT,
                                        .seal = {.key = {.len = 20, .data = {1, 2, 3}},
                                                 .path = path,
                                                 .kind = SEAL_KIND_FROZEN,
                                                 .phase = JOURNAL_SEALED}};
        snprintf(path, sizeof(path), "/away/directory/file-%u", i);
        memcpy(record.seal.key.data + 16, &i, sizeof(i));
        assert_int_equal(journal_write(journal, &record), 0);
    }
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);        /* as sealnfsd does */
    fixture_stop(fixture_start("")); /* it makes the directories, and a journal */
    write_journal();
    daemon_of_test = fixture_start("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static int ask(const char *line)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/../control", fixture_files());
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
    return fd;
}

static json_t *read_answer(FILE *stream)
{
    char *line = NULL;
    size_t room = 0;
    assert_true(getline(&line, &room, stream) > 0);
    json_t *answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    free(line);
    assert_non_null(answer);
    return answer;
}

/* Answers to what is asked after it on the same connection come after it. */
static void all_seals_are_listed_in_one_line(void **state)
{
    (void)state;
    FILE *stream =
        fdopen(ask("{\"op\":\"status\"}\n{\"op\":\"grants\"}\n{\"op\":\"exports\"}\n"), "r");
    json_t *status = read_answer(stream), *grants = read_answer(stream),
           *exports = read_answer(stream);
    const json_t *rows = json_object_get(status, "status");
    assert_true(json_is_true(json_object_get(status, "ok")));
    assert_int_equal(json_array_size(rows), SEALS);
    for (unsigned i = 0; i < SEALS; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/away/directory/file-%u", i);
        const char *file = json_string_value(json_object_get(json_array_get(rows, i), "file"));
        assert_string_equal(file, path);
    }
    assert_int_equal(json_array_size(json_object_get(grants, "grants")), 0);
    assert_true(json_is_array(json_object_get(exports, "exports")));
    json_decref(status);
    json_decref(grants);
    json_decref(exports);
    fclose(stream);
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *stream = fopen("/proc/self/statm", "r");
    assert_non_null(stream);
    assert_int_equal(fscanf(stream, "%*d %ld", &pages), 1);
    fclose(stream);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Wrong: ten operators' programs that hang have ten lists of a million seals in memory. */
static void a_list_that_nobody_reads_waits(void **state)
{
    int hanging[10];
    char answer[65536];
    (void)state;
    fixture_ask("{\"op\":\"exports\"}", answer, sizeof(answer));
    const long before = resident_kib();
    for (unsigned i = 0; i < 10; i++)
        hanging[i] = ask("{\"op\":\"status\"}\n");
    FILE *stream = fdopen(ask("{\"op\":\"status\"}\n"), "r");
    json_t *status = read_answer(stream); /* it came after the others, and is read to its end */
    assert_int_equal(json_array_size(json_object_get(status, "status")), SEALS);
    json_decref(status);
    fclose(stream);
    fixture_ask("{\"op\":\"exports\"}", answer, sizeof(answer));
    assert_true(strstr(answer, "\"ok\":true") != NULL);
#if !defined(__SANITIZE_ADDRESS__) /* it keeps what was freed */
    /* Each may have a little more than a MiB of 4, and the one that was read is in memory here. */
    assert_in_range(resident_kib() - before, 0, 25 << 10);
#endif
    (void)before;
    for (unsigned i = 0; i < 5; i++)
        close(hanging[i]); /* in the middle of it */
    fixture_ask("{\"op\":\"exports\"}", answer, sizeof(answer));
    for (unsigned i = 5; i < 10; i++) {
        stream = fdopen(hanging[i], "r");
        status = read_answer(stream);
        assert_int_equal(json_array_size(json_object_get(status, "status")), SEALS);
        json_decref(status);
        fclose(stream);
    }
}

static void the_doctor_counts_all_seals(void **state)
{
    char answer[65536], words[64];
    (void)state;
    fixture_ask("{\"op\":\"doctor\"}", answer, sizeof(answer));
    snprintf(words, sizeof(words), "\"%d, of which STUCK 0, BROKEN 0\"", SEALS);
    assert_non_null(strstr(answer, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_seals_are_listed_in_one_line),
        cmocka_unit_test(a_list_that_nobody_reads_waits),
        cmocka_unit_test(the_doctor_counts_all_seals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
