/*
 * log.c - one event, one line, one write(2) to stderr.
 *
 * Locks are held to count lines and to keep the last of them, never to write one. What comes from
 * the wire (names, owners) may reach a line: it is quoted as a whole, so that no client can forge a
 * second line or steer a terminal.
 */
#include "server/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/quote.h"

enum { LINE_MAX_BYTES = 1024, PLACE_STORE = 20 };

_Atomic enum log_level log_threshold = LOG_LEVEL_INFO;

static const struct {
    const char *name;
    const char *journal_prefix; /* sd-daemon(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "<3>"},
    [LOG_LEVEL_WARNING] = {"warning", "<4>"},
    [LOG_LEVEL_INFO] = {"info", "<6>"},
    [LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

void log_set_level(enum log_level level)
{
    log_threshold = level;
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's socket; stderr may
 * have been redirected since. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st) != 0)
        return false;
    return st.st_dev == dev && st.st_ino == ino;
}

static size_t put_prefix(char *line, size_t size, enum log_level level)
{
    if (stderr_is_journal())
        return (size_t)snprintf(line, size, "%s", levels[level].journal_prefix);
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    return (size_t)snprintf(line, size, "%02d:%02d:%02d.%03ld %s: ", tm.tm_hour, tm.tm_min,
                            tm.tm_sec, now.tv_nsec / 1000000, levels[level].name);
}

/* ---- what is kept ---- */

static struct {
    pthread_mutex_t lock;
    unsigned long count; /* since the start */
    struct log_kept line[LOG_KEPT];
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_line(enum log_level level, const char *text, size_t len)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    pthread_mutex_lock(&ring.lock);
    struct log_kept *kept = &ring.line[ring.count++ % LOG_KEPT];
    kept->at = now.tv_sec;
    kept->level = level;
    snprintf(kept->line, sizeof(kept->line), "%.*s", (int)len, text);
    pthread_mutex_unlock(&ring.lock);
}

unsigned log_last(struct log_kept kept[LOG_KEPT])
{
    pthread_mutex_lock(&ring.lock);
    unsigned count = ring.count < LOG_KEPT ? (unsigned)ring.count : LOG_KEPT;
    for (unsigned i = 0; i < count; i++)
        kept[i] = ring.line[(ring.count - count + i) % LOG_KEPT];
    pthread_mutex_unlock(&ring.lock);
    return count;
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

/* ---- lines ---- */

/* example: where the text goes as well, cut to its room; or NULL. */
__attribute__((format(printf, 2, 0))) static void
write_line(enum log_level level, const char *format, va_list args, char *example, size_t room)
{
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t start = put_prefix(line, sizeof(line) - 1, level);
    errno = saved; /* for %m */
    int n = vsnprintf(line + start, sizeof(line) - 1 - start, format, args);
    size_t len = start + (n < 0 ? 0 : (size_t)n);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    len =
        start + quote_text(line + start, sizeof(line) - 1 - start, line + start, len - start, NULL);
    if (level <= LOG_LEVEL_WARNING)
        keep_line(level, line + start, len - start);
    if (example)
        snprintf(example, room, "%.*s", (int)(len - start), line + start);
    line[len++] = '\n';
    /* A log that cannot be written must not stop the server. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
    errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(level, format, args, NULL, 0);
    va_end(args);
}

/* ---- floods ---- */

static struct {
    pthread_mutex_t lock;
    struct log_place *first;
} places = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock. */
static bool may_write(struct log_place *place, enum log_level level)
{
    if (place->written == 0) {
        place->level = level;
        place->next = places.first;
        places.first = place;
    }
    if (place->written < PLACE_STORE) {
        place->written++;
        return true;
    }
    place->left_out++;
    return false;
}

void log_write_at(struct log_place *place, enum log_level level, const char *format, ...)
{
    int saved = errno;
    char example[sizeof(place->example)];
    va_list args;
    pthread_mutex_lock(&places.lock);
    bool writes = may_write(place, level);
    pthread_mutex_unlock(&places.lock);
    if (!writes)
        return;
    errno = saved;
    va_start(args, format);
    write_line(level, format, args, example, sizeof(example));
    va_end(args);
    pthread_mutex_lock(&places.lock);
    memcpy(place->example, example, sizeof(example));
    pthread_mutex_unlock(&places.lock);
    errno = saved;
}

/* A second has passed at the place. False: its store is full again. */
static bool settle_place(struct log_place *place, struct log_place *told)
{
    *told = *place;
    if (place->left_out == 0)
        return --place->written > 0;
    place->left_out = 0;
    return true;
}

static void tell_places(void)
{
    struct log_place told;
    pthread_mutex_lock(&places.lock);
    for (struct log_place **at = &places.first; *at;) {
        struct log_place *place = *at;
        if (settle_place(place, &told))
            at = &place->next;
        else
            *at = place->next;
        if (told.left_out == 0)
            continue;
        /* No place is ever taken out but here. */
        pthread_mutex_unlock(&places.lock);
        log_write(told.level, "%u lines were left out within a second, such as: %s", told.left_out,
                  told.example);
        pthread_mutex_lock(&places.lock);
    }
    pthread_mutex_unlock(&places.lock);
}

void log_tell_left_out(void)
{
    static atomic_long told_at;
    static atomic_bool telling;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (atomic_load(&told_at) == now.tv_sec || atomic_exchange(&telling, true))
        return;
    atomic_store(&told_at, now.tv_sec);
    tell_places();
    atomic_store(&telling, false);
}
