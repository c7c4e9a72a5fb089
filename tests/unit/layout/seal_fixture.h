/*
 * File systems of the kinds that can be sealed on, and what tests of sealing say over and over:
 * sealed, released, refused. The assertions are cmocka's.
 */
#ifndef TESTS_UNIT_LAYOUT_SEAL_FIXTURE_H
#define TESTS_UNIT_LAYOUT_SEAL_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout/seal/fs.h"
#include "tests/unit/loopfs.h"

enum { CLONING, PLAIN_XFS, EXT4, SMALL_BLOCKS, FILESYSTEMS };

extern struct loopfs *on[FILESYSTEMS];
extern const struct seal_fs_request frozen;
extern const struct seal_fs_request pinned;
extern const struct seal_fs_request frozen_sparse;
extern const struct seal_fs_request frozen_fill;
extern const struct seal_fs_request pinned_fill;

/* Group set-up and tear-down: makes and destroys the file systems. */
int seal_fixture_make(void **state);
int seal_fixture_destroy(void **state);

/* A file of `size` bytes of a pattern; opened for reading. */
int make(const struct loopfs *fs, const char *name, size_t size, char path[128]);
bool flag_set(int fd);
/* Seals the file, and checks that the data on the disk at the map's places is what the file reads
 * as. */
struct seal_map *sealed(int fd, const struct seal_fs_request *request);
/* Clears the flag, frees the map. */
void release(int fd, struct seal_map *map);
/* The seal is refused for this reason, in these words, and the file is as it was. */
void refused(int fd, const struct seal_fs_request *request, enum seal_refusal_code code,
             const char *words);

#endif
