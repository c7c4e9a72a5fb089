/* The inside of an open file, shared by file*.c and layout*.c. */
#ifndef CLIENT_FILE_IMPL_H
#define CLIENT_FILE_IMPL_H

#include "client/layout.h"

struct sealio_file {
    struct sealio_file *next; /* session->files */
    struct sealio_session *session;
    struct sealio_layout *layout; /* shared; its handle is the file's */
    char *path;                   /* for messages */
    uint32_t share;               /* OPEN4_SHARE_ACCESS_* */
    uint64_t owner;               /* number in the open owner */

    /* under the session's lock: */
    unsigned busy;       /* a callback or a recovery uses it: close waits */
    stateid4 stateid;    /* of the open */
    unsigned generation; /* client id that stateid belongs to */
    unsigned unstable;   /* counts WRITEs that were answered UNSTABLE4 */
    unsigned committed;  /* that many of them are stable */
    bool has_verifier, lost_writes;
    verifier4 verifier;
};

nfs_fh4 sealio_file_fh(const struct sealio_file *file);
/* The open's stateid; opens anew (CLAIM_FH) when the client id has changed since. *generation is
 * what to compare with when the server says BAD_STATEID. */
int sealio_file_stateid(struct sealio_file *file, stateid4 *out);
/* The server did not accept the stateid: the next sealio_file_stateid() opens anew. False: it did
 * so before, give up. */
bool sealio_file_retry_stateid(struct sealio_file *file, nfsstat4 status, unsigned *tries);
/* During recovery, in grace: reclaim the opens (RFC 8881 section 8.4.2.1), commit what was written
 * directly.
 */
void sealio_files_reclaim(struct sealio_session *session);

#endif
