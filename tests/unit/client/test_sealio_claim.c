/*
 * test_sealio_claim.c - a disk that bears the signature and is somebody else's on this machine.
 * Loop devices; skipped where there are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/disk/claim.h"
#include "client/disk/disk.h"
#include "client/net/transport.h"
#include "tests/unit/loopfs.h"

enum { MIB = 1 << 20, MARK_AT = 512 }; /* between the file system's boot block and its superblock */

static char mark[64]; /* which no other disk bears, those of other runs of this test included */
static char text[512];

static pnfs_block_sig_component4 component;
static pnfs_block_simple_volume_info4 signature;

static void bear_mark(const char *node)
{
    char block[4096];
    int fd = open(node, O_RDWR | O_CLOEXEC);
    assert_return_code(fd, errno);
    assert_int_equal(pread(fd, block, sizeof(block), 0), sizeof(block));
    memcpy(block + MARK_AT, mark, sizeof(mark));
    assert_int_equal(pwrite(fd, block, sizeof(block), 0), sizeof(block));
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

/* By its name and among all disks of the machine. */
static int find_both_ways(const char *node)
{
    char path[32], *paths[] = {path};
    struct sealio_disk *disk;
    snprintf(path, sizeof(path), "%s", node);
    int named = sealio_disk_find(&signature, paths, 1, text, sizeof(text), &disk);
    if (named == 0) {
        assert_string_equal(sealio_disk_path(disk), node);
        sealio_disk_close(disk);
    }
    int any = sealio_disk_find(&signature, NULL, 0, text, sizeof(text), &disk);
    if (any == 0)
        sealio_disk_close(disk);
    assert_int_equal(any, named);
    return named;
}

static int find_of_server(const char *node)
{
    char path[32], *paths[] = {path};
    struct sealio_disk *disk;
    snprintf(path, sizeof(path), "%s", node);
    int rc = sealio_disk_find_of_server(&signature, paths, 1, text, sizeof(text), &disk);
    if (rc == 0)
        sealio_disk_close(disk);
    return rc;
}

/* A mounted file system on a disk with the mark, which is refused. */
static struct loopfs *mount_marked(bool partitioned)
{
    const struct loopfs_spec spec = {.type = "ext4", .size = 16 * MIB, .partitioned = partitioned};
    struct loopfs *fs;
    const char *why;
    assert_int_equal(loopfs_create(&spec, &fs, &why), 0);
    bear_mark(loopfs_disk(fs));
    assert_int_equal(find_both_ways(loopfs_disk(fs)), -EBUSY);
    return fs;
}

static void a_mounted_disk_is_refused_although_it_bears_the_signature(void **state)
{
    struct loopfs *fs = mount_marked(false);
    (void)state;
    assert_non_null(strstr(text, "is in use on this machine"));
    assert_non_null(strstr(text, loopfs_disk(fs)));
    assert_int_equal(find_of_server(loopfs_disk(fs)), 0);
    loopfs_destroy(fs);
}

/* The signature is the disk's, the mount is of one of its partitions. */
static void a_disk_with_a_mounted_partition_is_refused(void **state)
{
    (void)state;
    loopfs_destroy(mount_marked(true));
}

static void a_disk_that_a_program_has_claimed_is_refused_until_it_lets_go(void **state)
{
    char node[32];
    int keep;
    (void)state;
    assert_int_equal(loopfs_bare(4 * MIB, 512, node, &keep), 0);
    bear_mark(node);
    assert_int_equal(find_both_ways(node), 0);
    int claim = open(node, O_RDONLY | O_EXCL | O_CLOEXEC);
    assert_return_code(claim, errno);
    assert_int_equal(find_both_ways(node), -EBUSY);
    close(claim);
    assert_int_equal(find_both_ways(node), 0);
    close(keep);
}

/* To look is to claim for a moment: two that look at once do not take each other for users. */
static void those_who_look_do_not_refuse_each_other(void **state)
{
    enum { LOOKERS = 4, LOOKS = 200 };
    char node[32];
    struct stat st;
    pid_t child[LOOKERS];
    int keep, status;
    (void)state;
    assert_int_equal(loopfs_bare(4 * MIB, 512, node, &keep), 0);
    assert_int_equal(stat(node, &st), 0);
    for (unsigned i = 0; i < LOOKERS; i++) {
        child[i] = fork();
        assert_return_code(child[i], errno);
        for (unsigned look = 0; child[i] == 0 && look < LOOKS; look++)
            if (sealio_disk_is_claimed(st.st_rdev))
                _exit(1);
        if (child[i] == 0)
            _exit(0);
    }
    for (unsigned i = 0; i < LOOKERS; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    close(keep);
}

/* Layers that nobody uses are none: a volume group that the machine has found by itself. */
static void a_layer_that_nobody_uses_is_no_claim_and_one_that_is_used_is(void **state)
{
    char node[32], upper[] = "/dev/mapper/sealnfs-claim-test";
    int keep;
    (void)state;
    if (loopfs_run("dmsetup targets") != 0) {
        print_message("needs device-mapper, of the kernel and of dmsetup\n");
        skip();
    }
    assert_int_equal(loopfs_bare(4 * MIB, 512, node, &keep), 0);
    bear_mark(node);
    loopfs_run("dmsetup remove sealnfs-claim-test");
    /* It begins behind the mark: only the disk bears it. */
    assert_int_equal(
        loopfs_run("dmsetup create sealnfs-claim-test --table '0 4096 linear %s 2048'", node), 0);
    loopfs_run("dmsetup mknodes");
    int named = find_both_ways(node);
    int claim = open(upper, O_RDONLY | O_EXCL | O_CLOEXEC);
    int used = claim < 0 ? 0 : find_both_ways(node);
    if (claim >= 0)
        close(claim);
    loopfs_run("dmsetup remove --retry sealnfs-claim-test");
    close(keep);
    assert_int_equal(named, 0);
    assert_return_code(claim, errno);
    assert_int_equal(used, -EBUSY);
}

static struct sockaddr_storage at(const char *name)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    bool is_4 = inet_pton(AF_INET, name, &in->sin_addr) == 1;
    address.ss_family = is_4 ? AF_INET : AF_INET6;
    assert_true(is_4 || inet_pton(AF_INET6, name, &in6->sin6_addr) == 1);
    return address;
}

static void who_is_here_is_told_by_the_address(void **state)
{
    static const struct {
        const char *own, *peer;
        bool here;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", true},     {"127.0.0.1", "127.1.2.3", true},
        {"192.0.2.1", "192.0.2.1", true},     {"192.0.2.1", "192.0.2.2", false},
        {"127.0.0.1", "192.0.2.1", false},    {"::1", "::1", true},
        {"2001:db8::1", "2001:db8::1", true}, {"2001:db8::1", "2001:db8::2", false},
        {"::1", "127.0.0.1", false},
    };
    int pair[2];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sockaddr_storage own = at(cases[i].own), peer = at(cases[i].peer);
        assert_int_equal(sealio_is_one_machine(&own, &peer), cases[i].here);
    }
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), errno);
    assert_false(sealio_is_local(pair[0]));
    close(pair[0]);
    close(pair[1]);
}

static int setup(void **state)
{
    const char *why;
    (void)state;
    if (!loopfs_possible(&why)) {
        print_message("skipped: %s\n", why);
        _exit(77);
    }
    snprintf(mark, sizeof(mark), "the mark of this test %ld %llx", (long)getpid(),
             (unsigned long long)sealio_now_ms());
    component = (pnfs_block_sig_component4){.bsc_sig_offset = MARK_AT,
                                            .bsc_contents = {(const uint8_t *)mark, sizeof(mark)}};
    signature = (pnfs_block_simple_volume_info4){.bsv_ds_count = 1, .bsv_ds = &component};
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mounted_disk_is_refused_although_it_bears_the_signature),
        cmocka_unit_test(a_disk_with_a_mounted_partition_is_refused),
        cmocka_unit_test(a_disk_that_a_program_has_claimed_is_refused_until_it_lets_go),
        cmocka_unit_test(those_who_look_do_not_refuse_each_other),
        cmocka_unit_test(a_layer_that_nobody_uses_is_no_claim_and_one_that_is_used_is),
        cmocka_unit_test(who_is_here_is_told_by_the_address),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
