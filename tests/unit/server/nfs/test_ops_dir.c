/*
 * LOOKUP, LOOKUPP, READLINK, READDIR.
 */
#include "tests/unit/server/fs_fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/ops.h"
#include "server/base/buffer.h"
#include "server/export/idmap.h"

static nfsstat4 lookup(struct fs_fixture *f, const char *name)
{
    f->c.args.lookup.objname = xdr_bytes_of(name);
    return fs_run(f, op_lookup);
}

static void lookup_is_answered_on_the_loop_when_the_kernel_knows(void **state)
{
    struct fs_fixture *f = *state;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(lookup(f, "a"), NFS4_OK);
    assert_int_equal(f->blocked, 0);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(lookup(f, "nothing"), NFS4ERR_NOENT);
}

static void lookup_checks_name_type_and_permission(void **state)
{
    struct fs_fixture *f = *state;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(symlink("a", fs_path(f, "data/l")), 0);
    assert_int_equal(mkdir(fs_path(f, "data/d"), 0700), 0);
    fs_write_file(f, "data/d/b", "x");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(lookup(f, ""), NFS4ERR_INVAL);
    assert_int_equal(lookup(f, ".."), NFS4ERR_BADNAME);
    assert_int_equal(lookup(f, "a/b"), NFS4ERR_BADCHAR);
    assert_int_equal(lookup(f, "\xff"), NFS4ERR_NOENT);
    assert_int_equal(fs_walk(f, "data/a/b"), NFS4ERR_NOTDIR);
    assert_int_equal(fs_walk(f, "data/l/b"), NFS4ERR_SYMLINK);
    fs_as(f, 1000, 1000);
    assert_int_equal(fs_walk(f, "data/d/b"), NFS4ERR_ACCESS);
    fs_as(f, 0xffffffff, 0);
    assert_int_equal(fs_walk(f, "data/d/b"), NFS4ERR_ACCESS); /* not root in disguise */
}

/* Root squash holds for lookups too: /data/inner is squashed, /data is not. */
static void the_export_entered_decides_about_squashing(void **state)
{
    struct fs_fixture *f = *state;

    assert_int_equal(mkdir(fs_path(f, "inner/d"), 0700), 0);
    fs_write_file(f, "inner/d/x", "x");
    assert_int_equal(fs_walk(f, "data/inner/d"), NFS4_OK);
    assert_int_equal(lookup(f, "x"), NFS4ERR_ACCESS);
}

static void lookupp_climbs_from_export_to_pseudo_root_and_ends_there(void **state)
{
    struct fs_fixture *f = *state;

    assert_int_equal(mkdir(fs_path(f, "data/d"), 0755), 0);
    assert_int_equal(fs_walk(f, "data/d"), NFS4_OK);
    assert_int_equal(fs_run(f, op_lookupp), NFS4_OK);
    assert_false(file_is_pseudo(f->c.current.file));
    assert_int_equal(fs_run(f, op_lookupp), NFS4_OK);
    assert_true(file_is_pseudo(f->c.current.file));
    assert_int_equal(fs_run(f, op_lookupp), NFS4ERR_NOENT);
    assert_int_equal(fs_walk(f, "data/inner"), NFS4_OK);
    assert_int_equal(fs_run(f, op_lookupp), NFS4_OK); /* an export within an export */
    assert_int_equal(export_id(f->c.current.export), 100 + EXPORT_DATA);
}

static void readlink_gives_the_target_and_only_of_links(void **state)
{
    struct fs_fixture *f = *state;

    assert_int_equal(symlink("some/where", fs_path(f, "data/l")), 0);
    assert_int_equal(fs_walk(f, "data/l"), NFS4_OK);
    assert_int_equal(fs_run(f, op_readlink), NFS4_OK);
    assert_true(xdr_bytes_equal(f->c.res.readlink.resok4.link, xdr_bytes_of("some/where")));
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(fs_run(f, op_readlink), NFS4ERR_WRONG_TYPE);
}

static void join_message(const struct xdr_out *message, uint8_t *wire)
{
    struct iovec iov[XDR_OUT_MAX_IOV];
    const unsigned count = xdr_out_iov(message, iov, XDR_OUT_MAX_IOV);

    for (unsigned i = 0; i < count; i++) {
        memcpy(wire, iov[i].iov_base, iov[i].iov_len);
        wire += iov[i].iov_len;
    }
}

/* Runs one READDIR and decodes its reply. */
static nfsstat4 readdir_once(struct fs_fixture *f, uint64_t cookie, const verifier4 verifier,
                             uint32_t maxcount, const bitmap4 *want, READDIR4res *out)
{
    static uint8_t head[4096], wire[1 << 20];
    READDIR4args *args = &f->c.args.readdir;
    union nfs4_res decoded;
    struct xdr_out encoder;
    struct xdr_in decoder;
    nfsstat4 status;

    args->cookie = cookie;
    memcpy(args->cookieverf, verifier, sizeof(args->cookieverf));
    args->dircount = maxcount / 2;
    args->maxcount = maxcount;
    args->attr_request = *want;
    arena_reset(&f->c.arena);
    status = fs_run(f, op_readdir);
    if (status)
        return status;
    xdr_out_init(&encoder, head, sizeof(head));
    assert_true(nfs4_res_encode(OP_READDIR, &encoder, &f->c.res));
    assert_true(xdr_out_len(&encoder) - 4 <= maxcount);
    join_message(&encoder, wire);
    buffer_unref(f->c.res.readdir.resok4.reply.encoded_owner);
    xdr_in_init(&decoder, wire, xdr_out_len(&encoder));
    assert_true(nfs4_res_decode(OP_READDIR, &decoder, &f->c.arena, &decoded));
    *out = decoded.readdir;
    return NFS4_OK;
}

/* Lists the whole current directory; counts how often each of "f0", "f1", ... appears, and the
 * others. */
static unsigned list_all(struct fs_fixture *f, uint32_t maxcount, const bitmap4 *want,
                         unsigned char *seen, unsigned count)
{
    verifier4 verifier = {0};
    uint64_t cookie = 0;
    unsigned others = 0;
    READDIR4res res;

    memset(seen, 0, count);
    do {
        assert_int_equal(readdir_once(f, cookie, verifier, maxcount, want, &res), NFS4_OK);
        for (uint32_t i = 0; i < res.resok4.reply.entries_count; i++) {
            const entry4 *entry = &res.resok4.reply.entries[i];
            char name[NAME_MAX + 1] = {0};
            unsigned index;

            assert_true(entry->cookie > 2);
            memcpy(name, entry->name.data, entry->name.len);
            if (sscanf(name, "f%u", &index) == 1 && index < count)
                seen[index]++;
            else
                others++;
            cookie = entry->cookie;
        }
        memcpy(verifier, res.resok4.cookieverf, sizeof(verifier));
    } while (!res.resok4.reply.eof);
    return others;
}

static void ten_thousand_entries_are_listed_once_each(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 plain = BITMAP4(FATTR4_RDATTR_ERROR, FATTR4_FILEID, FATTR4_TYPE);
    const bitmap4 plus =
        BITMAP4(FATTR4_TYPE, FATTR4_CHANGE, FATTR4_SIZE, FATTR4_FSID, FATTR4_RDATTR_ERROR,
                FATTR4_FILEHANDLE, FATTR4_FILEID, FATTR4_MODE, FATTR4_NUMLINKS, FATTR4_OWNER,
                FATTR4_OWNER_GROUP, FATTR4_SPACE_USED, FATTR4_TIME_ACCESS, FATTR4_TIME_METADATA,
                FATTR4_TIME_MODIFY);
    static unsigned char seen[10000];
    char name[64];

    for (unsigned i = 0; i < sizeof(seen); i++) {
        snprintf(name, sizeof(name), "data/f%u", i);
        close(open(fs_path(f, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    }
    f->c.max_reply = 1 << 20;
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    for (int round = 0; round < 2; round++) {
        clock_t start = clock();

        assert_int_equal(
            list_all(f, round ? 32768 : 131072, round ? &plus : &plain, seen, sizeof(seen)),
            1); /* "inner" */
        print_message("10,000 entries %s attributes: %ld ms CPU\n", round ? "with all" : "with few",
                      (long)((clock() - start) * 1000 / CLOCKS_PER_SEC));
        for (unsigned i = 0; i < sizeof(seen); i++)
            assert_int_equal(seen[i], 1);
    }
}

/* The CPU time of a whole listing, the best of a few. */
static uint64_t list_ns(struct fs_fixture *f, uint32_t maxcount)
{
    enum { TIMES = 4 };
    const bitmap4 want = BITMAP4(FATTR4_RDATTR_ERROR, FATTR4_FILEID);
    static unsigned char seen[1];
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < TIMES; i++) {
        struct timespec begin, end;
        uint64_t ns;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
        (void)list_all(f, maxcount, &want, seen, sizeof(seen));
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        ns = (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000u + (uint64_t)end.tv_nsec -
             (uint64_t)begin.tv_nsec;
        best = ns < best ? ns : best;
    }
    return best;
}

/* Wrong: each READDIR reads a thousand names, and those that do not fit again for the next: with
 * replies of 2 KiB a listing costs 13 times what it costs with those of 128. */
static void small_replies_cost_little_more_than_large_ones(void **state)
{
    enum { FILES = 3000, SMALL = 2048, LARGE = 128 << 10 };
    struct fs_fixture *f = *state;
    uint64_t small, large;
    char path[32];

    for (unsigned i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "data/f%u", i);
        fs_write_file(f, path, "");
    }
    f->c.max_reply = 1 << 20;
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    large = list_ns(f, LARGE);
    small = list_ns(f, SMALL);
    print_message("%u names: %llu us in large replies, %llu us in small ones\n", FILES,
                  (unsigned long long)large / 1000, (unsigned long long)small / 1000);
    assert_true(small < 6 * large);
}

/* Wrong: a file whose name is not UTF-8 is not there for a client, so that `cp -r` leaves it out
 * and `rm -rf` fails. Right: names are bytes; strictly UTF-8 is the operator's choice, and told. */
static void names_are_bytes_unless_utf8_is_asked_for(void **state)
{
    static const char latin1[] = "stra\xdf"
                                 "e";
    const bitmap4 want = BITMAP4(FATTR4_FILEID), charset = BITMAP4(FATTR4_FS_CHARSET_CAP);
    struct fs_fixture *f = *state;
    unsigned char seen[1];

    fs_write_file(f,
                  "data/stra\xdf"
                  "e",
                  "x");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(list_all(f, 8192, &want, seen, 0), 2); /* with "inner" */
    assert_int_equal(fs_getattr(f, charset).fs_charset_cap, FSCHARSET_CAP4_CONTAINS_NON_UTF8);
    assert_int_equal(lookup(f, latin1), NFS4_OK);
    f->config.utf8_names = true;
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(list_all(f, 8192, &want, seen, 0), 1);
    assert_int_equal(fs_getattr(f, charset).fs_charset_cap, FSCHARSET_CAP4_ALLOWS_ONLY_UTF8);
    assert_int_equal(lookup(f, latin1), NFS4ERR_INVAL);
}

static void a_listing_goes_on_when_entries_vanish_in_between(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 want = BITMAP4(FATTR4_FILEID, FATTR4_SIZE);
    unsigned char seen[200] = {0};
    READDIR4res res;
    char name[64];

    for (unsigned i = 0; i < sizeof(seen); i++) {
        snprintf(name, sizeof(name), "data/f%u", i);
        fs_write_file(f, name, "x");
    }
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 2000, &want, &res), NFS4_OK);
    assert_false(res.resok4.reply.eof);
    for (unsigned i = 0; i < sizeof(seen); i += 2) {
        snprintf(name, sizeof(name), "data/f%u", i);
        assert_int_equal(unlink(fs_path(f, name)), 0);
    }
    assert_true(res.resok4.reply.entries_count > 0);
    uint64_t cookie = res.resok4.reply.entries[res.resok4.reply.entries_count - 1].cookie;
    verifier4 verifier;

    memcpy(verifier, res.resok4.cookieverf, sizeof(verifier));
    assert_int_equal(readdir_once(f, cookie, verifier, 60000, &want, &res), NFS4_OK);
    assert_true(res.resok4.reply.eof);
}

static void cookies_and_verifiers_are_checked(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 want = BITMAP4(FATTR4_FILEID);
    READDIR4res res;

    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(readdir_once(f, 1, (verifier4){0}, 4096, &want, &res), NFS4ERR_BAD_COOKIE);
    assert_int_equal(readdir_once(f, 2, (verifier4){0}, 4096, &want, &res), NFS4ERR_BAD_COOKIE);
    assert_int_equal(readdir_once(f, 5000, (verifier4){"stale"}, 4096, &want, &res),
                     NFS4ERR_NOT_SAME);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 10, &want, &res), NFS4ERR_TOOSMALL);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 20, &want, &res),
                     NFS4ERR_TOOSMALL); /* no entry fits */
    fs_write_file(f, "data/a", "x");
    assert_int_equal(fs_walk(f, "data/a"), NFS4_OK);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 4096, &want, &res), NFS4ERR_NOTDIR);
}

/* The pseudo root's names, one of which the peer may not use: that entry has an error for
 * attributes, the listing does not fail. */
static void one_bad_entry_does_not_fail_the_listing(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 with_error = BITMAP4(FATTR4_RDATTR_ERROR, FATTR4_FILEID),
                  without = BITMAP4(FATTR4_FILEID);
    unsigned errors = 0;
    READDIR4res res;

    assert_int_equal(fs_walk(f, ""), NFS4_OK);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 8192, &with_error, &res), NFS4_OK);
    assert_int_equal(res.resok4.reply.entries_count, 3);
    assert_true(res.resok4.reply.eof);
    for (uint32_t i = 0; i < 3; i++) {
        const entry4 *entry = &res.resok4.reply.entries[i];
        struct nfs4_attrs attrs;

        assert_int_equal(nfs4_attrs_unpack(&entry->attrs, &attrs), 0);
        if (attrs.rdattr_error != NFS4_OK) {
            errors++;
            assert_int_equal(attrs.rdattr_error, NFS4ERR_ACCESS);
            assert_false(bitmap4_isset(&attrs.present, FATTR4_FILEID));
            assert_true(xdr_bytes_equal(entry->name, xdr_bytes_of("closed")));
        }
    }
    assert_int_equal(errors, 1);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 8192, &without, &res), NFS4ERR_ACCESS);
}

static void each_entry_has_its_own_owner(void **state)
{
    enum { FILES = 4 };
    static const uid_t owner[FILES][2] = {{7, 8}, {7, 9}, {10, 9}, {7, 8}};
    const bitmap4 want = BITMAP4(FATTR4_OWNER, FATTR4_OWNER_GROUP);
    struct fs_fixture *f = *state;
    READDIR4res res;

    for (unsigned i = 0; i < FILES; i++) {
        char path[16];

        snprintf(path, sizeof(path), "data/%u", i);
        fs_write_file(f, path, "");
        assert_int_equal(chown(fs_path(f, path), owner[i][0], owner[i][1]), 0);
    }
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 8192, &want, &res), NFS4_OK);
    for (uint32_t i = 0; i < res.resok4.reply.entries_count; i++) {
        const entry4 *entry = &res.resok4.reply.entries[i];
        const unsigned number = entry->name.data[0] - (unsigned)'0';
        struct nfs4_attrs attrs;
        uint32_t id;

        if (number >= FILES)
            continue;
        assert_int_equal(nfs4_attrs_unpack(&entry->attrs, &attrs), 0);
        assert_true(idmap_parse_number(attrs.owner, &id) && id == owner[number][0]);
        assert_true(idmap_parse_number(attrs.owner_group, &id) && id == owner[number][1]);
    }
}

static void an_export_below_hides_what_the_file_system_has_there(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 want = BITMAP4(FATTR4_FSID, FATTR4_MOUNTED_ON_FILEID);
    unsigned found = 0;
    READDIR4res res;

    assert_int_equal(mkdir(fs_path(f, "data/inner"), 0755), 0);
    fs_write_file(f, "data/inner/hidden", "x");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 8192, &want, &res), NFS4_OK);
    for (uint32_t i = 0; i < res.resok4.reply.entries_count; i++) {
        struct nfs4_attrs attrs;

        if (!xdr_bytes_equal(res.resok4.reply.entries[i].name, xdr_bytes_of("inner")))
            continue;
        found++;
        assert_int_equal(nfs4_attrs_unpack(&res.resok4.reply.entries[i].attrs, &attrs), 0);
        assert_int_equal(attrs.fsid.minor, 100 + EXPORT_INNER);
    }
    assert_int_equal(found, 1);
    assert_int_equal(fs_walk(f, "data/inner"), NFS4_OK);
    assert_int_equal(lookup(f, "hidden"), NFS4ERR_NOENT);
}

static void listing_without_search_permission_gives_names_and_errors(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 want = BITMAP4(FATTR4_RDATTR_ERROR, FATTR4_SIZE);
    struct nfs4_attrs attrs;
    READDIR4res res;

    assert_int_equal(mkdir(fs_path(f, "data/d"), 0755), 0);
    fs_write_file(f, "data/d/a", "x");
    assert_int_equal(fs_walk(f, "data/d"), NFS4_OK);
    fs_as(f, 1000, 1000);
    assert_int_equal(chmod(fs_path(f, "data/d"), 0744), 0);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 8192, &want, &res), NFS4_OK);
    assert_int_equal(res.resok4.reply.entries_count, 1);
    assert_int_equal(nfs4_attrs_unpack(&res.resok4.reply.entries[0].attrs, &attrs), 0);
    assert_int_equal(attrs.rdattr_error, NFS4ERR_ACCESS);
    assert_int_equal(chmod(fs_path(f, "data/d"), 0700), 0);
    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 8192, &want, &res), NFS4ERR_ACCESS);
}

static void a_mount_point_below_is_neither_shown_nor_entered(void **state)
{
    struct fs_fixture *f = *state;
    const bitmap4 want = BITMAP4(FATTR4_FILEID);
    unsigned char seen[1];

    assert_int_equal(mkdir(fs_path(f, "data/m"), 0755), 0);
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(list_all(f, 8192, &want, seen, 0), 2); /* with "inner" */
    if (mount("none", fs_path(f, "data/m"), "tmpfs", 0, "size=64k") != 0) {
        print_message("a tmpfs cannot be mounted\n");
        skip();
    }
    assert_int_equal(list_all(f, 8192, &want, seen, 0), 1);
    assert_int_equal(lookup(f, "m"), NFS4ERR_NOENT);
    assert_int_equal(umount(fs_path(f, "data/m")), 0);
    assert_int_equal(lookup(f, "m"), NFS4_OK);
    /* A directory mounted on itself has the same handle: only the mount tells. */
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    assert_int_equal(mount(fs_path(f, "data/m"), fs_path(f, "data/m"), NULL, MS_BIND, NULL), 0);
    assert_int_equal(lookup(f, "m"), NFS4ERR_NOENT);
    assert_int_equal(umount(fs_path(f, "data/m")), 0);
    assert_int_equal(lookup(f, "m"), NFS4_OK);
}

/* ---- entries that are asked by their file's descriptor ---- */

static bitmap4 listed_attrs(void)
{
    return BITMAP4(FATTR4_CHANGE, FATTR4_SIZE, FATTR4_RDATTR_ERROR, FATTR4_FILEHANDLE,
                   FATTR4_FILEID, FATTR4_MODE, FATTR4_TIME_MODIFY);
}

/* What a listing of the current directory says of the name. False: it is not there. */
static bool listed(struct fs_fixture *f, const char *name, struct nfs4_attrs *out)
{
    const bitmap4 want = listed_attrs();
    READDIR4res res;

    assert_int_equal(readdir_once(f, 0, (verifier4){0}, 32768, &want, &res), NFS4_OK);
    assert_true(res.resok4.reply.eof);
    for (uint32_t i = 0; i < res.resok4.reply.entries_count; i++)
        if (xdr_bytes_equal(res.resok4.reply.entries[i].name, xdr_bytes_of(name)))
            return nfs4_attrs_unpack(&res.resok4.reply.entries[i].attrs, out) == 0;
    return false;
}

static bool in_memory(struct fs_fixture *f, uint64_t ino)
{
    struct file *file = file_find_inode(f->server.files, f->c.current.export, ino, UINT64_MAX);

    file_unref(file);
    return file;
}

/* Lists until the file has come into memory by that: not before it is a few ticks old. */
static void list_into_memory(struct fs_fixture *f, const char *name)
{
    struct nfs4_attrs attrs;

    if (!f->mounted) {
        print_message("a directory cannot be mounted on itself\n");
        skip();
    }
    for (unsigned tries = 0;; tries++) {
        assert_true(tries < 500);
        assert_true(listed(f, name, &attrs));
        if (in_memory(f, attrs.fileid))
            return;
        usleep(10000);
    }
}

static void a_file_that_is_listed_again_is_asked_as_it_is_now(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs before, after;
    struct stat st;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    list_into_memory(f, "a");
    assert_true(listed(f, "a", &before));
    assert_int_equal(before.size, 1);
    assert_int_equal(chmod(fs_path(f, "data/a"), 0640), 0); /* a local program */
    fs_write_file(f, "data/a", "four");
    assert_true(listed(f, "a", &after));
    assert_int_equal(stat(fs_path(f, "data/a"), &st), 0);
    assert_int_equal(after.size, 4);
    assert_int_equal(after.mode, 0640);
    assert_int_equal(after.fileid, st.st_ino);
    assert_true(after.change > before.change);
    assert_true(xdr_bytes_equal(after.filehandle, before.filehandle));
    f->c.args.putfh.object = after.filehandle;
    assert_int_equal(fs_run(f, op_putfh), NFS4_OK);
    assert_int_equal(fs_getattr(f, BITMAP4(FATTR4_FILEID)).fileid, st.st_ino);
}

static void a_name_given_to_another_file_is_listed_as_that(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs;
    struct stat st;

    fs_write_file(f, "data/a", "x");
    fs_write_file(f, "data/b", "two");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    list_into_memory(f, "a");
    assert_int_equal(rename(fs_path(f, "data/b"), fs_path(f, "data/a")), 0);
    assert_true(listed(f, "a", &attrs));
    assert_int_equal(attrs.size, 3);
    assert_int_equal(unlink(fs_path(f, "data/a")), 0);
    assert_false(listed(f, "a", &attrs));
    fs_write_file(f, "data/a", "three");
    assert_true(listed(f, "a", &attrs));
    assert_int_equal(stat(fs_path(f, "data/a"), &st), 0);
    assert_int_equal(attrs.fileid, st.st_ino);
    assert_int_equal(attrs.size, 5);
}

/* Its own descriptor would answer for the file beneath. */
static void a_file_that_something_is_mounted_on_is_not_listed(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs;

    fs_write_file(f, "data/a", "x");
    fs_write_file(f, "data/b", "x");
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    list_into_memory(f, "a");
    assert_int_equal(mount(fs_path(f, "data/b"), fs_path(f, "data/a"), NULL, MS_BIND, NULL), 0);
    assert_false(listed(f, "a", &attrs));
    assert_true(listed(f, "b", &attrs));
    assert_int_equal(umount(fs_path(f, "data/a")), 0);
    assert_true(listed(f, "a", &attrs));
}

static void a_file_in_memory_has_no_attributes_for_who_may_not_search(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs;

    assert_int_equal(mkdir(fs_path(f, "data/d"), 0755), 0);
    fs_write_file(f, "data/d/a", "x");
    assert_int_equal(fs_walk(f, "data/d"), NFS4_OK);
    list_into_memory(f, "a");
    fs_as(f, 1000, 1000);
    assert_true(listed(f, "a", &attrs));
    assert_int_equal(attrs.rdattr_error, NFS4_OK);
    assert_int_equal(chmod(fs_path(f, "data/d"), 0744), 0);
    assert_true(listed(f, "a", &attrs));
    assert_int_equal(attrs.rdattr_error, NFS4ERR_ACCESS);
    assert_false(bitmap4_isset(&attrs.present, FATTR4_SIZE));
}

/* Whether the file is in memory or not. */
static void a_listing_shows_the_overlay_of_a_pinned_file(void **state)
{
    struct fs_fixture *f = *state;
    struct nfs4_attrs attrs;
    struct file *file;

    fs_write_file(f, "data/a", "x");
    assert_int_equal(file_from_path(f->server.files, fs_path(f, "data/a"), &file), 0);
    file_set_overlay(file, &(struct file_overlay){.mtime_ns = UINT64_C(4000000000123456789),
                                                  .change = UINT64_C(4000000000123456789)});
    assert_int_equal(fs_walk(f, "data"), NFS4_OK);
    for (int round = 0; round < 2; round++) {
        assert_true(listed(f, "a", &attrs));
        assert_int_equal(attrs.time_modify.seconds, 4000000000);
        assert_int_equal(attrs.change, UINT64_C(4000000000123456789));
        if (round == 0) {
            file_forget(file);
            file_unref(file);
        }
    }
}

#define TEST(name)    cmocka_unit_test_setup_teardown(name, fs_setup, fs_teardown)
#define MOUNTED(name) cmocka_unit_test_setup_teardown(name, fs_setup_mounted, fs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lookup_is_answered_on_the_loop_when_the_kernel_knows),
        TEST(lookup_checks_name_type_and_permission),
        TEST(the_export_entered_decides_about_squashing),
        TEST(lookupp_climbs_from_export_to_pseudo_root_and_ends_there),
        TEST(readlink_gives_the_target_and_only_of_links),
        TEST(ten_thousand_entries_are_listed_once_each),
        TEST(small_replies_cost_little_more_than_large_ones),
        TEST(names_are_bytes_unless_utf8_is_asked_for),
        TEST(a_listing_goes_on_when_entries_vanish_in_between),
        TEST(cookies_and_verifiers_are_checked),
        TEST(one_bad_entry_does_not_fail_the_listing),
        TEST(each_entry_has_its_own_owner),
        TEST(an_export_below_hides_what_the_file_system_has_there),
        TEST(listing_without_search_permission_gives_names_and_errors),
        TEST(a_mount_point_below_is_neither_shown_nor_entered),
        MOUNTED(a_file_that_is_listed_again_is_asked_as_it_is_now),
        MOUNTED(a_name_given_to_another_file_is_listed_as_that),
        MOUNTED(a_file_that_something_is_mounted_on_is_not_listed),
        MOUNTED(a_file_in_memory_has_no_attributes_for_who_may_not_search),
        MOUNTED(a_listing_shows_the_overlay_of_a_pinned_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
