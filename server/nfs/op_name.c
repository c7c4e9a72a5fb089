/*
 * LINK, REMOVE, RENAME (RFC 8881 sections 18.9, 18.25, 18.26), on a worker. The kernel judges
 * permission; names and exports are judged here. A sealed file's flag forbids to take away or add
 * names: an at-rest seal gives way first, for a manual one the answer is ACCESS and the log says
 * how to go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "server/export/export.h"
#include "server/export/pseudo.h"
#include "server/file/file.h"
#include "server/file/fs_access.h"
#include "server/file/fs_cred.h"
#include "server/file/fs_status.h"
#include "server/nfs/change.h"
#include "server/nfs/commit.h"
#include "server/nfs/op_fs.h"
#include "server/nfs/seal_wait.h"
#include "server/server.h"

enum stage {
    START,     /* loop */
    CHANGE,    /* worker */
    UNSEAL,    /* loop: work->sealed is in the way */
    RELEASED,  /* loop: the keeper has answered */
    COMMITTED, /* anywhere: work->commit says how it went */
};

/* Both names at risk: the one that goes away, and the one that is replaced. */
struct name_change {
    struct seal_wait wait;
    struct commit_wait commit;
    struct file *sealed; /* a reference until the release is answered */
    unsigned releases;
    char name[NAME_SIZE];
    char new_name[NAME_SIZE];
};

/* Two files can be in the way of a rename, and each be sealed again once. */
enum { RELEASES_MAX = 4 };

nfsstat4 op_check_name(const struct compound *c, const struct place *dir,
                       struct xdr_bytes component, char *name)
{
    struct pseudo_dir *junctions = file_junctions(dir);
    nfsstat4 status = op_check_plain_directory(dir);

    if (status)
        return status;
    status = name_check(component, c->server->config->utf8_names, name);
    if (status)
        return status;
    if (!export_is_writable(dir->export))
        return NFS4ERR_ROFS;
    return junctions && pseudo_child(junctions, name) ? NFS4ERR_ACCESS : NFS4_OK;
}

/* The file behind a name, to look at its seal and to forget it when its last name goes; NULL when
 * it is not in memory and not sealed. */
static struct file *file_behind(const struct place *dir, const char *name)
{
    struct place place;

    return file_lookup(dir, name, true, &place) == 0 ? place.file : NULL;
}

/* A name of the file was taken away. */
static void lost_name(struct file *file)
{
    struct file_stat stat;

    file_changed(file);
    if (file_stat(file, &stat) == 0 && (stat.stx.stx_nlink == 0 || S_ISDIR(stat.stx.stx_mode)))
        file_forget(file);
}

/* Would the kernel refuse this caller even without the seal? A sticky directory's names are their
 * owners' (unlink(2)): nobody else makes a seal give way by asking for what he cannot have. */
static bool sticky_forbids(const struct compound *c, const struct place *dir, struct file *file)
{
    struct file_stat in, of;
    struct cred cred;

    export_cred(dir->export, &c->cred, &cred);
    if (file_stat(dir->file, &in) != 0 || file_stat(file, &of) != 0)
        return true;
    return in.stx.stx_mode & S_ISVTX && cred.uid != 0 && cred.uid != in.stx.stx_uid &&
           cred.uid != of.stx.stx_uid;
}

/* The same for a link to a file that is neither his nor his to write (protected_hardlinks in
 * proc(5)). */
static bool ownership_forbids(const struct compound *c, const struct place *at)
{
    struct file_stat stat;
    struct cred cred;

    export_cred(at->export, &c->cred, &cred);
    if (file_stat(at->file, &stat) != 0)
        return true;
    return cred.uid != 0 && cred.uid != stat.stx.stx_uid &&
           fs_access_check(&c->cred, at, R_OK | W_OK, c->on_worker) != 0;
}

/* The kernel said EPERM: is it for the seal of this name's file? Then the file is kept in
 * work->sealed. */
static bool seal_of_name(struct name_change *work, const struct compound *c,
                         const struct place *dir, struct file *file)
{
    if (!file || file_seal(file) == SEAL_NONE || sticky_forbids(c, dir, file))
        return false;
    work->sealed = file_ref(file);
    return true;
}

static bool seal_of_target(struct name_change *work, const struct compound *c,
                           const struct place *at)
{
    if (file_seal(at->file) == SEAL_NONE || ownership_forbids(c, at))
        return false;
    work->sealed = file_ref(at->file);
    return true;
}

static enum op_next release_seal(struct compound *c, struct name_change *work)
{
    nfsstat4 status = NFS4ERR_DELAY;

    if (work->releases++ < RELEASES_MAX)
        status = seal_wait_start(c, &work->wait, work->sealed);
    if (!status) {
        c->stage = RELEASED;
        return OP_WAIT;
    }
    file_unref(work->sealed);
    work->sealed = NULL;
    return op_done(c, status);
}

static enum op_next seal_released(struct compound *c, struct name_change *work)
{
    nfsstat4 status = seal_wait_status(&work->wait, work->sealed);

    file_unref(work->sealed);
    work->sealed = NULL;
    if (status)
        return op_done(c, status);
    c->stage = CHANGE;
    return OP_BLOCK;
}

/* Runs the stages; `check` judges the names on the loop, `change` does the work on the worker. */
static enum op_next run_stages(struct compound *c,
                               nfsstat4 (*check)(struct compound *c, struct name_change *work),
                               enum op_next (*change)(struct compound *c, struct name_change *work))
{
    struct name_change *work = c->op_state;
    nfsstat4 status;

    switch (c->stage) {
    case START:
        work = c->op_state = arena_alloc(&c->arena, sizeof(*work));
        if (!work)
            return op_done(c, NFS4ERR_DELAY);
        status = check(c, work);
        if (status)
            return op_done(c, status);
        c->stage = CHANGE;
        return c->on_worker ? change(c, work) : OP_BLOCK;
    case CHANGE:
        return change(c, work);
    case UNSEAL:
        return release_seal(c, work);
    case COMMITTED:
        return op_done(c, fs_status(work->commit.error));
    default:
        return seal_released(c, work);
    }
}

/* work->sealed is in the way. */
static enum op_next make_way(struct compound *c)
{
    c->stage = UNSEAL;
    return OP_LOOP;
}

/* The end of a change: commit what is named, answer. */
static enum op_next finish_change(struct compound *c, struct name_change *work, int rc,
                                  struct file *dir, struct file *other)
{
    if (rc)
        return op_done(c, fs_status(rc));
    c->stage = COMMITTED;
    if (commit_dirs(c, &work->commit, dir, other) == OP_WAIT)
        return OP_WAIT;
    return op_done(c, fs_status(work->commit.error));
}

static nfsstat4 check_remove(struct compound *c, struct name_change *work)
{
    return op_check_name(c, &c->current, c->args.remove.target, work->name);
}

static int remove_name(const struct place *dir, const char *name)
{
    int dirfd = file_path_fd(dir->file);

    if (unlinkat(dirfd, name, 0) == 0)
        return 0;
    if (errno != EISDIR)
        return -errno;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
        return 0;
    return errno == EEXIST ? -ENOTEMPTY : -errno;
}

static enum op_next change_remove(struct compound *c, struct name_change *work)
{
    REMOVE4resok *ok = &c->res.remove.resok4;
    struct file *victim;
    bool sealed;
    int rc = fs_cred_enter(&c->cred, c->current.export);

    if (rc)
        return op_done(c, fs_status(rc));
    victim = file_behind(&c->current, work->name);
    change_before(c->current.file, &ok->cinfo);
    rc = remove_name(&c->current, work->name);
    fs_cred_leave();
    if (!rc) {
        change_after(c->current.file, &ok->cinfo);
        if (victim)
            lost_name(victim);
    }
    sealed = rc == -EPERM && seal_of_name(work, c, &c->current, victim);
    file_unref(victim);
    return sealed ? make_way(c) : finish_change(c, work, rc, c->current.file, NULL);
}

enum op_next op_remove(struct compound *c)
{
    return run_stages(c, check_remove, change_remove);
}

static nfsstat4 check_rename(struct compound *c, struct name_change *work)
{
    nfsstat4 status = op_check_name(c, &c->saved, c->args.rename.oldname, work->name);

    if (!status)
        status = op_check_name(c, &c->current, c->args.rename.newname, work->new_name);
    if (status)
        return status;
    return c->saved.export == c->current.export ? NFS4_OK : NFS4ERR_XDEV;
}

/* What the kernel says where the RFC wants EXIST: the two are not both directories or both not, or
 * the one to be replaced is not empty (section 18.26.3; XFS says EEXIST for that, ext4 ENOTEMPTY).
 */
static int rename_error(int error)
{
    return error == ENOTDIR || error == EISDIR || error == ENOTEMPTY ? -EEXIST : -error;
}

static enum op_next change_rename(struct compound *c, struct name_change *work)
{
    RENAME4resok *ok = &c->res.rename.resok4;
    struct file *source, *victim;
    bool sealed;
    int rc = fs_cred_enter(&c->cred, c->current.export);

    if (rc)
        return op_done(c, fs_status(rc));
    source = file_behind(&c->saved, work->name);
    victim = file_behind(&c->current, work->new_name);
    change_before(c->saved.file, &ok->source_cinfo);
    change_before(c->current.file, &ok->target_cinfo);
    if (source && source == victim) { /* two names of one file: nothing is to happen (18.26.3) */
        fs_cred_leave();
        file_unref(source);
        file_unref(victim);
        return op_done(c, NFS4_OK);
    }
    if (renameat(file_path_fd(c->saved.file), work->name, file_path_fd(c->current.file),
                 work->new_name) != 0)
        rc = rename_error(errno);
    fs_cred_leave();
    if (!rc) {
        change_after(c->saved.file, &ok->source_cinfo);
        change_after(c->current.file, &ok->target_cinfo);
        if (source)
            file_changed(source);
        if (victim && victim != source)
            lost_name(victim);
    }
    sealed = rc == -EPERM && (seal_of_name(work, c, &c->saved, source) ||
                              seal_of_name(work, c, &c->current, victim));
    file_unref(source);
    file_unref(victim);
    return sealed ? make_way(c) : finish_change(c, work, rc, c->current.file, c->saved.file);
}

enum op_next op_rename(struct compound *c)
{
    return run_stages(c, check_rename, change_rename);
}

static nfsstat4 check_link(struct compound *c, struct name_change *work)
{
    nfsstat4 status = op_check_name(c, &c->current, c->args.link.newname, work->new_name);

    if (status)
        return status;
    if (S_ISDIR(file_type(c->saved.file)))
        return NFS4ERR_ISDIR;
    return c->saved.export == c->current.export ? NFS4_OK : NFS4ERR_XDEV;
}

static enum op_next change_link(struct compound *c, struct name_change *work)
{
    LINK4resok *ok = &c->res.link.resok4;
    struct file *source = c->saved.file;
    struct fd_path path;
    int rc = fs_cred_enter(&c->cred, c->current.export);

    if (rc)
        return op_done(c, fs_status(rc));
    /* AT_EMPTY_PATH would need a capability that the client's identity does not have. */
    path = fd_path_of(file_path_fd(source));
    change_before(c->current.file, &ok->cinfo);
    if (linkat(AT_FDCWD, path.text, file_path_fd(c->current.file), work->new_name,
               AT_SYMLINK_FOLLOW) != 0)
        rc = -errno;
    fs_cred_leave();
    if (rc == -EPERM && seal_of_target(work, c, &c->saved))
        return make_way(c);
    if (!rc) {
        change_after(c->current.file, &ok->cinfo);
        file_changed(source);
    }
    return finish_change(c, work, rc, c->current.file, NULL);
}

enum op_next op_link(struct compound *c)
{
    return run_stages(c, check_link, change_link);
}
