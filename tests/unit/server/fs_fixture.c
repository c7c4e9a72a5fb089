/*
 * The file side of a server for tests; see fs_fixture.h.
 */
#include "tests/unit/server/fs_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/fs_handle.h"
#include "server/client/client.h"
#include "server/export/idmap.h"
#include "server/file/op_error.h"
#include "server/keeper/keeper.h"
#include "server/nfs/op_io.h"
#include "tests/unit/server/errors_allowed.h"

const struct descriptor_plan fs_plan = {.idle = 4096, .data = 1024};

static struct fs_fixture *current;
static struct loop_msg *posted; /* what a stand-in of the keeper answers with */

void compound_resume(struct compound *c)
{
    (void)c;
}

void keeper_release(struct keeper *keeper, struct keeper_release *release)
{
    (void)keeper;
    current->releases++;
    if (current->on_release)
        current->on_release(current, release->file);
    release->call.status = current->release_status;
    posted = &release->call.reply;
}

void keeper_wrote(struct keeper *keeper, struct keeper_wrote *wrote)
{
    (void)keeper;
    current->wrote_mtime_ns = wrote->mtime_ns;
    wrote->call.status = NFS4_OK;
    posted = &wrote->call.reply;
}

void keeper_resize(struct keeper *keeper, struct keeper_resize *resize)
{
    (void)keeper;
    current->resized = resize->size;
    resize->call.status = current->resize_status;
    posted = &resize->call.reply;
}

void keeper_writer(struct keeper *keeper, const struct file *file, uint64_t client_id, bool writes)
{
    (void)keeper;
    (void)file;
    (void)client_id;
    (void)writes;
}

nfsstat4 io_state_find(struct compound *c, const stateid4 *stateid, unsigned access, bool *opener)
{
    (void)c;
    (void)access;
    *opener = stateid->other[0] != 0 && stateid->other[0] != 0xff;
    return current->io_status;
}

const char *client_describe(const struct client *client)
{
    (void)client;
    return "test";
}

const char *fs_path(const struct fs_fixture *f, const char *relative)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", f->dir, relative);
    return path;
}

void fs_write_file(const struct fs_fixture *f, const char *relative, const char *content)
{
    int fd = open(fs_path(f, relative), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void make_export(struct fs_fixture *f, unsigned index, const char *pseudo, const char *sub,
                        bool writable)
{
    struct config_export *export = &f->exports[index];

    export->pseudo = strdup(pseudo);
    export->path = strdup(fs_path(f, sub));
    export->id = 100 + index;
    export->writable = writable;
    export->anon_uid = export->anon_gid = 65534;
    export->networks = &f->anybody;
    export->network_count = 1;
}

static void make_config(struct fs_fixture *f)
{
    make_export(f, EXPORT_DATA, "/data", "data", true);
    make_export(f, EXPORT_RO, "/ro", "data", false);
    make_export(f, EXPORT_INNER, "/data/inner", "inner", true);
    make_export(f, EXPORT_CLOSED, "/closed", "closed", true);
    f->exports[EXPORT_INNER].squash = SQUASH_ROOT;
    f->exports[EXPORT_CLOSED].network_count = 0;
    f->config.lease_time = 90;
    f->config.max_io_size = 1 << 20;
    f->config.numeric_owners = true;
    f->config.sync_metadata = true;
    f->config.exports = f->exports;
    f->config.export_count = EXPORTS;
    f->server.config = &f->config;
    randombytes_buf(f->server.fh_key, sizeof(f->server.fh_key));
}

static void need_handles(const struct fs_fixture *f)
{
    struct fs_handle handle;
    int fd = open(f->dir, O_PATH | O_CLOEXEC);
    int rc = fs_handle_get(fd, "", &handle);

    close(fd);
    if (geteuid() == 0 && rc == 0)
        return;
    printf("skipped: needs root and a file system with file handles in /tmp\n");
    exit(77);
}

static int set_up(void **state, bool mounted)
{
    struct fs_fixture *f = calloc(1, sizeof(*f));

    if (!f || sodium_init() < 0)
        return -1;
    current = f;
    strcpy(f->dir, "/tmp/sealnfs-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    need_handles(f);
    f->mounted = mounted && mount(f->dir, f->dir, NULL, MS_BIND, NULL) == 0;
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(mkdir(fs_path(f, "data"), 0755), 0);
    assert_int_equal(mkdir(fs_path(f, "inner"), 0755), 0);
    assert_int_equal(mkdir(fs_path(f, "closed"), 0755), 0);
    make_config(f);
    assert_int_equal(idmap_create(&f->config, &f->server.idmap), 0);
    assert_int_equal(export_table_create(&f->config, &f->server.exports), 0);
    assert_int_equal(
        file_table_create(f->server.exports, f->server.fh_key, &fs_plan, &f->server.files), 0);
    f->c.server = &f->server;
    f->c.peer.reserved = true;
    f->c.max_reply = sizeof(f->reply);
    arena_init(&f->c.arena, 4 << 20);
    xdr_out_init(&f->c.out, f->reply, sizeof(f->reply));
    fs_as(f, 0, 0);
    *state = f;
    return 0;
}

int fs_setup(void **state)
{
    return set_up(state, false);
}

int fs_setup_mounted(void **state)
{
    return set_up(state, true);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int fs_teardown(void **state)
{
    struct fs_fixture *f = *state;

    compound_set_fh(&f->c, NULL, NULL);
    file_unref(f->c.saved.file);
    arena_free(&f->c.arena);
    file_table_destroy(f->server.files);
    export_table_destroy(f->server.exports);
    idmap_destroy(f->server.idmap);
    for (unsigned i = 0; i < EXPORTS; i++) {
        free(f->exports[i].pseudo);
        free(f->exports[i].path);
    }
    if (f->mounted)
        umount2(f->dir, MNT_DETACH);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

void fs_as(struct fs_fixture *f, uid_t uid, gid_t gid)
{
    f->c.cred = (struct cred){.flavor = RPC_AUTH_SYS, .uid = uid, .gid = gid};
}

nfsstat4 fs_run_named(struct fs_fixture *f, enum op_next (*handler)(struct compound *c),
                      const char *name)
{
    struct compound *c = &f->c;
    enum op_next next;

    memset(&c->res, 0, sizeof(c->res));
    c->stage = 0;
    c->op_state = NULL;
    c->on_worker = false;
    f->blocked = 0;
    while ((next = handler(c)) != OP_DONE) {
        if (next == OP_WAIT) {
            struct loop_msg *msg = posted;

            assert_false(c->on_worker);
            assert_non_null(msg);
            posted = NULL;
            msg->run(msg);
        }
        c->on_worker = next == OP_BLOCK;
        f->blocked += next == OP_BLOCK;
    }
    c->res.status = op_error(op_of_handler(name), c->res.status); /* as the dispatcher does */
    if (!error_is_allowed(op_of_handler(name), c->res.status))
        fail_msg("%s answers %s (RFC 8881 section 15.2)", name, nfs4_status_name(c->res.status));
    return c->res.status;
}

nfsstat4 fs_walk(struct fs_fixture *f, const char *path)
{
    char copy[512], *save = NULL;
    nfsstat4 status = fs_run(f, op_putrootfh);

    snprintf(copy, sizeof(copy), "%s", path);
    for (char *name = strtok_r(copy, "/", &save); name && !status;
         name = strtok_r(NULL, "/", &save)) {
        f->c.args.lookup.objname = xdr_bytes_of(name);
        status = fs_run(f, op_lookup);
    }
    return status;
}

void fs_save(struct fs_fixture *f)
{
    assert_int_equal(fs_run(f, op_savefh), NFS4_OK);
}

struct nfs4_attrs fs_getattr(struct fs_fixture *f, bitmap4 want)
{
    struct nfs4_attrs attrs;

    f->c.args.getattr.attr_request = want;
    assert_int_equal(fs_run(f, op_getattr), NFS4_OK);
    assert_int_equal(nfs4_attrs_unpack(&f->c.res.getattr.resok4.obj_attributes, &attrs), 0);
    return attrs;
}

fattr4 fs_fattr(struct fs_fixture *f, const struct nfs4_attrs *attrs)
{
    fattr4 fattr;

    assert_int_equal(nfs4_attrs_pack(attrs, &attrs->present, NULL, &f->c.arena, &fattr), 0);
    return fattr;
}
