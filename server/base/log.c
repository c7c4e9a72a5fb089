/*
 * log.c - one event, one line, one write(2) to stderr.
 *
 * Nothing is shared but the threshold, so there is no lock. What comes from the wire (names,
 * owners) may reach a line: it is quoted as a whole, so that no client can forge a second line or
 * steer a terminal.
 */
#include "server/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/quote.h"

enum { LINE_MAX_BYTES = 1024 };

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

void log_write(enum log_level level, const char *format, ...)
{
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t start = put_prefix(line, sizeof(line) - 1, level);
    va_list args;
    va_start(args, format);
    errno = saved; /* for %m */
    int n = vsnprintf(line + start, sizeof(line) - 1 - start, format, args);
    va_end(args);
    size_t len = start + (n < 0 ? 0 : (size_t)n);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    len =
        start + quote_text(line + start, sizeof(line) - 1 - start, line + start, len - start, NULL);
    line[len++] = '\n';
    /* A log that cannot be written must not stop the server. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
    errno = saved;
}
