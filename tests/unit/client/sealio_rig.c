/* See sealio_rig.h. */
#include "tests/unit/client/sealio_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int rig_set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    if (!rig)
        return -1;
    strcpy(rig->image, "/tmp/test_sealio.XXXXXX");
    close(mkstemp(rig->image));
    if (fake_nfs_start(rig->image, &rig->fake) < 0)
        return -1;
    for (unsigned i = 0; i < RIG_CONTENT; i++)
        rig->content[i] = (uint8_t)((i >> 3) * 2654435761u >> 13);
    *state = rig;
    return 0;
}

int rig_set_up_full(void **state)
{
    if (rig_set_up(state) < 0)
        return -1;
    const struct rig *rig = *state;
    memcpy(fake_nfs_memory(rig->fake) + FAKE_FIRST, rig->content, FAKE_HALF);
    memcpy(fake_nfs_memory(rig->fake) + FAKE_SECOND, rig->content + FAKE_HALF,
           FAKE_SIZE - FAKE_HALF);
    return 0;
}

int rig_tear_down(void **state)
{
    struct rig *rig = *state;
    sealio_file_close(rig->file);
    sealio_session_close(rig->session);
    fake_nfs_stop(rig->fake);
    unlink(rig->image);
    free(rig);
    return 0;
}

void rig_open_session(struct rig *rig, const struct sealio_options *options)
{
    const char *devices[] = {rig->image};
    char error[SEALIO_ERROR_MAX] = "";
    struct sealio_options all = *options;
    all.devices = devices;
    all.device_count = 1;
    all.timeout_ms = all.timeout_ms ? all.timeout_ms : RIG_TIMEOUT_MS;
    int rc = sealio_session_open("127.0.0.1", fake_nfs_port(rig->fake), &all, error, &rig->session);
    if (rc < 0)
        fail_msg("%s", error);
}

void rig_open(struct rig *rig, unsigned flags, const struct sealio_options *options)
{
    rig_open_session(rig, options);
    assert_int_equal(sealio_file_open(rig->session, "/f", flags, 0, &rig->file), 0);
}

void rig_check_read(struct rig *rig, uint64_t offset, size_t len)
{
    static uint8_t buf[(1 << 20) + 4096];
    const size_t expected = offset >= FAKE_SIZE        ? 0
                            : len < FAKE_SIZE - offset ? len
                                                       : (size_t)(FAKE_SIZE - offset);
    memset(buf, 0xee, sizeof(buf));
    assert_int_equal(sealio_file_read(rig->file, buf, len, offset), expected);
    assert_memory_equal(buf, rig->content + offset, expected);
    assert_int_equal(buf[expected], 0xee);
}

struct sealio_counters rig_counters(struct rig *rig)
{
    struct sealio_counters counters;
    sealio_session_counters(rig->session, &counters);
    return counters;
}
