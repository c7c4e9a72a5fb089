/*
 * What tests of libsealio have in common: the server of fake_nfs.h over an image, a session with
 * it, and its file open.
 */
#ifndef TESTS_UNIT_CLIENT_SEALIO_RIG_H
#define TESTS_UNIT_CLIENT_SEALIO_RIG_H

#include "client/sealio.h"
#include "tests/unit/client/fake_nfs.h"

enum { RIG_CONTENT = 3 << 20, RIG_TIMEOUT_MS = 20000 };

struct rig {
    char image[64];
    struct fake_nfs *fake;
    struct sealio_session *session;
    struct sealio_file *file;
    uint8_t content[RIG_CONTENT]; /* a pattern: what the file holds, or is to hold */
};

/* For cmocka: *state is a rig, its server runs; the file has zeros, or (full) the content. */
int rig_set_up(void **state);
int rig_set_up_full(void **state);
int rig_tear_down(void **state);

/* With these options, the image's name besides, and the usual patience where they name none. */
void rig_open_session(struct rig *rig, const struct sealio_options *options);
/* And the file. */
void rig_open(struct rig *rig, unsigned flags, const struct sealio_options *options);
/* Of a file of FAKE_SIZE: it has the content, and nothing behind its end. */
void rig_check_read(struct rig *rig, uint64_t offset, size_t len);
struct sealio_counters rig_counters(struct rig *rig);

#endif
