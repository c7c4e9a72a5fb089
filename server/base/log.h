/*
 * log.h - one line an event, to the journal or to stderr.
 *
 * Under systemd (JOURNAL_STREAM set) lines carry the <N> priority prefix that journald reads; on a
 * terminal they carry the time and the level's name. Any thread may log; a line is written by one
 * write(2), so lines never mix. errno is preserved. Lines at info are meant to be read in
 * production: name the client and the file, say what to do next.
 */
#ifndef SEALNFS_SERVER_BASE_LOG_H
#define SEALNFS_SERVER_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

extern _Atomic enum log_level log_threshold; /* set at start and on reload */

void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define LOG_AT(level, ...)                                                                         \
    do {                                                                                           \
        if ((level) <= log_threshold)                                                              \
            log_write((level), __VA_ARGS__);                                                       \
    } while (0)
#define log_error(...)   LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
