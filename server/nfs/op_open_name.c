/*
 * op_open_name.c - OPEN by name (RFC 8881 section 18.16.3): lookup, the four ways to create, the
 * verifier of an exclusive create. Worker threads.
 *
 * A verifier is kept in the new file's times, which every file system stores and which survive a
 * restart; the reply's attrset tells the client, who sets them right afterwards. Its top bits are
 * dropped, so that file systems with 31 bits of seconds keep it.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "layout/fd_path.h"
#include "server/config/config.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/file/fs_cred.h"
#include "server/nfs/change.h"
#include "server/nfs/op_fs.h"
#include "server/nfs/op_open.h"
#include "server/server.h"

enum { NAME_RACES = 8, MODE_OTHERWISE = 0600 };

struct verifier_times {
    struct timespec atime, mtime;
};

static struct verifier_times verifier_times(const verifier4 verifier)
{
    uint32_t word[2];

    memcpy(word, verifier, sizeof word);
    return (struct verifier_times){
        .atime.tv_sec = be32toh(word[0]) & 0x7fffffff,
        .mtime.tv_sec = be32toh(word[1]) & 0x7fffffff,
    };
}

static int put_verifier(int fd, const verifier4 verifier)
{
    struct verifier_times times = verifier_times(verifier);

    return futimens(fd, (const struct timespec[2]){times.atime, times.mtime}) < 0 ? -errno : 0;
}

static bool has_verifier(const struct statx *stx, const verifier4 verifier, uint64_t size)
{
    struct verifier_times times = verifier_times(verifier);

    return S_ISREG(stx->stx_mode) && stx->stx_size == size &&
           stx->stx_atime.tv_sec == times.atime.tv_sec &&
           stx->stx_mtime.tv_sec == times.mtime.tv_sec && stx->stx_atime.tv_nsec == 0 &&
           stx->stx_mtime.tv_nsec == 0;
}

static uid_t uid_of_caller(const struct compound *c)
{
    struct cred cred;

    export_cred(c->current.export, &c->cred, &cred);
    return cred.uid;
}

static void add_verifier_attributes(bitmap4 *attrset)
{
    bitmap4_set(attrset, FATTR4_TIME_ACCESS_SET);
    bitmap4_set(attrset, FATTR4_TIME_MODIFY_SET);
}

/* The mode came with the file: if the kernel kept it as it is, it need not be set once more (after
 * a change of owner, setuid bits must be). */
static void note_mode(struct open_work *work, int fd, mode_t mode)
{
    const unsigned attrs[] = {FATTR4_MODE, FATTR4_MODE_SET_MASKED};
    struct stat stat;

    if (fstat(fd, &stat) < 0 || (stat.st_mode & 07777) != mode || (mode & (S_ISUID | S_ISGID)))
        return;
    for (unsigned i = 0; i < 2; i++) {
        if (!bitmap4_isset(&work->set.want, attrs[i]))
            continue;
        bitmap4_clear(&work->set.want, attrs[i]);
        bitmap4_set(&work->attrset, attrs[i]);
    }
}

/* Makes the file as the client: O_RDONLY, since a writer's descriptor would be in the way of a
 * seal. */
static int make_file(const struct compound *c, struct open_work *work, mode_t mode,
                     const verifier4 *verifier)
{
    int fd, error = fs_cred_enter(&c->cred, c->current.export);

    if (error < 0)
        return error;
    fd = openat(file_path_fd(c->current.file), work->name,
                O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        error = -errno;
    else if (verifier)
        error = put_verifier(fd, *verifier);
    fs_cred_leave();
    if (error < 0 && fd >= 0)
        close(fd);
    return error < 0 ? error : fd;
}

/* The file behind an open descriptor. */
static int find_made(const struct compound *c, int fd, struct place *at)
{
    struct fd_path path;
    int path_fd;

    path = fd_path_of(fd);
    path_fd = open(path.text, O_PATH | O_CLOEXEC);
    if (path_fd < 0)
        return -errno;
    at->export = c->current.export;
    return file_from_fd(c->server->files, c->current.export, path_fd, &at->file);
}

static int set_attributes(const struct compound *c, struct open_work *work)
{
    bool sizes = bitmap4_isset(&work->set.want, FATTR4_SIZE);
    int error = 0;

    bitmap4_clear(&work->set.want, FATTR4_SIZE);
    if (!bitmap4_empty(&work->set.want)) {
        error = fs_cred_enter(&c->cred, c->current.export);
        if (error < 0)
            return error;
        error = attr_set_apply(work->at.file, &work->set, &work->attrset);
        fs_cred_leave();
    }
    if (error == 0 && sizes && work->set.size > 0)
        error = attr_set_size(work->at.file, work->set.size);
    if (error == 0 && sizes)
        bitmap4_set(&work->attrset, FATTR4_SIZE);
    return error;
}

/* Nothing was set after the file was made: the directory's commit will do, which others share
 * (commit.h). Else the file's; its name goes along, since a file system has it in the same
 * transaction, or an earlier one. */
static struct file *what_to_commit(const struct compound *c, const struct open_work *work,
                                   bool untouched)
{
    return untouched && export_commits_by_directory(c->current.export) ? c->current.file
                                                                       : work->at.file;
}

static bool sets_more(const struct open_work *work)
{
    const bitmap4 size = BITMAP4(FATTR4_SIZE), others = bitmap4_minus(&work->set.want, &size);

    return !bitmap4_empty(&others) ||
           (bitmap4_isset(&work->set.want, FATTR4_SIZE) && work->set.size > 0);
}

/* Creates the file; -EEXIST when the name is taken, with nothing changed. */
static int create_file(const struct compound *c, struct open_work *work, const verifier4 *verifier)
{
    bool untouched;
    int error, fd;

    change_before(c->current.file, &work->cinfo);
    fd = make_file(c, work, attr_set_mode(&work->set, MODE_OTHERWISE), verifier);
    if (file_table_settle(c->server->files, c->current.export, fd))
        fd = make_file(c, work, attr_set_mode(&work->set, MODE_OTHERWISE), verifier);
    if (fd < 0)
        return fd;
    note_mode(work, fd, attr_set_mode(&work->set, MODE_OTHERWISE));
    untouched = !verifier && !sets_more(work);
    error = find_made(c, fd, &work->at);
    if (error < 0)
        goto close;
    work->created = true;
    error = set_attributes(c, work);
    if (error == 0 && verifier) {
        error = put_verifier(fd, *verifier); /* a new size has moved the times */
        add_verifier_attributes(&work->attrset);
    }
    change_after(c->current.file, &work->cinfo);
    if (error == 0)
        work->to_commit = what_to_commit(c, work, untouched);
close:
    close(fd);
    return error;
}

/* UNCHECKED4: what is there is opened, and emptied if size 0 was asked for. */
static int create_unchecked(const struct compound *c, struct open_work *work)
{
    int error = -EAGAIN;

    for (int races = 0; races < NAME_RACES && error == -EAGAIN; races++) {
        error = op_find_name(c, work->name, &work->at);
        if (error == 0) {
            work->truncate = bitmap4_isset(&work->set.want, FATTR4_SIZE) && work->set.size == 0;
            return 0;
        }
        if (error != -ENOENT)
            return error;
        if (!export_is_writable(c->current.export))
            return -EROFS;
        error = create_file(c, work, NULL);
        if (error == -EEXIST)
            error = -EAGAIN; /* made by somebody else meanwhile */
    }
    return error;
}

/* The times of a file are no secret, and anybody's whole seconds are a verifier. So what another
 * owns was not made by this request; and where it says that it made a file for another, as root
 * may, permission is asked for as with any file. */
static int create_exclusive(const struct compound *c, struct open_work *work,
                            const verifier4 *verifier)
{
    const uint64_t size = bitmap4_isset(&work->set.want, FATTR4_SIZE) ? work->set.size : 0;
    const uid_t uid = uid_of_caller(c);
    const uid_t owner = bitmap4_isset(&work->set.want, FATTR4_OWNER) ? work->set.uid : uid;
    struct file_stat stat;
    int error = create_file(c, work, verifier);

    if (error != -EEXIST)
        return error;
    error = op_find_name(c, work->name, &work->at);
    if (error < 0)
        return error == -ENOENT ? -EAGAIN : error;
    error = file_stat(work->at.file, &stat);
    if (error < 0)
        return error;
    if (!has_verifier(&stat.stx, *verifier, size) || stat.stx.stx_uid != owner)
        return -EEXIST;
    /* The same request again, its reply was lost: what it set then is set. */
    work->created = owner == uid;
    work->attrset = work->set.want;
    add_verifier_attributes(&work->attrset);
    return 0;
}

static nfsstat4 decode_attributes(const struct compound *c, struct open_work *work)
{
    const createhow4 *how = &c->args.open.openhow.how;
    const fattr4 *fattr =
        how->mode == EXCLUSIVE4_1 ? &how->ch_createboth.cva_attrs : &how->createattrs;

    if (how->mode == EXCLUSIVE4)
        return NFS4_OK; /* it has none */
    if (how->mode == EXCLUSIVE4_1) {
        bitmap4 allowed = attr_exclcreat(), beyond = bitmap4_minus(&fattr->attrmask, &allowed);

        if (!bitmap4_empty(&beyond))
            return NFS4ERR_INVAL;
    }
    return attr_set_decode(c, fattr, &work->set);
}

static nfsstat4 create_by_name(const struct compound *c, struct open_work *work)
{
    const createhow4 *how = &c->args.open.openhow.how;
    nfsstat4 status;
    int error;

    if (!c->current.export)
        return NFS4ERR_ROFS;
    status = decode_attributes(c, work);
    if (status != NFS4_OK)
        return status;
    if (how->mode == UNCHECKED4)
        error = create_unchecked(c, work);
    else if (!export_is_writable(c->current.export))
        error = -EROFS;
    else if (how->mode == GUARDED4)
        error = create_file(c, work, NULL);
    else
        error = create_exclusive(
            c, work, how->mode == EXCLUSIVE4 ? &how->createverf : &how->ch_createboth.cva_verf);
    return error == -EAGAIN ? NFS4ERR_DELAY : fs_status(error);
}

nfsstat4 open_by_name(struct compound *c, struct open_work *work)
{
    nfsstat4 status;

    if (c->args.open.openhow.opentype == OPEN4_CREATE) {
        status = create_by_name(c, work);
    } else {
        int error = op_find_name(c, work->name, &work->at);

        work->blocks = error == -EAGAIN && !c->on_worker;
        status = fs_status(error);
    }
    if (status == NFS4_OK && !work->created) {
        change_before(c->current.file, &work->cinfo);
        work->cinfo.after = work->cinfo.before;
    }
    return status;
}
