/*
 * export.h - the exports and the pseudo root that joins them (RFC 8881 section 7).
 *
 * The table is built from the configuration before threads start. A reload changes who is admitted and how; an export itself is never
 * freed while the server runs, so `struct export *` may be kept. Reading functions: any thread.
 */
#ifndef SEALNFS_SERVER_EXPORT_H
#define SEALNFS_SERVER_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "server/compound.h"
#include "server/config.h"

struct export;
struct export_table;

int export_table_create(struct server *server, struct export_table **out);
void export_table_destroy(struct export_table *table);
/* Take over the reloadable options of a new configuration. -EINVAL when exports were added, removed or moved. */
int export_table_reload(struct export_table *table, const struct config *config);

uint32_t export_id(const struct export *export);
struct export *export_by_id(struct export_table *table, uint32_t id); /* NULL: none */
const struct config_export *export_config(const struct export *export); /* a consistent snapshot, valid until the next reload but one */
bool export_is_writable(const struct export *export);
/* Layouts are on and the file system can give them: block device known, signature found. If not, why. */
bool export_has_layouts(const struct export *export, const char **why_not);
const struct device *export_device(const struct export *export); /* layout/device.h; NULL without layouts */

/* May this compound's peer use the export? NFS4_OK, or NFS4ERR_ACCESS. */
nfsstat4 export_admit(const struct export *export, const struct compound *c);
/* The identity to act with on this export: the RPC's, squashed. */
void export_cred(const struct export *export, const struct cred *cred, struct cred *out);

#endif
