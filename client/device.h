/*
 * Device ids of a session and what is behind them, disks or the server's memory: GETDEVICEINFO (RFC
 * 8881 section 18.40), the search for the disks by their signatures, the connection to the memory,
 * and where a piece of a volume lies. Volumes are kept for the session's life, disks while a volume
 * names them; each client id is told of them anew. Any thread.
 */
#ifndef CLIENT_DEVICE_H
#define CLIENT_DEVICE_H

#include "client/disk/disk.h"
#include "client/disk/map.h"
#include "client/rdma/rdma.h"
#include "client/session_impl.h"

/* Where to read or write: on a disk or in memory; a hole has neither. Borrowed: valid until the
 * session is closed. */
struct sealio_target {
    struct sealio_disk *disk;
    struct sealio_rdma *memory;
    uint64_t offset, length; /* on the disk; the remote address */
    uint32_t key;            /* of the memory */
};

/* A disk's path, or the address of the data path to the memory. */
const char *sealio_target_name(const struct sealio_target *target);

/* Makes the device id known: asks the server and finds the disks or connects to the memory, unless
 * both are done. May wait. -ENODEV: no disk bears the signature, or the memory cannot be reached;
 * -ENOTUNIQ: several disks do. */
int sealio_volumes_ensure(struct sealio_session *session, layouttype4 type, const deviceid4 id);
/* Under the session's lock: where a run of a map begins, and how much of it is in one piece there.
 * -ENODEV: not known (any more). */
int sealio_volumes_resolve_locked(struct sealio_session *session, const struct sealio_map *map,
                                  const struct sealio_run *run, struct sealio_target *out);
/* Memory of the program that the data path will use often, or will not any more. */
void sealio_volumes_add_memory(struct sealio_session *session, void *memory, size_t size);
void sealio_volumes_remove_memory(struct sealio_session *session, void *memory);
/* The server changed or deleted it: it is asked for anew when a layout names it again. Takes the
 * lock. */
void sealio_volumes_forget(struct sealio_session *session, const deviceid4 id);
/* Flushes every disk that was written. The first error. */
int sealio_volumes_flush(struct sealio_session *session);
void sealio_volumes_free(struct sealio_session *session);

#endif
