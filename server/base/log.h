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
#include <time.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

extern _Atomic enum log_level log_threshold; /* set at start and on reload */

void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Peers can cause lines, and a journal that limits a service's lines (journald.conf(5)) drops
 * whichever come next. So each place in the source that writes info or warnings has a store of 20
 * lines, of which one comes back in each second without a line too many; what is over is counted,
 * and told once a second in one line. Errors are never held back: what an operator must know (a
 * STUCK seal) is one.
 */
struct log_place {
    struct log_place *next; /* of those that have written */
    enum log_level level;
    unsigned written; /* of the store */
    unsigned left_out;
    char example[160];
};
void log_write_at(struct log_place *place, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Tells what was left out; to be called all the time, does its work once a second. Any thread. */
void log_tell_left_out(void);

/* The last errors and warnings, the oldest first, as they were written. Any thread. */
enum { LOG_KEPT = 16, LOG_KEPT_BYTES = 512 };
struct log_kept {
    time_t at;
    enum log_level level;
    char line[LOG_KEPT_BYTES]; /* cut to its room */
};
const char *log_level_name(enum log_level level);
/* Copies them; how many. */
unsigned log_last(struct log_kept kept[LOG_KEPT]);

#define LOG_AT(level, ...)                                                                         \
    do {                                                                                           \
        if ((level) <= log_threshold)                                                              \
            log_write((level), __VA_ARGS__);                                                       \
    } while (0)
#define LOG_SOME_AT(level, ...)                                                                    \
    do {                                                                                           \
        static struct log_place log_place;                                                         \
        if ((level) <= log_threshold)                                                              \
            log_write_at(&log_place, (level), __VA_ARGS__);                                        \
    } while (0)
#define log_error(...)   LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_SOME_AT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    LOG_SOME_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* An error that a peer can cause as often as it likes. */
#define log_some_errors(...) LOG_SOME_AT(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
