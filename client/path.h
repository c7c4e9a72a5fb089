/* From paths to file handles: LOOKUP by LOOKUP. Any thread. */
#ifndef CLIENT_PATH_H
#define CLIENT_PATH_H

#include "client/session_impl.h"

struct sealio_fh {
    uint32_t len;
    uint8_t data[NFS4_FHSIZE];
};

/* The handle of the directory that path lies in; *name is the last component (a view of path, empty
 * for the root itself). */
int sealio_path_parent(struct sealio_session *session, const char *path, struct sealio_fh *dir,
                       struct xdr_bytes *name);
/* The handle of path itself. */
int sealio_path_find(struct sealio_session *session, const char *path, struct sealio_fh *fh);

struct xdr_bytes sealio_fh_view(const struct sealio_fh *fh);
/* PUTFH. fh must live until the call is ended. */
void sealio_call_put_fh(struct sealio_call *call, struct xdr_bytes fh);
/* Takes the results of operations that only have a status. The first that is not NFS4_OK comes back
 * as errno, with the sentence "OP: NFS4ERR_... (what)". */
int sealio_expect(struct sealio_session *session, struct sealio_reply *reply, uint32_t op,
                  const char *what, union nfs4_res *res);

#endif
