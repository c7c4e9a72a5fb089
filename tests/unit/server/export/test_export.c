/*
 * Exports: admission, squashing, the pseudo root, reload.
 */
#include "tests/unit/server/fs_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/worker.h"
#include "server/export/fs_root.h"
#include "server/export/host_names.h"
#include "server/export/lookup.h"
#include "server/export/pseudo.h"

static const struct peer_address anybody = {.host = IN6ADDR_LOOPBACK_INIT, .reserved = true};

static struct export *export_of(struct fs_fixture *f, unsigned index)
{
    return export_by_id(f->server.exports, 100 + index);
}

static void exports_are_found_by_id(void **state)
{
    struct fs_fixture *f = *state;

    assert_non_null(export_of(f, EXPORT_DATA));
    assert_int_equal(export_id(export_of(f, EXPORT_RO)), 100 + EXPORT_RO);
    assert_null(export_by_id(f->server.exports, 7));
    assert_int_equal(export_count(f->server.exports), EXPORTS);
}

static void only_admitted_networks_get_in(void **state)
{
    struct fs_fixture *f = *state;
    struct config_network network = {.prefix = 96 + 24};

    inet_pton(AF_INET6, "::ffff:192.0.2.0", &network.address);
    f->exports[EXPORT_DATA].networks = &network;
    inet_pton(AF_INET6, "::ffff:192.0.2.77", &f->c.peer.host);
    assert_int_equal(export_admit(export_of(f, EXPORT_DATA), &f->c.peer), NFS4_OK);
    inet_pton(AF_INET6, "::ffff:192.0.3.77", &f->c.peer.host);
    assert_int_equal(export_admit(export_of(f, EXPORT_DATA), &f->c.peer), NFS4ERR_ACCESS);
    assert_int_equal(export_admit(export_of(f, EXPORT_CLOSED), &f->c.peer), NFS4ERR_ACCESS);
    assert_int_equal(export_admit(NULL, &f->c.peer), NFS4_OK);
}

static void ports_that_any_user_may_have_get_in_where_that_is_allowed_only(void **state)
{
    struct fs_fixture *f = *state;

    f->c.peer.reserved = false;
    assert_int_equal(export_admit(export_of(f, EXPORT_DATA), &f->c.peer), NFS4ERR_ACCESS);
    assert_int_equal(export_table_admits(f->server.exports, &f->c.peer), NFS4ERR_ACCESS);
    f->exports[EXPORT_RO].unprivileged_ports = true;
    assert_int_equal(export_admit(export_of(f, EXPORT_RO), &f->c.peer), NFS4_OK);
    assert_int_equal(export_admit(export_of(f, EXPORT_DATA), &f->c.peer), NFS4ERR_ACCESS);
    assert_int_equal(export_table_admits(f->server.exports, &f->c.peer), NFS4_OK);
}

/* The verifier of WRITE hangs on it: another file system's clients need not write again. */
static void a_loss_is_one_of_every_export_of_the_file_system(void **state)
{
    struct fs_fixture *f = *state;
    uint64_t before = export_losses(export_of(f, EXPORT_RO));

    export_note_loss(f->server.exports, export_of(f, EXPORT_DATA));
    assert_int_equal(export_losses(export_of(f, EXPORT_RO)), before + 1); /* the same directory */
}

static void root_squash_squashes_uid_gid_and_groups(void **state)
{
    struct fs_fixture *f = *state;
    struct cred root = {.flavor = RPC_AUTH_SYS, .gid_count = 2, .gids = {0, 44}}, out;
    struct cred user = {
        .flavor = RPC_AUTH_SYS, .uid = 1000, .gid = 0, .gid_count = 2, .gids = {44, 0}};

    export_cred(export_of(f, EXPORT_INNER), &root, &out);
    assert_int_equal(out.uid, 65534);
    assert_int_equal(out.gid, 65534);
    assert_int_equal(out.gid_count, 0);
    export_cred(export_of(f, EXPORT_INNER), &user, &out);
    assert_int_equal(out.uid, 1000);
    assert_int_equal(out.gid, 65534);
    assert_int_equal(out.gids[0], 44);
    assert_int_equal(out.gids[1], 65534);
    export_cred(export_of(f, EXPORT_DATA), &root, &out);
    assert_int_equal(out.uid, 0);
    assert_int_equal(out.gid_count, 2);
}

/* Squashed first, looked up then: who is anonymous has no groups, and group 0 is nobody's. */
static void looked_up_groups_are_squashed_too(void **state)
{
    static const gid_t ids[] = {0, 37, 44};
    struct fs_fixture *f = *state;
    struct cred user = {.flavor = RPC_AUTH_SYS,
                        .uid = 1000,
                        .gid = 1000,
                        .gid_count = 1,
                        .gids = {99},
                        .known = {.count = 3, .mark = 5, .ids = ids}},
                root = user, out;
    uint32_t count;

    root.uid = 0;
    assert_false(export_wants_groups(export_of(f, EXPORT_INNER), &user));
    export_cred(export_of(f, EXPORT_INNER), &user, &out);
    assert_int_equal(cred_groups(&out, &count)[0], 99);
    f->exports[EXPORT_INNER].manage_gids = true;
    assert_true(export_wants_groups(export_of(f, EXPORT_INNER), &user));
    assert_false(export_wants_groups(export_of(f, EXPORT_INNER), &root));
    export_cred(export_of(f, EXPORT_INNER), &user, &out);
    assert_int_equal(cred_groups(&out, &count)[0], 37);
    assert_int_equal(count, 2);
    export_cred(export_of(f, EXPORT_INNER), &root, &out);
    (void)cred_groups(&out, &count);
    assert_int_equal(count, 0);
    user.known = (struct group_list){0}; /* nobody has looked */
    export_cred(export_of(f, EXPORT_INNER), &user, &out);
    (void)cred_groups(&out, &count);
    assert_int_equal(count, 0);
    f->exports[EXPORT_INNER].squash = SQUASH_ALL;
    assert_false(export_wants_groups(export_of(f, EXPORT_INNER), &user));
}

static void all_squash_and_auth_none_are_anonymous(void **state)
{
    struct fs_fixture *f = *state;
    struct cred user = {.flavor = RPC_AUTH_SYS,
                        .uid = 1000,
                        .gid = 1000,
                        .gid_count = 1,
                        .gids = {44}},
                out;

    f->exports[EXPORT_DATA].squash = SQUASH_ALL;
    f->exports[EXPORT_DATA].anon_uid = 77;
    f->exports[EXPORT_DATA].anon_gid = 78;
    export_cred(export_of(f, EXPORT_DATA), &user, &out);
    assert_int_equal(out.uid, 77);
    assert_int_equal(out.gid, 78);
    assert_int_equal(out.gid_count, 0);
    f->exports[EXPORT_DATA].squash = SQUASH_NONE;
    user.flavor = RPC_AUTH_NONE;
    user.uid = 0;
    export_cred(export_of(f, EXPORT_DATA), &user, &out);
    assert_int_equal(out.uid, 77);
}

enum { MOST = EXPORTS + 65, RELOADS = 8 };

/* A table of exports and the configuration of the next reload; those that were given, which the
 * exports keep. */
struct reloaded {
    struct fs_fixture *f;
    struct config next;
    struct config_export entries[MOST], given[RELOADS][MOST];
    unsigned reloads;
    char why[EXPORT_WHY_MAX];
};

static void begin_reload(struct reloaded *r, struct fs_fixture *f)
{
    *r = (struct reloaded){.f = f, .next = f->config};
    memcpy(r->entries, f->exports, sizeof(f->exports));
}

static int reload(struct reloaded *r)
{
    assert_in_range(r->reloads, 0, RELOADS - 1);
    r->next.exports = memcpy(r->given[r->reloads++], r->entries, sizeof(r->entries));
    return export_table_reload(r->f->server.exports, &r->next, r->why);
}

static struct pseudo_dir *name_of(const struct reloaded *r, const char *name)
{
    return pseudo_child(export_table_pseudo_root(r->f->server.exports), name);
}

static void assert_as_before(const struct reloaded *r)
{
    assert_non_null(name_of(r, "data"));
    assert_non_null(name_of(r, "ro"));
    assert_int_equal(export_admit(export_of(r->f, EXPORT_DATA), &anybody), NFS4_OK);
    assert_int_equal(export_admit(export_of(r->f, EXPORT_RO), &anybody), NFS4_OK);
}

static void reload_changes_access_but_not_places(void **state)
{
    static struct reloaded r;

    begin_reload(&r, *state);
    r.entries[EXPORT_DATA].writable = false;
    assert_int_equal(reload(&r), 0);
    assert_false(export_is_writable(export_of(r.f, EXPORT_DATA)));
    r.entries[EXPORT_RO].path = r.entries[EXPORT_CLOSED].path;
    assert_int_equal(reload(&r), -EINVAL);
    assert_non_null(strstr(r.why, "/ro"));
    assert_as_before(&r);
}

/* Nobody gets in, what is held there can still be found by its handle, and it comes back. */
static void a_reload_withdraws_an_export_and_brings_it_back(void **state)
{
    static struct reloaded r;
    const char *why = "";

    begin_reload(&r, *state);
    struct export *data = export_of(r.f, EXPORT_DATA);
    struct pseudo_dir *root = export_table_pseudo_root(r.f->server.exports), *dir;
    const uint64_t changed = pseudo_changed(root), fileid = pseudo_fileid(export_pseudo(data));
    const unsigned names = pseudo_child_count(root);

    r.entries[EXPORT_DATA] = r.entries[EXPORT_RO]; /* and what is nested in it stays */
    r.entries[EXPORT_RO] = r.entries[--r.next.export_count];
    assert_int_equal(reload(&r), 0);
    assert_true(export_is_withdrawn(data));
    assert_int_equal(export_admit(data, &anybody), NFS4ERR_ACCESS);
    assert_false(export_is_writable(data));
    assert_false(export_has_layouts(data, &why));
    assert_string_equal(why, "it is exported no more");
    assert_ptr_equal(export_by_id(r.f->server.exports, export_id(data)), data);
    dir = name_of(&r, "data");
    assert_non_null(dir); /* for the name below */
    assert_null(pseudo_export(dir));
    assert_ptr_equal(pseudo_by_fileid(root, fileid), dir);
    assert_true(pseudo_changed(root) > changed);

    r.next.export_count = 1; /* /ro alone */
    assert_int_equal(reload(&r), 0);
    assert_null(name_of(&r, "data"));
    assert_null(pseudo_by_fileid(root, fileid));
    assert_int_equal(pseudo_child_count(root), 1);

    r.next = r.f->config;
    memcpy(r.entries, r.f->exports, sizeof(r.f->exports));
    assert_int_equal(reload(&r), 0);
    assert_as_before(&r);
    assert_false(export_is_withdrawn(data));
    assert_ptr_equal(pseudo_export(name_of(&r, "data")), data);
    assert_int_equal(pseudo_child_count(root), names);
}

static struct config_export *add_entry(struct reloaded *r, const char *pseudo, uint32_t id)
{
    struct config_export *entry = &r->entries[r->next.export_count++];

    *entry = r->f->exports[EXPORT_DATA];
    entry->pseudo = (char *)(uintptr_t)pseudo;
    entry->id = id;
    return entry;
}

/* It is away until the keeper has found its file system. */
static void a_reload_brings_an_export(void **state)
{
    static struct reloaded r;
    struct fs_root *found = NULL;
    char away[FS_WHY_MAX];

    begin_reload(&r, *state);
    add_entry(&r, "/late", 777)->layouts = true;
    assert_int_equal(reload(&r), 0);
    struct export *late = export_by_id(r.f->server.exports, 777);
    assert_non_null(late);
    assert_ptr_equal(export_at(r.f->server.exports, EXPORTS), late);
    assert_ptr_equal(pseudo_export(name_of(&r, "late")), late);
    assert_true(export_is_away(late));
    assert_true(export_why_away(late, away, sizeof(away)));
    assert_int_equal(export_away_count(r.f->server.exports), 1);
    assert_int_equal(export_seek(r.f->server.exports, late, &found), 0);
    assert_int_equal(export_arrive(r.f->server.exports, late, found), 0);
    assert_false(export_is_away(late));
    assert_int_equal(export_admit(late, &anybody), NFS4_OK);

    /* One that is away is nobody's trouble when it is withdrawn. */
    add_entry(&r, "/later", 778);
    assert_int_equal(reload(&r), 0);
    r.next.export_count--;
    assert_int_equal(reload(&r), 0);
    assert_int_equal(export_away_count(r.f->server.exports), 0);
    assert_int_equal(reload(&r), 0);
}

/* Wrong: the names of an export that a reload brings are nobody's to look up, and admit nobody. */
static void an_export_that_comes_by_a_reload_has_names_too(void **state)
{
    struct config_network network = {.name = (char[]){"localhost"}};
    static struct reloaded r;
    struct worker_pool *threads;
    struct host_names *names;

    begin_reload(&r, *state);
    assert_int_equal(lookup_threads_create(HOST_NAME_KINDS, &threads), 0);
    assert_int_equal(host_names_create(threads, &names), 0);
    export_table_use_names(r.f->server.exports, names);
    add_entry(&r, "/late", 777)->networks = &network;
    assert_int_equal(reload(&r), 0);
    const struct export *late = export_by_id(r.f->server.exports, 777);
    assert_int_equal(export_admit(late, &anybody), NFS4ERR_DELAY); /* it has just been asked for */
    worker_pool_destroy(threads);
    host_names_destroy(names);
}

static void a_reload_that_cannot_be_done_changes_nothing(void **state)
{
    static struct reloaded r;

    begin_reload(&r, *state);
    r.entries[EXPORT_DATA].id = 500; /* the old goes, one of its name comes */
    add_entry(&r, "/no//name", 778);
    assert_int_equal(reload(&r), -EINVAL);
    assert_as_before(&r);
    assert_false(export_is_withdrawn(export_of(r.f, EXPORT_DATA)));

    r.next = r.f->config;
    memcpy(r.entries, r.f->exports, sizeof(r.f->exports));
    for (unsigned i = 0; i < 65; i++)
        add_entry(&r, "/many", 1000 + i);
    assert_int_equal(reload(&r), -ENOSPC);
    assert_non_null(strstr(r.why, "restart"));
    assert_as_before(&r);

    r.next = r.f->config;
    r.entries[EXPORT_DATA].id = 500;
    assert_int_equal(reload(&r), 0);
    assert_int_equal(export_id(pseudo_export(name_of(&r, "data"))), 500);
}

static void the_pseudo_root_joins_nested_exports(void **state)
{
    struct export *a = (struct export *)1, *b = (struct export *)2, *c = (struct export *)3;
    struct pseudo_dir *root, *dir;

    (void)state;
    assert_int_equal(pseudo_tree_create(&root), 0);
    assert_int_equal(pseudo_tree_add(root, "/a", a, &dir), 0);
    assert_int_equal(pseudo_tree_add(root, "/a/x/b", b, &dir), 0);
    assert_int_equal(pseudo_tree_add(root, "/", c, &dir), 0);
    assert_ptr_equal(dir, root);
    assert_int_equal(pseudo_tree_add(root, "/a/x/b", c, &dir), -EEXIST);
    assert_int_equal(pseudo_tree_add(root, "a", c, &dir), -EINVAL);
    assert_int_equal(pseudo_tree_add(root, "/q//r", c, &dir), -EINVAL);
    assert_int_equal(pseudo_tree_add(root, "/q/../r", c, &dir), -EINVAL);
    dir = pseudo_child(pseudo_child(root, "a"), "x");
    assert_null(pseudo_export(dir));
    assert_ptr_equal(pseudo_export(pseudo_child(dir, "b")), b);
    assert_ptr_equal(pseudo_parent(pseudo_parent(dir)), root);
    assert_ptr_equal(pseudo_by_fileid(root, pseudo_fileid(dir)), dir);
    assert_null(pseudo_by_fileid(root, 12345));
    pseudo_tree_destroy(root);
}

static void a_path_belongs_to_the_innermost_export(void **state)
{
    struct fs_fixture *f = *state;
    const int mount = export_mount_id(export_of(f, EXPORT_DATA));

    assert_ptr_equal(export_of_path(f->server.exports, fs_path(f, "inner/x"), mount),
                     export_of(f, EXPORT_INNER));
    assert_ptr_equal(export_of_path(f->server.exports, fs_path(f, "closed"), mount),
                     export_of(f, EXPORT_CLOSED));
    assert_null(export_of_path(f->server.exports, fs_path(f, "innermost"), mount));
    assert_null(export_of_path(f->server.exports, fs_path(f, "inner"), mount + 100000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exports_are_found_by_id),
        TEST(only_admitted_networks_get_in),
        TEST(a_loss_is_one_of_every_export_of_the_file_system),
        TEST(ports_that_any_user_may_have_get_in_where_that_is_allowed_only),
        TEST(root_squash_squashes_uid_gid_and_groups),
        TEST(looked_up_groups_are_squashed_too),
        TEST(all_squash_and_auth_none_are_anonymous),
        TEST(reload_changes_access_but_not_places),
        TEST(a_reload_withdraws_an_export_and_brings_it_back),
        TEST(a_reload_brings_an_export),
        TEST(an_export_that_comes_by_a_reload_has_names_too),
        TEST(a_reload_that_cannot_be_done_changes_nothing),
        cmocka_unit_test(the_pseudo_root_joins_nested_exports),
        TEST(a_path_belongs_to_the_innermost_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
