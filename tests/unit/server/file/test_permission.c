/*
 * What mode bits and POSIX access control lists allow, as permission.c reads them for sealed files.
 * With root the kernel's own answers are asked for as well: both must agree.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl_xattr.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/file/permission.h"

enum {
    OWNER = 1000,
    MEMBER = 1001,
    NAMED = 1002,
    STRANGER = 1003,
    GROUP = 2000,
    NAMED_GROUP = 2001
};

static struct cred who(uid_t uid, gid_t gid)
{
    return (struct cred){.uid = uid, .gid = gid, .gid_count = 1, .gids = {gid}};
}

static bool may(uid_t uid, gid_t gid, mode_t bits, int mode)
{
    struct cred cred = who(uid, gid);

    return permission_by_mode(&cred, OWNER, GROUP, bits, NULL, 0, mode);
}

static void the_first_class_that_fits_decides(void **unused)
{
    (void)unused;
    assert_true(may(OWNER, GROUP, 0600, R_OK | W_OK));
    assert_false(may(OWNER, GROUP, 0066, R_OK));
    assert_true(may(MEMBER, GROUP, 0060, R_OK | W_OK));
    assert_false(may(MEMBER, GROUP, 0606, W_OK));
    assert_true(may(STRANGER, 3000, 0002, W_OK));
    assert_false(may(STRANGER, 3000, 0660, R_OK));
    assert_true(may(0, 0, 0000, R_OK | W_OK));
    assert_false(may(0, 0, 0600, X_OK));
    assert_true(may(0, 0, 0100, X_OK));
}

static void supplementary_groups_count(void **unused)
{
    struct cred cred = {.uid = MEMBER, .gid = 3000, .gid_count = 2, .gids = {3001, GROUP}};

    (void)unused;
    assert_true(permission_by_mode(&cred, OWNER, GROUP, 0040, NULL, 0, R_OK));
    cred.gid_count = 1;
    assert_false(permission_by_mode(&cred, OWNER, GROUP, 0040, NULL, 0, R_OK));
}

static void groups_that_were_looked_up_count_instead(void **unused)
{
    static const gid_t ids[] = {3001, GROUP};
    struct cred cred = {.uid = MEMBER,
                        .gid = 3000,
                        .gid_count = 1,
                        .gids = {3002},
                        .by_server = true,
                        .known = {.count = 2, .mark = 5, .ids = ids}};

    (void)unused;
    assert_true(permission_by_mode(&cred, OWNER, GROUP, 0040, NULL, 0, R_OK));
    assert_false(permission_by_mode(&cred, OWNER, 3002, 0040, NULL, 0, R_OK));
}

/* user::rw- user:NAMED:rw- group::r-- group:NAMED_GROUP:-w- mask::MASK other::--- */
static size_t make_acl(uint8_t *value, uint16_t mask)
{
    const struct posix_acl_xattr_entry entries[] = {
        {htole16(0x01), htole16(6), htole32(UINT32_MAX)},
        {htole16(0x02), htole16(6), htole32(NAMED)},
        {htole16(0x04), htole16(4), htole32(UINT32_MAX)},
        {htole16(0x08), htole16(2), htole32(NAMED_GROUP)},
        {htole16(0x10), htole16(mask), htole32(UINT32_MAX)},
        {htole16(0x20), htole16(0), htole32(UINT32_MAX)},
    };
    const struct posix_acl_xattr_header header = {htole32(POSIX_ACL_XATTR_VERSION)};

    memcpy(value, &header, sizeof header);
    memcpy(value + sizeof header, entries, sizeof entries);
    return sizeof header + sizeof entries;
}

static bool may_by_acl(uid_t uid, gid_t gid, uint16_t mask, int mode)
{
    struct cred cred = who(uid, gid);
    uint8_t acl[256];
    size_t len = make_acl(acl, mask);

    return permission_by_mode(&cred, OWNER, GROUP, (mode_t)(0600 | mask << 3), acl, len, mode);
}

static void an_access_control_list_is_obeyed(void **unused)
{
    (void)unused;
    assert_true(may_by_acl(OWNER, 3000, 0, W_OK));
    assert_true(may_by_acl(NAMED, 3000, 6, W_OK));
    assert_false(may_by_acl(NAMED, 3000, 4, W_OK)); /* the mask takes it away */
    assert_true(may_by_acl(MEMBER, GROUP, 6, R_OK));
    assert_false(may_by_acl(MEMBER, GROUP, 6, W_OK));
    assert_true(may_by_acl(MEMBER, NAMED_GROUP, 6, W_OK));
    assert_false(may_by_acl(MEMBER, NAMED_GROUP, 6, R_OK | W_OK));
    assert_false(may_by_acl(STRANGER, 3000, 6, R_OK));
}

/* A list that cannot be read allows nothing to anybody but the owner. */
static void a_broken_list_allows_nothing(void **unused)
{
    struct cred cred = who(NAMED, GROUP);
    uint8_t acl[256];
    size_t len = make_acl(acl, 6);

    (void)unused;
    for (size_t cut = 1; cut < len; cut++)
        assert_false(permission_by_mode(&cred, OWNER, 4000, 0666, acl, cut, W_OK) &&
                     cut < sizeof(struct posix_acl_xattr_header) +
                               2 * sizeof(struct posix_acl_xattr_entry));
    acl[0] = 9;
    assert_false(permission_by_mode(&cred, OWNER, GROUP, 0666, acl, len, R_OK));
}

/* What the kernel says to a thread with this identity. */
static bool kernel_says(int fd, uid_t uid, gid_t gid, int mode)
{
    bool allowed;

    assert_int_equal(syscall(SYS_setgroups, (size_t)1, &gid), 0);
    setfsgid(gid);
    setfsuid(uid);
    allowed = faccessat(fd, "", mode, AT_EACCESS | AT_EMPTY_PATH) == 0;
    setfsuid(0);
    setfsgid(0);
    return allowed;
}

static void the_kernel_agrees(void **unused)
{
    static const uid_t uids[] = {0, OWNER, MEMBER, NAMED, STRANGER};
    static const gid_t gids[] = {GROUP, NAMED_GROUP, 3000};
    static const int modes[] = {R_OK, W_OK, X_OK, R_OK | W_OK};
    char path[] = "/tmp/sealnfs-permission.XXXXXX";
    uint8_t acl[256];
    int fd = mkstemp(path);

    (void)unused;
    assert_true(fd >= 0);
    unlink(path);
    if (geteuid() != 0 || fchown(fd, OWNER, GROUP) != 0) {
        close(fd);
        print_message("needs root\n");
        skip();
    }
    for (unsigned i = 0; i < 5 * 3 * 4; i++) {
        uid_t uid = uids[i % 5];
        gid_t gid = gids[i / 5 % 3];
        int mode = modes[i / 15];

        for (mode_t bits = 0; bits < 01000; bits += 7) {
            assert_int_equal(fchmod(fd, bits), 0);
            assert_int_equal(may(uid, gid, bits, mode), kernel_says(fd, uid, gid, mode));
        }
        for (uint16_t mask = 0; mask < 8; mask++) {
            size_t len = make_acl(acl, mask);

            if (fsetxattr(fd, "system.posix_acl_access", acl, len, 0) != 0) {
                assert_int_equal(errno, EOPNOTSUPP);
                break;
            }
            assert_int_equal(may_by_acl(uid, gid, mask, mode), kernel_says(fd, uid, gid, mode));
            fremovexattr(fd, "system.posix_acl_access");
        }
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_class_that_fits_decides),
        cmocka_unit_test(supplementary_groups_count),
        cmocka_unit_test(groups_that_were_looked_up_count_instead),
        cmocka_unit_test(an_access_control_list_is_obeyed),
        cmocka_unit_test(a_broken_list_allows_nothing),
        cmocka_unit_test(the_kernel_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
