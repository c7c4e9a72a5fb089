/*
 * notify.c - who wants to hear of changes to which device (GETDEVICEINFO's
 * gdia_notify_types, RFC 8881 section 18.40.3), and CB_NOTIFY_DEVICEID (section 20.12).
 *
 * One entry a client, device and layout type. What a client was promised and could not be told
 * stays due until it can be called again. On the keeper's thread.
 */
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/client/backchannel.h"
#include "server/keeper/private.h"

enum { NOTIFY_TIMEOUT_MS = 10000, NOTIFY_ENTRIES_MAX = 65536 };

struct notify_key {
    uint64_t client_id;
    uint64_t type;
    uint8_t device[DEVICE_ID_SIZE];
};

struct notify {
    struct notify_key key;
    struct keeper *keeper;
    uint32_t promised;          /* bits of notify_deviceid_type4 */
    notify_deviceid_type4 due;  /* 0: nothing */
    notify_deviceid_type4 sent; /* in the call under way */
    bool under_way;
    bool gone; /* freed when the call under way has ended */
    struct cb_call call;
    notify4 change;
    uint8_t values[NFS4_DEVICE_NOTIFY_SIZE];
    struct notify *next; /* of those that are gone */
    UT_hash_handle hh;
};

static struct notify_key make_key(uint64_t client_id, layouttype4 type,
                                  const uint8_t device[DEVICE_ID_SIZE])
{
    struct notify_key key = {.client_id = client_id, .type = type};
    memcpy(key.device, device, sizeof key.device);
    return key;
}

static void drop(struct keeper *keeper, struct notify *notify)
{
    HASH_DEL(keeper->notifies, notify);
    if (!notify->under_way) {
        free(notify);
        return;
    }
    notify->gone = true;
    LL_PREPEND(keeper->notifies_gone, notify);
}

uint32_t keeper_notify_promise(struct keeper *keeper, uint64_t client_id, layouttype4 type,
                               const uint8_t device[DEVICE_ID_SIZE], uint32_t asked)
{
    const uint32_t bits = asked & (1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE);
    struct notify_key key = make_key(client_id, type, device);
    struct notify *notify;
    HASH_FIND(hh, keeper->notifies, &key, sizeof key, notify);
    if (!bits) {
        if (notify)
            drop(keeper, notify);
        return 0;
    }
    if (!notify) {
        if (HASH_COUNT(keeper->notifies) >= NOTIFY_ENTRIES_MAX ||
            !(notify = calloc(1, sizeof *notify)))
            return 0; /* it asks anew for every layout, then */
        notify->key = key;
        notify->keeper = keeper;
        HASH_ADD(hh, keeper->notifies, key, sizeof notify->key, notify);
    }
    notify->promised = bits;
    return bits;
}

static void send_due(struct notify *notify);

static void told(struct notify *notify)
{
    log_debug("client %016llx has heard that a device %s",
              (unsigned long long)notify->key.client_id,
              notify->sent == NOTIFY_DEVICEID4_DELETE ? "is gone" : "changed");
    if (notify->sent == NOTIFY_DEVICEID4_DELETE)
        drop(notify->keeper, notify);
    else
        send_due(notify);
}

static void answered(struct loop_msg *msg)
{
    struct cb_call *call = container_of(msg, struct cb_call, done);
    struct notify *notify = container_of(call, struct notify, call);
    const bool heard = call->outcome == CB_ANSWERED && call->status != NFS4ERR_DELAY;
    notify->under_way = false;
    if (notify->gone) {
        LL_DELETE(notify->keeper->notifies_gone, notify);
        free(notify);
        return;
    }
    if (heard)
        told(notify);
    else if (!notify->due)
        notify->due = notify->sent;
}

static void send_due(struct notify *notify)
{
    struct nfs4_device_notify change = {.type = notify->due,
                                        .layout_type = (layouttype4)notify->key.type};
    if (!notify->due || notify->under_way)
        return;
    memcpy(change.device_id, notify->key.device, sizeof change.device_id);
    if (!nfs4_device_notify_put(&change, notify->values, &notify->change))
        return;
    notify->call = (struct cb_call){
        .done.run = answered,
        .done_loop = notify->keeper->loop,
        .client_id = notify->key.client_id,
        .op = OP_CB_NOTIFY_DEVICEID,
        .args.cb_notify_deviceid = {.cnda_changes_count = 1, .cnda_changes = &notify->change},
        .timeout_ms = NOTIFY_TIMEOUT_MS,
    };
    notify->sent = notify->due;
    notify->due = 0;
    notify->under_way = true;
    backchannel_call(notify->keeper->clients, &notify->call);
}

void keeper_notify_changed(struct keeper *keeper, const uint8_t device[DEVICE_ID_SIZE])
{
    unsigned count = 0;
    for (struct notify *n = keeper->notifies; n; n = n->hh.next) {
        if (memcmp(n->key.device, device, DEVICE_ID_SIZE) != 0 ||
            !(n->promised & 1u << NOTIFY_DEVICEID4_CHANGE))
            continue;
        n->due = NOTIFY_DEVICEID4_CHANGE;
        send_due(n);
        count++;
    }
    log_info("a device has changed: %u clients are told to ask for its description again", count);
}

void keeper_notify_due(struct keeper *keeper, uint64_t client_id)
{
    for (struct notify *n = keeper->notifies; n; n = n->hh.next)
        if (n->key.client_id == client_id)
            send_due(n);
}

/* DELETE must not be sent to a client that has a layout which names the id. */
static bool is_deleted_for(struct keeper *keeper, const struct notify *notify)
{
    return notify->promised & 1u << NOTIFY_DEVICEID4_DELETE &&
           engine_device_is_superseded(keeper->engine, notify->key.device) &&
           !engine_client_holds_on(keeper->engine, notify->key.client_id, notify->key.device);
}

void keeper_notify_all_due(struct keeper *keeper)
{
    for (struct notify *n = keeper->notifies; n; n = n->hh.next) {
        if (is_deleted_for(keeper, n))
            n->due = NOTIFY_DEVICEID4_DELETE;
        send_due(n);
    }
}

void keeper_notify_forget(struct keeper *keeper, uint64_t client_id)
{
    struct notify *notify, *next;
    HASH_ITER(hh, keeper->notifies, notify, next)
    {
        if (notify->key.client_id == client_id)
            drop(keeper, notify);
    }
}

void keeper_notify_stop(struct keeper *keeper)
{
    struct notify *notify, *next;
    HASH_ITER(hh, keeper->notifies, notify, next)
    {
        HASH_DEL(keeper->notifies, notify);
        free(notify);
    }
    LL_FOREACH_SAFE(keeper->notifies_gone, notify, next)
    {
        free(notify);
    }
}
