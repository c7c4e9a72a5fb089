/*
 * Volumes of a session. See device.h. Entries are only added while the session lives (a forgotten
 * one is marked, so that disks in use stay open).
 */
#include "client/device.h"

#include "client/disk/volume.h"
#include "client/net/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sealio_volume_entry {
    struct sealio_volume_entry *next;
    deviceid4 id;
    bool forgotten;
    unsigned generation;      /* client id that it was told to */
    struct sealio_rdma *rdma; /* the server's memory, or: */
    bool shares;              /* rdma is an earlier entry's */
    struct sealio_volume *volume;
    uint8_t *told; /* as the server describes it */
    uint32_t told_len;
    unsigned disk_count;
    struct sealio_disk *disks[]; /* by leaf */
};

enum { DEVICE_MAXCOUNT = 64 << 10, CONNECT_MS = 5000 };

/* What was told ends with the client id that it was told to: after a restart of the server the same
 * device id may be another disk's (RFC 8881 section 12.7.4). */
static bool is_current(const struct sealio_session *session,
                       const struct sealio_volume_entry *entry)
{
    return !entry->forgotten && entry->generation == session->generation;
}

static struct sealio_volume_entry *find_locked(struct sealio_session *session, const deviceid4 id)
{
    struct sealio_volume_entry *entry = session->volumes;
    while (entry &&
           (!is_current(session, entry) || memcmp(entry->id, id, NFS4_DEVICEID4_SIZE) != 0))
        entry = entry->next;
    return entry;
}

static void free_entry(struct sealio_volume_entry *entry)
{
    for (unsigned i = 0; i < entry->disk_count; i++)
        sealio_disk_close(entry->disks[i]);
    sealio_volume_free(entry->volume);
    free(entry->told);
    if (!entry->shares)
        sealio_rdma_free(entry->rdma);
    free(entry);
}

/* One connection leads to all that the server tells by one peer at the same addresses: each of its
 * file systems is a device id. The path that came too many, for the caller to free, or NULL. */
static struct sealio_rdma *share_path_locked(struct sealio_session *session,
                                             struct sealio_volume_entry *entry)
{
    struct sealio_rdma *own = entry->rdma;
    const struct sealio_volume_entry *other = session->volumes;
    while (own && other &&
           (!other->rdma || !is_current(session, other) || !sealio_rdma_is_same(other->rdma, own)))
        other = other->next;
    if (!own || !other)
        return NULL;
    entry->rdma = other->rdma;
    entry->shares = true;
    return own;
}

static int find_disks(struct sealio_session *session, const pnfs_block_deviceaddr4 *addr,
                      struct sealio_volume_entry *entry)
{
    char text[SEALIO_ERROR_MAX];
    pthread_mutex_lock(&session->lock);
    const bool of_server = session->server_is_here;
    pthread_mutex_unlock(&session->lock);
    for (uint32_t i = 0; i < addr->bda_volumes_count; i++) {
        if (addr->bda_volumes[i].type != PNFS_BLOCK_VOLUME_SIMPLE)
            continue;
        int rc = (of_server ? sealio_disk_find_of_server : sealio_disk_find)(
            &addr->bda_volumes[i].bv_simple_info, session->devices, session->device_count, text,
            sizeof(text), &entry->disks[entry->disk_count]);
        if (rc < 0)
            return sealio_fail(session, rc, "%s", text);
        entry->disk_count++;
    }
    return 0;
}

static int make_entry(struct sealio_session *session, const deviceid4 id,
                      const pnfs_block_deviceaddr4 *addr, struct sealio_volume_entry **out)
{
    const unsigned leaves = sealio_volume_count_leaves(addr);
    uint64_t *sizes = calloc(leaves + 1, sizeof(*sizes));
    struct sealio_volume_entry *entry =
        calloc(1, sizeof(*entry) + leaves * sizeof(entry->disks[0]));
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

static int make_memory_entry(struct sealio_session *session, const deviceid4 id,
                             const rdma_deviceaddr4 *addr, struct sealio_volume_entry **out)
{
    struct sealio_volume_entry *entry = calloc(1, sizeof(*entry));
    int rc = entry ? sealio_rdma_create(addr, session->verbs, &entry->rdma) : -ENOMEM;
    if (rc < 0) {
        free(entry);
        return sealio_fail(session, rc, "GETDEVICEINFO: the server's data path cannot be used: %s",
                           strerror(-rc));
    }
    memcpy(entry->id, id, NFS4_DEVICEID4_SIZE);
    *out = entry;
    return 0;
}

static int send_getdeviceinfo(struct sealio_session *session, layouttype4 type, const deviceid4 id,
                              struct sealio_reply *reply, union nfs4_res *res)
{
    uint8_t buf[1024];
    struct sealio_call call;
    union nfs4_args args = {
        .getdeviceinfo = {.gdia_layout_type = type, .gdia_maxcount = DEVICE_MAXCOUNT}};
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
        return sealio_fail(session, sealio_status_errno(res->status),
                           "GETDEVICEINFO: the server answers %s", nfs4_status_name(res->status));
    return 0;
}

static int make_from_body(struct sealio_session *session, layouttype4 type, const deviceid4 id,
                          const device_addr4 *body, struct arena *arena,
                          struct sealio_volume_entry **out)
{
    pnfs_block_deviceaddr4 block;
    rdma_deviceaddr4 rdma;
    int rc = -EBADMSG;
    if (body->da_layout_type == type)
        rc = type == LAYOUT4_BLOCK_VOLUME
                 ? block_deviceaddr_decode(body->da_addr_body, arena, &block)
                 : rdma_deviceaddr_decode(body->da_addr_body, arena, &rdma);
    if (rc < 0)
        return sealio_fail(session, rc,
                           "GETDEVICEINFO: the server's description of the device makes no sense");
    return type == LAYOUT4_BLOCK_VOLUME ? make_entry(session, id, &block, out)
                                        : make_memory_entry(session, id, &rdma, out);
}

static int keep_told(struct sealio_volume_entry *entry, const struct xdr_bytes *body)
{
    entry->told = malloc(body->len ? body->len : 1);
    if (!entry->told)
        return -ENOMEM;
    memcpy(entry->told, body->data, body->len);
    entry->told_len = body->len;
    return 0;
}

static int fetch_entry(struct sealio_session *session, layouttype4 type, const deviceid4 id,
                       struct sealio_volume_entry **out)
{
    struct sealio_reply reply = {.data = NULL};
    union nfs4_res res;
    const device_addr4 *told = &res.getdeviceinfo.gdir_resok4.gdir_device_addr;
    int rc = send_getdeviceinfo(session, type, id, &reply, &res);
    if (rc == 0)
        rc = make_from_body(session, type, id, told, &reply.arena, out);
    if (rc == 0) {
        rc = keep_told(*out, &told->da_addr_body);
        if (rc < 0)
            free_entry(*out);
    }
    sealio_reply_free(&reply);
    return rc;
}

static bool is_same_volume(const struct sealio_volume_entry *a, const struct sealio_volume_entry *b)
{
    bool same = !a->rdma && !b->rdma && memcmp(a->id, b->id, NFS4_DEVICEID4_SIZE) == 0 &&
                a->told_len == b->told_len && memcmp(a->told, b->told, a->told_len) == 0 &&
                a->disk_count == b->disk_count;
    for (unsigned i = 0; same && i < a->disk_count; i++)
        same = sealio_disk_is_same(a->disks[i], b->disks[i]);
    return same;
}

/* What an earlier client id, or before a change, was told the same: it holds again, so that a
 * session has no more disks open than there are. Or NULL. */
static struct sealio_volume_entry *renew_locked(struct sealio_session *session,
                                                const struct sealio_volume_entry *told)
{
    struct sealio_volume_entry *entry = session->volumes;
    while (entry && !is_same_volume(entry, told))
        entry = entry->next;
    if (entry) {
        entry->forgotten = false;
        entry->generation = told->generation;
    }
    return entry;
}

/* A buffer that is added from now on finds the entry itself. */
static void tell_memories(struct sealio_session *session, struct sealio_rdma *rdma)
{
    pthread_mutex_lock(&session->buffers_lock);
    for (const struct sealio_buffer *buffer = session->buffers; buffer; buffer = buffer->next)
        sealio_rdma_add_memory(rdma, buffer->memory, buffer->size);
    pthread_mutex_unlock(&session->buffers_lock);
}

/* The entry of the device id, made if there is none. */
static int get_entry(struct sealio_session *session, layouttype4 type, const deviceid4 id,
                     struct sealio_volume_entry **out)
{
    struct sealio_volume_entry *entry;
    struct sealio_rdma *spare = NULL;
    pthread_mutex_lock(&session->lock);
    *out = find_locked(session, id);
    const unsigned generation = session->generation;
    pthread_mutex_unlock(&session->lock);
    if (*out)
        return 0;
    int rc = fetch_entry(session, type, id, &entry);
    if (rc < 0)
        return rc;
    entry->generation = generation;
    pthread_mutex_lock(&session->lock);
    *out = find_locked(session, id);
    if (!*out)
        *out = renew_locked(session, entry);
    if (!*out) {
        spare = share_path_locked(session, entry);
        entry->next = session->volumes;
        session->volumes = *out = entry;
    }
    pthread_mutex_unlock(&session->lock);
    sealio_rdma_free(spare);
    if (*out != entry)
        free_entry(entry);
    else if (entry->rdma && !entry->shares)
        tell_memories(session, entry->rdma);
    return 0;
}

static int connect_to(struct sealio_session *session, struct sealio_volume_entry *entry)
{
    const int rc = sealio_rdma_connect(entry->rdma, CONNECT_MS);
    if (rc < 0)
        sealio_fail(session, rc, "cannot connect to %s: %s", sealio_rdma_name(entry->rdma),
                    strerror(-rc));
    return rc == 0 || rc == -EACCES ? rc : -ENODEV;
}

int sealio_volumes_ensure(struct sealio_session *session, layouttype4 type, const deviceid4 id)
{
    struct sealio_volume_entry *entry;
    int rc = get_entry(session, type, id, &entry);
    if (rc < 0 || type == LAYOUT4_BLOCK_VOLUME)
        return rc;
    if (!entry->rdma)
        return sealio_fail(session, -EBADMSG, "the server names one device for two layout types");
    rc = connect_to(session, entry);
    if (rc != -EACCES)
        return rc;
    /* The secret may have ended: the server tells the one that holds now. */
    sealio_volumes_forget(session, id);
    rc = get_entry(session, type, id, &entry);
    if (rc == 0)
        rc = entry->rdma ? connect_to(session, entry) : -EBADMSG;
    return rc == -EACCES ? -ENODEV : rc;
}

int sealio_volumes_resolve_locked(struct sealio_session *session, const struct sealio_map *map,
                                  const struct sealio_run *run, struct sealio_target *out)
{
    struct sealio_place place;
    const struct sealio_volume_entry *entry =
        find_locked(session, sealio_map_volume_id(map, run->volume));
    if (!entry)
        return -ENODEV;
    if (entry->rdma) {
        *out = (struct sealio_target){
            .memory = entry->rdma, .offset = run->storage, .length = run->length, .key = run->key};
        return 0;
    }
    int rc = sealio_volume_resolve(entry->volume, run->storage, run->length, &place);
    if (rc < 0)
        return rc;
    *out = (struct sealio_target){
        .disk = entry->disks[place.leaf], .offset = place.offset, .length = place.length};
    return 0;
}

const char *sealio_target_name(const struct sealio_target *target)
{
    return target->memory ? sealio_rdma_name(target->memory) : sealio_disk_path(target->disk);
}

/* By a device id that is known still. */
static bool is_used_locked(const struct sealio_session *session, const struct sealio_rdma *rdma)
{
    const struct sealio_volume_entry *entry = session->volumes;
    while (entry && (entry->rdma != rdma || !is_current(session, entry)))
        entry = entry->next;
    return entry != NULL;
}

void sealio_volumes_forget(struct sealio_session *session, const deviceid4 id)
{
    pthread_mutex_lock(&session->lock);
    struct sealio_volume_entry *entry = find_locked(session, id);
    if (entry)
        entry->forgotten = true;
    const bool ends = entry && entry->rdma && !is_used_locked(session, entry->rdma);
    pthread_mutex_unlock(&session->lock);
    if (ends)
        sealio_rdma_disconnect(entry->rdma);
}

static struct sealio_volume_entry *first_entry(struct sealio_session *session)
{
    pthread_mutex_lock(&session->lock);
    struct sealio_volume_entry *entry = session->volumes; /* entries stay; new ones come in front */
    pthread_mutex_unlock(&session->lock);
    return entry;
}

void sealio_volumes_add_memory(struct sealio_session *session, void *memory, size_t size)
{
    for (struct sealio_volume_entry *entry = first_entry(session); entry; entry = entry->next) {
        if (entry->rdma && !entry->shares)
            sealio_rdma_add_memory(entry->rdma, memory, size);
    }
}

void sealio_volumes_remove_memory(struct sealio_session *session, void *memory)
{
    for (struct sealio_volume_entry *entry = first_entry(session); entry; entry = entry->next) {
        if (entry->rdma && !entry->shares)
            sealio_rdma_remove_memory(entry->rdma, memory);
    }
}

int sealio_volumes_flush(struct sealio_session *session)
{
    int rc = 0;
    for (struct sealio_volume_entry *entry = first_entry(session); entry; entry = entry->next) {
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
