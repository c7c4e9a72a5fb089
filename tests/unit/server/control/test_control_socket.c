/*
 * test_control_socket.c - the control socket: of a process that has no descriptor left, and of one
 * that is asked much at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/server/daemon_fixture.h"

enum { CONNECTIONS = 3, PATIENCE_MS = 20000 };

static struct daemon *daemon_of_test;
static int sockets[CONNECTIONS];

static int setup(void **state)
{
    (void)state;
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

static void connect_to_control(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/../control", fixture_files());
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static int control_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void ask(int fd)
{
    static const char request[] = "{\"op\":\"clients\"}\n";
    connect_to_control(fd);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

static bool is_answered(int fd, int patience_ms)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char text[64] = "";
    return poll(&pfd, 1, patience_ms) == 1 && recv(fd, text, sizeof(text) - 1, 0) > 0 &&
           strstr(text, "\"ok\":true") != NULL;
}

/* No descriptor can be made any more. */
static rlim_t use_up_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    int lowest = dup(STDERR_FILENO);
    assert_true(lowest >= 0);
    close(lowest);
    limit.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void set_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void the_operator_gets_in_without_a_descriptor_and_nothing_spins(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        sockets[i] = control_socket();
    rlim_t before = use_up_descriptors();
    ask(sockets[0]);
    assert_true(is_answered(sockets[0], PATIENCE_MS));
    ask(sockets[1]);
    double begin = cpu_seconds();
    assert_false(is_answered(sockets[1], 1000)); /* how much it works in that time is the subject */
    double used = cpu_seconds() - begin;
    set_descriptors(before);
    assert_true(used < 0.5);
    assert_true(is_answered(sockets[1], PATIENCE_MS));
    /* And it has a spare one again. */
    close(sockets[0]);
    ask(sockets[2]);
    assert_true(is_answered(sockets[2], PATIENCE_MS));
    close(sockets[1]);
    close(sockets[2]);
}

/* The lines of its answers, until there are so many. */
static unsigned count_answers(int fd, unsigned until)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char text[65536];
    unsigned count = 0;
    while (count < until && poll(&pfd, 1, PATIENCE_MS) == 1) {
        ssize_t got = recv(fd, text, sizeof(text), 0);
        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i++)
            count += text[i] == '\n';
    }
    return count;
}

/* Wrong: the answer to a line that is refused at once starts the next line, one call within the
 * other, for as many as there are. Nothing is read until all is sent: the server stops at what it
 * may have to say. */
static void thousands_of_lines_at_once_are_answered_in_turn(void **state)
{
    (void)state;
    enum { LINES = 60000 };
    static char lines[2 * LINES];
    for (unsigned i = 0; i < LINES; i++)
        memcpy(&lines[2 * i], "x\n", 2);
    int fd = control_socket(), another = control_socket();
    connect_to_control(fd);
    assert_int_equal(send(fd, lines, sizeof(lines), MSG_NOSIGNAL), sizeof(lines));
    assert_int_equal(count_answers(fd, LINES), LINES);
    close(fd);
    ask(another);
    assert_true(is_answered(another, PATIENCE_MS));
    close(another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_operator_gets_in_without_a_descriptor_and_nothing_spins),
        cmocka_unit_test(thousands_of_lines_at_once_are_answered_in_turn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
