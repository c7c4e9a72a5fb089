/*
 * host_names.c - see host_names.h. Three tables of answers: names by themselves, addresses with the
 * name that leads back to them, and addresses in netgroups. What of the configuration's names could
 * not be looked up is kept beside, to be said once.
 */
#include "server/export/host_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "server/base/log.h"
#include "server/base/peer_address.h"
#include "server/config/config.h"
#include "server/export/lookup.h"

enum { ADDRESSES_MAX = 256, ADDRESSES_IN_ALL = 1 << 16, ANSWERS_MAX = 4096 };

/* Of a name: the addresses that it has. */
struct host_answer {
    struct lookup_answer head;
    unsigned count;
    struct in6_addr addresses[];
};

/* Of an address: the name that leads back to it. */
struct reverse_answer {
    struct lookup_answer head;
    char name[NI_MAXHOST];
};

/* What an address in a netgroup is asked by. */
struct member_key {
    struct in6_addr address; /* ::, whether there is such a netgroup */
    char group[CONFIG_NAME_MAX + 1];
};

/* A name of the configuration that could not be looked up. */
struct broken_name {
    UT_hash_handle hh;
    char why[128];
    char name[CONFIG_NAME_MAX + 1];
};

struct host_names {
    struct lookups *hosts, *reverse, *members;
    pthread_mutex_t lock; /* broken */
    struct broken_name *broken;
    pthread_mutex_t netgroups; /* libc's are not safe beside each other (innetgr(3)) */
};

/* ---- what could not be looked up ---- */

static void note_broken(struct host_names *names, const char *name, const char *why)
{
    struct broken_name *broken;

    pthread_mutex_lock(&names->lock);
    HASH_FIND_STR(names->broken, name, broken);
    if (!broken && (broken = calloc(1, sizeof(*broken)))) {
        snprintf(broken->name, sizeof(broken->name), "%s", name);
        HASH_ADD_STR(names->broken, name, broken);
        if (!broken->hh.tbl) {
            free(broken);
            broken = NULL;
        } else {
            log_warning("clients: %s cannot be looked up (%s): it admits nobody; see getent %s %s",
                        name, why, name[0] == '@' ? "netgroup" : "hosts", name + (name[0] == '@'));
        }
    }
    if (broken)
        snprintf(broken->why, sizeof(broken->why), "%s", why);
    pthread_mutex_unlock(&names->lock);
}

static void note_well(struct host_names *names, const char *name)
{
    struct broken_name *broken;

    pthread_mutex_lock(&names->lock);
    HASH_FIND_STR(names->broken, name, broken);
    if (broken) {
        HASH_DEL(names->broken, broken);
        free(broken);
        log_info("clients: %s can be looked up now", name);
    }
    pthread_mutex_unlock(&names->lock);
}

static void forget_broken(struct host_names *names)
{
    struct broken_name *broken;

    pthread_mutex_lock(&names->lock);
    while ((broken = names->broken)) {
        HASH_DEL(names->broken, broken);
        free(broken);
    }
    pthread_mutex_unlock(&names->lock);
}

/* ---- asking; on threads that may block ---- */

static struct lookup_answer *begin_answer(size_t size, enum lookup_result result)
{
    struct lookup_answer *answer = calloc(1, size);

    if (answer) {
        atomic_init(&answer->refs, 1);
        answer->result = result;
        answer->weight = 1;
    }
    return answer;
}

/* Of getaddrinfo and getnameinfo. */
static enum lookup_result result_of(int rc)
{
    if (rc == 0)
        return LOOKUP_FOUND;
    return rc == EAI_NONAME || rc == EAI_NODATA ? LOOKUP_NONE : LOOKUP_FAILED;
}

/* IPv4-mapped for IPv4, as peers are. False: another family. */
static bool address_of(const struct sockaddr *from, struct in6_addr *out)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;

    if (from->sa_family == AF_INET6)
        *out = v6->sin6_addr;
    else if (from->sa_family == AF_INET)
        *out = (struct in6_addr){.s6_addr32 = {0, 0, htonl(0xffff), v4->sin_addr.s_addr}};
    return from->sa_family == AF_INET6 || from->sa_family == AF_INET;
}

/* 0, or an error of getaddrinfo. */
static int find_addresses(const char *name, struct in6_addr addresses[ADDRESSES_MAX],
                          unsigned *count)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(name, NULL, &hints, &found);

    *count = 0;
    for (const struct addrinfo *at = found; at && *count < ADDRESSES_MAX; at = at->ai_next)
        *count += address_of(at->ai_addr, &addresses[*count]);
    if (found)
        freeaddrinfo(found);
    return rc;
}

static bool has_address(const struct in6_addr *addresses, unsigned count,
                        const struct in6_addr *wanted)
{
    for (unsigned i = 0; i < count; i++)
        if (IN6_ARE_ADDR_EQUAL(&addresses[i], wanted))
            return true;
    return false;
}

static struct lookup_answer *ask_host(void *context, const void *key, size_t len)
{
    struct in6_addr addresses[ADDRESSES_MAX];
    struct host_answer *answer;
    char name[CONFIG_NAME_MAX + 1];
    unsigned count;
    int rc;

    snprintf(name, sizeof(name), "%.*s", (int)len, (const char *)key);
    rc = find_addresses(name, addresses, &count);
    if (rc)
        note_broken(context, name, gai_strerror(rc));
    else
        note_well(context, name);
    answer = (struct host_answer *)(void *)begin_answer(
        sizeof(*answer) + count * sizeof(addresses[0]), result_of(rc));
    if (!answer)
        return NULL;
    answer->count = count;
    answer->head.weight = count;
    memcpy(answer->addresses, addresses, count * sizeof(addresses[0]));
    return &answer->head;
}

static enum lookup_result find_name(const struct in6_addr *address, char name[NI_MAXHOST])
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = *address};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = address->s6_addr32[3]};
    const bool is_v4 = IN6_IS_ADDR_V4MAPPED(address);
    struct in6_addr addresses[ADDRESSES_MAX];
    unsigned count;
    int rc = getnameinfo(is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof(v4) : sizeof(v6), name,
                         NI_MAXHOST, NULL, 0, NI_NAMEREQD);

    if (!rc)
        rc = find_addresses(name, addresses, &count);
    if (rc)
        return result_of(rc);
    return has_address(addresses, count, address) ? LOOKUP_FOUND : LOOKUP_NONE;
}

static struct lookup_answer *ask_reverse(void *context, const void *key, size_t len)
{
    struct in6_addr address;
    struct reverse_answer *answer =
        (struct reverse_answer *)(void *)begin_answer(sizeof(*answer), LOOKUP_NONE);

    (void)context, (void)len;
    if (!answer)
        return NULL;
    memcpy(&address, key, sizeof(address));
    answer->head.result = find_name(&address, answer->name);
    return &answer->head;
}

/* A member is named by its name or by its address. name may be NULL. */
static bool is_member(struct host_names *names, const char *group, const char *name,
                      const char *address)
{
    bool found;

    pthread_mutex_lock(&names->netgroups);
    found = (name && innetgr(group, name, NULL, NULL)) || innetgr(group, address, NULL, NULL);
    pthread_mutex_unlock(&names->netgroups);
    return found;
}

static bool is_netgroup(struct host_names *names, const char *group)
{
    bool found;

    pthread_mutex_lock(&names->netgroups);
    found = setnetgrent(group) == 1;
    endnetgrent();
    pthread_mutex_unlock(&names->netgroups);
    return found;
}

static enum lookup_result find_member(struct host_names *names, const struct member_key *key)
{
    char name[NI_MAXHOST], address[INET6_ADDRSTRLEN];
    const bool v4 = IN6_IS_ADDR_V4MAPPED(&key->address);
    const enum lookup_result named = find_name(&key->address, name);

    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &key->address.s6_addr[12] : (const void *)&key->address,
              address, sizeof(address));
    if (is_member(names, key->group, named == LOOKUP_FOUND ? name : NULL, address))
        return LOOKUP_FOUND;
    return named == LOOKUP_FAILED ? LOOKUP_FAILED : LOOKUP_NONE;
}

static struct lookup_answer *ask_member(void *context, const void *key, size_t len)
{
    struct host_names *names = context;
    enum lookup_result result = LOOKUP_NONE;
    struct member_key member = {0};
    char shown[CONFIG_NAME_MAX + 2];

    memcpy(&member, key, len);
    snprintf(shown, sizeof(shown), "@%s", member.group);
    if (!is_netgroup(names, member.group)) {
        note_broken(names, shown, "there is no such netgroup");
        return begin_answer(sizeof(struct lookup_answer), result);
    }
    note_well(names, shown);
    if (!IN6_IS_ADDR_UNSPECIFIED(&member.address))
        result = find_member(names, &member);
    return begin_answer(sizeof(struct lookup_answer), result);
}

/* ---- */

static const struct lookup_kind of_hosts = {
    .ask = ask_host, .work_key = 2, .answers_max = ANSWERS_MAX, .weight_max = ADDRESSES_IN_ALL};
static const struct lookup_kind of_addresses = {
    .ask = ask_reverse, .work_key = 3, .answers_max = ANSWERS_MAX, .weight_max = ANSWERS_MAX};
static const struct lookup_kind of_members = {
    .ask = ask_member, .work_key = 4, .answers_max = ANSWERS_MAX, .weight_max = ANSWERS_MAX};

int host_names_create(struct worker_pool *threads, struct host_names **out)
{
    struct host_names *names = calloc(1, sizeof(*names));
    int rc;

    if (!names)
        return -ENOMEM;
    pthread_mutex_init(&names->lock, NULL);
    pthread_mutex_init(&names->netgroups, NULL);
    rc = lookups_create(&of_hosts, names, threads, &names->hosts);
    if (!rc)
        rc = lookups_create(&of_addresses, names, threads, &names->reverse);
    if (!rc)
        rc = lookups_create(&of_members, names, threads, &names->members);
    if (rc)
        host_names_destroy(names);
    else
        *out = names;
    return rc;
}

void host_names_destroy(struct host_names *names)
{
    if (!names)
        return;
    lookups_destroy(names->hosts);
    lookups_destroy(names->reverse);
    lookups_destroy(names->members);
    forget_broken(names);
    pthread_mutex_destroy(&names->netgroups);
    pthread_mutex_destroy(&names->lock);
    free(names);
}

void host_names_flush(struct host_names *names)
{
    lookups_flush(names->hosts);
    lookups_flush(names->reverse);
    lookups_flush(names->members);
    forget_broken(names);
}

static bool is_pattern(const char *name)
{
    return strpbrk(name, "*?") != NULL;
}

/* Its length, or 0: the name is too long. */
static size_t make_member_key(const char *name, const struct in6_addr *address,
                              struct member_key *key)
{
    const size_t len = strlen(name + 1);

    *key = (struct member_key){.address = *address};
    if (len >= sizeof(key->group))
        return 0;
    memcpy(key->group, name + 1, len);
    return offsetof(struct member_key, group) + len;
}

void host_names_learn(struct host_names *names, const struct config_export *export)
{
    struct member_key member;

    for (size_t i = 0; i < export->network_count; i++) {
        const char *name = export->networks[i].name;

        if (name && name[0] == '@')
            lookups_ask(names->members, &member, make_member_key(name, &in6addr_any, &member), 0);
        else if (name && !is_pattern(name))
            lookups_ask(names->hosts, name, strlen(name), 0);
    }
}

bool host_name_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;

    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == '?' || (*pattern && strncasecmp(pattern, name, 1) == 0)) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool answer_admits(const char *name, const struct lookup_answer *answer,
                          const struct peer_address *peer)
{
    const struct host_answer *host = (const struct host_answer *)(const void *)answer;
    const struct reverse_answer *reverse = (const struct reverse_answer *)(const void *)answer;

    if (answer->result != LOOKUP_FOUND)
        return false;
    if (name[0] == '@')
        return true;
    return is_pattern(name) ? host_name_matches(name, reverse->name)
                            : has_address(host->addresses, host->count, &peer->host);
}

static enum name_verdict judge_name(struct host_names *names, const char *name,
                                    const struct peer_address *peer, struct lookup_wait *wait)
{
    struct lookups *table = name[0] == '@'     ? names->members
                            : is_pattern(name) ? names->reverse
                                               : names->hosts;
    const uint64_t number = peer_address_number(peer);
    struct lookup_answer *answer;
    struct member_key member;
    const void *key = name;
    size_t len = strlen(name);
    enum name_verdict verdict;
    int rc;

    if (table == names->members) {
        len = make_member_key(name, &peer->host, &member);
        key = &member;
    } else if (table == names->reverse) {
        len = sizeof(peer->host);
        key = &peer->host;
    }
    rc = lookups_get(table, key, len, number, wait, &answer);
    if (rc == -EAGAIN && !wait)
        lookups_ask(table, key, len, number);
    if (rc == -EAGAIN)
        return wait ? NAME_WAITED : NAME_UNKNOWN;
    if (rc)
        return rc == -EBUSY ? NAME_UNKNOWN : NAME_REFUSES;
    verdict = answer_admits(name, answer, peer) ? NAME_ADMITS : NAME_REFUSES;
    lookup_unref(answer);
    return verdict;
}

enum name_verdict host_names_admit(struct host_names *names, const struct config_export *export,
                                   const struct peer_address *peer, struct lookup_wait *wait)
{
    const char *unknown = NULL;

    for (size_t i = 0; i < export->network_count; i++) {
        const char *name = export->networks[i].name;
        const enum name_verdict verdict = name ? judge_name(names, name, peer, NULL) : NAME_REFUSES;

        if (verdict == NAME_ADMITS)
            return verdict;
        if (verdict == NAME_UNKNOWN)
            unknown = name;
    }
    if (!unknown)
        return NAME_REFUSES;
    if (wait && judge_name(names, unknown, peer, wait) == NAME_WAITED)
        return NAME_WAITED;
    return NAME_UNKNOWN; /* perhaps it has been answered just now: the next look says so */
}

bool host_names_why(struct host_names *names, const struct config_export *export, char *text,
                    size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    pthread_mutex_lock(&names->lock);
    for (size_t i = 0; i < export->network_count && used < size; i++) {
        const char *name = export->networks[i].name;
        const struct broken_name *broken = NULL;

        if (name)
            HASH_FIND_STR(names->broken, name, broken);
        if (broken)
            used += (size_t)snprintf(text + used, size - used, "%s%s: %s", used ? "; " : "", name,
                                     broken->why);
    }
    pthread_mutex_unlock(&names->lock);
    return used > 0;
}
