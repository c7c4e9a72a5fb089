/* The metrics of a whole daemon, scraped over HTTP as a monitoring system does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/server/daemon_fixture.h"

static struct sockaddr_in where;
static char reply[65536];

/* A port that was free a moment ago. */
static int choose_port(void)
{
    socklen_t len = sizeof where;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    where = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof where), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &len), 0);
    close(fd);
    return ntohs(where.sin_port);
}

static struct daemon *start(void)
{
    char extra[64];
    snprintf(extra, sizeof extra, "metrics_listen = \"127.0.0.1:%d\"\n", choose_port());
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
        cmocka_unit_test(nothing_but_metrics_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
