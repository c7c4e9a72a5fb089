/*
 * fs_fixture.h - a server's file side in a test's hand: a scratch directory exported in several
 * ways, and one compound that operations are run on as the dispatcher would. Needs root and a file
 * system with file handles: fs_setup exits 77 (skipped) without.
 *
 * compound.c, keeper.c, client.c and state.c are not linked: fs_fixture.c has stand-ins that a test
 * can steer.
 */
#ifndef TESTS_UNIT_SERVER_FS_FIXTURE_H
#define TESTS_UNIT_SERVER_FS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/nfs4/attr.h"
#include "server/base/descriptors.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/nfs/compound.h"
#include "server/server.h"

/* Exports: "/data" (writable, no squash) is DIR/data; "/ro" is the same directory, read-only;
 * "/data/inner" is DIR/inner, root squashed; "/closed" is DIR/closed and admits nobody. */
enum { EXPORT_DATA, EXPORT_RO, EXPORT_INNER, EXPORT_CLOSED, EXPORTS };

struct fs_fixture {
    char dir[64];
    bool mounted;
    struct config config;
    struct config_export exports[EXPORTS];
    struct config_network anybody;
    struct server server;
    struct compound c;
    uint8_t reply[65536];
    unsigned blocked; /* times that the last operation asked for a worker */

    /* The stand-ins */
    nfsstat4 io_status;      /* io_state_find's answer */
    nfsstat4 release_status; /* keeper_release's */
    unsigned releases;
    void (*on_release)(struct fs_fixture *f,
                       struct file *file); /* before the answer; may be NULL */
    uint64_t wrote_mtime_ns;
    uint64_t resized; /* a growing file, by the keeper, which answers so */
    nfsstat4 resize_status;
};

/* What its table of files is made with. */
extern const struct descriptor_plan fs_plan;

int fs_setup(void **state);
/* The same in a mount of its own, with no other mount in it. */
int fs_setup_mounted(void **state);
int fs_teardown(void **state);

/* Runs the operation on f->c.args as the dispatcher would, worker and waiting included; its status,
 * which must be one of the operation's (errors_allowed.h). */
#define fs_run(f, handler) fs_run_named(f, handler, #handler)
nfsstat4 fs_run_named(struct fs_fixture *f, enum op_next (*handler)(struct compound *c),
                      const char *name);
/* Puts a path of names ("data/a/b") under the current file handle, from the root; the status of the
 * first LOOKUP that fails. */
nfsstat4 fs_walk(struct fs_fixture *f, const char *path);
void fs_save(struct fs_fixture *f); /* SAVEFH */
void fs_as(struct fs_fixture *f, uid_t uid, gid_t gid);
/* GETATTR of the current file handle, decoded. */
struct nfs4_attrs fs_getattr(struct fs_fixture *f, bitmap4 want);
/* A path below the scratch directory; valid until the fourth call after. */
const char *fs_path(const struct fs_fixture *f, const char *relative);
void fs_write_file(const struct fs_fixture *f, const char *relative, const char *content);
/* Encodes attributes to set. */
fattr4 fs_fattr(struct fs_fixture *f, const struct nfs4_attrs *attrs);

#endif
