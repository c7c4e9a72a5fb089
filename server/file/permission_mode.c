/*
 * permission_mode.c - permission from mode bits and POSIX access control lists (acl(5)), without
 * asking the kernel; see permission.h. Pure.
 */
#include <endian.h>
#include <linux/posix_acl_xattr.h>
#include <unistd.h>

#include "server/file/permission.h"

/* Entry tags, as the kernel's linux/posix_acl.h (not exported) and POSIX 1003.1e name them. */
enum {
    TAG_USER_OBJ = 0x01,
    TAG_USER = 0x02,
    TAG_GROUP_OBJ = 0x04,
    TAG_GROUP = 0x08,
    TAG_MASK = 0x10,
    TAG_OTHER = 0x20
};

static bool in_group(const struct cred *cred, gid_t group)
{
    uint32_t count;
    const gid_t *groups = cred_groups(cred, &count);

    if (cred->gid == group)
        return true;
    for (uint32_t i = 0; i < count; i++)
        if (groups[i] == group)
            return true;
    return false;
}

static bool by_bits(const struct cred *cred, uid_t owner, gid_t group, mode_t bits, int mode)
{
    unsigned shift = cred->uid == owner ? 6 : in_group(cred, group) ? 3 : 0;

    return ((bits >> shift) & (mode_t)mode) == (mode_t)mode;
}

struct acl {
    const struct posix_acl_xattr_entry *entries;
    size_t count;
    unsigned mask;
};

static bool acl_parse(const void *value, size_t len, struct acl *acl)
{
    const struct posix_acl_xattr_header *header = value;

    if (len < sizeof *header || le32toh(header->a_version) != POSIX_ACL_XATTR_VERSION)
        return false;
    acl->entries = (const struct posix_acl_xattr_entry *)(header + 1);
    acl->count = (len - sizeof *header) / sizeof acl->entries[0];
    acl->mask = 7;
    for (size_t i = 0; i < acl->count; i++)
        if (le16toh(acl->entries[i].e_tag) == TAG_MASK)
            acl->mask = le16toh(acl->entries[i].e_perm);
    return acl->count > 0;
}

/* The algorithm of acl(5), for anybody but the owner. */
static bool by_acl(const struct cred *cred, gid_t group, const struct acl *acl, int mode)
{
    unsigned want = (unsigned)mode;
    bool group_seen = false;

    for (size_t i = 0; i < acl->count; i++) {
        const struct posix_acl_xattr_entry *entry = &acl->entries[i];
        unsigned allowed = le16toh(entry->e_perm);

        switch (le16toh(entry->e_tag)) {
        case TAG_USER:
            if (le32toh(entry->e_id) == cred->uid)
                return (allowed & acl->mask & want) == want;
            break;
        case TAG_GROUP_OBJ:
        case TAG_GROUP:
            if (!in_group(cred, le16toh(entry->e_tag) == TAG_GROUP_OBJ
                                    ? group
                                    : (gid_t)le32toh(entry->e_id)))
                break;
            if ((allowed & acl->mask & want) == want)
                return true;
            group_seen = true;
            break;
        case TAG_OTHER:
            return !group_seen && (allowed & want) == want;
        default:
            break;
        }
    }
    return false;
}

bool permission_by_mode(const struct cred *cred, uid_t owner, gid_t group, mode_t bits,
                        const void *acl_value, size_t acl_len, int mode)
{
    struct acl acl;

    if (cred->uid == 0)
        return !(mode & X_OK) || (bits & 0111);
    if (acl_len == 0 || cred->uid == owner)
        return by_bits(cred, owner, group, bits, mode);
    return acl_parse(acl_value, acl_len, &acl) && by_acl(cred, group, &acl, mode);
}
