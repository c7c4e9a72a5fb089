/*
 * test_callable.c - can a client be called, and its layouts recalled? (RFC 8881 sections 2.10.3.1,
 * 18.33, 18.36.) No daemon: what is bound is the test's word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "server/client/session_private.h"
#include "tests/unit/server/client/clients_fixture.h"

enum { PROGRAM = 0x40000000, OTHER_PROGRAM = 0x40000001, NARROW = 640 };

static const struct config config = {
    .max_clients = 10, .max_slots = 1, .max_sessions_per_client = 8};
static const struct peer_address peer = {.host.s6_addr = {[15] = 1}, .reserved = true};
static struct client *client;

static int setup(void **state)
{
    static const struct client_watcher watcher = {.context = NULL};
    (void)state;
    if (clients_fixture_start(&config, &watcher) < 0)
        return -1;
    client = clients_fixture_make("callable", &peer);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (struct session *s = client->sessions; s; s = s->next)
        s->binds = NULL; /* they are the test's */
    clients_fixture_stop();
    return 0;
}

/* ---- security parameters ---- */

static const uint8_t name[RPC_MAX_MACHINE_NAME];

static callback_sec_parms4 by_nobody(void)
{
    return (callback_sec_parms4){.cb_secflavor = RPC_AUTH_NONE};
}

static callback_sec_parms4 by_user(uint32_t name_len, uint32_t groups)
{
    return (callback_sec_parms4){
        .cb_secflavor = RPC_AUTH_SYS,
        .cbsp_sys_cred = {.uid = 7, .machinename = {name, name_len}, .gids_count = groups}};
}

/* Larger than a request of NARROW bytes leaves room for. */
static callback_sec_parms4 by_too_much(void)
{
    return by_user(sizeof(name), RPC_MAX_GIDS);
}

/* A session whose channel takes requests of this size, with so many operations. */
static struct session *make_session(uint32_t request, uint32_t operations,
                                    callback_sec_parms4 *parms, uint32_t count)
{
    struct session *session;
    const CREATE_SESSION4args args = {
        .csa_cb_program = PROGRAM, .csa_sec_parms_count = count, .csa_sec_parms = parms};
    const channel_attrs4 channel = {.ca_maxrequestsize = request,
                                    .ca_maxresponsesize = 4096,
                                    .ca_maxoperations = operations,
                                    .ca_maxrequests = 1};
    assert_int_equal(session_create(client, &args, &channel, &channel, &session), 0);
    return session;
}

static void assert_client(bool callable, bool recallable)
{
    assert_int_equal(client_is_callable(client), callable);
    assert_int_equal(client_is_recallable(client), recallable);
}

/* ---- the claims ---- */

static void layouts_are_recalled_over_what_is_bound_sound_and_large_enough(void **state)
{
    struct cb_bind bind = {.next = NULL};
    callback_sec_parms4 none = by_nobody();
    (void)state;
    assert_client(false, false);
    struct session *session = make_session(4096, 2, &none, 1);
    assert_client(false, false);
    session->binds = &bind;
    assert_client(true, true);
    client->cb_down = true;
    assert_client(false, false);
    client->cb_down = false;
    session->cb_fault = true; /* its sequence ids are lost */
    assert_client(true, false);
    session->cb_fault = false;
    session->binds = NULL;
    assert_client(false, false);
}

static void one_session_that_carries_recalls_is_enough(void **state)
{
    struct cb_bind bind = {.next = NULL};
    callback_sec_parms4 none = by_nobody(), too_much = by_too_much();
    (void)state;
    make_session(4096, 1, &none, 1)->binds = &bind; /* CB_SEQUENCE alone */
    assert_client(true, false);
    make_session(NARROW, 2, &too_much, 1)->binds = &bind;
    assert_client(true, false);
    struct session *good = make_session(4096, 2, &none, 1); /* and it is not bound */
    assert_client(true, false);
    good->binds = &bind;
    assert_client(true, true);
}

static void a_session_without_parameters_that_are_known_is_not_called(void **state)
{
    struct cb_bind bind = {.next = NULL};
    callback_sec_parms4 gss = {.cb_secflavor = RPC_AUTH_GSS}, none = by_nobody();
    (void)state;
    struct session *session = make_session(4096, 2, &gss, 1);
    session->binds = &bind;
    assert_client(false, false);
    assert_false(session_set_callback(session, PROGRAM, &gss, 1));
    assert_false(session_set_callback(session, PROGRAM, NULL, 0));
    assert_client(false, false);
    assert_true(session_set_callback(session, PROGRAM, &none, 1));
    assert_client(true, true);
}

static void a_channel_that_carries_recalls_stays_one(void **state)
{
    struct cb_bind bind = {.next = NULL};
    callback_sec_parms4 user = by_user(4, 0), too_much = by_too_much();
    (void)state;
    struct session *session = make_session(NARROW, 2, &user, 1);
    session->binds = &bind;
    assert_client(true, true);
    assert_false(session_set_callback(session, OTHER_PROGRAM, &too_much, 1));
    assert_client(true, true);
    assert_int_equal(session->cb_program, PROGRAM); /* nothing of it has changed */
    assert_int_equal(session->cb_sys.machinename.len, 4);
    user.cbsp_sys_cred.uid = 8;
    assert_true(session_set_callback(session, OTHER_PROGRAM, &user, 1));
    assert_int_equal(session->cb_program, OTHER_PROGRAM);
    assert_int_equal(session->cb_sys.uid, 8);
}

static void a_channel_that_does_not_carry_them_can_become_one(void **state)
{
    struct cb_bind bind = {.next = NULL};
    callback_sec_parms4 too_much = by_too_much(), user = by_user(4, 0);
    (void)state;
    struct session *session = make_session(NARROW, 2, &too_much, 1);
    session->binds = &bind;
    assert_client(true, false);
    assert_true(session_set_callback(session, OTHER_PROGRAM, &too_much, 1));
    assert_client(true, false);
    assert_true(session_set_callback(session, PROGRAM, &user, 1));
    assert_client(true, true);
}

/* Wrong: AUTH_SYS was taken whatever it left room for. */
static void parameters_that_carry_recalls_are_taken_before_others(void **state)
{
    struct cb_bind bind = {.next = NULL};
    callback_sec_parms4 parms[] = {by_too_much(), by_nobody(), by_user(4, 0)};
    (void)state;
    struct session *session = make_session(NARROW, 2, parms, 2);
    session->binds = &bind;
    assert_client(true, true);
    assert_int_equal(session->cb_flavor, RPC_AUTH_NONE);
    assert_true(session_set_callback(session, PROGRAM, parms, 3));
    assert_int_equal(session->cb_flavor, RPC_AUTH_SYS);
    assert_int_equal(session->cb_sys.machinename.len, 4);
}

int main(void)
{
#define TEST(claim) cmocka_unit_test_setup_teardown(claim, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(layouts_are_recalled_over_what_is_bound_sound_and_large_enough),
        TEST(one_session_that_carries_recalls_is_enough),
        TEST(a_session_without_parameters_that_are_known_is_not_called),
        TEST(a_channel_that_carries_recalls_stays_one),
        TEST(a_channel_that_does_not_carry_them_can_become_one),
        TEST(parameters_that_carry_recalls_are_taken_before_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
