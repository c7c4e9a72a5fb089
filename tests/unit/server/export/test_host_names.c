/*
 * test_host_names.c - names of machines and netgroups in `clients`: whom they admit, and who waits
 * for a look-up; by themselves and through a daemon's real connections. The linker sends look-ups
 * here (--wrap): a name server that knows what is under "test", may be slow, and answers to reverse
 * look-ups whatever it likes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/peer_address.h"
#include "server/base/worker.h"
#include "server/config/config.h"
#include "server/config/value.h"
#include "server/export/host_names.h"
#include "server/export/lookup.h"
#include "tests/unit/server/daemon_fixture.h"

enum { DEADLINE_MS = 30000 };

/* ---- the name server ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_slow, is_down;
static unsigned waiting;

static const struct {
    const char *name, *address;
} zone[] = {{"one.test", "127.0.0.1"},  {"one.test", "2001:db8::1"},
            {"two.test", "127.0.0.2"},  {"a.b.wild.test", "127.0.0.2"},
            {"slow.test", "127.0.0.1"}, {"other.test", "192.0.2.9"}};

/* What a reverse look-up says; 192.0.2.66 lies. */
static const struct {
    const char *address, *name;
} reverse[] = {{"127.0.0.2", "a.b.wild.test"}, {"192.0.2.66", "a.b.wild.test"}};

static void be_slow(const char *name)
{
    pthread_mutex_lock(&lock);
    if (is_slow && strcmp(name, "slow.test") == 0) {
        waiting++;
        pthread_cond_broadcast(&changed);
        while (is_slow)
            pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static void set_slow(bool slow)
{
    pthread_mutex_lock(&lock);
    is_slow = slow;
    waiting = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_question(void)
{
    pthread_mutex_lock(&lock);
    while (waiting == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

int __real_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getnameinfo(const struct sockaddr *address, socklen_t len, char *name, socklen_t size,
                       char *service, socklen_t service_size, int flags);
int __wrap_innetgr(const char *group, const char *host, const char *user, const char *domain);
int __wrap_setnetgrent(const char *group);
void __wrap_endnetgrent(void);

static bool is_of_test(const char *name)
{
    const size_t len = name ? strlen(name) : 0;

    return len > 5 && strcmp(name + len - 5, ".test") == 0;
}

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    const struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo **end = out;

    if (!is_of_test(name))
        return __real_getaddrinfo(name, service, hints, out);
    be_slow(name);
    if (is_down)
        return EAI_AGAIN;
    *out = NULL;
    for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
        if (strcmp(zone[i].name, name) != 0)
            continue;
        assert_int_equal(__real_getaddrinfo(zone[i].address, NULL, &numeric, end), 0);
        end = &(*end)->ai_next;
    }
    return *out ? 0 : EAI_NONAME;
}

int __wrap_getnameinfo(const struct sockaddr *address, socklen_t len, char *name, socklen_t size,
                       char *service, socklen_t service_size, int flags)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    char text[INET6_ADDRSTRLEN] = "";

    (void)len, (void)service, (void)service_size;
    assert_true(flags & NI_NAMEREQD);
    if (is_down)
        return EAI_AGAIN;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    for (size_t i = 0; i < sizeof(reverse) / sizeof(reverse[0]); i++)
        if (strcmp(reverse[i].address, text) == 0) {
            snprintf(name, size, "%s", reverse[i].name);
            return 0;
        }
    return EAI_NONAME;
}

/* One netgroup: "trusted". */
int __wrap_setnetgrent(const char *group)
{
    return strcmp(group, "trusted") == 0;
}

void __wrap_endnetgrent(void)
{
}

int __wrap_innetgr(const char *group, const char *host, const char *user, const char *domain)
{
    assert_null(user);
    assert_null(domain);
    return strcmp(group, "trusted") == 0 &&
           (strcmp(host, "a.b.wild.test") == 0 || strcmp(host, "192.0.2.10") == 0);
}

/* ---- by themselves ---- */

static struct worker_pool *threads;
static struct host_names *names;

static int setup(void **state)
{
    (void)state;
    is_down = false;
    return lookup_threads_create(HOST_NAME_KINDS, &threads) || host_names_create(threads, &names);
}

static int teardown(void **state)
{
    (void)state;
    set_slow(false);
    worker_pool_destroy(threads);
    host_names_destroy(names);
    return 0;
}

static enum name_verdict look(const char *name, const char *address)
{
    struct config_network network;
    const struct config_export export = {.network_count = 1, .networks = &network};
    struct peer_address peer = {.reserved = true};
    enum name_verdict verdict;

    assert_int_equal(config_network_read(name, &network), 0);
    assert_true(config_address_parse(address, &peer.host));
    verdict = host_names_admit(names, &export, &peer, NULL);
    config_network_free(&network);
    return verdict;
}

/* When it has been looked up. */
static bool admits(const char *name, const char *address)
{
    enum name_verdict verdict = look(name, address);

    for (unsigned ms = 0; verdict == NAME_UNKNOWN && ms < DEADLINE_MS; ms++) {
        usleep(1000);
        verdict = look(name, address);
    }
    assert_int_not_equal(verdict, NAME_UNKNOWN);
    return verdict == NAME_ADMITS;
}

static void a_name_admits_the_addresses_that_it_has(void **state)
{
    (void)state;
    assert_int_equal(look("one.test", "127.0.0.1"), NAME_UNKNOWN); /* nobody was waited for */
    assert_true(admits("one.test", "127.0.0.1"));
    assert_true(admits("one.test", "2001:db8::1"));
    assert_false(admits("one.test", "127.0.0.2"));
}

/* Wrong: what a reverse look-up says is believed, which its zone's owner makes up. */
static void a_pattern_admits_by_a_name_that_leads_back(void **state)
{
    (void)state;
    assert_true(admits("*.wild.test", "127.0.0.2"));
    assert_true(admits("?.B.wild.test", "127.0.0.2"));
    assert_false(admits("*.tame.test", "127.0.0.2"));
    assert_false(admits("*.wild.test", "192.0.2.66"));
    assert_false(admits("*.wild.test", "127.0.0.1"));
}

static void a_netgroup_admits_its_members_by_name_or_address(void **state)
{
    (void)state;
    assert_true(admits("@trusted", "127.0.0.2"));
    assert_true(admits("@trusted", "192.0.2.10"));
    assert_false(admits("@trusted", "192.0.2.66"));
    assert_false(admits("@trusted", "127.0.0.1"));
    assert_false(admits("@nobody", "127.0.0.2"));
}

static bool say_why(const char *name, char *text, size_t size)
{
    struct config_network network;
    const struct config_export export = {.network_count = 1, .networks = &network};
    bool said;

    assert_int_equal(config_network_read(name, &network), 0);
    said = host_names_why(names, &export, text, size);
    config_network_free(&network);
    return said;
}

static void what_cannot_be_looked_up_admits_nobody_and_is_said(void **state)
{
    char text[256];

    (void)state;
    assert_false(admits("no.test", "127.0.0.1"));
    assert_true(say_why("no.test", text, sizeof(text)));
    assert_non_null(strstr(text, "no.test: "));
    assert_false(admits("@nobody", "127.0.0.1"));
    assert_true(say_why("@nobody", text, sizeof(text)));
    is_down = true;
    assert_false(admits("one.test", "127.0.0.1"));
    assert_false(admits("*.wild.test", "127.0.0.2"));
    assert_true(say_why("one.test", text, sizeof(text)));
    is_down = false;
    host_names_flush(names);
    assert_true(admits("one.test", "127.0.0.1"));
    assert_false(say_why("one.test", text, sizeof(text)));
}

static void a_name_that_hangs_holds_up_no_other(void **state)
{
    struct config_network list[2] = {{.name = (char[]){"slow.test"}},
                                     {.name = (char[]){"two.test"}}};
    const struct config_export export = {.network_count = 2, .networks = list};
    struct peer_address peer = {.reserved = true};

    (void)state;
    set_slow(true);
    assert_int_equal(look("slow.test", "127.0.0.1"), NAME_UNKNOWN);
    await_question();
    assert_true(admits("two.test", "127.0.0.2"));
    assert_true(admits("*.wild.test", "127.0.0.2"));
    assert_true(config_address_parse("127.0.0.2", &peer.host));
    assert_int_equal(host_names_admit(names, &export, &peer, NULL), NAME_ADMITS);
    assert_int_equal(look("slow.test", "127.0.0.1"), NAME_UNKNOWN);
    set_slow(false);
    assert_true(admits("slow.test", "127.0.0.1"));
}

static void patterns_match_whole_names(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } rows[] = {
        {"*.example.org", "a.example.org", true},
        {"*.example.org", "a.b.EXAMPLE.org", true},
        {"*.example.org", "example.org", false},
        {"*.example.org", "a.example.orgy", false},
        {"*.example.org", "aexample.org", false},
        {"node?.a", "node1.a", true},
        {"node?.a", "node.a", false},
        {"node?.a", "node12.a", false},
        {"n*1*.a", "n-1-1-2.a", true},
        {"n*1*.a", "n2.a", false},
        {"*.example.org", "a.example.org.", false},
        {"*a", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(host_name_matches(rows[i].pattern, rows[i].name), rows[i].matches);
}

/* ---- through a daemon ---- */

static struct daemon *daemon_of_test;

static int start_daemon(void **state)
{
    (void)state;
    is_down = false;
    daemon_of_test = fixture_start("");
    return 0;
}

static int stop_daemon(void **state)
{
    (void)state;
    set_slow(false);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static void send_exchange(struct wire *w)
{
    const union nfs4_args args = exchange_args("somebody", 1, 0);

    wire_begin(w);
    wire_op(w, OP_EXCHANGE_ID, &args);
    wire_send(w);
}

static nfsstat4 exchange(const char *address)
{
    struct wire w;

    wire_open_from(&w, daemon_of_test, address);
    send_exchange(&w);
    assert_true(wire_receive(&w));
    wire_close(&w);
    return w.status;
}

/* No NFS error, but RPC's. */
static bool is_denied(const char *address)
{
    enum rpc_msg_type type;
    struct rpc_reply reply;
    struct wire w;

    wire_open_from(&w, daemon_of_test, address);
    send_exchange(&w);
    assert_true(wire_next_message(&w, DEADLINE_MS, &type));
    assert_int_equal(rpc_reply_decode(&w.in, &reply), 0);
    wire_close(&w);
    return reply.stat == RPC_MSG_DENIED;
}

static void a_machine_is_admitted_by_its_name_and_others_are_denied(void **state)
{
    (void)state;
    fixture_admit(daemon_of_test, "\"two.test\"");
    assert_int_equal(exchange("127.0.0.2"), NFS4_OK);
    assert_true(is_denied("127.0.0.1"));
    fixture_admit(daemon_of_test, "\"@trusted\", \"no.test\"");
    assert_int_equal(exchange("127.0.0.2"), NFS4_OK);
    assert_true(is_denied("127.0.0.1"));
}

/* Wrong: who comes while his name is being looked up is refused, or waits for as long as that
 * takes.
 */
static void who_comes_before_his_name_is_told_to_come_again(void **state)
{
    struct wire w;

    (void)state;
    set_slow(true);
    fixture_admit(daemon_of_test, "\"slow.test\", \"two.test\"");
    wire_open_from(&w, daemon_of_test, "127.0.0.1");
    send_exchange(&w);
    await_question();
    assert_int_equal(exchange("127.0.0.2"), NFS4_OK); /* and holds up nobody else */
    assert_true(wire_receive(&w));
    assert_int_equal(w.status, NFS4ERR_DELAY);
    send_exchange(&w);
    set_slow(false);
    assert_true(wire_receive(&w));
    assert_int_equal(w.status, NFS4_OK);
    wire_close(&w);
}

static void a_session_lives_on_through_a_reload_of_slow_names(void **state)
{
    struct nfs_client client;

    (void)state;
    fixture_admit(daemon_of_test, "\"slow.test\"");
    nfs_client_start_from(&client, daemon_of_test, "client", "127.0.0.1");
    set_slow(true);
    fixture_admit(daemon_of_test, "\"slow.test\"");
    nfs_begin(&client, false);
    nfs_lookup_export(&client);
    assert_true(wire_call(&client.wire));
    assert_int_equal(client.wire.status, NFS4ERR_DELAY);
    set_slow(false);
    do {
        nfs_begin(&client, false);
        nfs_lookup_export(&client);
        wire_op(&client.wire, OP_GETATTR, NULL);
        assert_true(wire_call(&client.wire));
    } while (client.wire.status == NFS4ERR_DELAY);
    assert_int_equal(client.wire.status, NFS4_OK);
    fixture_admit(daemon_of_test, "\"two.test\"");
    do {
        nfs_begin(&client, false);
        nfs_lookup_export(&client);
        assert_true(wire_call(&client.wire));
    } while (client.wire.status == NFS4ERR_DELAY);
    assert_int_equal(client.wire.status, NFS4ERR_ACCESS);
    wire_close(&client.wire);
}

static void the_operator_sees_what_cannot_be_looked_up(void **state)
{
    char answer[4096] = "";

    (void)state;
    fixture_admit(daemon_of_test, "\"no.test\", \"127.0.0.1\", \"*.wild.test\"");
    assert_int_equal(exchange("127.0.0.1"), NFS4_OK);
    assert_true(is_denied("127.0.0.3")); /* so that all has been looked up */
    fixture_ask("{\"op\":\"exports\"}", answer, sizeof(answer));
    assert_non_null(strstr(answer, "\"*.wild.test\""));
    assert_non_null(strstr(answer, "cannot be looked up, and admit nobody: no.test: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define DAEMON(name) cmocka_unit_test_setup_teardown(name, start_daemon, stop_daemon)
        CASE(a_name_admits_the_addresses_that_it_has),
        CASE(a_pattern_admits_by_a_name_that_leads_back),
        CASE(a_netgroup_admits_its_members_by_name_or_address),
        CASE(what_cannot_be_looked_up_admits_nobody_and_is_said),
        CASE(a_name_that_hangs_holds_up_no_other),
        cmocka_unit_test(patterns_match_whole_names),
        DAEMON(a_machine_is_admitted_by_its_name_and_others_are_denied),
        DAEMON(who_comes_before_his_name_is_told_to_come_again),
        DAEMON(a_session_lives_on_through_a_reload_of_slow_names),
        DAEMON(the_operator_sees_what_cannot_be_looked_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
