/*
 * What to answer to CB_LAYOUTRECALL (RFC 8881 sections 12.5.5.2.1.2 and 20.3): a pure decision over
 * one file's layout.
 */
#ifndef CLIENT_RECALL_H
#define CLIENT_RECALL_H

#include "proto/nfs4/cb.h"

/* What the client knows of one file's layout when the callback arrives. */
struct sealio_recall_facts {
    bool held;     /* there is a layout (perhaps being returned) */
    bool getting;  /* a LAYOUTGET is under way */
    bool recalled; /* a recall is being obeyed already */
    layouttype4 type;
    layoutiomode4 iomode;
    stateid4 stateid;      /* of the layout */
    uint32_t recall_seqid; /* of the recall that is being obeyed */
    uint64_t length;       /* the layout covers [0, length) */
};

struct sealio_recall_answer {
    nfsstat4 status;
    bool obey; /* return the layout, with NFS4ERR_DELAY too: a server need not ask again */
};

/* LAYOUTRECALL4_FILE for a file that this client knows. */
struct sealio_recall_answer sealio_recall_file(const struct sealio_recall_facts *facts,
                                               const CB_LAYOUTRECALL4args *args);
/* FSID and ALL, for each file concerned. NFS4ERR_DELAY: ask again; NOMATCHING_LAYOUT: nothing here.
 */
struct sealio_recall_answer sealio_recall_bulk(const struct sealio_recall_facts *facts,
                                               const CB_LAYOUTRECALL4args *args);

#endif
