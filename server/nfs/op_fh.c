/*
 * File handle operations (RFC 8881 sections 18.8, 18.19 to 18.21, 18.27 to 18.29, 18.45): on the
 * loop, and on a worker when a handle's file is not in memory.
 */
#include <errno.h>

#include "server/export/export.h"
#include "server/export/pseudo.h"
#include "server/file/file.h"
#include "server/file/fs_status.h"
#include "server/nfs/op_fs.h"
#include "server/server.h"

nfsstat4 op_enter_place(struct compound *c, struct place *place)
{
    nfsstat4 status = export_admit(place->export, &c->peer);

    if (status) {
        file_unref(place->file);
        return status;
    }
    compound_set_fh(c, place->file, place->export);
    return NFS4_OK;
}

/* Whoever has a handle may put it, so that he can give back what he holds of the file; what is
 * asked of the file next asks whether its export admits him (op_table.c). */
static enum op_next put_place(struct compound *c, const struct place *place)
{
    compound_set_fh(c, place->file, place->export);
    return op_done(c, NFS4_OK);
}

enum op_next op_putrootfh(struct compound *c)
{
    struct place root;
    int rc = file_root(c->server->files, &root);

    return rc ? op_done(c, fs_status(rc)) : put_place(c, &root);
}

/* The public file handle is the root (RFC 8881 section 4.1.2). */
enum op_next op_putpubfh(struct compound *c)
{
    return op_putrootfh(c);
}

enum op_next op_putfh(struct compound *c)
{
    struct place place;
    int rc = file_from_handle(c->server->files, c->args.putfh.object, c->on_worker, &place);

    if (rc == -EAGAIN && !c->on_worker)
        return OP_BLOCK;
    return rc ? op_done(c, fs_status(rc)) : put_place(c, &place);
}

enum op_next op_getfh(struct compound *c)
{
    uint8_t *wire = arena_alloc(&c->arena, NFS4_FHSIZE);

    if (!wire)
        return op_done(c, NFS4ERR_DELAY);
    c->res.getfh.resok4.object = file_handle(&c->current, wire);
    return op_done(c, NFS4_OK);
}

enum op_next op_savefh(struct compound *c)
{
    file_unref(c->saved.file);
    c->saved = c->current;
    if (c->saved.file)
        file_ref(c->saved.file);
    c->saved_stateid = c->current_stateid;
    c->has_saved_stateid = c->has_current_stateid;
    return op_done(c, NFS4_OK);
}

enum op_next op_restorefh(struct compound *c)
{
    if (!c->saved.file)
        return op_done(c, NFS4ERR_NOFILEHANDLE);
    compound_set_fh(c, file_ref(c->saved.file), c->saved.export);
    c->current_stateid = c->saved_stateid;
    c->has_current_stateid = c->has_saved_stateid;
    return op_done(c, NFS4_OK);
}

/* What every export accepts. AUTH_NONE acts as the export's anonymous user. */
static enum op_next secinfo_answer(struct compound *c)
{
    secinfo4 *flavors = arena_array(&c->arena, 2, sizeof(*flavors));

    if (!flavors)
        return op_done(c, NFS4ERR_DELAY);
    flavors[0].flavor = RPC_AUTH_SYS;
    flavors[1].flavor = RPC_AUTH_NONE;
    c->res.secinfo.resok4.flavors_count = 2;
    c->res.secinfo.resok4.flavors = flavors;
    compound_set_fh(c, NULL, NULL); /* consumed (RFC 8881 section 2.6.3.1.1.8) */
    return op_done(c, NFS4_OK);
}

/* Does the name exist for this caller? 0 or -errno; -EAGAIN on the loop. */
static int probe_name(struct compound *c, const char *name)
{
    struct place place;
    int rc = op_find_name(c, name, &place);

    if (!rc)
        file_unref(place.file);
    return rc;
}

enum op_next op_secinfo(struct compound *c)
{
    char name[NAME_SIZE];
    nfsstat4 status = op_check_plain_directory(&c->current);
    int rc;

    if (!status)
        status = name_check(c->args.secinfo.name, c->server->config->utf8_names, name);
    if (status)
        return op_done(c, status);
    rc = probe_name(c, name);
    if (rc == -EAGAIN && !c->on_worker)
        return OP_BLOCK;
    return rc ? op_done(c, fs_status(rc)) : secinfo_answer(c);
}

enum op_next op_secinfo_no_name(struct compound *c)
{
    nfsstat4 status;
    int rc;

    switch (c->args.secinfo_no_name.style) {
    case SECINFO_STYLE4_CURRENT_FH:
        return secinfo_answer(c);
    case SECINFO_STYLE4_PARENT:
        break;
    default:
        return op_done(c, NFS4ERR_BADXDR); /* no value of the enumeration (15.1.1.1) */
    }
    status = op_check_plain_directory(&c->current);
    if (status)
        return op_done(c, status);
    rc = probe_name(c, NULL);
    if (rc == -EAGAIN && !c->on_worker)
        return OP_BLOCK;
    return rc ? op_done(c, fs_status(rc)) : secinfo_answer(c);
}
