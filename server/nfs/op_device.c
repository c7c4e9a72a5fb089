/*
 * op_device.c - GETDEVICEINFO and GETDEVICELIST (RFC 8881 sections 18.40, 18.41). On the loop; the
 * keeper knows every device id ever handed out.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "layout/device/device.h"
#include "server/export/export.h"
#include "server/keeper/keeper.h"
#include "server/nfs/compound.h"
#include "server/server.h"

/* The list of an export has one device, and this cookie stands behind it. */
enum { DEVICELIST_END = 1 };

struct device_work {
    struct keeper_deviceinfo info;
    struct compound *compound;
};

static void on_answer(struct loop_msg *msg)
{
    struct keeper_deviceinfo *info = container_of(msg, struct keeper_deviceinfo, call.reply);

    compound_resume(container_of(info, struct device_work, info)->compound);
}

static enum op_next deviceinfo_start(struct compound *c)
{
    const GETDEVICEINFO4args *args = &c->args.getdeviceinfo;
    struct device_work *work;

    if (!export_knows_type(args->gdia_layout_type))
        return op_done(c, NFS4ERR_UNKNOWN_LAYOUTTYPE);
    work = arena_alloc(&c->arena, sizeof *work);
    if (!work)
        return op_done(c, NFS4ERR_DELAY);
    c->op_state = work;
    work->compound = c;
    work->info.call.reply.run = on_answer;
    work->info.call.reply_loop = c->loop;
    work->info.type = args->gdia_layout_type;
    memcpy(work->info.device, args->gdia_device_id, sizeof work->info.device);
    work->info.client_id = c->client_id;
    work->info.notify = args->gdia_notify_types.word[0];
    keeper_deviceinfo(c->server->keeper, &work->info);
    return OP_WAIT;
}

/* The whole GETDEVICEINFO4resok on the wire: layout type, body, bitmap. */
static uint64_t resok_size(uint32_t body_len, const bitmap4 *notification)
{
    uint64_t words = notification->word[2]   ? 3
                     : notification->word[1] ? 2
                     : notification->word[0] ? 1
                                             : 0;

    return 4 + 4 + xdr_padded(body_len) + 4 + 4 * words;
}

static nfsstat4 deviceinfo_result(struct compound *c, const struct keeper_deviceinfo *info)
{
    const GETDEVICEINFO4args *args = &c->args.getdeviceinfo;
    GETDEVICEINFO4resok *res = &c->res.getdeviceinfo.gdir_resok4;
    bitmap4 notification = {.word = {info->notify}};
    uint64_t size = resok_size(info->body_len, &notification);
    uint8_t *body;

    if (info->call.status != NFS4_OK)
        return info->call.status;
    *res = (GETDEVICEINFO4resok){.gdir_device_addr.da_layout_type = info->type,
                                 .gdir_notification = notification};
    if (args->gdia_maxcount == 0)
        return NFS4_OK; /* only the notifications were meant */
    if (size > args->gdia_maxcount) {
        c->res.getdeviceinfo.gdir_mincount = (count4)size;
        return NFS4ERR_TOOSMALL;
    }
    body = arena_dup(&c->arena, info->body, info->body_len);
    if (!body)
        return NFS4ERR_DELAY;
    res->gdir_device_addr.da_addr_body = (struct xdr_bytes){.data = body, .len = info->body_len};
    return NFS4_OK;
}

enum op_next op_getdeviceinfo(struct compound *c)
{
    struct device_work *work = c->op_state;

    if (!work)
        return c->on_worker ? OP_LOOP : deviceinfo_start(c);
    c->res.status = deviceinfo_result(c, &work->info);
    free(work->info.body);
    return OP_DONE;
}

static nfsstat4 list_devices(struct compound *c)
{
    const GETDEVICELIST4args *args = &c->args.getdevicelist;
    GETDEVICELIST4resok *res = &c->res.getdevicelist.gdlr_resok4;
    const struct device *device = c->current.export ? export_device(c->current.export) : NULL;
    const char *why_not;
    uint8_t verifier[NFS4_VERIFIER_SIZE];

    if (args->gdla_maxdevices == 0)
        return NFS4ERR_INVAL;
    if (!export_knows_type(args->gdla_layout_type))
        return NFS4ERR_UNKNOWN_LAYOUTTYPE;
    memcpy(verifier, &c->server->boot_verifier, sizeof verifier);
    if (args->gdla_cookie > DEVICELIST_END)
        return NFS4ERR_BAD_COOKIE;
    if (args->gdla_cookie != 0 && memcmp(verifier, args->gdla_cookieverf, sizeof verifier) != 0)
        return NFS4ERR_NOT_SAME;
    *res = (GETDEVICELIST4resok){.gdlr_cookie = DEVICELIST_END, .gdlr_eof = true};
    memcpy(res->gdlr_cookieverf, verifier, sizeof verifier);
    if (args->gdla_cookie != 0 || !device || !export_has_layouts(c->current.export, &why_not))
        return NFS4_OK;
    res->gdlr_deviceid_list = arena_alloc(&c->arena, sizeof(deviceid4));
    if (!res->gdlr_deviceid_list)
        return NFS4ERR_DELAY;
    memcpy(res->gdlr_deviceid_list[0], device_id(device), sizeof(deviceid4));
    res->gdlr_deviceid_list_count = 1;
    return NFS4_OK;
}

enum op_next op_getdevicelist(struct compound *c)
{
    return op_done(c, list_devices(c));
}
