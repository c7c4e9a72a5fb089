/* See seal/judge.h. Pure. */
#include "layout/seal/judge.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <string.h>
#include <sys/stat.h>

static int judge_fs(const struct seal_facts *f, enum seal_kind kind, struct seal_refusal *why)
{
    if (strcmp(f->fs_type, "xfs") != 0 && strcmp(f->fs_type, "ext4") != 0)
        return seal_refuse(
            why, SEAL_REFUSED_FILESYSTEM, EOPNOTSUPP,
            "files on %s cannot be sealed; use XFS or ext4 on a disk that clients share",
            f->fs_type);
    if (f->read_only)
        return seal_refuse(why, SEAL_REFUSED_READ_ONLY, EROFS,
                           "the file system is mounted read-only; remount it read-write");
    if (f->data_journal)
        return seal_refuse(why, SEAL_REFUSED_DATA_JOURNAL, EOPNOTSUPP,
                           "the file's data goes through ext4's journal (data=journal), so its "
                           "blocks may be stale; "
                           "mount with data=ordered (tune2fs -o ^journal_data if it is the "
                           "default), or chattr -j the file and rewrite it");
    if (f->options_error)
        return seal_refuse(why, SEAL_REFUSED_DATA_JOURNAL, EOPNOTSUPP,
                           "it cannot be told whether data goes through ext4's journal "
                           "(data=journal may be the file system's default, which only "
                           "/proc/fs/ext4/DEVICE/options shows): reading that: %s; let the server "
                           "see /proc/fs/ext4 and /sys/dev/block",
                           strerror(-f->options_error));
    if (f->realtime)
        return seal_refuse(
            why, SEAL_REFUSED_REALTIME, EOPNOTSUPP,
            "the file is on the XFS realtime device, which clients are not told of; copy it to a "
            "directory without the realtime flag");
    if (f->encrypted)
        return seal_refuse(why, SEAL_REFUSED_ENCODED, EOPNOTSUPP,
                           "the file is encrypted by the file system: clients would read cipher "
                           "text; copy it to a "
                           "directory without fscrypt");
    if (kind == SEAL_KIND_PINNED && f->reflink && !f->guarded)
        return seal_refuse(
            why, SEAL_REFUSED_REFLINK, EOPNOTSUPP,
            "files can be cloned here, and a clone would change with a pinned file%s%s; use ext4, "
            "XFS made with mkfs.xfs -m reflink=0, or a frozen seal",
            f->unguarded ? ": " : "", f->unguarded ? f->unguarded : "");
    return 0;
}

int seal_judge_file(const struct seal_facts *f, enum seal_kind kind, struct seal_refusal *why)
{
    int err;

    if (!S_ISREG(f->mode))
        return seal_refuse(why, SEAL_REFUSED_NOT_REGULAR, S_ISDIR(f->mode) ? EISDIR : EINVAL,
                           "only regular files can be sealed, this is a %s",
                           S_ISDIR(f->mode)    ? "directory: name the files in it"
                           : S_ISLNK(f->mode)  ? "symbolic link: name its target"
                           : S_ISFIFO(f->mode) ? "FIFO"
                           : S_ISSOCK(f->mode) ? "socket"
                                               : "device");
    err = judge_fs(f, kind, why);
    if (err)
        return err;
    if (f->immutable && f->marked)
        return seal_refuse(why, SEAL_REFUSED_ALREADY_IMMUTABLE, EPERM,
                           "the file bears the flag and the mark of a seal that is not on record "
                           "under this file: sealctl explain says more, sealctl unseal takes it "
                           "off; do not clear the flag by hand");
    if (f->immutable)
        return seal_refuse(why, SEAL_REFUSED_ALREADY_IMMUTABLE, EPERM,
                           "the file is immutable already, and not by a seal of this server; "
                           "chattr -i it if nobody "
                           "else relies on that");
    if (f->size == 0)
        return seal_refuse(why, SEAL_REFUSED_EMPTY, ENODATA,
                           "the file is empty: there is nothing to seal");
    return 0;
}

int seal_judge_privileges(mode_t mode, bool capabilities, enum seal_kind kind,
                          struct seal_refusal *why)
{
    if (kind != SEAL_KIND_PINNED)
        return 0;
    if (mode & (S_ISUID | S_ISGID))
        return seal_refuse(why, SEAL_REFUSED_PRIVILEGED, EPERM,
                           "it is set-user-id or set-group-id, and whoever may write it by a "
                           "layout could put a program of his own there: chmod ug-s it, or use a "
                           "frozen seal");
    if (capabilities)
        return seal_refuse(why, SEAL_REFUSED_PRIVILEGED, EPERM,
                           "it has file capabilities, and whoever may write it by a layout could "
                           "put a program of his own there: setcap -r it, or use a frozen seal");
    return 0;
}

static int refuse_extent(const struct seal_extent_facts *e, enum seal_refusal_code code,
                         struct seal_refusal *why, const char *text)
{
    return seal_refuse(why, code, EOPNOTSUPP, "bytes %" PRIu64 " to %" PRIu64 " %s", e->file_offset,
                       e->file_offset + e->length - 1, text);
}

/* DELALLOC comes with UNKNOWN, INLINE with NOT_ALIGNED, ENCRYPTED with ENCODED: the more telling
 * flag first.
 */
static int judge_flags(const struct seal_extent_facts *e, struct seal_refusal *why)
{
    if (e->flags & FIEMAP_EXTENT_DELALLOC)
        return refuse_extent(
            e, SEAL_REFUSED_DELALLOC, why,
            "have no blocks yet (DELALLOC) although the file was synced; try again");
    if (e->flags &
        (FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_NOT_ALIGNED))
        return refuse_extent(
            e, SEAL_REFUSED_INLINE, why,
            "are kept inside metadata (INLINE), which clients must not read; files this small are "
            "not worth a seal");
    if (e->flags & (FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_ENCRYPTED))
        return refuse_extent(
            e, SEAL_REFUSED_ENCODED, why,
            "are stored compressed or encrypted (ENCODED); copy the file without that");
    if (e->flags & FIEMAP_EXTENT_UNKNOWN)
        return refuse_extent(
            e, SEAL_REFUSED_UNKNOWN, why,
            "are at a place the file system does not tell (UNKNOWN); copy the file");
    if (e->flags & FIEMAP_EXTENT_UNWRITTEN)
        return refuse_extent(
            e, SEAL_REFUSED_UNWRITTEN, why,
            "are allocated but were never written (UNWRITTEN): their blocks hold other files' old "
            "data; seal with --fill to write zeros there");
    if (e->flags & FIEMAP_EXTENT_SHARED)
        return refuse_extent(
            e, SEAL_REFUSED_SHARED, why,
            "share blocks with a reflink copy (SHARED); delete the copies, or give the file blocks "
            "of "
            "its own: xfs_io -c 'funshare 0 SIZE' FILE, or copy it with cp --reflink=never");
    return 0;
}

int seal_judge_extent(const struct seal_extent_facts *e, uint64_t volume_size,
                      struct seal_refusal *why)
{
    int err = judge_flags(e, why);

    if (err)
        return err;
    if (volume_size && (e->length > volume_size || e->device_offset > volume_size - e->length))
        return seal_refuse(why, SEAL_REFUSED_MAP_BROKEN, EIO,
                           "bytes %" PRIu64 " to %" PRIu64
                           " are said to lie past the end of the device; is the file "
                           "system on more than one device?",
                           e->file_offset, e->file_offset + e->length - 1);
    return 0;
}

int seal_judge_map(const struct seal_map *map, enum seal_kind kind, bool sparse,
                   struct seal_refusal *why)
{
    bool frozen = kind == SEAL_KIND_FROZEN;

    if (frozen && sparse)
        return 0;
    for (size_t i = 0; i < map_extent_count(map); i++) {
        const struct seal_extent *e = map_extent(map, i);

        if (e->kind == SEAL_EXTENT_HOLE)
            return seal_refuse(
                why, SEAL_REFUSED_HOLE, EOPNOTSUPP,
                "bytes %" PRIu64 " to %" PRIu64
                " are a hole%s; seal with --fill to give it blocks of zeros%s",
                e->file_offset, e->file_offset + e->length - 1,
                frozen ? "" : ", which clients could not write to",
                frozen ? ", or with --sparse to leave it: clients then read zeros there" : "");
    }
    return 0;
}

bool seal_extent_is_data(uint32_t flags)
{
    return !(flags &
             (FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL |
              FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_ENCRYPTED |
              FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_UNWRITTEN));
}
