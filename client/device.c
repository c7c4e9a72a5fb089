/*
 * Volumes of a session. See device.h. Entries are only added while the session lives (a forgotten one is
 * marked, so that disks in use stay open).
 */
#include "client/device.h"

#include "client/status.h"
#include "client/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sealio_volume_entry {
    struct sealio_volume_entry *next;
    deviceid4 id;
    bool forgotten;
    struct sealio_volume *volume;
    unsigned disk_count;
    struct sealio_disk *disks[]; /* by leaf */
};

enum { DEVICE_MAXCOUNT = 64 << 10 };

static struct sealio_volume_entry *find_locked(struct sealio_session *session, const deviceid4 id)
{
    struct sealio_volume_entry *entry = session->volumes;
    while (entry && (entry->forgotten || memcmp(entry->id, id, NFS4_DEVICEID4_SIZE) != 0))
        entry = entry->next;
    return entry;
}

static void free_entry(struct sealio_volume_entry *entry)
{
    for (unsigned i = 0; i < entry->disk_count; i++)
        sealio_disk_close(entry->disks[i]);
    sealio_volume_free(entry->volume);
    free(entry);
}

static int find_disks(struct sealio_session *session, const pnfs_block_deviceaddr4 *addr,
                      struct sealio_volume_entry *entry)
{
    char text[SEALIO_ERROR_MAX];
    for (uint32_t i = 0; i < addr->bda_volumes_count; i++) {
        if (addr->bda_volumes[i].type != PNFS_BLOCK_VOLUME_SIMPLE)
            continue;
        int rc =
            sealio_disk_find(&addr->bda_volumes[i].bv_simple_info, session->devices, session->device_count,
                             text, sizeof(text), &entry->disks[entry->disk_count]);
        if (rc < 0)
            return sealio_fail(session, rc, "%s", text);
        entry->disk_count++;
    }
    return 0;
}

static int make_entry(struct sealio_session *session, const deviceid4 id, const pnfs_block_deviceaddr4 *addr,
                      struct sealio_volume_entry **out)
{
    const unsigned leaves = sealio_volume_count_leaves(addr);
    uint64_t *sizes = calloc(leaves + 1, sizeof(*sizes));
    struct sealio_volume_entry *entry = calloc(1, sizeof(*entry) + leaves * sizeof(entry->disks[0]));
    int rc = sizes && entry ? find_disks(session, addr, entry) : -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < leaves; i++)
        sizes[i] = sealio_disk_size(entry->disks[i]);
    if (rc == 0) {
        rc = sealio_volume_create(addr, sizes, &entry->volume);
        if (rc == -EBADMSG)
            sealio_fail(session, rc, "the server describes a volume that does not fit its disks");
    }
    free(sizes);
    if (rc < 0) {
        if (entry)
            free_entry(entry);
        return rc;
    }
    memcpy(entry->id, id, NFS4_DEVICEID4_SIZE);
    *out = entry;
    return 0;
}

static int ask(struct sealio_session *session, const deviceid4 id, struct sealio_reply *reply,
               union nfs4_res *res)
{
    uint8_t buf[1024];
    struct sealio_call call;
    union nfs4_args args = {
        .getdeviceinfo = {.gdia_layout_type = LAYOUT4_BLOCK_VOLUME, .gdia_maxcount = DEVICE_MAXCOUNT}};
    memcpy(args.getdeviceinfo.gdia_device_id, id, NFS4_DEVICEID4_SIZE);
    args.getdeviceinfo.gdia_notify_types.word[0] =
        1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE;
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    sealio_call_add(&call, OP_GETDEVICEINFO, &args);
    SESSION_COUNT(session, getdeviceinfos, 1);
    int rc = sealio_session_run(session, &call, reply);
    if (rc == 0)
        rc = sealio_reply_next(reply, OP_GETDEVICEINFO, res);
    if (rc < 0)
        return rc;
    if (res->status != NFS4_OK)
        return sealio_fail(session, sealio_status_errno(res->status), "GETDEVICEINFO: the server answers %s",
                           nfs4_status_name(res->status));
    return 0;
}

static int fetch(struct sealio_session *session, const deviceid4 id, struct sealio_volume_entry **out)
{
    struct sealio_reply reply = {.data = NULL};
    union nfs4_res res;
    pnfs_block_deviceaddr4 addr;
    int rc = ask(session, id, &reply, &res);
    if (rc == 0) {
        const device_addr4 *body = &res.getdeviceinfo.gdir_resok4.gdir_device_addr;
        rc = body->da_layout_type == LAYOUT4_BLOCK_VOLUME
                 ? block_deviceaddr_decode(body->da_addr_body, &reply.arena, &addr)
                 : -EBADMSG;
        if (rc < 0)
            sealio_fail(session, rc, "GETDEVICEINFO: the server's description of the device makes no sense");
    }
    if (rc == 0)
        rc = make_entry(session, id, &addr, out);
    sealio_reply_free(&reply);
    return rc;
}

int sealio_volumes_ensure(struct sealio_session *session, const deviceid4 id)
{
    struct sealio_volume_entry *entry;
    pthread_mutex_lock(&session->lock);
    const bool known = find_locked(session, id) != NULL;
    pthread_mutex_unlock(&session->lock);
    if (known)
        return 0;
    int rc = fetch(session, id, &entry);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&session->lock);
    if (find_locked(session, id)) {
        pthread_mutex_unlock(&session->lock);
        free_entry(entry);
        return 0;
    }
    entry->next = session->volumes;
    session->volumes = entry;
    pthread_mutex_unlock(&session->lock);
    return 0;
}

int sealio_volumes_resolve_locked(struct sealio_session *session, const deviceid4 id, uint64_t offset,
                                  uint64_t length, struct sealio_target *out)
{
    struct sealio_place place;
    const struct sealio_volume_entry *entry = find_locked(session, id);
    if (!entry)
        return -ENODEV;
    int rc = sealio_volume_resolve(entry->volume, offset, length, &place);
    if (rc < 0)
        return rc;
    *out = (struct sealio_target){entry->disks[place.leaf], place.offset, place.length};
    return 0;
}

void sealio_volumes_forget(struct sealio_session *session, const deviceid4 id)
{
    pthread_mutex_lock(&session->lock);
    struct sealio_volume_entry *entry = find_locked(session, id);
    if (entry)
        entry->forgotten = true;
    pthread_mutex_unlock(&session->lock);
}

int sealio_volumes_flush(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    struct sealio_volume_entry *entry = session->volumes; /* entries stay; new ones come in front */
    pthread_mutex_unlock(&session->lock);
    int rc = 0;
    for (; entry; entry = entry->next) {
        for (unsigned i = 0; i < entry->disk_count; i++) {
            const int flushed = sealio_disk_flush(entry->disks[i]);
            if (rc == 0)
                rc = flushed;
        }
    }
    return rc;
}

void sealio_volumes_free(struct sealio_session *session)
{
    while (session->volumes) {
        struct sealio_volume_entry *entry = session->volumes;
        session->volumes = entry->next;
        free_entry(entry);
    }
}
