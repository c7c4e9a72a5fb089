/*
 * name_hints.h - which file a name led to a moment ago, so that LOOKUP need not open it to learn
 * that.
 *
 * A hint says nothing about now: file_lookup (file/place.c) asks the kernel for the name's handle,
 * and takes the file that the hint means only when that is its own. What a hint saves is to open
 * the name for its handle and to close it again, when the file is in memory already.
 *
 * That question cannot be limited to the kernel's cache of names, as opening can (RESOLVE_CACHED),
 * and the loops must not wait for a disk. So a hint is given only for a name that was found within
 * the last second: the kernel does not drop a name from its cache so soon after it was used.
 *
 * Of fixed size; a newer hint takes an older one's place. Any thread.
 */
#ifndef SEALNFS_SERVER_FILE_NAME_HINTS_H
#define SEALNFS_SERVER_FILE_NAME_HINTS_H

#include <stdbool.h>
#include <stdint.h>

struct file_key;
struct name_hints;

#define NAME_HINT_LIFE_NS UINT64_C(1000000000)

int name_hints_create(struct name_hints **out);
void name_hints_destroy(struct name_hints *hints);

/* now_ns: of loop_now_ns(). The file may be another name's: names are told apart by a hash. */
bool name_hints_find(struct name_hints *hints, const struct file_key *dir, const char *name,
                     uint64_t now_ns, struct file_key *file);
/* The name was just found, by opening it. */
void name_hints_keep(struct name_hints *hints, const struct file_key *dir, const char *name,
                     uint64_t now_ns, const struct file_key *file);

#endif
