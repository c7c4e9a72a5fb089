/*
 * CREATE (RFC 8881 section 18.4): directories, symbolic links, sockets, FIFOs and devices, as the
 * client, on a worker. Regular files are OPEN's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proto/utf8.h"
#include "server/config/config.h"
#include "server/file/file.h"
#include "server/file/fs_cred.h"
#include "server/file/fs_status.h"
#include "server/nfs/attr.h"
#include "server/nfs/change.h"
#include "server/nfs/commit.h"
#include "server/nfs/op_fs.h"
#include "server/server.h"

enum { DIRECTORY_MODE = 0777, OTHER_MODE = 0666, SET_ID_BITS = 06000 };

enum stage { START, COMMITTED };

struct creation {
    char name[NAME_SIZE];
    char target[PATH_MAX]; /* of a symbolic link */
    struct attr_set set;
    struct place made;
    struct commit_wait commit;
};

static nfsstat4 check_target(struct xdr_bytes link, bool utf8, char target[PATH_MAX])
{
    if (link.len == 0 || memchr(link.data, 0, link.len) ||
        (utf8 && !utf8_is_valid(link.data, link.len)))
        return NFS4ERR_INVAL;
    if (link.len >= PATH_MAX)
        return NFS4ERR_NAMETOOLONG;
    memcpy(target, link.data, link.len);
    target[link.len] = 0;
    return NFS4_OK;
}

static nfsstat4 check_create(struct compound *c, struct creation *work)
{
    const CREATE4args *args = &c->args.create;
    nfsstat4 status = op_check_name(c, &c->current, args->objname, work->name);

    if (status == NFS4ERR_ACCESS) /* a name of the pseudo root's: it is there */
        status = NFS4ERR_EXIST;
    if (status)
        return status;
    switch (args->objtype.type) {
    case NF4LNK:
        return check_target(args->objtype.linkdata, c->server->config->utf8_names, work->target);
    case NF4DIR:
    case NF4BLK:
    case NF4CHR:
    case NF4SOCK:
    case NF4FIFO:
        return NFS4_OK;
    default:
        return NFS4ERR_BADTYPE;
    }
}

static int make_node(const struct compound *c, const struct creation *work, mode_t type,
                     mode_t mode)
{
    const specdata4 *dev = &c->args.create.objtype.devdata;
    const bool device = type == S_IFBLK || type == S_IFCHR;
    const dev_t number = device ? makedev(dev->specdata1, dev->specdata2) : 0;

    return mknodat(file_path_fd(c->current.file), work->name, type | mode, number) == 0 ? 0
                                                                                        : -errno;
}

static int make_object(const struct compound *c, const struct creation *work)
{
    const int dirfd = file_path_fd(c->current.file);
    const mode_t mode = attr_set_mode(&work->set, OTHER_MODE);

    switch (c->args.create.objtype.type) {
    case NF4DIR:
        return mkdirat(dirfd, work->name, attr_set_mode(&work->set, DIRECTORY_MODE)) == 0 ? 0
                                                                                          : -errno;
    case NF4LNK:
        return symlinkat(work->target, dirfd, work->name) == 0 ? 0 : -errno;
    case NF4BLK:
        return make_node(c, work, S_IFBLK, mode);
    case NF4CHR:
        return make_node(c, work, S_IFCHR, mode);
    case NF4SOCK:
        return make_node(c, work, S_IFSOCK, mode);
    default:
        return make_node(c, work, S_IFIFO, mode);
    }
}

/* The mode came with the object, but for what the kernel leaves out then: bits of set-id, and all
 * where a default ACL masked it. */
static void settle_mode(struct creation *work, bitmap4 *done)
{
    const bool wanted = bitmap4_isset(&work->set.want, FATTR4_MODE) ||
                        bitmap4_isset(&work->set.want, FATTR4_MODE_SET_MASKED);

    if (!wanted || S_ISLNK(file_type(work->made.file)) || work->set.mode & SET_ID_BITS)
        return;
    if (bitmap4_isset(&work->set.want, FATTR4_MODE))
        bitmap4_set(done, FATTR4_MODE);
    else
        bitmap4_set(done, FATTR4_MODE_SET_MASKED);
    bitmap4_clear(&work->set.want, FATTR4_MODE);
    bitmap4_clear(&work->set.want, FATTR4_MODE_SET_MASKED);
}

/* Makes it, sets what was asked for; takes it away again if that cannot be. As the client. */
static int make_and_set(struct compound *c, struct creation *work, bitmap4 *done)
{
    int rc = make_object(c, work);

    if (file_table_settle(c->server->files, c->current.export, rc))
        rc = make_object(c, work);
    if (rc)
        return rc;
    rc = file_lookup(&c->current, work->name, true, &work->made);
    if (rc)
        return rc;
    settle_mode(work, done);
    rc = attr_set_apply(work->made.file, &work->set, done);
    if (!rc)
        return 0;
    (void)unlinkat(file_path_fd(c->current.file), work->name,
                   c->args.create.objtype.type == NF4DIR ? AT_REMOVEDIR : 0);
    file_forget(work->made.file);
    file_unref(work->made.file);
    return rc;
}

static nfsstat4 create_object(struct compound *c, struct creation *work)
{
    CREATE4resok *ok = &c->res.create.resok4;
    nfsstat4 status = attr_set_decode(c, &c->args.create.createattrs, &work->set);
    int rc;

    if (!status && bitmap4_isset(&work->set.want, FATTR4_SIZE))
        status = NFS4ERR_INVAL;
    if (status)
        return status;
    change_before(c->current.file, &ok->cinfo);
    rc = fs_cred_enter(&c->cred, c->current.export);
    if (rc)
        return fs_status(rc);
    rc = make_and_set(c, work, &ok->attrset);
    fs_cred_leave();
    if (rc)
        return fs_status(rc);
    change_after(c->current.file, &ok->cinfo);
    return NFS4_OK;
}

/* It is durable, or is not. */
static enum op_next create_committed(struct compound *c, struct creation *work)
{
    if (work->commit.error)
        file_unref(work->made.file);
    else
        compound_set_fh(c, work->made.file, work->made.export);
    return op_done(c, fs_status(work->commit.error));
}

enum op_next op_create(struct compound *c)
{
    struct creation *work = c->op_state;
    nfsstat4 status;

    if (c->stage == COMMITTED)
        return create_committed(c, work);
    if (!c->on_worker)
        return OP_BLOCK;
    work = c->op_state = arena_alloc(&c->arena, sizeof(*work));
    if (!work)
        return op_done(c, NFS4ERR_DELAY);
    status = check_create(c, work);
    if (!status)
        status = create_object(c, work);
    if (status)
        return op_done(c, status);
    c->stage = COMMITTED;
    if (commit_dirs(c, &work->commit, c->current.file,
                    S_ISDIR(file_type(work->made.file)) ? work->made.file : NULL) == OP_WAIT)
        return OP_WAIT;
    return create_committed(c, work);
}
