/*
 * state.h - opens, byte-range locks and their stateids (RFC 8881 chapters 8, 9).
 *
 * A stateid belongs to a client and is found in that client's table, on its loop; another client's stateid is BAD_STATEID. The first byte of
 * `other` names the kind. Share reservations and lock ranges hang on the file (file_state_slot) under its mutex. Nothing here blocks.
 */
#ifndef SEALNFS_SERVER_STATE_H
#define SEALNFS_SERVER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4_types.h"
#include "server/compound.h"

enum stateid_kind { STATEID_OPEN = 'O', STATEID_LOCK = 'K', STATEID_LAYOUT = 'L' };

struct client_state;
struct file;

int client_state_create(struct server *server, uint64_t client_id, struct client_state **out);
/* Drop every open and lock of the client, and the table. */
void client_state_destroy(struct client_state *state);
bool client_state_is_empty(const struct client_state *state);

/* May this stateid be used on the compound's current file for reading or writing (enum file_access)? Special stateids included (8.2.3). Loop only.
 * Takes the current stateid into account. */
nfsstat4 state_check_io(struct compound *c, const stateid4 *stateid, unsigned access);
/* The same for LAYOUTGET's first stateid: open or lock state of this client on the current file; layout stateids are the keeper's. */
nfsstat4 state_check_layoutget(struct compound *c, const stateid4 *stateid, bool *is_layout);

/* Does any NFS open have write access? Any thread; takes the file's mutex. A seal sets the file's seal word first, then asks. */
bool state_file_has_writer(struct file *file);
/* Is the file open at all? */
bool state_file_is_open(struct file *file);

#endif
