/*
 * Naming who has a file open for writing, for a refusal's text. A help for people only: what counts
 * is the read lease (seal/fs.c). Reads /proc; blocks: worker threads.
 */
#ifndef LAYOUT_SEAL_WRITERS_H
#define LAYOUT_SEAL_WRITERS_H

#include <stdbool.h>
#include <stddef.h>

/* "process 123 (dd) has it open for writing", "... has it mapped writable". False, and text is
 * empty, if none was found. */
bool writers_describe(int fd, char *text, size_t size);

#endif
