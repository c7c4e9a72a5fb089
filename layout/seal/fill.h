/*
 * Making a file's map whole before it is sealed: blocks for its holes, zeros in UNWRITTEN blocks,
 * blocks of its own where it shares them. Only seal/fs.c uses it. Blocks: worker threads.
 */
#ifndef LAYOUT_SEAL_FILL_H
#define LAYOUT_SEAL_FILL_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/refusal.h"

int seal_fill(int fd, uint64_t size, struct seal_refusal *why);
int seal_unshare(int fd, uint64_t size, struct seal_refusal *why);

#endif
