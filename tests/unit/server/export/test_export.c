/*
 * Exports: admission, squashing, the pseudo root, reload.
 */
#include "tests/unit/server/fs_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/export/pseudo.h"

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
    assert_false(export_table_admits(f->server.exports, &f->c.peer));
    f->exports[EXPORT_RO].unprivileged_ports = true;
    assert_int_equal(export_admit(export_of(f, EXPORT_RO), &f->c.peer), NFS4_OK);
    assert_int_equal(export_admit(export_of(f, EXPORT_DATA), &f->c.peer), NFS4ERR_ACCESS);
    assert_true(export_table_admits(f->server.exports, &f->c.peer));
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

static void reload_changes_access_but_not_places(void **state)
{
    struct fs_fixture *f = *state;
    struct config_export entries[EXPORTS], moved[EXPORTS];
    struct config next = f->config;

    memcpy(entries, f->exports, sizeof(entries));
    next.exports = entries;
    entries[EXPORT_DATA].writable = false;
    assert_int_equal(export_table_reload(f->server.exports, &next), 0);
    assert_false(export_is_writable(export_of(f, EXPORT_DATA)));
    memcpy(moved, entries, sizeof(moved));
    next.exports = moved;
    moved[EXPORT_RO].path = moved[EXPORT_CLOSED].path;
    assert_int_equal(export_table_reload(f->server.exports, &next), -EINVAL);
    next.export_count--;
    assert_int_equal(export_table_reload(f->server.exports, &next), -EINVAL);
    assert_int_equal(export_table_reload(f->server.exports, &f->config), 0);
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
        TEST(all_squash_and_auth_none_are_anonymous),
        TEST(reload_changes_access_but_not_places),
        cmocka_unit_test(the_pseudo_root_joins_nested_exports),
        TEST(a_path_belongs_to_the_innermost_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
