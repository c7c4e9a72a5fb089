/*
 * ask.h - a request to the server on its control socket, and its answer.
 */
#ifndef SEALNFS_TOOLS_SEALCTL_ASK_H
#define SEALNFS_TOOLS_SEALCTL_ASK_H

#include <jansson.h>

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3, EXIT_PENDING = 4 };

/* One request, one answer, within patience_s (0: for as long as it takes). NULL: the server cannot
 * be reached, errno says why, ETIMEDOUT that it took too long; or errno is 0, and it closed the
 * connection. */
json_t *ask_quietly(const char *socket, const json_t *request, long patience_s);
/* The same, and a sentence on stderr. */
json_t *ask(const char *socket, const json_t *request);
/* For people. Strings of an answer may be what a client or a program called itself: none of them
 * steers the terminal. JSON escapes them instead. */
void quote_strings(json_t *value);

#endif
