/*
 * export.h - the exports and the pseudo root that joins them (RFC 8881 section 7).
 *
 * The table is built from the configuration before threads start. A reload changes who is admitted
 * and how; exports come, and are withdrawn: nobody is admitted then, and what is held there can be
 * given back. An export itself is never freed while the server runs, so `struct export *` may be
 * kept, and those there are keep their index.
 * Reading functions: any thread.
 */
#ifndef SEALNFS_SERVER_EXPORT_EXPORT_H
#define SEALNFS_SERVER_EXPORT_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/nfs4.h"
#include "server/base/peer_address.h"
#include "server/base/place.h"
#include "server/config/config.h"

struct export_table;
struct file_key;
struct host_names;
struct lookup_wait;
struct pseudo_dir;
struct device;
struct seal_refusal;

/* The configuration outlives the table, and so does each that a reload brings: what is withdrawn
 * keeps its own. */
int export_table_create(const struct config *config, struct export_table **out);
void export_table_destroy(struct export_table *table);
/* Take over a new configuration's exports, all or nothing. Does not block: who is new is away
 * until the keeper has found its file system. -EINVAL when one is another than the one with its id
 * was, -ENOSPC, -ENOMEM: `why` says so, with what to do. One thread at a time. */
enum { EXPORT_WHY_MAX = 512 };
int export_table_reload(struct export_table *table, const struct config *config,
                        char why[EXPORT_WHY_MAX]);

unsigned export_count(const struct export_table *table);
unsigned export_room(const struct export_table *table); /* as many there can be until a restart */
struct export *export_at(const struct export_table *table, unsigned index);
uint32_t export_id(const struct export *export);
struct export *export_by_id(struct export_table *table, uint32_t id); /* NULL: none */
const struct config_export *export_config(
    const struct export *export); /* a consistent snapshot, valid until the next reload but one */
bool export_is_withdrawn(const struct export *export); /* by a reload */
bool export_is_writable(const struct export *export);
/* Layouts are on and the file system can give them: block device known, signature found. If not,
 * why. */
bool export_has_layouts(const struct export *export, const char **why_not);
/* layout/device/device.h: the last that was found, also while it is away; NULL without layouts.
 * Valid for ever. */
const struct device *export_device(const struct export *export);
/* The last look saw that what is under the export is nothing that clients can be told of; why. */
bool export_device_is_lost(const struct export *export, const char **why);
/* Looks for the device under the export, and says how it is to be offered (layout_types). Blocks.
 */
int export_find_device(const struct export *export, struct device **device,
                       struct seal_refusal *why);
/*
 * The layout types of the export's files, the server's favourite first: at most one by which
 * clients use the disk (LAYOUT4_SCSI for a device under a reservation, else blocks), and RDMA. How
 * many.
 */
enum { EXPORT_LAYOUT_TYPES_MAX = 2 };
unsigned export_layout_types(const struct export *export,
                             layouttype4 types[EXPORT_LAYOUT_TYPES_MAX]);
bool export_offers(const struct export *export, layouttype4 type);
/* Of any export: a type that this server knows. */
bool export_knows_type(layouttype4 type);
/* Clients find the disks, and read and write them. */
bool export_offers_disk(const struct export *export);
/* What a later look found; one thread at a time (the keeper's). -ENOMEM: nothing has changed. */
int export_set_device(struct export *export,
                      struct device *device); /* takes a reference of its own */
int export_set_no_device(struct export *export, const struct seal_refusal *why);

/* Who looks up the names in `clients`, beginning with those there are. Before threads start. */
void export_table_use_names(struct export_table *table, struct host_names *names);
/* After a reload: all anew. */
void export_table_learn_names(struct export_table *table);
/* May this peer use the export? NFS4_OK, NFS4ERR_ACCESS, or NFS4ERR_DELAY: a name is being looked
 * up that may admit it. */
nfsstat4 export_admit(const struct export *export, const struct peer_address *peer);
/* Any of them? */
nfsstat4 export_table_admits(const struct export_table *table, const struct peer_address *peer);
/* The same (export NULL: any of the table) where one can wait: DELAY and *waits, `wait` will be
 * called when more is known (lookup.h). On a loop. */
nfsstat4 export_admit_or_wait(const struct export_table *table, const struct export *export,
                              const struct peer_address *peer, struct lookup_wait *wait,
                              bool *waits);
/* The names in the export's list that cannot be looked up, and why; false: none. */
bool export_why_no_names(const struct export *export, char *text, size_t size);
/* The identity to act with on this export: the RPC's, squashed. export NULL (pseudo directories):
 * nobody's.
 */
void export_cred(const struct export *export, const struct cred *cred, struct cred *out);

/* Whether it goes by the groups that this machine knows the caller to be in (manage_gids):
 * cred->known is to be filled before export_cred. */
bool export_wants_groups(const struct export *export, const struct cred *cred);

/*
 * File systems that come later. An export whose file system is not there at the start (not mounted,
 * without handles) is held back, or away: nothing of it is served, and above all not the directory
 * underneath. The keeper looks for it and takes it in (server/keeper/arrival.c), once: from then on
 * it is here until the server ends, as one that was here at the start.
 */
bool export_is_away(const struct export *export); /* NULL, of the pseudo root: no */
unsigned export_away_count(const struct export_table *table);
/* What is missing and what to do; false: it is here. */
bool export_why_away(const struct export *export, char *text, size_t size);
/* The one that is away and whose path, as far as the text tells, this one is below; NULL: none. */
struct export *export_away_of_path(const struct export_table *table, const char *path);
struct fs_root;
/* Of one that is away: is its file system at its path? 0, or -errno and why is noted. BLOCKS. */
int export_seek(const struct export_table *table, struct export *export, struct fs_root **out);
/* What was found must wait all the same. */
void export_hold(struct export *export, const char *why);
/* It is here from now on, and has what was found. -ENOTUNIQ: it has not, and why is noted. One
 * thread at a time. */
int export_arrive(const struct export_table *table, struct export *export, struct fs_root *found);
/* For the next start: it was here. BLOCKS. */
int export_remember(const struct export_table *table, const struct export *export);
/* Which file system was served from its path the last time; false: that is not known. */
bool export_served_before(const struct export_table *table, const struct export *export,
                          uint8_t fs_uuid[16]);

/* Where it hangs in the pseudo root. */
struct pseudo_dir *export_pseudo(const struct export *export);
struct pseudo_dir *export_table_pseudo_root(const struct export_table *table);

/* Of its root directory and file system, found when it was first here; before that there are none:
 * -1, and a UUID of zeros. */
int export_root_fd(const struct export *export); /* O_RDONLY: good for open_by_handle_at */
int export_mount_id(const struct export *export);
const uint8_t *export_fs_uuid(const struct export *export); /* as in file_key */
/* What work on its file system may hang on (worker.h). NULL: the pseudo root, on nothing. */
uint64_t export_work_key(const struct export *export);
/* The same for opening a path of this machine, as far as its text tells: a share of its own, since
 * it does not wait where a change to the file system does. Any thread, does not block. */
uint64_t export_work_key_of_path(const struct export_table *table, const char *path);
const struct file_key *export_root_key(const struct export *export);
uint64_t export_max_file_size(const struct export *export);
uint32_t export_max_links(const struct export *export);
/* Any thread. The kernel could not write back what clients believe written on the export's file
 * system, through whichever export of it; how often that was. */
void export_note_loss(struct export_table *table, const struct export *export);
uint64_t export_losses(const struct export *export);
/* A directory's fsync makes the inodes durable that were made with its names (XFS, ext4). */
bool export_commits_by_directory(const struct export *export);
/* The innermost export that a path of this machine (realpath'ed) lies in, and that has this mount
 * id; NULL: none. */
struct export *export_of_path(const struct export_table *table, const char *path, int mount_id);

#endif
