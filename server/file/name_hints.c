/*
 * A direct-mapped table in stripes of one lock each; see name_hints.h. 4,096 entries of 80 bytes,
 * whose pages the kernel gives as they are used.
 */
#include "server/file/name_hints.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "layout/file_key.h"

enum { ENTRIES = 4096, STRIPES = 64 };

struct name_hint {
    uint64_t tag;
    uint64_t until_ns; /* 0: free */
    struct file_key file;
};

struct name_hints {
    pthread_mutex_t locks[STRIPES];
    struct name_hint entries[ENTRIES];
};

/* FNV-1a. */
static uint64_t tag_of(const struct file_key *dir, const char *name)
{
    uint64_t tag = UINT64_C(0xcbf29ce484222325);

    for (unsigned i = 0; i < dir->len; i++)
        tag = (tag ^ dir->data[i]) * UINT64_C(0x100000001b3);
    for (; *name; name++)
        tag = (tag ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return tag;
}

bool name_hints_find(struct name_hints *hints, const struct file_key *dir, const char *name,
                     uint64_t now_ns, struct file_key *file)
{
    const uint64_t tag = tag_of(dir, name);
    const struct name_hint *entry = &hints->entries[tag % ENTRIES];
    bool found;

    pthread_mutex_lock(&hints->locks[tag % STRIPES]);
    found = entry->tag == tag && now_ns < entry->until_ns;
    if (found)
        *file = entry->file;
    pthread_mutex_unlock(&hints->locks[tag % STRIPES]);
    return found;
}

void name_hints_keep(struct name_hints *hints, const struct file_key *dir, const char *name,
                     uint64_t now_ns, const struct file_key *file)
{
    const uint64_t tag = tag_of(dir, name);

    pthread_mutex_lock(&hints->locks[tag % STRIPES]);
    hints->entries[tag % ENTRIES] =
        (struct name_hint){.tag = tag, .until_ns = now_ns + NAME_HINT_LIFE_NS, .file = *file};
    pthread_mutex_unlock(&hints->locks[tag % STRIPES]);
}

int name_hints_create(struct name_hints **out)
{
    struct name_hints *hints = calloc(1, sizeof(*hints));

    if (!hints)
        return -ENOMEM;
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_init(&hints->locks[i], NULL);
    *out = hints;
    return 0;
}

void name_hints_destroy(struct name_hints *hints)
{
    if (!hints)
        return;
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&hints->locks[i]);
    free(hints);
}
