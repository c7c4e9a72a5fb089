/*
 * late_client read|write|try URL - a client that holds an RDMA layout and ignores its recall: it
 * takes the file's address and key, and then uses them by itself, until it is told to stop by the
 * end of its standard input.
 *
 * read, write: moves 1 MiB at a time over the whole file, by one connection after the other. Says
 * "holding" after the first, "error RC after N" at the first error, and at last "then N" (what
 * succeeded after the error) and "late N" (reads that brought a page of bytes 0xee). Writes are
 * bytes 0x4c. try: one attempt of each kind that it has no right to; a line "NAME RC" for each,
 * "right 0" last.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/file_impl.h"
#include "client/net/transport.h"

enum { PIECE = 1 << 20, PATIENCE_MS = 120000, PAGE = 4096, LATE = 0xee, MINE = 0x4c };

static struct sealio_session *session;
static struct sealio_file *file;
static struct sealio_pin pin;
static uint8_t *memory;
static uint64_t size;

static void die(const char *what, int rc)
{
    char text[SEALIO_ERROR_MAX] = "";
    if (session)
        sealio_session_error(session, text, sizeof(text));
    printf("%s: %s: %s\n", what, strerror(-rc), text);
    fflush(stdout);
    _exit(1);
}

static void take(const char *text, bool writing)
{
    const struct sealio_options options = {.layouts = SEALIO_LAYOUTS_REQUIRE, .timeout_ms = 60000};
    char error[SEALIO_ERROR_MAX] = "";
    struct sealio_url url;
    struct sealio_stat st;
    int rc = sealio_url_parse(text, &url);
    if (rc == 0)
        rc = sealio_session_open(url.host, url.port, &options, error, &session);
    if (rc == 0)
        rc = sealio_file_open(session, url.path, SEALIO_READ | (writing ? SEALIO_WRITE : 0), 0,
                              &file);
    if (rc == 0)
        rc = sealio_file_stat(file, &st);
    if (rc < 0)
        die(error, rc);
    size = st.size;
    /* Pinned for good: the library never returns the layout. */
    rc = sealio_layout_pin(file, 0, PIECE, writing, &pin);
    if (rc < 0 || !pin.target.memory)
        die("no layout over memory", rc);
    sealio_rdma_add_memory(pin.target.memory, memory, PIECE);
}

static int move(bool writing, uint64_t remote, uint32_t key, size_t length)
{
    struct sealio_rdma_op op = {.write = writing,
                                .memory = memory,
                                .length = length,
                                .remote = remote,
                                .key = key,
                                .deadline_ms = sealio_now_ms() + PATIENCE_MS};
    return sealio_rdma_run(pin.target.memory, &op);
}

static bool told_to_stop(int wait_ms)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&fd, 1, wait_ms) > 0;
}

static unsigned late_pages(void)
{
    unsigned count = 0;
    for (size_t at = 0; at < PIECE; at += PAGE) {
        size_t i = 0;
        while (i < PAGE && memory[at + i] == LATE)
            i++;
        count += i == PAGE;
    }
    return count;
}

static int ignore_recalls(bool writing)
{
    unsigned moved = 0, after = 0, late = 0;
    bool failed = false;
    memset(memory, MINE, PIECE);
    while (!told_to_stop(failed ? 100 : 0)) {
        const uint64_t offset = (uint64_t)(moved + after) * PIECE % (size - size % PIECE);
        const int rc = move(writing, pin.target.offset + offset, pin.target.key, PIECE);
        if (rc == 0 && moved == 0)
            puts("holding");
        if (rc < 0 && !failed) {
            printf("error %d after %u\n", rc, moved);
            failed = true;
        }
        if (rc == 0 && !writing)
            late += late_pages();
        if (rc == 0 && failed)
            after++;
        else if (rc == 0)
            moved++;
        fflush(stdout);
    }
    printf("then %u\nlate %u\n", after, late);
    return 0;
}

/* The file is held to read. */
static int try_what_is_not_ours(void)
{
    const uint64_t at = pin.target.offset;
    const uint32_t key = pin.target.key;
    printf("write %d\n", move(true, at, key, PAGE));
    printf("before %d\n", move(false, at - PAGE, key, PAGE));
    printf("behind %d\n", move(false, at + size - PAGE, key, PAGE + 1));
    for (unsigned i = 1; i <= 4; i++)
        printf("key %d\n", move(false, at, key + i * 256, PAGE));
    printf("right %d\n", move(false, at, key, PAGE));
    return 0;
}

int main(int argc, char **argv)
{
    memory = aligned_alloc(PAGE, PIECE);
    if (argc != 3 || !memory)
        return 2;
    const bool writing = strcmp(argv[1], "write") == 0;
    take(argv[2], writing);
    const int code = strcmp(argv[1], "try") == 0 ? try_what_is_not_ours() : ignore_recalls(writing);
    fflush(stdout);
    _exit(code); /* nothing is returned */
}
