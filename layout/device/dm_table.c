/* See dm_table.h, and the kernel's linux/dm-ioctl.h. */
#include "layout/device/dm_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ANSWER_SIZE = 2 * DM_TABLE_TEXT_MAX };

/* Target by target; the kernel says where the next begins, and is not believed beyond the buffer.
 */
static int print(const uint8_t *data, size_t room, uint32_t count, char *text, size_t size)
{
    size_t at = 0;
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        struct dm_target_spec spec;
        int n;

        if (at > room || room - at <= sizeof(spec))
            return -EIO;
        memcpy(&spec, data + at, sizeof(spec));
        n = snprintf(text + used, size - used, "%llu %llu %.*s %.*s\n",
                     (unsigned long long)spec.sector_start, (unsigned long long)spec.length,
                     DM_MAX_TYPE_NAME, spec.target_type, (int)(room - at - sizeof(spec)),
                     (const char *)data + at + sizeof(spec));
        if (n < 0 || (size_t)n >= size - used)
            return -E2BIG;
        used += (size_t)n;
        at = spec.next;
    }
    return 0;
}

static int ask(int control, dev_t dev, struct dm_ioctl *io)
{
    memset(io, 0, sizeof(*io));
    io->version[0] = DM_VERSION_MAJOR;
    io->data_size = ANSWER_SIZE;
    io->data_start = sizeof(*io);
    io->flags = DM_STATUS_TABLE_FLAG;
    io->dev = dev;
    if (ioctl(control, DM_TABLE_STATUS, io) != 0)
        return errno == EPERM ? -EACCES : -errno;
    if (io->flags & DM_BUFFER_FULL_FLAG)
        return -E2BIG;
    return io->data_start < sizeof(*io) || io->data_start > ANSWER_SIZE ? -EIO : 0;
}

int dm_table_read(dev_t dev, char *text, size_t size)
{
    struct dm_ioctl *io = calloc(1, ANSWER_SIZE);
    int control = open("/dev/" DM_DIR "/" DM_CONTROL_NODE, O_RDWR | O_CLOEXEC);
    int err = io ? control < 0 ? -errno : 0 : -ENOMEM;

    if (!err)
        err = ask(control, dev, io);
    if (!err)
        err = print((const uint8_t *)io + io->data_start, ANSWER_SIZE - io->data_start,
                    io->target_count, text, size);
    if (control >= 0)
        (void)close(control);
    free(io);
    return err;
}
