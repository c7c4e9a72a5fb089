/*
 * test_clients.c - what the control socket says of NFS clients, and how one is expelled.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/server/daemon_fixture.h"

enum { BOTH = OPEN4_SHARE_ACCESS_BOTH, WRITTEN = 1000, READ = 300 };

static const char quoted_owner[] = "of \"two\"";
static struct daemon *daemon_of_test;
static struct nfs_client one, two;

static int setup(void **state)
{
    (void)state;
    daemon_of_test = fixture_start("lease_time = 3600\n");
    nfs_client_start(&one, daemon_of_test, "owner one", 0);
    nfs_client_start(&two, daemon_of_test, quoted_owner, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_close(&one.wire);
    wire_close(&two.wire);
    fixture_stop(daemon_of_test);
    fixture_clean();
    return 0;
}

static json_t *ask(const char *line)
{
    char answer[65536];
    json_t *reply;
    fixture_ask(line, answer, sizeof(answer));
    reply = json_loads(answer, 0, NULL);
    assert_non_null(reply);
    return reply;
}

static json_t *expel(const char *name)
{
    char line[256];
    snprintf(line, sizeof(line), "{\"op\":\"expel\",\"name\":\"%s\"}", name);
    return ask(line);
}

static const json_t *row_of(const json_t *reply, const struct nfs_client *client)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(reply, "clients"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "owner")), client->owner) == 0)
            return row;
    }
    return NULL;
}

static json_int_t number(const json_t *row, const char *key)
{
    assert_true(json_is_integer(json_object_get(row, key)));
    return json_integer_value(json_object_get(row, key));
}

static const char *text(const json_t *object, const char *key)
{
    assert_true(json_is_string(json_object_get(object, key)));
    return json_string_value(json_object_get(object, key));
}

static void begin_on(struct nfs_client *client, const char *name)
{
    union nfs4_args lookup = {.lookup = {.objname = xdr_bytes_of(name)}};
    nfs_begin(client, false);
    nfs_lookup_export(client);
    wire_op(&client->wire, OP_LOOKUP, &lookup);
}

static void end_on(struct nfs_client *client, uint32_t op, union nfs4_res *res)
{
    assert_true(wire_call(&client->wire));
    nfs_sequence_ok(client);
    nfs_lookup_export_results(client);
    assert_int_equal(wire_result(&client->wire, OP_LOOKUP, NULL), NFS4_OK);
    assert_int_equal(wire_result(&client->wire, op, res), NFS4_OK);
}

static stateid4 open_file(struct nfs_client *client, const char *name)
{
    union nfs4_res res;
    union nfs4_args args = {.open = {.share_access = BOTH,
                                     .owner.owner = xdr_bytes_of("o"),
                                     .openhow.opentype = OPEN4_CREATE,
                                     .claim.file = xdr_bytes_of(name)}};
    nfs_begin(client, false);
    nfs_lookup_export(client);
    wire_op(&client->wire, OP_OPEN, &args);
    assert_true(wire_call(&client->wire));
    nfs_sequence_ok(client);
    nfs_lookup_export_results(client);
    assert_int_equal(wire_result(&client->wire, OP_OPEN, &res), NFS4_OK);
    return res.open.resok4.stateid;
}

static void lock_file(struct nfs_client *client, const char *name, const stateid4 *open)
{
    union nfs4_args args = {.lock = {.locktype = WRITE_LT, .length = 10}};
    union nfs4_res res;
    args.lock.locker.new_lock_owner = true;
    args.lock.locker.open_owner.open_stateid = *open;
    args.lock.locker.open_owner.lock_owner.owner = xdr_bytes_of("l");
    begin_on(client, name);
    wire_op(&client->wire, OP_LOCK, &args);
    end_on(client, OP_LOCK, &res);
}

static void move_bytes(struct nfs_client *client, const char *name, const stateid4 *open)
{
    static uint8_t data[WRITTEN];
    union nfs4_args args = {
        .write = {.stateid = *open, .data = {.data = data, .len = sizeof(data)}}};
    union nfs4_res res;
    begin_on(client, name);
    wire_op(&client->wire, OP_WRITE, &args);
    end_on(client, OP_WRITE, &res);
    args = (union nfs4_args){.read = {.stateid = *open, .count = READ}};
    begin_on(client, name);
    wire_op(&client->wire, OP_READ, &args);
    end_on(client, OP_READ, &res);
    assert_int_equal(res.read.resok4.data.len, READ);
}

static void each_client_is_shown_with_what_it_has(void **state)
{
    (void)state;
    stateid4 open = open_file(&one, "file");
    open_file(&one, "second");
    lock_file(&one, "file", &open);
    move_bytes(&one, "file", &open);
    json_t *reply = ask("{\"op\":\"clients\"}");
    const json_t *row = row_of(reply, &one), *other = row_of(reply, &two);
    assert_non_null(row);
    assert_non_null(other);
    assert_int_equal(json_array_size(json_object_get(reply, "clients")), 2);
    assert_int_equal(number(row, "opens"), 2);
    assert_int_equal(number(row, "locks"), 1);
    assert_int_equal(number(row, "layouts"), 0);
    assert_int_equal(number(row, "written_bytes"), WRITTEN);
    assert_int_equal(number(row, "read_bytes"), READ);
    assert_in_range(number(row, "renewed_ms"), 0, 3600000);
    assert_string_equal(text(row, "state"), "active");
    assert_int_equal(number(other, "opens"), 0);
    assert_int_equal(number(other, "written_bytes"), 0);
    json_decref(reply);
}

static nfsstat4 sequence_status(struct nfs_client *client)
{
    nfs_begin(client, false);
    assert_true(wire_call(&client->wire));
    return wire_result(&client->wire, OP_SEQUENCE, NULL);
}

static void expelled_client_has_nothing_and_the_others_have_all(void **state)
{
    (void)state;
    char id[24];
    open_file(&one, "file");
    open_file(&two, "other");
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)one.id);
    json_t *reply = expel(id);
    assert_true(json_is_true(json_object_get(reply, "ok")));
    assert_non_null(strstr(text(reply, "note"), "opens and locks are dropped"));
    assert_null(strstr(text(reply, "note"), "fenced"));
    json_decref(reply);
    assert_int_equal(sequence_status(&one), NFS4ERR_BADSESSION);
    assert_int_equal(sequence_status(&two), NFS4_OK);
    reply = ask("{\"op\":\"clients\"}");
    assert_null(row_of(reply, &one));
    assert_int_equal(number(row_of(reply, &two), "opens"), 1);
    json_decref(reply);
}

static void client_is_named_by_its_owner_too(void **state)
{
    (void)state;
    json_t *reply = expel("owner one");
    assert_true(json_is_true(json_object_get(reply, "ok")));
    json_decref(reply);
    assert_int_equal(sequence_status(&one), NFS4ERR_BADSESSION);
    assert_int_equal(sequence_status(&two), NFS4_OK);
}

static void nobody_is_expelled_where_several_or_none_are_meant(void **state)
{
    (void)state;
    char id[24];
    json_t *reply = ask("{\"op\":\"clients\"}");
    char address[64];
    snprintf(address, sizeof(address), "%s", text(row_of(reply, &one), "address"));
    json_decref(reply);
    reply = expel(address); /* both are there */
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)two.id);
    assert_string_equal(text(reply, "code"), "refused");
    assert_non_null(strstr(text(reply, "error"), id));
    json_decref(reply);
    reply = expel("0123456789abcdef");
    assert_string_equal(text(reply, "code"), "not-found");
    json_decref(reply);
    reply = ask("{\"op\":\"expel\"}");
    assert_string_equal(text(reply, "code"), "bad-request");
    json_decref(reply);
    assert_int_equal(sequence_status(&one), NFS4_OK);
    assert_int_equal(sequence_status(&two), NFS4_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_client_is_shown_with_what_it_has),
        T(expelled_client_has_nothing_and_the_others_have_all),
        T(client_is_named_by_its_owner_too),
        T(nobody_is_expelled_where_several_or_none_are_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
