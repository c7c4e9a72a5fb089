/*
 * Owners as strings; see idmap.h. The cache is two hashes in order of age under one mutex: what is
 * known, and what is not. Misses are remembered too, for a shorter time and apart, so that a client
 * that repeats an unknown name does not make us ask LDAP each time, and one that invents ever new
 * ones drives out no known one.
 *
 * libnfsidmap traps: it takes "1000junk" and "-1" for numbers, so numbers never reach it; it keeps
 * global state, so calls are serialised.
 */
#include "server/export/idmap.h"

#include <errno.h>
#include <nfsidmap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"

#define SECOND_NS    UINT64_C(1000000000)
#define HIT_LIFE_NS  (600 * SECOND_NS)
#define MISS_LIFE_NS (30 * SECOND_NS)
#define PATIENCE_NS  (SECOND_NS / 10)

enum { ANSWERS_MAX = 4096, MISSES_MAX = 2048 };

/* What an entry is found by: a name (len > 0) or an id. Zeroed beyond its parts, compared by bytes.
 */
struct idmap_key {
    uint32_t kind;
    uint32_t id;
    uint32_t len;
    char name[IDMAP_OWNER_MAX];
};

struct idmap_entry {
    struct idmap_key key;
    UT_hash_handle hh; /* in order of insertion: the first is the oldest */
    uint64_t expires;
    bool found;
    uint32_t id;
    char name[IDMAP_OWNER_MAX];
};

struct idmap {
    _Atomic(const struct config *) config;
    pthread_mutex_t lock; /* the cache */
    struct idmap_entry *answers, *misses;
    pthread_mutex_t library; /* libnfsidmap; never held together with a loop's work */
    _Atomic uint64_t since;  /* who holds it holds it since then */
    bool library_ready;
    char domain[NFS4_MAX_DOMAIN_LEN];         /* what clients see */
    char library_domain[NFS4_MAX_DOMAIN_LEN]; /* what libnfsidmap takes for its own */
};

int idmap_create(const struct config *config, struct idmap **out)
{
    struct idmap *idmap = calloc(1, sizeof(*idmap));

    if (!idmap)
        return -ENOMEM;
    atomic_init(&idmap->config, config);
    pthread_mutex_init(&idmap->lock, NULL);
    pthread_mutex_init(&idmap->library, NULL);
    *out = idmap;
    return 0;
}

void idmap_set_config(struct idmap *idmap, const struct config *config)
{
    atomic_store_explicit(&idmap->config, config, memory_order_release);
}

static const struct config *config_of(const struct idmap *idmap)
{
    return atomic_load_explicit(&idmap->config, memory_order_acquire);
}

static void forget_all(struct idmap_entry **entries)
{
    struct idmap_entry *entry, *next;

    HASH_ITER(hh, *entries, entry, next)
    {
        HASH_DELETE(hh, *entries, entry);
        free(entry);
    }
}

void idmap_destroy(struct idmap *idmap)
{
    if (!idmap)
        return;
    forget_all(&idmap->answers);
    forget_all(&idmap->misses);
    if (idmap->library_ready)
        nfs4_term_name_mapping();
    pthread_mutex_destroy(&idmap->library);
    pthread_mutex_destroy(&idmap->lock);
    free(idmap);
}

bool idmap_parse_number(struct xdr_bytes text, uint32_t *id)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 10 || (text.data[0] == '0' && text.len > 1))
        return false;
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    if (value >= UINT32_MAX) /* 2^32 - 1 is "no id" to the kernel */
        return false;
    *id = (uint32_t)value;
    return true;
}

static void take_out(struct idmap_entry **entries, struct idmap_entry *entry)
{
    HASH_DELETE(hh, *entries, entry);
    free(entry);
}

static bool find_entry(struct idmap_entry **entries, const struct idmap_key *key,
                       struct idmap_entry *out)
{
    struct idmap_entry *entry;

    HASH_FIND(hh, *entries, key, sizeof(*key), entry);
    if (entry && entry->expires <= loop_now_ns()) {
        take_out(entries, entry);
        entry = NULL;
    }
    if (entry)
        *out = *entry;
    return entry != NULL;
}

/* Does the cache know? */
static bool cache_get(struct idmap *idmap, const struct idmap_key *key, struct idmap_entry *out)
{
    bool known;

    pthread_mutex_lock(&idmap->lock);
    known = find_entry(&idmap->answers, key, out) || find_entry(&idmap->misses, key, out);
    pthread_mutex_unlock(&idmap->lock);
    return known;
}

/* A newer entry takes the place of the one of its key, or of the oldest. */
static void put_entry(struct idmap_entry **entries, struct idmap_entry *entry, unsigned most)
{
    struct idmap_entry *old;

    HASH_FIND(hh, *entries, &entry->key, sizeof(entry->key), old);
    if (!old && HASH_COUNT(*entries) >= most)
        old = *entries;
    if (old)
        take_out(entries, old);
    HASH_ADD(hh, *entries, key, sizeof(entry->key), entry);
    if (!entry->hh.tbl)
        free(entry);
}

/* Without memory the answer is simply not remembered. */
static void cache_put(struct idmap *idmap, const struct idmap_entry *answer)
{
    struct idmap_entry *entry = malloc(sizeof(*entry));

    if (!entry)
        return;
    *entry = *answer;
    entry->expires = loop_now_ns() + (answer->found ? HIT_LIFE_NS : MISS_LIFE_NS);
    pthread_mutex_lock(&idmap->lock);
    if (answer->found)
        put_entry(&idmap->answers, entry, ANSWERS_MAX);
    else
        put_entry(&idmap->misses, entry, MISSES_MAX);
    pthread_mutex_unlock(&idmap->lock);
}

/* Names and ids come from clients, as many as they like, and a directory server may be slow: one
 * worker asks, and the others wait for no more than a moment after it began. */
static bool may_ask(struct idmap *idmap)
{
    uint64_t until;
    struct timespec end;

    if (pthread_mutex_trylock(&idmap->library) != 0) {
        until = atomic_load(&idmap->since) + PATIENCE_NS;
        end = (struct timespec){.tv_sec = (time_t)(until / SECOND_NS),
                                .tv_nsec = (long)(until % SECOND_NS)};
        if (pthread_mutex_clocklock(&idmap->library, CLOCK_MONOTONIC, &end) != 0)
            return false;
    }
    atomic_store(&idmap->since, loop_now_ns());
    return true;
}

static void have_asked(struct idmap *idmap)
{
    pthread_mutex_unlock(&idmap->library);
}

/* After may_ask. False: the library cannot be used. */
static bool library_begin(struct idmap *idmap)
{
    const struct config *config = config_of(idmap);
    int rc = 0;

    if (idmap->library_ready)
        return true;
    rc = nfs4_init_name_mapping(NULL);
    if (!rc)
        rc = nfs4_get_default_domain(NULL, idmap->library_domain, sizeof(idmap->library_domain));
    snprintf(idmap->domain, sizeof(idmap->domain), "%s",
             config->idmap_domain ? config->idmap_domain : idmap->library_domain);
    if (rc)
        log_warning(
            "libnfsidmap does not start (%s): owners are numbers until it does; see idmapd.conf",
            strerror(rc < 0 ? -rc : rc));
    idmap->library_ready = rc == 0;
    return rc == 0;
}

/* The name as the library wants it: with its own domain in the place of ours. False: another
 * domain, nobody that we know. */
static bool library_name(const struct idmap *idmap, const char *name,
                         char out[2 * NFS4_MAX_DOMAIN_LEN])
{
    const char *at = strrchr(name, '@');

    if (!at || strcasecmp(at + 1, idmap->domain) != 0)
        return false;
    snprintf(out, 2 * NFS4_MAX_DOMAIN_LEN, "%.*s@%s", (int)(at - name), name,
             idmap->library_domain);
    return true;
}

/* nfs4_name_to_*, not nfs4_owner_to_*: those make "nobody" of a name that they do not know. */
static void ask_for_id(struct idmap *idmap, enum idmap_kind kind, struct idmap_entry *entry)
{
    char name[2 * NFS4_MAX_DOMAIN_LEN];
    uint32_t id = 0;
    int rc = -ENOENT;

    if (library_begin(idmap) && library_name(idmap, entry->key.name, name))
        rc = kind == IDMAP_USER ? nfs4_name_to_uid(name, &id) : nfs4_name_to_gid(name, &id);
    entry->found = rc == 0;
    entry->id = id;
}

static void ask_for_name(struct idmap *idmap, enum idmap_kind kind, struct idmap_entry *entry)
{
    int rc = -ENOENT;

    if (library_begin(idmap))
        rc = kind == IDMAP_USER
                 ? nfs4_uid_to_name(entry->key.id, idmap->domain, entry->name, sizeof(entry->name))
                 : nfs4_gid_to_name(entry->key.id, idmap->domain, entry->name, sizeof(entry->name));
    entry->found = rc == 0 && entry->name[0];
}

int idmap_to_id(struct idmap *idmap, enum idmap_kind kind, struct xdr_bytes owner, bool may_block,
                uint32_t *id)
{
    struct idmap_entry entry;

    if (idmap_parse_number(owner, id))
        return 0;
    if (owner.len == 0 || owner.len >= IDMAP_OWNER_MAX || memchr(owner.data, 0, owner.len) ||
        !memchr(owner.data, '@', owner.len))
        return -EINVAL;
    memset(&entry, 0, sizeof(entry));
    entry.key.kind = kind;
    entry.key.len = owner.len;
    memcpy(entry.key.name, owner.data, owner.len);
    if (!cache_get(idmap, &entry.key, &entry)) {
        if (!may_block)
            return -EAGAIN;
        if (!may_ask(idmap))
            return -EBUSY;
        ask_for_id(idmap, kind, &entry);
        have_asked(idmap);
        cache_put(idmap, &entry);
    }
    if (!entry.found)
        return -EINVAL;
    *id = entry.id;
    return 0;
}

/* What snprintf would do, in a tenth of its time: two a file of every listing. */
static void put_number(uint32_t id, char owner[IDMAP_OWNER_MAX])
{
    char digits[10];
    unsigned count = 0;

    do
        digits[count++] = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    for (unsigned i = 0; i < count; i++)
        owner[i] = digits[count - 1 - i];
    owner[count] = '\0';
}

int idmap_to_owner(struct idmap *idmap, enum idmap_kind kind, uint32_t id, bool may_block,
                   char owner[IDMAP_OWNER_MAX])
{
    struct idmap_entry entry;

    if (!idmap || config_of(idmap)->numeric_owners) {
        put_number(id, owner);
        return 0;
    }
    memset(&entry, 0, sizeof(entry));
    entry.key.kind = kind;
    entry.key.id = id;
    if (!cache_get(idmap, &entry.key, &entry)) {
        if (!may_block)
            return -EAGAIN;
        if (may_ask(idmap)) {
            ask_for_name(idmap, kind, &entry);
            have_asked(idmap);
            cache_put(idmap, &entry);
        } /* else the number for now: a listing does not wait for the directory server */
    }
    if (entry.found)
        memcpy(owner, entry.name, IDMAP_OWNER_MAX);
    else
        put_number(id, owner);
    return 0;
}
