/* Who registered a key, as disks say it: READ FULL STATUS with the TransportIDs of SPC-4 7.6.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "layout/reservation/nexus.h"

enum { FC = 0, SAS = 6, ISCSI = 5, ISCSI_SESSION = 0x45 };

static struct key_registration reg[4];
static uint8_t data[1024];
static size_t len, count;
static uint32_t generation;

static int setup(void **state)
{
    (void)state;
    memset(data, 0, sizeof(data));
    memset(reg, 0, sizeof(reg));
    data[3] = 9; /* the generation */
    len = 8;
    return 0;
}

static uint8_t *descriptor(uint8_t key, uint8_t port, uint8_t id_len)
{
    uint8_t *at = data + len;

    at[7] = key;
    at[19] = port;
    at[23] = id_len;
    len += 24U + id_len;
    data[6] = (uint8_t)((len - 8) >> 8);
    data[7] = (uint8_t)(len - 8);
    return at + 24;
}

static void iscsi(uint8_t key, const char *name)
{
    size_t room = (strlen(name) + 1 + 3) / 4 * 4;
    uint8_t *id = descriptor(key, 1, (uint8_t)(4 + room));

    id[0] = strstr(name, ",i,") ? ISCSI_SESSION : ISCSI;
    id[3] = (uint8_t)room;
    memcpy(id + 4, name, strlen(name));
}

static int parse(void)
{
    return key_nexus_read_full_status(data, len, reg, 4, &count, &generation);
}

static void transport_ids_of_each_kind_are_read(void **state)
{
    char text[KEY_NEXUS_TEXT];
    uint8_t *id;

    (void)state;
    iscsi(1, "iqn.2026-11.lab:one,i,0x00023d000001");
    id = descriptor(2, 0, 24);
    id[0] = FC;
    memcpy(id + 8, "\x50\x01\x02\x03\x04\x05\x06\x07", 8);
    id = descriptor(3, 2, 24);
    id[0] = SAS;
    memcpy(id + 4, "\x50\x11\x12\x13\x14\x15\x16\x17", 8);
    id = descriptor(4, 2, 5);
    memcpy(id, "\x0emore", 5); /* of a transport to come */
    assert_int_equal(parse(), 0);
    assert_int_equal(count, 4);
    assert_int_equal(generation, 9);
    assert_int_equal(reg[3].key, 4);
    key_nexus_text(&reg[0].nexus, text, sizeof(text));
    assert_string_equal(text, "iqn.2026-11.lab:one,i,0x00023d000001 (target port 1)");
    key_nexus_text(&reg[1].nexus, text, sizeof(text));
    assert_string_equal(text, "fc.5001020304050607");
    key_nexus_text(&reg[2].nexus, text, sizeof(text));
    assert_string_equal(text, "sas.5011121314151617 (target port 2)");
}

static void sessions_and_ports_are_nexuses_of_their_own(void **state)
{
    (void)state;
    iscsi(1, "iqn.a,i,0x1");
    iscsi(1, "iqn.a,i,0x2");
    iscsi(1, "iqn.a,i,0x1");
    assert_int_equal(parse(), 0);
    assert_false(key_nexus_equal(&reg[0].nexus, &reg[1].nexus));
    assert_true(key_nexus_equal(&reg[0].nexus, &reg[2].nexus));
    reg[2].nexus.port = 7;
    assert_false(key_nexus_equal(&reg[0].nexus, &reg[2].nexus));
}

/* SPC-4 6.16.5: what stands where the port's number would is to be ignored. */
static void a_registration_for_all_target_ports_is_of_none(void **state)
{
    (void)state;
    for (uint8_t port = 1; port <= 2; port++) {
        uint8_t *id = descriptor(1, port, 24);
        id[0] = SAS;
        id[4] = 0x50;
        id[-12] |= 0x02;
    }
    assert_int_equal(parse(), 0);
    assert_int_equal(reg[0].nexus.port, 0);
    assert_true(key_nexus_equal(&reg[0].nexus, &reg[1].nexus));
}

static void what_does_not_fit_is_not_taken_for_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        iscsi(1, "iqn.a");
    assert_int_equal(parse(), -EOVERFLOW); /* more than there is room for */
    setup(NULL);
    iscsi(1, "iqn.a");
    iscsi(2, "iqn.b");
    len -= 8;
    assert_int_equal(parse(), -EOVERFLOW); /* more than was transferred */
    len = 7;
    assert_int_equal(parse(), -EBADMSG);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    iscsi(1, "iqn.a");
    data[8 + 24 + 3] = 200; /* a name longer than its descriptor */
    assert_int_equal(parse(), -EBADMSG);
    data[8 + 24 + 3] = 0;
    assert_int_equal(parse(), -EBADMSG);
    data[8 + 24 + 3] = 8;
    data[8 + 20] = 0xff; /* a descriptor longer than all */
    assert_int_equal(parse(), -EBADMSG);
    setup(NULL);
    descriptor(1, 1, 23)[0] = SAS; /* too short for its kind */
    assert_int_equal(parse(), -EBADMSG);
    setup(NULL);
    descriptor(1, 1, 0); /* no name at all: whose is it? */
    assert_int_equal(parse(), -EBADMSG);
    setup(NULL);
    iscsi(1, "iqn.a");
    data[7] -= 1; /* ends in the middle of one */
    assert_int_equal(parse(), -EBADMSG);
}

static void a_name_cannot_hurt_a_terminal(void **state)
{
    char text[KEY_NEXUS_TEXT], small[8];

    (void)state;
    iscsi(1, "iqn.\x1b[2J\"b");
    assert_int_equal(parse(), 0);
    key_nexus_text(&reg[0].nexus, text, sizeof(text));
    assert_string_equal(text, "iqn.?[2J?b (target port 1)");
    key_nexus_text(&reg[0].nexus, small, sizeof(small));
    assert_string_equal(small, "iqn.?[2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(transport_ids_of_each_kind_are_read, setup),
        cmocka_unit_test_setup(sessions_and_ports_are_nexuses_of_their_own, setup),
        cmocka_unit_test_setup(a_registration_for_all_target_ports_is_of_none, setup),
        cmocka_unit_test_setup(what_does_not_fit_is_not_taken_for_nothing, setup),
        cmocka_unit_test_setup(nonsense_is_refused, setup),
        cmocka_unit_test_setup(a_name_cannot_hurt_a_terminal, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
