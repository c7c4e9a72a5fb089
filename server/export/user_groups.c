/*
 * user_groups.c - see user_groups.h.
 */
#include "server/export/user_groups.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/place.h"

enum { PASSWD_MAX = 1 << 20, USUAL = 64, USERS_MAX = 4096, GIDS_MAX = 1 << 20 };

struct group_set {
    struct lookup_answer head;
    uint32_t count;
    uint64_t mark;
    gid_t ids[];
};

static struct group_set *make_set(enum lookup_result result, size_t room)
{
    struct group_set *set = calloc(1, sizeof(*set) + room * sizeof(set->ids[0]));

    if (set) {
        atomic_init(&set->head.refs, 1);
        set->head.result = result;
    }
    return set;
}

static int compare_ids(const void *a, const void *b)
{
    const gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

    return x < y ? -1 : x > y;
}

/* In order, each once, and with a mark that another list does not have. */
static void finish_set(struct group_set *set, uint32_t count)
{
    uint8_t hash[8];
    uint32_t kept = 0;

    qsort(set->ids, count, sizeof(set->ids[0]), compare_ids);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || set->ids[kept - 1] != set->ids[i])
            set->ids[kept++] = set->ids[i];
    set->count = kept;
    set->head.weight = kept;
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)set->ids, kept * sizeof(set->ids[0]),
                       NULL, 0);
    memcpy(&set->mark, hash, sizeof(set->mark));
    set->mark |= 1; /* 0 is no mark */
}

/* 0, -ENOENT: nobody has this uid, or -errno; getpwuid_r(3) names what says so. */
static int find_user(uid_t uid, struct passwd *user, char **buffer)
{
    struct passwd *found = NULL;
    int rc = ERANGE;

    for (size_t size = 4096; rc == ERANGE && size <= PASSWD_MAX; size *= 4) {
        free(*buffer);
        *buffer = malloc(size);
        if (!*buffer)
            return -ENOMEM;
        rc = getpwuid_r(uid, user, *buffer, size, &found);
    }
    if (rc == ENOENT || rc == ESRCH || rc == EBADF || rc == EPERM || (rc == 0 && !found))
        return -ENOENT;
    return -rc;
}

/* NULL: out of memory. */
static struct group_set *list_groups(const struct passwd *user)
{
    struct group_set *set = NULL;
    int count = USUAL, room;

    do {
        room = count > NGROUPS_MAX ? NGROUPS_MAX : count;
        free(set);
        set = make_set(LOOKUP_FOUND, (size_t)room);
        if (!set)
            return NULL;
        count = room;
        if (getgrouplist(user->pw_name, user->pw_gid, set->ids, &count) >= 0) {
            finish_set(set, (uint32_t)count);
            return set;
        }
        count = count > room ? count : 2 * room;
    } while (room < NGROUPS_MAX);
    log_warning("user %s is in more groups than the kernel takes: the first %d count",
                user->pw_name, room);
    finish_set(set, (uint32_t)room);
    return set;
}

static struct group_set *ask_groups(uid_t uid, int *rc)
{
    struct passwd user = {0};
    struct group_set *set = NULL;
    char *buffer = NULL;

    *rc = find_user(uid, &user, &buffer);
    if (!*rc) {
        set = list_groups(&user);
        *rc = set ? 0 : -ENOMEM;
    }
    free(buffer);
    return set;
}

static struct lookup_answer *ask_user(void *context, const void *key, size_t len)
{
    struct group_set *set;
    uid_t uid;
    int rc;

    (void)context, (void)len;
    memcpy(&uid, key, sizeof(uid));
    set = ask_groups(uid, &rc);
    if (!set) {
        set = make_set(rc == -ENOENT ? LOOKUP_NONE : LOOKUP_FAILED, 0);
        if (!set)
            return NULL;
        finish_set(set, 0);
    }
    if (rc == -ENOENT)
        log_info("user %u is not known here: it has no groups but the one it comes with, where "
                 "manage_gids is set",
                 (unsigned)uid);
    else if (rc)
        log_warning("the groups of user %u cannot be looked up (%s): its requests wait; see "
                    "getent passwd %u",
                    (unsigned)uid, strerror(-rc), (unsigned)uid);
    return &set->head;
}

const struct lookup_kind user_groups = {
    .ask = ask_user, .work_key = 1, .answers_max = USERS_MAX, .weight_max = GIDS_MAX};

int user_groups_get(struct lookups *lookups, uid_t uid, uint64_t peer, struct lookup_wait *wait,
                    struct lookup_answer **out)
{
    return lookups_get(lookups, &uid, sizeof(uid), peer, wait, out);
}

struct group_list user_groups_list(const struct lookup_answer *answer)
{
    const struct group_set *set = (const struct group_set *)(const void *)answer;

    return (struct group_list){.count = set->count, .mark = set->mark, .ids = set->ids};
}
