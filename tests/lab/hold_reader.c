/*
 * hold_reader - an example of a program that holds sealed files: what a backup that reads the disk
 * itself would do.
 *
 *     hold_reader SOCKET NAME FENCE FILE...
 *
 * It holds each file, reads its extents from the device with O_DIRECT and compares them with what
 * the file system says, and then waits. A file that is recalled is given back when a line comes on
 * standard input
 * ("late" answers are made that way), or at once after a line "go". It says on standard output what
 * happens, a line each.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/sealio.h"
#include "client/sealio_hold.h"

enum { CHUNK = 1 << 20, FILES_MAX = 16, RESUME_MS = 100 };

static void die(const char *what, int err)
{
    fprintf(stderr, "hold_reader: %s: %s\n", what, strerror(-err));
    exit(1);
}

/* The bytes of the file from the disk, up to its end: -EILSEQ when they are not the file's. */
static int compare_extent(int file, int disk, const struct sealio_hold_extent *e, uint64_t size,
                          uint64_t *bytes, unsigned char *here, unsigned char *there)
{
    for (uint64_t done = 0; done < e->length && e->offset + done < size; done += CHUNK) {
        size_t want = e->length - done < CHUNK ? (size_t)(e->length - done) : CHUNK;
        size_t count = size - e->offset - done < want ? (size_t)(size - e->offset - done) : want;
        memset(there, 0, want);
        if (!e->hole && pread(disk, there, want, (off_t)(e->device_offset + done)) != (ssize_t)want)
            return -EIO;
        if (pread(file, here, count, (off_t)(e->offset + done)) != (ssize_t)count)
            return -EIO;
        if (memcmp(here, there, count) != 0)
            return -EILSEQ;
        *bytes += count;
    }
    return 0;
}

static int compare(const struct sealio_hold *hold, uint64_t *bytes)
{
    size_t count;
    const struct sealio_hold_extent *extents = sealio_hold_extents(hold, &count);
    int err = 0, file = open(sealio_hold_path(hold), O_RDONLY | O_CLOEXEC);
    int disk = open(sealio_hold_device(hold), O_RDONLY | O_DIRECT | O_CLOEXEC);
    unsigned char *here = aligned_alloc(4096, CHUNK), *there = aligned_alloc(4096, CHUNK);
    if (file < 0 || disk < 0 || !here || !there)
        die("opening the file and its device", -errno);
    *bytes = 0;
    for (size_t i = 0; !err && i < count; i++)
        err = compare_extent(file, disk, &extents[i], sealio_hold_size(hold), bytes, here, there);
    free(here);
    free(there);
    close(file);
    close(disk);
    return err;
}

static struct sealio_hold *recalled[FILES_MAX];
static unsigned recalled_count;

static void give_back(void)
{
    while (recalled_count) {
        struct sealio_hold *hold = recalled[--recalled_count];
        char path[4096];
        snprintf(path, sizeof path, "%s", sealio_hold_path(hold));
        int err = sealio_hold_close(hold);
        printf("%s %s\n", err ? "ended" : "returned", path);
    }
}

/* false: the connection is gone. */
static bool take_news(struct sealio_holder *holder)
{
    struct sealio_hold_event event;
    int rc;
    while ((rc = sealio_holder_next(holder, 0, &event)) == 1) {
        printf("%s %s\n", event.what == SEALIO_HOLD_RECALLED ? "recalled" : "lost",
               sealio_hold_path(event.hold));
        if (recalled_count < FILES_MAX)
            recalled[recalled_count++] = event.hold;
    }
    return rc != -ENOTCONN;
}

static void live(struct sealio_holder *holder)
{
    bool at_once = false, away = false;
    char line[64];
    for (;;) {
        int fd = sealio_holder_fd(holder);
        struct pollfd look[] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
        if (poll(look, 2, away ? RESUME_MS : -1) < 0)
            die("poll", -errno);
        if (away && sealio_holder_resume(holder) == 0) {
            printf("resumed\n");
            away = false;
        }
        if (!away && !take_news(holder)) {
            printf("away\n");
            away = true;
        }
        if (look[0].revents) {
            if (!fgets(line, sizeof line, stdin))
                return;
            at_once = at_once || strcmp(line, "go\n") == 0;
            give_back();
        }
        if (at_once)
            give_back();
    }
}

int main(int argc, char **argv)
{
    static const char *const fences[] = {"", "close", "hook", "none"};
    char error[SEALIO_ERROR_MAX] = "";
    struct sealio_holder *holder;
    if (argc < 5 || argc > 4 + FILES_MAX) {
        fprintf(stderr, "usage: hold_reader SOCKET NAME FENCE FILE...\n");
        return 2;
    }
    struct sealio_holder_options options = {.socket = argv[1], .name = argv[2]};
    for (int i = SEALIO_FENCE_CLOSE; i <= SEALIO_FENCE_NONE; i++) {
        if (strcmp(argv[3], fences[i]) == 0)
            options.fence = (enum sealio_fence)i;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    int err = sealio_holder_open(&options, error, &holder);
    if (err)
        die(error, err);
    for (int i = 4; i < argc; i++) {
        struct sealio_hold *hold;
        uint64_t bytes;
        err = sealio_hold_open(holder, argv[i], false, &hold);
        if (err) {
            sealio_holder_error(holder, error, sizeof error);
            die(error, err);
        }
        err = compare(hold, &bytes);
        if (err)
            die("the device does not hold what the file does", err);
        printf("same %" PRIu64 " %s\n", bytes, argv[i]);
    }
    printf("holding\n");
    live(holder);
    sealio_holder_close(holder);
    return 0;
}
