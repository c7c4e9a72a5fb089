/*
 * test_config.c - sealnfs.conf: what is accepted, and that each mistake is one line with file, line
 * and remedy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config/config.h"
#include "server/config/value.h"

static char directory[] = "/tmp/test_config.XXXXXX";
static char file[64];

/* Load text as the configuration; the error output goes to `said`. */
static int load(const char *text, struct config **config, char *said, size_t room)
{
    FILE *out = fopen(file, "w"), *errors;
    int result;

    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
    memset(said, 0, room);
    errors = fmemopen(said, room, "w");
    assert_non_null(errors);
    result = config_load(file, errors, config);
    fclose(errors);
    return result;
}

static void refused(const char *text, int line, const char *expected)
{
    struct config *config = NULL;
    char said[1024], where[128];

    assert_true(load(text, &config, said, sizeof(said)) < 0);
    assert_null(config);
    snprintf(where, sizeof(where), "%s:%d: ", file, line);
    if (strncmp(said, where, strlen(where)) != 0 || !strstr(said, expected))
        fail_msg("expected \"%s...%s\", got \"%s\"", where, expected, said);
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
}

#define GOOD_EXPORT "export \"/d\" { path = \"/tmp\" clients = {\"10.0.0.0/8\"} }\n"
#define STATE       "state_dir = \"/tmp\"\ncontrol_socket = \"/tmp/s\"\n"

static void a_full_configuration_is_read(void **state)
{
    struct config *config;
    char said[1024];
    struct in6_addr inside, outside;
    (void)state;

    assert_int_equal(
        load("listen = {\"127.0.0.1\", \"::1\"}\nport = 2050\nlease_time = 20\nmax_io_size = 512K\n"
             "quiesce_is_safe = yes\n" STATE
             "export \"/d\" { path = \"/tmp\" clients = {\"10.1.0.0/16\", \"2001:db8::/32\"} "
             "access = \"ro\"\n"
             "  squash = \"all\" policy = \"at-rest\" at_rest_min_size = 2M layouts = false }\n"
             "export \"/\" { path = \"/usr\" clients = {\"127.0.0.1\"} }\n",
             &config, said, sizeof(said)),
        0);
    assert_string_equal(said, "");
    assert_int_equal(config->listen_count, 2);
    assert_string_equal(config->listen[1], "::1");
    assert_int_equal(config->port, 2050);
    assert_int_equal(config->grace_time, 20); /* follows the lease */
    assert_int_equal(config->recall_timeout, 20);
    assert_int_equal(config->max_io_size, 512 << 10);
    assert_true(config->quiesce_is_safe);
    assert_int_equal(config->export_count, 2);
    assert_int_equal(config->exports[0].squash, SQUASH_ALL);
    assert_int_equal(config->exports[0].policy, POLICY_AT_REST);
    assert_int_equal(config->exports[0].at_rest_min_size, 2 << 20);
    assert_false(config->exports[0].layouts);
    assert_false(config->exports[0].writable);
    assert_true(config->exports[1].writable);
    assert_int_equal(config->exports[1].squash, SQUASH_ROOT);
    assert_int_not_equal(config->exports[0].id, config->exports[1].id);
    assert_true(config_address_parse("10.1.2.3", &inside));
    assert_true(config_address_parse("10.2.0.1", &outside));
    assert_true(config_export_admits(&config->exports[0], &inside));
    assert_false(config_export_admits(&config->exports[0], &outside));
    assert_true(config_address_parse("2001:db8:1::7", &inside));
    assert_true(config_export_admits(&config->exports[0], &inside));
    config_free(config);
}

/* RFC 8881 section 12.5.5: a lease at least between a recall and what comes then. */
static void nobody_is_fenced_within_a_lease(void **state)
{
    struct config *config;
    char said[1024];

    (void)state;
    assert_int_equal(load("lease_time = 240\n" STATE GOOD_EXPORT, &config, said, sizeof(said)), 0);
    assert_in_range(config->recall_timeout, config->lease_time, 3600);
    config_free(config);
    assert_int_equal(load(STATE GOOD_EXPORT, &config, said, sizeof(said)), 0);
    assert_in_range(config->recall_timeout, config->lease_time, 3600);
    config_free(config);
}

static void every_mistake_names_line_and_remedy(void **state)
{
    (void)state;
    refused(STATE "lease_tme = 5\n" GOOD_EXPORT, 3, "did you mean \"lease_time\"?");
    refused(STATE "squash = \"all\"\n" GOOD_EXPORT, 3, "inside an export section");
    refused(STATE "port = 70000\n" GOOD_EXPORT, 3, "give 1 to 65535");
    refused(STATE "port = -1\n" GOOD_EXPORT, 3, "write digits only");
    refused(STATE "lease_time = 99999999999999999999\n" GOOD_EXPORT, 3, "digits");
    refused(STATE "listen = {\"localhost\"}\n" GOOD_EXPORT, 3, "not a numeric address");
    refused(STATE "fence_hook = \"/no/such/hook\"\n" GOOD_EXPORT, 3,
            "install it or correct the path");
    refused(STATE "control_group = \"nosuchgroup\"\n" GOOD_EXPORT, 3, "groupadd");
    refused(STATE "metrics_listen = \"127.0.0.1:2049\"\n" GOOD_EXPORT, 3, "that of NFS");
    refused(STATE "log_level = \"loud\"\n" GOOD_EXPORT, 3, "error warning info debug");
    refused(STATE "export \"/d\" {\n path = \"such/directory\"\n clients = {\"::/0\"} }\n", 4,
            "write it from the root");
    refused("state_dir = \"/no/such/directory\"\n" GOOD_EXPORT, 1, "make it or correct the path");
    refused(STATE "export \"/d\" {\n path = \"/tmp\"\n mountpoint = \"maybe\"\n"
                  " clients = {\"::/0\"} }\n",
            5, "auto true false");
    refused(STATE "export \"/d\" {\n path = \"/tmp\"\n clients = {\"10.0.0.1/8\"}\n}\n", 5,
            "write \"10.0.0.0/8\" for the whole network, or \"10.0.0.1\" for that machine alone");
    refused(STATE "export \"/d\" {\n path = \"/tmp\"\n clients = {\"2001:db8::5/32\"}\n}\n", 5,
            "write \"2001:db8::/32\" for");
    refused(STATE "export \"/d\" {\n path = \"/tmp\"\n clients = {\"*\"}\n}\n", 5,
            "for everybody write");
    refused(STATE "export \"/d\" { path = \"/tmp\" }\n", 3, "has no \"clients\"; add it");
    refused(STATE "export \"d\" { path = \"/tmp\" clients = {\"::/0\"} }\n", 3,
            "not a plain absolute path");
    refused(STATE GOOD_EXPORT GOOD_EXPORT, 4, "duplicate");
    refused(STATE
            "export \"/a\" { path = \"/tmp\" clients = {\"::/0\"} id = 7 }\nexport \"/b\" { path = "
            "\"/tmp\" clients = {\"::/0\"} id = 7 }\n",
            4, "same id 7");
    refused(STATE, 2, "no export; add a section");
    refused(STATE
            "export \"/d\" { path = \"/tmp\" clients = {\"::/0\"} layout_types = \"auto+rdma\" }\n",
            3, "no \"rdma_listen\"; add that");
#ifdef SEAL_HAS_RDMA
    refused(STATE "rdma_listen = {\"192.0.2.1\", \"::\"}\n" GOOD_EXPORT, 3, "takes no wildcard");
#else
    refused(STATE "rdma_listen = {\"192.0.2.1\"}\n" GOOD_EXPORT, 3, "built without RDMA");
#endif
    refused(STATE "port 2049\n" GOOD_EXPORT, 3, "sealnfs.conf(5)");
}

/* Every line of what was said, in order: "LINE: words" for each of the expected. */
static void refused_for_all(const char *text, size_t count, const unsigned *lines,
                            const char *const *expected)
{
    struct config *config = NULL;
    char said[4096], where[128], *next = said;

    assert_int_equal(load(text, &config, said, sizeof(said)), -EINVAL);
    for (size_t i = 0; i < count; i++) {
        char *end = strchr(next, '\n');
        snprintf(where, sizeof(where), "%s:%u: ", file, lines[i]);
        if (!end)
            fail_msg("nothing is said about \"%s\"", expected[i]);
        *end = '\0';
        if (strncmp(next, where, strlen(where)) != 0 || !strstr(next, expected[i]))
            fail_msg("expected \"%s...%s\", got \"%s\"", where, expected[i], next);
        next = end + 1;
    }
    assert_string_equal(next, "");
}

static void all_mistakes_are_told_at_once_in_the_order_of_lines(void **state)
{
    static const unsigned lines[] = {3, 4, 5, 6, 6, 7, 9, 10};
    static const char *const expected[] = {"give 1 to 65535", "did you mean", "no = behind it",
                                           "\"a\"",           "\"b\"",        "has no \"clients\"",
                                           "from the root",   "none root all"};
    (void)state;

    refused_for_all(STATE "port = 70000\nlease_tme = 5\nlog_level \"info\"\n"
                          "listen = {\"a\", \"b\"}\n"
                          "export \"/d\" {\n"
                          "  # path\n"
                          "  path = \"such/directory\"\n"
                          "  squash = \"some\"\n}\n",
                    8, lines, expected);
}

static void comments_blank_lines_lists_and_strings_count_as_the_lines_they_are(void **state)
{
    (void)state;
    refused("# one\n# two\n\n\n# five\n" STATE "port = 0\n" GOOD_EXPORT, 8, "give 1 to 65535");
    refused(STATE "/* three\n four\n five */ port = 0\n" GOOD_EXPORT, 5, "give 1 to 65535");
    refused(STATE "// three\nport = 0 # \"\n" GOOD_EXPORT, 4, "give 1 to 65535");
    refused(STATE
            "listen = {\n\"::1\",\n# of no host\n\"nowhere\",\n\"127.0.0.1\"\n}\n" GOOD_EXPORT,
            6, "\"nowhere\" is not a numeric address");
    refused(STATE "listen = {\n\"::1\",\n\"127.0.0.1\"\n}\nport = 0\n" GOOD_EXPORT, 7,
            "give 1 to 65535");
    refused(STATE "idmap_domain = \"exam\\\nple.\\\norg\"\nport = 0\n" GOOD_EXPORT, 6,
            "give 1 to 65535");
    refused(STATE "log_level = \"in\\\nform\"\nport = 1\n" GOOD_EXPORT, 3,
            "\"inform\" is not known");
}

static void what_is_not_closed_is_named_where_it_begins(void **state)
{
    (void)state;
    refused(STATE "log_level = \"info\nport = 2049\n" GOOD_EXPORT, 3, "a string is not closed");
    refused(STATE "listen = {\"::\"\nport = 2049\n" GOOD_EXPORT, 3, "listen: a list is not closed");
    refused(STATE GOOD_EXPORT "listen = {\"::\",\n# and\n", 4, "listen: a list is not closed");
    refused(STATE "export \"/d\" {\n path = \"/tmp\"\n clients = {\"::/0\"}\n\n", 3,
            "export: it is not closed");
    refused(STATE "export \"/d\" {\n path = \"/tmp\"\n clients = {\"::/0\"}\n"
                  "export \"/e\" { path = \"/tmp\" clients = {\"::/0\"} }\n",
            3, "export: it is not closed");
    refused(STATE "export \"/d\" {\n path = \"/tmp\"\n clients = {\"::/0}\n}\n", 5,
            "a string is not closed");
    refused(STATE "export \"/d\" { path = \"/tmp clients = {\"::/0\"} }\n", 3,
            "a string is not closed");
    refused(STATE GOOD_EXPORT "}\n", 4, "a } closes nothing");
    refused(STATE GOOD_EXPORT "/* and\nso on\n", 4, "a comment is not closed");
}

static void odd_syntax_is_told_with_its_line(void **state)
{
    (void)state;
    refused(STATE "port =\nlease_time = 20\n" GOOD_EXPORT, 3, "port: there is no value");
    refused(STATE "port = {1, 2}\n" GOOD_EXPORT, 3, "takes one value");
    refused(STATE "listen = {\"::1\"\n\"127.0.0.1\"}\n" GOOD_EXPORT, 4, "a comma is missing");
    refused(STATE "{ }\n" GOOD_EXPORT, 3, "does not belong here");
    refused(STATE "export { path = \"/tmp\" clients = {\"::/0\"} }\n", 3,
            "not a plain absolute path");
    refused(STATE "export \"/d\"\n path = \"/tmp\"\n clients = {\"::/0\"} }\n", 3,
            "there is no { behind its name");
}

static void an_option_given_twice_is_refused_with_both_lines(void **state)
{
    static const unsigned lines[] = {5, 6, 8};
    static const char *const expected[] = {"listen: it is in line 3 already; keep one",
                                           "port: it is in line 4 already",
                                           "path: it is in line 7 already"};
    (void)state;

    refused_for_all(STATE
                    "listen = {\"::1\", \"::\"}\nport = 1\nlisten = '127.0.0.1'\nport = 2\n"
                    "export \"/d\" { path = \"/tmp\" clients = {\"::/0\"}\n path = \"/usr\" }\n"
                    "export \"/e\" { path = \"/tmp\" clients = {\"::/0\"} }\n",
                    3, lines, expected);
}

static void what_a_reload_cannot_change_is_named(void **state)
{
    struct config *old, *new;
    char said[1024], names[256];
    (void)state;

    assert_int_equal(load(STATE "listen = {\"::1\"}\n" GOOD_EXPORT, &old, said, sizeof(said)), 0);
    assert_int_equal(load(STATE "listen = {\"::1\", \"127.0.0.1\"}\nport = 2050\nrpcbind = false\n"
                                "trace_file = \"/tmp/t\"\nlog_level = \"debug\"\nmax_io_size = 2M\n"
                                "recall_timeout = 5\n" GOOD_EXPORT,
                          &new, said, sizeof(said)),
                     0);
    config_name_fixed(old, new, names, sizeof(names));
    assert_string_equal(names, "listen, port, max_io_size, rpcbind");
    config_name_fixed(new, new, names, sizeof(names));
    assert_string_equal(names, "");
    config_free(old);
    config_free(new);
}

static void only_the_default_directories_may_be_missing(void **state)
{
    struct config *config;
    char said[1024];
    (void)state;

    assert_int_equal(load("state_dir = \"/var/lib/sealnfs\"\n"
                          "control_socket = \"/run/sealnfs/control.sock\"\n"
                          "trace_file = \"/var/lib/sealnfs/trace.jsonl\"\n" GOOD_EXPORT,
                          &config, said, sizeof(said)),
                     0);
    config_free(config);
    refused("state_dir = \"/var/lib/no-such\"\n" GOOD_EXPORT, 1, "make it or correct the path");
    refused("trace_file = \"/var/lib/no-such/trace\"\n" GOOD_EXPORT, 1, "make it or correct");
}

static void an_exported_directory_may_be_away(void **state)
{
    struct config *config;
    char said[1024];
    (void)state;

    assert_int_equal(load(STATE "export \"/d\" { path = \"/no/such\" clients = {\"::/0\"} }\n"
                                "export \"/e\" { path = \"/no/other\" clients = {\"::/0\"}\n"
                                " mountpoint = \"/no\" }\n"
                                "export \"/f\" { path = \"/tmp\" clients = {\"::/0\"}\n"
                                " mountpoint = true }\n",
                          &config, said, sizeof(said)),
                     0);
    assert_string_equal(config->exports[0].mountpoint, "auto");
    assert_string_equal(config->exports[1].mountpoint, "/no");
    assert_string_equal(config->exports[2].mountpoint, "true");
    config_free(config);
}

/* For who orders the start after the mounts: what is wrong elsewhere is not in the way. */
static void paths_are_printed_whatever_is_wrong(void **state)
{
    char said[256] = "";
    FILE *out = fopen(file, "w");
    (void)state;

    fputs("lease_time = soon\nstate_dir = \"/srv/state\"\npath = \"/no\"\n"
          "export \"/d\" { path = \"/srv/a b\" state_dir = \"/no\" }\nexport \"/e\" { path = "
          "\"/c\"\n",
          out);
    assert_int_equal(fclose(out), 0);
    out = fmemopen(said, sizeof(said), "w");
    assert_int_equal(config_print_paths(file, out), 0);
    fclose(out);
    assert_string_equal(said, "state /srv/state\nexport /srv/a b\nexport /c\n");
    assert_int_equal(config_print_paths("/no/such/file", stdout), -ENOENT);
}

static void a_good_configuration_says_what_it_would_serve(void **state)
{
    struct config *config;
    char said[1024] = "";
    FILE *out = fmemopen(said, sizeof(said), "w");
    (void)state;

    assert_int_equal(load(STATE
                          "port = 2050\nexport \"/d\" { path = \"/tmp\" clients = {\"::/0\"} "
                          "access = \"ro\" layout_types = \"scsi\" }\n"
                          "export \"/e\" { path = \"/usr\" clients = {\"::/0\"} layouts = no }\n",
                          &config, said, sizeof(said)),
                     0);
    config_describe(config, out);
    fclose(out);
    config_free(config);
    assert_string_equal(said, "port 2050 on ::\n"
                              "export \"/d\" of /tmp, ro, layouts: scsi\n"
                              "export \"/e\" of /usr, rw, layouts: none\n");
}

static void a_missing_file_is_told(void **state)
{
    struct config *config = NULL;
    char said[256] = "";
    FILE *errors = fmemopen(said, sizeof(said), "w");
    (void)state;

    assert_int_equal(config_load("/no/such/file.conf", errors, &config), -ENOENT);
    fclose(errors);
    assert_non_null(strstr(said, "/no/such/file.conf"));
    assert_null(config);
}

/* Who is told of it, or reads it again, may be in another directory by then. */
static void a_configuration_knows_its_place(void **state)
{
    struct config *config = NULL;
    char here[PATH_MAX], path[PATH_MAX];
    (void)state;

    snprintf(path, sizeof(path), "%s/relative.conf", directory);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("export \"/e\" { path = \"/usr\" clients = {\"127.0.0.1\"} }\n", out);
    fclose(out);
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(config_load("relative.conf", stderr, &config), 0);
    assert_int_equal(chdir(here), 0);
    assert_string_equal(config->file, path);
    config_free(config);
    unlink(path);
}

/* ---- several files ---- */

/* A file of the include directory beside the configuration. */
static void include(const char *name, const char *text)
{
    char path[128];
    FILE *out;

    snprintf(path, sizeof(path), "%s/sealnfs.d", directory);
    (void)mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/sealnfs.d/%s", directory, name);
    out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int remove_included(void **state)
{
    char command[128];
    (void)state;

    snprintf(command, sizeof(command), "rm -rf %s/sealnfs.d", directory);
    return system(command);
}

static void included_files_are_read_in_the_order_of_their_names(void **state)
{
    struct config *config;
    char said[1024];
    (void)state;

    include("20-b.conf", "export \"/b\" { path = \"/usr\" clients = {\"::/0\"} }\n");
    include("10-a.conf", "port = 2050\nexport \"/a\" { path = \"/tmp\" clients = {\"::/0\"} }\n");
    include("30-c.conf.dpkg-old", "nonsense\n");
    include(".hidden.conf", "nonsense\n");
    assert_int_equal(load(STATE "lease_time = 20\n", &config, said, sizeof(said)), 0);
    assert_int_equal(config->export_count, 2);
    assert_string_equal(config->exports[0].pseudo, "/a");
    assert_string_equal(config->exports[1].pseudo, "/b");
    assert_int_equal(config->port, 2050);
    assert_int_equal(config->lease_time, 20);
    config_free(config);
    assert_int_equal(load(STATE "include_dir = \"\"\n" GOOD_EXPORT, &config, said, sizeof(said)),
                     0);
    assert_int_equal(config->export_count, 1);
    config_free(config);
    refused(STATE "include_dir = \"/no/such/directory\"\n" GOOD_EXPORT, 3, "is not there");
    refused(STATE "include_dir = \"sealnfs.d\"\n" GOOD_EXPORT, 3, "write it from the root");
}

static void an_include_directory_may_be_named(void **state)
{
    char text[256], said[1024];
    struct config *config;
    (void)state;

    include("a.conf", GOOD_EXPORT);
    snprintf(text, sizeof(text), "include_dir = \"%s/sealnfs.d\"\n" STATE, directory);
    assert_int_equal(load(text, &config, said, sizeof(said)), 0);
    assert_int_equal(config->export_count, 1);
    config_free(config);
}

static void mistakes_name_the_file_that_they_are_in(void **state)
{
    const char *const expected[] = {
        "/sealnfs.conf:3: lease_tme: unknown option",
        "/sealnfs.d/a.conf:1: port: it is in line ",
        "/sealnfs.d/a.conf:2: export: \"/d\" is a duplicate of the export in ",
        "/sealnfs.d/a.conf:3: include_dir: included files include no others",
        "/sealnfs.d/b.conf:0: it cannot be read: ",
        "/sealnfs.d/bb.conf:0: it cannot be read: Invalid argument",
        "/sealnfs.d/c.conf:2: a string is not closed"};
    char said[4096], link[128];
    struct config *config;
    const char *at = said;
    (void)state;

    include("a.conf", "port = 2\n" GOOD_EXPORT "include_dir = \"/tmp\"\n");
    include("c.conf", "\nlog_level = \"info\n");
    snprintf(link, sizeof(link), "%s/sealnfs.d/b.conf", directory);
    assert_int_equal(symlink("/no/such/file", link), 0);
    snprintf(link, sizeof(link), "%s/sealnfs.d/bb.conf", directory);
    assert_int_equal(mkfifo(link, 0600), 0); /* nobody writes to it */
    assert_int_equal(
        load(STATE "lease_tme = 5\nport = 1\n" GOOD_EXPORT, &config, said, sizeof(said)), -EINVAL);
    assert_non_null(strstr(said, "/sealnfs.d/a.conf:1: port: it is in /tmp/"));
    assert_non_null(strstr(said, "/sealnfs.conf:4 already; keep one of the two"));
    assert_non_null(strstr(said, "/sealnfs.conf:5; give it another name"));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        if (i == 1)
            continue; /* of another file, above */
        at = strstr(at, expected[i]);
        if (!at)
            fail_msg("\"%s\" is not said, or not in order: %s", expected[i], said);
    }
}

static void paths_of_included_files_are_printed_too(void **state)
{
    char said[256] = "";
    FILE *out = fmemopen(said, sizeof(said), "w");
    struct config *config;
    char mistakes[1024];
    (void)state;

    include("a.conf", "export \"/e\" { path = \"/srv/e\" }\n");
    (void)load("state_dir = \"/srv/s\"\nexport \"/d\" { path = \"/srv/d\" }\n", &config, mistakes,
               sizeof(mistakes));
    assert_non_null(out);
    assert_int_equal(config_print_paths(file, out), 0);
    fclose(out);
    assert_string_equal(said, "state /srv/s\nexport /srv/d\nexport /srv/e\n");
}

/* ---- the same path twice ---- */

static void what_concerns_files_a_path_has_once(void **state)
{
    struct config *config;
    char said[1024];
    (void)state;

    assert_int_equal(
        load(STATE "export \"/d\" { path = \"/tmp\" clients = {\"10.0.0.0/8\"} }\n"
                   "export \"/e\" { path = \"/tmp/\" clients = {\"::/0\"} access = \"ro\" }\n",
             &config, said, sizeof(said)),
        0);
    config_free(config);
    refused(STATE GOOD_EXPORT
            "export \"/e\" { path = \"/tmp/\" clients = {\"::/0\"} policy = \"at-rest\" }\n",
            4, "has the path of the one in line 3, and another policy");
    refused(STATE GOOD_EXPORT
            "export \"/e\" { path = \"/tmp\" clients = {\"::/0\"} at_rest_exclude = {\"*.a\"} }\n",
            4, "another at_rest_exclude");
}

/* ---- as it is in effect ---- */

static char *dump(const struct config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    config_dump(config, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Wrong: what is printed means something else when it is read. */
static void what_is_dumped_means_the_same(void **state)
{
    struct config *config, *again;
    char said[1024], *first, *second;
    (void)state;

    include("a.conf", "port = 2050\n"
                      "export \"/e \\\"x\\\\y\" { path = \"/usr/a \\\"b\\\\c\" id = 7\n"
                      " clients = {\"192.0.2.7\", \"2001:db8::/32\", \"*.example.org\", \"@t\"}\n"
                      " squash = none access = ro policy = \"at-rest\" layout_types = \"scsi\"\n"
                      " at_rest_include = {\"*.qcow2\", \"media/*\"} manage_gids = yes\n"
                      " unprivileged_ports = allow mountpoint = \"/usr\" stripes = on }\n");
    assert_int_equal(load(STATE "lease_time = 20\nmax_request_memory = 64M\nlog_level = debug\n"
                                "listen = {\"::1\", \"127.0.0.1\"}\n"
                                "confine = off\n" GOOD_EXPORT,
                          &config, said, sizeof(said)),
                     0);
    first = dump(config);
    assert_non_null(strstr(first, "port = 2050\n"));
    assert_non_null(strstr(first, "grace_time = 20\n"));
    assert_non_null(strstr(first, "max_request_memory = 67108864\n"));
    assert_non_null(
        strstr(first, "clients = {\"192.0.2.7\", \"2001:db8::/32\", \"*.example.org\""));
    config_free(config);
    assert_int_equal(load(first, &again, said, sizeof(said)), 0); /* beside the same directory */
    second = dump(again);
    assert_string_equal(first, second);
    assert_int_equal(again->export_count, 2);
    assert_string_equal(again->exports[1].pseudo, "/e \"x\\y");
    assert_int_equal(again->exports[1].squash, SQUASH_NONE);
    assert_true(again->exports[1].manage_gids);
    config_free(again);
    free(first);
    free(second);
}

static void networks_are_exact(void **state)
{
    struct config_network network;
    struct in6_addr address;
    (void)state;

    assert_true(config_network_parse("192.0.2.128/25", &network));
    assert_true(config_address_parse("192.0.2.200", &address));
    assert_true(config_network_contains(&network, &address));
    assert_true(config_address_parse("192.0.2.127", &address));
    assert_false(config_network_contains(&network, &address));
    assert_false(config_network_parse("192.0.2.129/25", &network));
    assert_false(config_network_parse("192.0.2.0/33", &network));
    assert_false(config_network_parse("192.0.2.0/", &network));
    assert_false(config_network_parse("::/129", &network));
    assert_true(config_network_parse("::/0", &network));
    assert_true(config_network_contains(&network, &address)); /* everything, IPv4 too */
}

static void names_are_names_of_machines_or_netgroups(void **state)
{
    static const char *const good[] = {"host",
                                       "host.example.org",
                                       "*.example.org",
                                       "node?.a-b.org",
                                       "@trusted",
                                       "3com.example.org",
                                       "a_b"};
    static const char *const bad[] = {"192.0.2.300", "1.2.3",  "host/24", "*",     "*.*",
                                      "a..b",        ".a",     "a.",      "-a",    "@",
                                      "@a b",        "ho st",  "a.b,c",   "::g",   "",
                                      "[ab].org",    "host.*", "@a(b)",   "a:2049"};
    struct config_network network;
    char why[256], text[64];
    (void)state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(config_network_check(good[i], why, sizeof(why)));
        assert_int_equal(config_network_read(good[i], &network), 0);
        assert_string_equal(network.name, good[i]);
        config_network_print(&network, text, sizeof(text));
        assert_string_equal(text, good[i]);
        config_network_free(&network);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(config_network_check(bad[i], why, sizeof(why)));
        assert_int_equal(config_network_read(bad[i], &network), -EINVAL);
    }
}

/* Wrong: a name's place in the list has the prefix length 0 and admits everybody. */
static void a_name_is_no_network(void **state)
{
    struct config_network network;
    struct in6_addr address;
    (void)state;

    assert_int_equal(config_network_read("host.example.org", &network), 0);
    assert_true(config_address_parse("192.0.2.7", &address));
    assert_false(config_network_contains(&network, &address));
    config_network_free(&network);
}

static void numbers_do_not_wrap(void **state)
{
    uint64_t number;
    (void)state;

    assert_true(config_number_parse("16T", true, &number));
    assert_int_equal(number, 16ull << 40);
    assert_false(config_number_parse("18446744073709551616", false, &number));
    assert_false(config_number_parse("16777216T", true, &number));
    assert_false(config_number_parse("1K", false, &number));
    assert_false(config_number_parse("", true, &number));
    assert_false(config_number_parse("1KB", true, &number));
}

static void pattern_that_could_never_match_is_no_pattern(void **state)
{
    (void)state;
    assert_true(config_pattern_is_sane("[ab]*"));
    assert_true(config_pattern_is_sane("a\\[b"));
    assert_false(config_pattern_is_sane(""));
    assert_false(config_pattern_is_sane("/media/*"));
    assert_false(config_pattern_is_sane("media/[ab"));
    assert_false(config_pattern_is_sane("media\\"));
}

static void every_option_is_documented(void **state)
{
    size_t count;
    const struct config_option *options = config_options(&count);
    (void)state;

    assert_true(count > 30);
    for (size_t i = 0; i < count; i++) {
        assert_true(strlen(options[i].help) > 10);
        assert_non_null(options[i].type);
    }
}

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(file, sizeof(file), "%s/sealnfs.conf", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(directory);
}

/* Wrong: a directory of any mode was taken, so that others could put their journal there. */
static void a_state_directory_that_others_may_write_is_refused(void **unused)
{
    char text[512], said[1024], place[80];
    struct config *config;
    (void)unused;

    snprintf(place, sizeof(place), "%s/state", directory);
    assert_int_equal(mkdir(place, 0700), 0);
    snprintf(text, sizeof(text), "state_dir = \"%s\"\ncontrol_socket = \"/tmp/s\"\n" GOOD_EXPORT,
             place);
    assert_int_equal(load(text, &config, said, sizeof(said)), 0);
    assert_int_equal(config_make_places(config), 0);
    assert_int_equal(chmod(place, 0770), 0);
    assert_int_equal(config_make_places(config), -EPERM);
    assert_int_equal(chmod(place, 0702), 0);
    assert_int_equal(config_make_places(config), -EPERM);
    assert_int_equal(chmod(place, 0755), 0);
    assert_int_equal(config_make_places(config), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(place, 65534, 65534), 0);
        assert_int_equal(config_make_places(config), -EPERM);
    }
    config_free(config);
    assert_int_equal(rmdir(place), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_configuration_is_read),
        cmocka_unit_test(a_state_directory_that_others_may_write_is_refused),
        cmocka_unit_test(nobody_is_fenced_within_a_lease),
        cmocka_unit_test(every_mistake_names_line_and_remedy),
        cmocka_unit_test(all_mistakes_are_told_at_once_in_the_order_of_lines),
        cmocka_unit_test(comments_blank_lines_lists_and_strings_count_as_the_lines_they_are),
        cmocka_unit_test(what_is_not_closed_is_named_where_it_begins),
        cmocka_unit_test(odd_syntax_is_told_with_its_line),
        cmocka_unit_test(an_option_given_twice_is_refused_with_both_lines),
        cmocka_unit_test(only_the_default_directories_may_be_missing),
        cmocka_unit_test(what_a_reload_cannot_change_is_named),
        cmocka_unit_test(an_exported_directory_may_be_away),
        cmocka_unit_test(paths_are_printed_whatever_is_wrong),
        cmocka_unit_test(a_good_configuration_says_what_it_would_serve),
        cmocka_unit_test(a_missing_file_is_told),
        cmocka_unit_test(a_configuration_knows_its_place),
#define INCLUDING(name) cmocka_unit_test_setup_teardown(name, NULL, remove_included)
        INCLUDING(included_files_are_read_in_the_order_of_their_names),
        INCLUDING(an_include_directory_may_be_named),
        INCLUDING(mistakes_name_the_file_that_they_are_in),
        INCLUDING(paths_of_included_files_are_printed_too),
        INCLUDING(what_is_dumped_means_the_same),
        cmocka_unit_test(what_concerns_files_a_path_has_once),
        cmocka_unit_test(networks_are_exact),
        cmocka_unit_test(names_are_names_of_machines_or_netgroups),
        cmocka_unit_test(a_name_is_no_network),
        cmocka_unit_test(numbers_do_not_wrap),
        cmocka_unit_test(pattern_that_could_never_match_is_no_pattern),
        cmocka_unit_test(every_option_is_documented),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
