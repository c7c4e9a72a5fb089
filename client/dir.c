/*
 * Attributes, directories and removal by path (RFC 8881 sections 18.7, 18.23, 18.25). See sealio.h.
 * Any thread.
 */
#include "client/file_impl.h"
#include "client/path.h"
#include "proto/nfs4/attr.h"

#include <errno.h>
#include <string.h>

enum { NAME_SIZE = 1024, DIRCOUNT = 16 << 10 };

static bitmap4 wanted_attrs(void)
{
    return BITMAP4(FATTR4_TYPE, FATTR4_CHANGE, FATTR4_SIZE, FATTR4_FILEID, FATTR4_MODE,
                   FATTR4_NUMLINKS, FATTR4_TIME_MODIFY);
}

static void fill_stat(const struct nfs4_attrs *attrs, struct sealio_stat *out)
{
    enum sealio_type type = SEALIO_OTHER;
    if (attrs->type == NF4REG)
        type = SEALIO_FILE;
    else if (attrs->type == NF4DIR)
        type = SEALIO_DIRECTORY;
    else if (attrs->type == NF4LNK)
        type = SEALIO_SYMLINK;
    *out = (struct sealio_stat){.type = type,
                                .mode = attrs->mode & 07777,
                                .links = attrs->numlinks,
                                .size = attrs->size,
                                .fileid = attrs->fileid,
                                .change = attrs->change,
                                .mtime_s = attrs->time_modify.seconds,
                                .mtime_ns = attrs->time_modify.nseconds};
}

static int stat_fh(struct sealio_session *session, struct xdr_bytes fh, const char *what,
                   struct sealio_stat *out)
{
    uint8_t buf[1024];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    struct nfs4_attrs attrs = {0}; /* what does not come is nothing */
    const union nfs4_args args = {.getattr = {wanted_attrs()}};
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    sealio_call_put_fh(&call, fh);
    sealio_call_add(&call, OP_GETATTR, &args);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, what, &res);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_GETATTR, what, &res);
    if (rc == 0 && nfs4_attrs_unpack(&res.getattr.resok4.obj_attributes, &attrs) < 0)
        rc = sealio_fail(session, -EBADMSG, "%s: the server's attributes make no sense", what);
    if (rc == 0)
        fill_stat(&attrs, out);
    sealio_reply_free(&reply);
    return rc;
}

int sealio_file_stat(struct sealio_file *file, struct sealio_stat *out)
{
    return stat_fh(file->session, sealio_file_fh(file), file->path, out);
}

int sealio_stat(struct sealio_session *session, const char *path, struct sealio_stat *out)
{
    struct sealio_fh fh;
    int rc = sealio_path_find(session, path, &fh);
    return rc < 0 ? rc : stat_fh(session, sealio_fh_view(&fh), path, out);
}

int sealio_remove(struct sealio_session *session, const char *path)
{
    uint8_t buf[SEALIO_CALL_SIZE];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_args args;
    union nfs4_res res;
    struct sealio_fh dir;
    int rc = sealio_path_parent(session, path, &dir, &args.remove.target);
    if (rc < 0)
        return rc;
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE_CACHED);
    sealio_call_put_fh(&call, sealio_fh_view(&dir));
    sealio_call_add(&call, OP_REMOVE, &args);
    rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, path, &res);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_REMOVE, path, &res);
    sealio_reply_free(&reply);
    return rc;
}

struct listing {
    struct sealio_session *session;
    const char *path;
    struct sealio_fh dir;
    nfs_cookie4 cookie;
    verifier4 verifier;
    bool eof;
    /* A server that goes in circles comes by a cookie again: each is compared with one of before,
     * which is the latest at every power of two. */
    nfs_cookie4 seen;
    uint64_t count;
    int (*visit)(void *arg, const char *name, const struct sealio_stat *st);
    void *arg;
};

static int visit_entry(struct listing *listing, const entry4 *entry)
{
    struct nfs4_attrs attrs = {0}; /* what does not come is nothing */
    struct sealio_stat st = {.type = SEALIO_OTHER};
    char name[NAME_SIZE];
    if (listing->count > 0 && entry->cookie == listing->seen)
        return sealio_fail(listing->session, -EBADMSG, "%s: the server lists an entry twice",
                           listing->path);
    if ((listing->count & (listing->count + 1)) == 0)
        listing->seen = entry->cookie;
    listing->count++;
    listing->cookie = entry->cookie;
    if (entry->name.len >= sizeof(name) || memchr(entry->name.data, '\0', entry->name.len))
        return sealio_fail(listing->session, -EBADMSG, "%s: the server lists a name that cannot be",
                           listing->path);
    memcpy(name, entry->name.data, entry->name.len);
    name[entry->name.len] = '\0';
    if (nfs4_attrs_unpack(&entry->attrs, &attrs) == 0)
        fill_stat(&attrs, &st);
    return listing->visit(listing->arg, name, &st);
}

static int list_batch(struct listing *listing)
{
    struct sealio_session *session = listing->session;
    uint8_t buf[1024];
    struct sealio_call call;
    struct sealio_reply reply;
    union nfs4_res res;
    const uint32_t room = sealio_session_limits(session).max_response - 1024;
    union nfs4_args args = {.readdir = {.cookie = listing->cookie,
                                        .dircount = DIRCOUNT,
                                        .maxcount = room < 65536 ? room : 65536,
                                        .attr_request = wanted_attrs()}};
    memcpy(args.readdir.cookieverf, listing->verifier, NFS4_VERIFIER_SIZE);
    bitmap4_set(&args.readdir.attr_request, FATTR4_RDATTR_ERROR);
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    sealio_call_put_fh(&call, sealio_fh_view(&listing->dir));
    sealio_call_add(&call, OP_READDIR, &args);
    int rc = sealio_session_run(session, &call, &reply);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_PUTFH, listing->path, &res);
    if (rc == 0)
        rc = sealio_expect(session, &reply, OP_READDIR, listing->path, &res);
    if (rc == 0) {
        const READDIR4resok *ok = &res.readdir.resok4;
        memcpy(listing->verifier, ok->cookieverf, NFS4_VERIFIER_SIZE);
        listing->eof = ok->reply.eof || ok->reply.entries_count == 0;
        for (uint32_t i = 0; rc == 0 && i < ok->reply.entries_count; i++)
            rc = visit_entry(listing, &ok->reply.entries[i]);
    }
    sealio_reply_free(&reply);
    return rc;
}

int sealio_readdir(struct sealio_session *session, const char *path,
                   int (*visit)(void *arg, const char *name, const struct sealio_stat *st),
                   void *arg)
{
    struct listing listing = {.session = session, .path = path, .visit = visit, .arg = arg};
    int rc = sealio_path_find(session, path, &listing.dir);
    while (rc == 0 && !listing.eof)
        rc = list_batch(&listing);
    return rc;
}
