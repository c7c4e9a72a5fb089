/*
 * host_names.h - names of machines and netgroups in `clients`: whether such a name admits an
 * address.
 *
 * Evidence is a look-up of a name that gives the address: a name itself, or the one that a reverse
 * look-up says, which anybody may claim who runs the reverse zone of his addresses, and which
 * counts only when looking it up leads back. What cannot be looked up admits nobody. Looked up,
 * remembered and waited for as lookup.h says. Any thread.
 */
#ifndef SEALNFS_SERVER_EXPORT_HOST_NAMES_H
#define SEALNFS_SERVER_EXPORT_HOST_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct config_export;
struct host_names;
struct lookup_wait;
struct peer_address;
struct worker_pool;

/* They are of so many kinds to lookup_threads_create. */
enum { HOST_NAME_KINDS = 3 };

int host_names_create(struct worker_pool *threads, struct host_names **out);
void host_names_destroy(struct host_names *names);
/* A reload: everything is looked up anew. */
void host_names_flush(struct host_names *names);
/* Looks up what is in the export's list before anybody asks, so that what is wrong with it is in
 * the log. */
void host_names_learn(struct host_names *names, const struct config_export *export);

enum name_verdict {
    NAME_REFUSES,
    NAME_ADMITS,
    NAME_UNKNOWN, /* it is being looked up */
    NAME_WAITED,  /* the same, and the wait will be called (lookup.h) */
};
/* Does any name of the export's list admit the peer? wait NULL: any thread. */
enum name_verdict host_names_admit(struct host_names *names, const struct config_export *export,
                                   const struct peer_address *peer, struct lookup_wait *wait);

/* What of the export's list cannot be looked up, and why; false: nothing. */
bool host_names_why(struct host_names *names, const struct config_export *export, char *text,
                    size_t size);

/* Pure: * stands for any letters, ? for one; case does not count (RFC 4343). */
bool host_name_matches(const char *pattern, const char *name);

#endif
