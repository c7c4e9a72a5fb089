/*
 * Naming who has a file open, for a refusal's text. A help for people only: what counts is the
 * lease (seal/fs.c, seal/clone.c). Reads /proc; blocks: worker threads.
 */
#ifndef LAYOUT_SEAL_WRITERS_H
#define LAYOUT_SEAL_WRITERS_H

#include <stdbool.h>
#include <stddef.h>

/* "process 123 (dd) has it open for writing", "... has it mapped writable". False, and text is
 * empty, if none was found. */
bool writers_describe(int fd, char *text, size_t size);
/* "process 123 (cat) has it open", "... has it mapped": in whatever way, but for this process. */
bool readers_describe(int fd, char *text, size_t size);

#endif
