/* Disk signatures for XFS and ext4: see signature.h. signature_verify reads the disk (worker
 * threads), all else is pure. */
#include "layout/device/signature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    /* XFS: the superblock is at 0 of the volume; fields as on disk since version 1. */
    XFS_MAGIC_AT = 0, /* "XFSB", followed by the block size: both for ever */
    XFS_MAGIC_LEN = 8,
    XFS_UUID_AT = 32,
    /* ext2, ext3, ext4: the superblock is at 1024. */
    EXT4_MAGIC_AT = 1024 + 0x38,
    EXT4_MAGIC_LEN = 2,
    EXT4_UUID_AT = 1024 + 0x68,
    UUID_LEN = 16,
    PV_UUID_LEN = 32,
    MD_SET_UUID_AT = 16,
    MD_MEMBER_UUID_AT = 168,
    GPT_GUID_AT = 56,
    MBR_ID_AT = 440,
};
#define MD_MAGIC UINT32_C(0xa92b4efc)

static void add(struct signature *s, uint64_t start, const uint8_t *block, uint32_t at,
                uint32_t len)
{
    struct signature_component *c = &s->component[s->count++];

    c->offset = (int64_t)(start + at);
    c->len = len;
    memcpy(c->bytes, block + at, len);
}

int signature_from_superblock(enum signature_fs fs, const uint8_t block[SIGNATURE_SUPERBLOCK_SIZE],
                              uint64_t start, const uint8_t uuid[16], struct signature *out)
{
    static const uint8_t none[UUID_LEN];
    bool xfs = fs == SIGNATURE_XFS;
    const uint8_t *found = block + (xfs ? XFS_UUID_AT : EXT4_UUID_AT);
    bool magic = xfs ? memcmp(block + XFS_MAGIC_AT, "XFSB", 4) == 0
                     : memcmp(block + EXT4_MAGIC_AT, "\x53\xEF", 2) == 0;

    if (!magic || start > INT64_MAX - SIGNATURE_SUPERBLOCK_SIZE ||
        memcmp(found, uuid, UUID_LEN) != 0 || memcmp(found, none, UUID_LEN) == 0)
        return -EINVAL;
    memset(out, 0, sizeof(*out));
    add(out, start, block, xfs ? XFS_MAGIC_AT : EXT4_MAGIC_AT,
        xfs ? XFS_MAGIC_LEN : EXT4_MAGIC_LEN);
    add(out, start, block, xfs ? XFS_UUID_AT : EXT4_UUID_AT, UUID_LEN);
    return 0;
}

static uint64_t little(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    while (size > 0)
        value = value << 8 | at[--size];
    return value;
}

static bool is_zero(const uint8_t *at, size_t len)
{
    while (len > 0 && at[len - 1] == 0)
        len--;
    return len == 0;
}

/* lvm2 format: the label in one of the first four sectors, behind it the header with the UUID in 32
 * letters.
 */
int signature_from_pv(const uint8_t *head, uint64_t start, struct signature *out)
{
    if (start > INT64_MAX - SIGNATURE_HEAD_SIZE)
        return -EINVAL;
    for (uint32_t at = 0; at < 4 * 512; at += 512) {
        const uint64_t header = little(head + at + 20, 4);

        if (memcmp(head + at, "LABELONE", 8) != 0 || memcmp(head + at + 24, "LVM2 001", 8) != 0 ||
            header < 32 || header > 512 - PV_UUID_LEN)
            continue;
        memset(out, 0, sizeof(*out));
        add(out, start, head, at, 8);
        add(out, start, head, at + (uint32_t)header, PV_UUID_LEN);
        return 0;
    }
    return -EINVAL;
}

/* The kernel's struct mdp_superblock_1: the array's UUID and this member's. */
int signature_from_md(const uint8_t *head, uint64_t start, struct signature *out)
{
    if (start > INT64_MAX - SIGNATURE_HEAD_SIZE)
        return -EINVAL;
    for (uint32_t at = 0; at <= 4096; at += 4096) {
        if (little(head + at, 4) != MD_MAGIC || little(head + at + 4, 4) != 1 ||
            is_zero(head + at + MD_MEMBER_UUID_AT, UUID_LEN))
            continue;
        memset(out, 0, sizeof(*out));
        add(out, start, head, at + MD_SET_UUID_AT, UUID_LEN);
        add(out, start, head, at + MD_MEMBER_UUID_AT, UUID_LEN);
        return 0;
    }
    return -EINVAL;
}

int signature_from_table(const uint8_t *head, struct signature *out)
{
    for (uint32_t at = 512; at <= 4096; at += 4096 - 512) { /* a sector of 512 or 4096 */
        if (memcmp(head + at, "EFI PART", 8) != 0 || is_zero(head + at + GPT_GUID_AT, UUID_LEN))
            continue;
        memset(out, 0, sizeof(*out));
        add(out, 0, head, at, 8);
        add(out, 0, head, at + GPT_GUID_AT, UUID_LEN);
        return 0;
    }
    if (head[510] != 0x55 || head[511] != 0xAA || is_zero(head + MBR_ID_AT, 4))
        return -EINVAL;
    memset(out, 0, sizeof(*out));
    add(out, 0, head, MBR_ID_AT, 4);
    add(out, 0, head, 510, 2);
    return 0;
}

/* Reads what the component is compared with, in whole 4096-byte units because the descriptor may be
 * O_DIRECT.
 */
static int component_verify(int fd, const struct signature_component *c, uint8_t *room)
{
    enum { UNIT = 4096 };
    size_t skip = (size_t)(c->offset % UNIT);
    size_t want = skip + c->len;
    ssize_t n;

    if (c->offset < 0 || c->len > SIGNATURE_COMPONENT_MAX)
        return -EINVAL;
    do
        n = pread(fd, room, 2 * UNIT, (off_t)(c->offset - (int64_t)skip));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if ((size_t)n < want || memcmp(room + skip, c->bytes, c->len) != 0)
        return -ENOENT;
    return 0;
}

int signature_verify(int disk_fd, const struct signature *signature)
{
    void *room;
    int err = signature->count == 0 || signature->count > SIGNATURE_MAX_COMPONENTS ? -EINVAL : 0;

    if (!err && posix_memalign(&room, 4096, 8192) != 0)
        return -ENOMEM;
    if (err)
        return err;
    for (uint32_t i = 0; i < signature->count && !err; i++)
        err = component_verify(disk_fd, &signature->component[i], room);
    free(room);
    return err;
}

bool signature_is_sane(const struct signature *s)
{
    if (s->count == 0 || s->count > SIGNATURE_MAX_COMPONENTS)
        return false;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->component[i].offset < 0 || s->component[i].len == 0 ||
            s->component[i].len > SIGNATURE_COMPONENT_MAX)
            return false;
    return true;
}

bool signature_equal(const struct signature *a, const struct signature *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct signature_component *x = &a->component[i];
        const struct signature_component *y = &b->component[i];

        if (x->offset != y->offset || x->len != y->len || memcmp(x->bytes, y->bytes, x->len) != 0)
            return false;
    }
    return true;
}
