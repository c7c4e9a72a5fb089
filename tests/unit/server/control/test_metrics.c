/* The metrics of a whole daemon, scraped over HTTP as a monitoring system does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/control/http.h"
#include "tests/unit/server/daemon_fixture.h"

static struct sockaddr_in where;
static char reply[65536];

/* On an address of this process's own: a port of a shared one, free a moment ago, may be taken by a
 * connection of somebody else's before the daemon listens. */
static struct daemon *start(void)
{
    enum { PORT = 9820 };
    const unsigned number = (unsigned)getpid();
    char extra[64];
    where = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(PORT),
        .sin_addr.s_addr = htonl(127U << 24 | (64 + (number >> 16) % 64) << 16 | (number & 0xFFFF)),
    };
    const uint8_t *byte = (const uint8_t *)&where.sin_addr;
    snprintf(extra, sizeof extra, "metrics_listen = \"%u.%u.%u.%u:%d\"\n", byte[0], byte[1],
             byte[2], byte[3], PORT);
    return fixture_start(extra);
}

static void ask(const char *request)
{
    struct timeval patience = {.tv_sec = 30};
    size_t used = 0;
    ssize_t n;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    while ((n = read(fd, reply + used, sizeof reply - 1 - used)) > 0)
        used += (size_t)n;
    assert_int_equal(n, 0);
    reply[used] = '\0';
    close(fd);
}

static void scrape(void)
{
    ask("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_memory_equal(reply, "HTTP/1.1 200 OK\r\n", 17);
}

static void says(const char *line)
{
    if (!strstr(reply, line))
        print_message("%s\n", reply);
    assert_non_null(strstr(reply, line));
}

static void a_scrape_says_what_there_is(void **state)
{
    (void)state;
    struct daemon *daemon = start();
    scrape();
    says("\nContent-Type: text/plain; version=0.0.4");
    says("\n# TYPE sealnfs_seals gauge\n");
    says("\nsealnfs_seals{state=\"sealed\"} 0\n");
    says("\nsealnfs_seals{state=\"stuck\"} 0\n");
    says("\nsealnfs_seals_broken 0\n");
    says("\nsealnfs_grants 0\n");
    says("\nsealnfs_clients 0\n");
    says("\nsealnfs_fences_total{outcome=\"failed\"} 0\n");
    says("\nsealnfs_journal_commit_seconds_count ");
    fixture_stop(daemon);
}

static void clients_and_operations_are_counted(void **state)
{
    (void)state;
    struct nfs_client client;
    struct daemon *daemon = start();
    nfs_client_start(&client, daemon, "counted", 0);
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    wire_call(&client.wire);
    nfs_sequence_ok(&client);
    nfs_lookup_export_results(&client);
    scrape();
    says("\nsealnfs_clients 1\n");
    says("\nsealnfs_operations_total{operation=\"EXCHANGE_ID\",outcome=\"ok\"} 1\n");
    says("\nsealnfs_operations_total{operation=\"LOOKUP\",outcome=\"ok\"} 1\n");
    wire_close(&client.wire);
    fixture_stop(daemon);
}

/* The number of this row; fails where there is none. */
static unsigned long long figure(const char *row)
{
    const char *at = strstr(reply, row);
    if (!at)
        fail_msg("no row %s in:\n%s", row, reply);
    return strtoull(at + strlen(row), NULL, 10);
}

/* Each bucket counts what is in those before it, and the last what there is. */
static void operations_are_timed(void **state)
{
    (void)state;
    static const char *const bounds[] = {"0.0001", "0.001", "0.01", "0.1", "1", "10", "+Inf"};
    unsigned long long before = 0;
    struct nfs_client client;
    struct daemon *daemon = start();
    nfs_client_start(&client, daemon, "timed", 0);
    scrape();
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        char row[160];
        snprintf(row, sizeof(row),
                 "\nsealnfs_operation_seconds_bucket{operation=\"EXCHANGE_ID\",le=\"%s\"} ",
                 bounds[i]);
        const unsigned long long within = figure(row);
        assert_true(within >= before);
        before = within;
    }
    assert_int_equal(before, 1);
    assert_int_equal(figure("\nsealnfs_operation_seconds_count{operation=\"EXCHANGE_ID\"} "), 1);
    const char *sum = strstr(reply, "\nsealnfs_operation_seconds_sum{operation=\"EXCHANGE_ID\"} ");
    assert_non_null(sum);
    assert_true(strtod(strchr(sum, '}') + 1, NULL) > 0);
    says("\nsealnfs_recall_seconds_count 0\n");
    says("\nsealnfs_fence_seconds_bucket{le=\"+Inf\"} 0\n");
    says("\nsealnfs_build_info{version=\"" SEALNFS_VERSION "\"");
    assert_null(strstr(reply, "sealnfs_client_")); /* nobody asked for rows */
    assert_null(strstr(reply, "sealnfs_export_"));
    wire_close(&client.wire);
    fixture_stop(daemon);
}

static void nothing_but_metrics_is_answered(void **state)
{
    (void)state;
    struct daemon *daemon = start();
    ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_memory_equal(reply, "HTTP/1.1 404 ", 13);
    ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_null(strstr(reply, "sealnfs_seals"));
    ask("nonsense\r\n\r\n");
    assert_null(strstr(reply, "sealnfs_seals"));
    scrape();
    fixture_stop(daemon);
}

static int connect_idle(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    return fd;
}

static bool is_closed(int fd, int wait_ms)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, wait_ms) == 1;
}

/* Wrong: each that connects takes a descriptor, as many as there are. */
static void idle_connections_keep_no_scrape_out(void **state)
{
    enum { MANY = 3 * HTTP_CONNECTIONS };
    int fds[MANY];
    (void)state;
    struct daemon *daemon = start();
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = connect_idle();
    for (unsigned i = 0; i < MANY - HTTP_CONNECTIONS; i++)
        assert_true(is_closed(fds[i], HTTP_SECONDS * 1000 / 4));
    scrape();
    assert_true(is_closed(fds[MANY - HTTP_CONNECTIONS], HTTP_SECONDS * 1000 / 4));
    for (unsigned i = 0; i < MANY; i++)
        close(fds[i]);
    fixture_stop(daemon);
}

/* Wrong: who says something now and then may stay. */
static void a_request_that_never_ends_is_closed(void **state)
{
    (void)state;
    struct daemon *daemon = start();
    int fd = connect_idle();
    for (unsigned i = 0; !is_closed(fd, 250); i++) {
        assert_true(i < 4 * 3 * HTTP_SECONDS);
        (void)send(fd, "x", 1, MSG_NOSIGNAL);
    }
    close(fd);
    fixture_stop(daemon);
}

static int clean(void **state)
{
    (void)state;
    fixture_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scrape_says_what_there_is),
        cmocka_unit_test(clients_and_operations_are_counted),
        cmocka_unit_test(operations_are_timed),
        cmocka_unit_test(nothing_but_metrics_is_answered),
        cmocka_unit_test(idle_connections_keep_no_scrape_out),
        cmocka_unit_test(a_request_that_never_ends_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
