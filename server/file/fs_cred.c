/*
 * Acting as the client's user; see fs_cred.h. What the calling thread has taken on is kept in
 * thread-local memory, so that an identity that is there already costs no system call. The raw
 * system calls are used because they act on the calling thread alone.
 *
 * setfsuid and setfsgid cannot report failure: what they left is asked for with an id that no
 * kernel accepts (user_namespaces(7)), which changes nothing and returns the present one. Without
 * that look a client naming uid 2^32 - 1 would act as root.
 */
#include "server/file/fs_cred.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/export/export.h"

#define NO_ID 0xffffffffu

static _Thread_local struct {
    uid_t uid;
    gid_t gid;
    bool groups_known; /* groups are left as they were taken on: the next caller is likely the same
                        */
    uint32_t group_count;
    uint64_t group_mark; /* not 0: of a list that was looked up */
    gid_t groups[CRED_MAX_GIDS];
    bool no_umask;
} now;

/* Clients have applied their umask. The server's own files keep the process's: this thread gets a
 * umask to itself. */
static void drop_umask(void)
{
    if (now.no_umask)
        return;
    if (unshare(CLONE_FS) != 0)
        log_warning("unshare(CLONE_FS): %s; files the server makes for itself get no umask",
                    strerror(errno));
    umask(0);
    now.no_umask = true;
}

static bool set_id(long call, uint32_t id)
{
    (void)syscall(call, id);
    return (uint32_t)syscall(call, NO_ID) == id;
}

static uint64_t mark_of(const struct cred *cred)
{
    return cred->by_server ? cred->known.mark : 0;
}

static bool same_groups(const struct cred *cred, const gid_t *groups, uint32_t count)
{
    return now.groups_known && now.group_count == count && now.group_mark == mark_of(cred) &&
           (now.group_mark != 0 || memcmp(now.groups, groups, count * sizeof(gid_t)) == 0);
}

static bool set_groups(const struct cred *cred)
{
    uint32_t count;
    const gid_t *groups = cred_groups(cred, &count);

    if (same_groups(cred, groups, count))
        return true;
    if (syscall(SYS_setgroups, (size_t)count, groups) != 0)
        return false;
    now.groups_known = true;
    now.group_count = count;
    now.group_mark = mark_of(cred);
    if (now.group_mark == 0 && count > 0)
        memcpy(now.groups, groups, count * sizeof(gid_t));
    return true;
}

int fs_cred_enter_as(const struct cred *cred)
{
    if (cred->uid == NO_ID || cred->gid == NO_ID || cred->gid_count > CRED_MAX_GIDS)
        return -EACCES;
    drop_umask();
    /* With fsuid 0 the capabilities decide, not the groups. */
    if (cred->uid != 0 && !set_groups(cred))
        return -EACCES;
    if (cred->gid != now.gid) {
        now.gid = cred->gid;
        if (!set_id(SYS_setfsgid, cred->gid))
            goto undo;
    }
    if (cred->uid != now.uid) {
        now.uid = cred->uid;
        if (!set_id(SYS_setfsuid, cred->uid))
            goto undo;
    }
    return 0;
undo:
    fs_cred_leave();
    return -EACCES;
}

int fs_cred_enter(const struct cred *caller, const struct export *export)
{
    struct cred squashed;

    export_cred(export, caller, &squashed);
    return fs_cred_enter_as(&squashed);
}

void fs_cred_leave(void)
{
    int saved = errno;

    if (now.uid != 0) {
        now.uid = 0;
        if (!set_id(SYS_setfsuid, 0))
            log_error(
                "cannot take back the server's own identity (fsuid 0): restart sealnfsd as root");
    }
    if (now.gid != 0) {
        now.gid = 0;
        if (!set_id(SYS_setfsgid, 0))
            log_error(
                "cannot take back the server's own group (fsgid 0): restart sealnfsd as root");
    }
    errno = saved;
}
