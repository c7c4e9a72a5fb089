/*
 * READDIR's list of entries (RFC 8881 section 18.23): decoding, encoding, and the writer that a
 * server fills entry by entry.
 */
#include "proto/nfs4/attr.h"
#include "proto/nfs4/wire.h"

static WIRE_STRUCT(entry4, WIRE_U64(entry4, cookie), WIRE_OPAQUE(entry4, name, WIRE_UNBOUNDED),
                   WIRE_SUB(entry4, attrs, fattr4));

/*
 * The RFC's linked list of entries as an array. The first pass counts them, so that the array can
 * be allocated once and no recursion follows the wire.
 */
static bool count_entries(struct xdr_in in, struct arena *arena, uint32_t *count)
{
    entry4 ignored;
    uint32_t n = 0;
    bool more;

    while (xdr_get_bool(&in, &more) && more) {
        if (n == NFS4_MAX_ENTRIES || !wire_decode(&wire_entry4, &in, arena, &ignored))
            return false;
        n++;
    }
    *count = n;
    return xdr_in_ok(&in);
}

static bool dirlist4_decode(struct xdr_in *in, struct arena *arena, void *value)
{
    dirlist4 *list = value;
    bool more;

    *list = (dirlist4){0};
    if (!count_entries(*in, arena, &list->entries_count))
        return xdr_in_fail(in);
    if (list->entries_count > 0) {
        list->entries = arena_array(arena, list->entries_count, sizeof(entry4));
        if (list->entries == NULL)
            return xdr_in_fail(in);
    }
    for (uint32_t i = 0; i < list->entries_count; i++) {
        if (!xdr_get_bool(in, &more) || !wire_decode(&wire_entry4, in, arena, &list->entries[i]))
            return false;
    }
    return xdr_get_bool(in, &more) && xdr_get_bool(in, &list->eof);
}

static bool dirlist4_encode(struct xdr_out *out, const void *value)
{
    const dirlist4 *list = value;

    if (list->encoded_owner != NULL)
        return xdr_out_splice_encoded(out, list->encoded.data, list->encoded.len,
                                      list->encoded_owner);
    if (list->encoded.data != NULL)
        return xdr_put_fixed(out, list->encoded.data, list->encoded.len);
    for (uint32_t i = 0; i < list->entries_count; i++) {
        xdr_put_bool(out, true);
        if (!wire_encode(&wire_entry4, out, &list->entries[i]))
            return false;
    }
    xdr_put_bool(out, false);
    return xdr_put_bool(out, list->eof);
}

const struct wire_type wire_dirlist4 = {.name = "dirlist4",
                                        .size = sizeof(dirlist4),
                                        .decode = dirlist4_decode,
                                        .encode = dirlist4_encode};

bool readdir_writer_begin(struct readdir_writer *w, void *buf, size_t size, count4 dircount,
                          count4 maxcount)
{
    enum { LIST_END = READDIR_FIXED_SIZE - NFS4_VERIFIER_SIZE };
    size_t most = maxcount < READDIR_FIXED_SIZE ? 0 : maxcount - NFS4_VERIFIER_SIZE;

    if (size < most)
        most = size;
    if (most < LIST_END)
        return false;
    /* The end of the list always has its place. */
    xdr_out_init(&w->out, buf, most);
    xdr_out_set_limit(&w->out, most - LIST_END);
    w->dircount_left = dircount == 0 ? SIZE_MAX : dircount;
    w->entries = 0;
    return true;
}

bool readdir_writer_add(struct readdir_writer *w, nfs_cookie4 cookie, struct xdr_bytes name,
                        const bitmap4 *want, const struct nfs4_attrs *attrs)
{
    size_t names = sizeof(cookie) + 4 + (size_t)xdr_padded(name.len);
    size_t before = xdr_out_pos(&w->out);

    if (w->entries > 0 && names > w->dircount_left)
        return false;
    if (!xdr_put_bool(&w->out, true) || !xdr_put_u64(&w->out, cookie) ||
        !xdr_put_bytes(&w->out, name) || !nfs4_attrs_encode(&w->out, want, NULL, attrs)) {
        xdr_out_truncate(&w->out, before);
        return false;
    }
    w->dircount_left -= names < w->dircount_left ? names : w->dircount_left;
    w->entries++;
    return true;
}

struct xdr_bytes readdir_writer_end(struct readdir_writer *w, bool eof)
{
    xdr_out_set_limit(&w->out, SIZE_MAX);
    xdr_put_bool(&w->out, false);
    xdr_put_bool(&w->out, eof);
    return (struct xdr_bytes){w->out.base, (uint32_t)xdr_out_len(&w->out)};
}
