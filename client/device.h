/*
 * Device ids of a session and the disks behind them: GETDEVICEINFO (RFC 8881 section 18.40), the search for
 * the disks by their signatures, and where a piece of a volume lies. Volumes are kept for the session's life,
 * disks while a volume names them. Any thread.
 */
#ifndef CLIENT_DEVICE_H
#define CLIENT_DEVICE_H

#include "client/disk.h"
#include "client/session_impl.h"

/* Where to read or write. The disk is borrowed: valid until the session is closed. */
struct sealio_target {
    struct sealio_disk *disk;
    uint64_t offset, length;
};

/* Makes the device id known: asks the server and finds the disks, unless both are done. May wait. -ENODEV: no
 * disk bears the signature; -ENOTUNIQ: several do. */
int sealio_volumes_ensure(struct sealio_session *session, const deviceid4 id);
/* Under the session's lock. -ENODEV: not known (any more). */
int sealio_volumes_resolve_locked(struct sealio_session *session, const deviceid4 id, uint64_t offset,
                                  uint64_t length, struct sealio_target *out);
/* The server changed or deleted it: it is asked for anew when a layout names it again. Takes the lock. */
void sealio_volumes_forget(struct sealio_session *session, const deviceid4 id);
/* Flushes every disk that was written. The first error. */
int sealio_volumes_flush(struct sealio_session *session);
void sealio_volumes_free(struct sealio_session *session);

#endif
