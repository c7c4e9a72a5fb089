/*
 * user_groups.h - the supplementary groups of users, as this machine knows them (option
 * manage_gids): all of them, where AUTH_SYS has room for 16 that the client says (RFC 5531
 * appendix A). Looked up, remembered and waited for as lookup.h says. Any thread.
 */
#ifndef SEALNFS_SERVER_EXPORT_USER_GROUPS_H
#define SEALNFS_SERVER_EXPORT_USER_GROUPS_H

#include <sys/types.h>

#include "server/export/lookup.h"

struct group_list;

/* How the groups of a user are asked for, by uid. */
extern const struct lookup_kind user_groups;

int user_groups_get(struct lookups *lookups, uid_t uid, uint64_t peer, struct lookup_wait *wait,
                    struct lookup_answer **out);
/* The list in an answer that did not fail: valid as long as the answer is. */
struct group_list user_groups_list(const struct lookup_answer *answer);

#endif
