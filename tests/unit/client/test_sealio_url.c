/* nfs:// URLs as the tool and programs give them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "client/sealio.h"

static void host_port_and_path_are_taken_apart(void **state)
{
    struct sealio_url url;
    (void)state;
    assert_int_equal(sealio_url_parse("nfs://server.example:20490/data/a%20b", &url), 0);
    assert_string_equal(url.host, "server.example");
    assert_int_equal(url.port, 20490);
    assert_string_equal(url.path, "/data/a b");
    assert_int_equal(sealio_url_parse("nfs://10.0.0.1/", &url), 0);
    assert_int_equal(url.port, 2049);
    assert_string_equal(url.path, "/");
}

static void ipv6_addresses_stand_in_brackets(void **state)
{
    struct sealio_url url;
    (void)state;
    assert_int_equal(sealio_url_parse("nfs://[fe80::1%eth0]:111/x", &url), 0);
    assert_string_equal(url.host, "fe80::1%eth0");
    assert_int_equal(url.port, 111);
    assert_int_equal(sealio_url_parse("nfs://[::1]/x", &url), 0);
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 2049);
}

static void what_is_no_url_is_refused_and_leaves_the_output(void **state)
{
    static const char *const bad[] = {
        "",
        "nfs:/x",
        "http://h/x",
        "nfs://",
        "nfs://host",
        "nfs:///x",
        "nfs://h:/x",
        "nfs://h:0/x",
        "nfs://h:65536/x",
        "nfs://h:12a/x",
        "nfs://h:-1/x",
        "nfs://[::1/x",
        "nfs://[]/x",
        "nfs://[::1]80/x",
        "nfs://h/%",
        "nfs://h/%4",
        "nfs://h/%zz",
        "nfs://h/%00",
        "nfs://:1/x",
        "nfs://h: 2049/x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sealio_url url = {.port = 7};
        assert_int_equal(sealio_url_parse(bad[i], &url), -EINVAL);
        assert_int_equal(url.port, 7);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    struct sealio_url url;
    char text[8000] = "nfs://";
    (void)state;
    memset(text + 6, 'h', 300);
    strcpy(text + 306, "/x");
    assert_int_equal(sealio_url_parse(text, &url), -ENAMETOOLONG);
    strcpy(text, "nfs://h/");
    memset(text + 8, 'p', 4095);
    text[8 + 4095] = '\0';
    assert_int_equal(sealio_url_parse(text, &url), -ENAMETOOLONG);
    text[8 + 4094] = '\0';
    assert_int_equal(sealio_url_parse(text, &url), 0);
    assert_int_equal(strlen(url.path), 4095);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_port_and_path_are_taken_apart),
        cmocka_unit_test(ipv6_addresses_stand_in_brackets),
        cmocka_unit_test(what_is_no_url_is_refused_and_leaves_the_output),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
