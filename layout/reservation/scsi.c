/*
 * Persistent reservations of SCSI disks (SPC-4 sections 5.13, 6.15, 6.16): see reservation.h. What
 * changes something goes by the kernel's ioctls, so that a multipath map does it on all paths; what
 * reads goes by SG_IO, for which the kernels in use have no ioctl.
 */
#include <errno.h>
#include <fcntl.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "layout/reservation/kernel.h"
#include "layout/reservation/reservation.h"

enum {
    INQUIRY = 0x12,
    PERSISTENT_RESERVE_IN = 0x5e,
    PERSISTENT_RESERVE_OUT = 0x5f,
    READ_RESERVATION = 1,
    REPORT_CAPABILITIES = 2,
    READ_FULL_STATUS = 3,
    REGISTER_AND_IGNORE = 6,
    EXCLUSIVE_REGISTRANTS = 6, /* the type, SPC-4 table 61 */
    PAGE_DEVICE_ID = 0x83,
    PAGE_MAX = 1024,
    SENSE_MAX = 64,
    TIMEOUT_MS = 10000,
    TRIES = 6,
};

static uint64_t get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

/* The sense key, in fixed or descriptor format. */
static unsigned sense_key(const uint8_t *sense, unsigned len)
{
    unsigned format = len ? sense[0] & 0x7f : 0;

    if (format == 0x72 || format == 0x73)
        return len > 1 ? sense[1] & 0x0f : 0;
    return len > 2 ? sense[2] & 0x0f : 0;
}

static int check_condition(const sg_io_hdr_t *io)
{
    enum { NOT_READY = 2, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6, ABORTED_COMMAND = 11 };

    switch (sense_key(io->sbp, io->sb_len_wr)) {
    case UNIT_ATTENTION:
    case ABORTED_COMMAND:
        return -EAGAIN;
    case ILLEGAL_REQUEST:
        return -EOPNOTSUPP;
    case NOT_READY:
        return -ENODEV;
    default:
        return -EIO;
    }
}

static int outcome(const sg_io_hdr_t *io)
{
    enum { CHECK_CONDITION = 0x02, BUSY = 0x08, CONFLICT = 0x18, TASK_SET_FULL = 0x28 };
    enum { NO_CONNECT = 1, TIME_OUT = 3, DISRUPTED = 14, FAILFAST = 15 };

    switch (io->host_status) {
    case 0:
        break;
    case NO_CONNECT:
    case FAILFAST:
        return -ENXIO;
    case TIME_OUT:
        return -ETIMEDOUT;
    case DISRUPTED:
        return -EAGAIN;
    default:
        return -EIO;
    }
    switch (io->status) {
    case 0:
        return 0;
    case CHECK_CONDITION:
        return check_condition(io);
    case CONFLICT:
        return -EBADE;
    case BUSY:
    case TASK_SET_FULL:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

static int command(int fd, uint8_t *cdb, unsigned cdb_len, int direction, void *data, unsigned len,
                   unsigned *transferred)
{
    uint8_t sense[SENSE_MAX];
    int err = -EAGAIN;

    for (int i = 0; i < TRIES && err == -EAGAIN; i++) {
        sg_io_hdr_t io = {
            .interface_id = 'S',
            .dxfer_direction = direction,
            .cmd_len = (unsigned char)cdb_len,
            .mx_sb_len = sizeof(sense),
            .dxfer_len = len,
            .dxferp = data,
            .cmdp = cdb,
            .sbp = sense,
            .timeout = TIMEOUT_MS,
        };

        if (ioctl(fd, SG_IO, &io) != 0)
            return -errno;
        err = outcome(&io);
        if (!err && transferred)
            *transferred =
                io.resid > 0 && (unsigned)io.resid <= len ? len - (unsigned)io.resid : len;
    }
    return err;
}

static int reserve_in(int fd, uint8_t action, uint8_t *data, unsigned len, unsigned *got)
{
    uint8_t cdb[10] = {PERSISTENT_RESERVE_IN, action};

    put(cdb + 7, len, 2);
    memset(data, 0, len);
    return command(fd, cdb, sizeof(cdb), SG_DXFER_FROM_DEV, data, len, got);
}

/* From sysfs, where the kernel keeps it, or from the disk. */
static ssize_t cached_page(int fd, uint8_t page[PAGE_MAX])
{
    char path[80];
    struct stat st;
    ssize_t n;
    int file;

    if (fstat(fd, &st) != 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/device/vpd_pg83", major(st.st_rdev),
                   minor(st.st_rdev));
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    n = read(file, page, PAGE_MAX);
    (void)close(file);
    return n;
}

static int identify(int fd, struct designator *designator)
{
    uint8_t page[PAGE_MAX] = {0};
    uint8_t cdb[6] = {INQUIRY, 1, PAGE_DEVICE_ID};
    ssize_t cached = cached_page(fd, page);
    unsigned got = 0;
    int err;

    if (cached > 0)
        return designator_from_vpd(page, (size_t)cached, designator);
    put(cdb + 3, sizeof(page), 2);
    err = command(fd, cdb, sizeof(cdb), SG_DXFER_FROM_DEV, page, sizeof(page), &got);
    return err ? err : designator_from_vpd(page, got, designator);
}

/* Without the nexuses that keys are registered by, nobody can be shown to be fenced; targets older
 * than REPORT CAPABILITIES may still tell them. */
static int probe(int fd, bool *persists)
{
    enum { TYPE_MASK_VALID = 0x80, EXCLUSIVE_REGISTRANTS_BIT = 0x40, PTPL_CAPABLE = 0x01 };
    uint8_t data[4096];
    unsigned got = 0;
    int err = reserve_in(fd, READ_FULL_STATUS, data, sizeof(data), &got);

    *persists = false;
    if (!err)
        err = reserve_in(fd, REPORT_CAPABILITIES, data, sizeof(data), &got);
    else
        return err;
    if (err)
        return err == -EOPNOTSUPP ? 0 : err;
    if (got >= 6 && (data[3] & TYPE_MASK_VALID) && !(data[4] & EXCLUSIVE_REGISTRANTS_BIT))
        return -EOPNOTSUPP;
    *persists = got >= 3 && (data[2] & PTPL_CAPABLE);
    return 0;
}

/* The kernel asks for APTPL, which a target that cannot do it refuses. */
static int register_key(int fd, uint64_t key, bool persists)
{
    uint8_t cdb[10] = {PERSISTENT_RESERVE_OUT, REGISTER_AND_IGNORE};
    uint8_t parameters[24] = {0};

    if (persists)
        return reservation_kernel_register(fd, key);
    put(cdb + 5, sizeof(parameters), 4);
    put(parameters + 8, key, 8);
    return command(fd, cdb, sizeof(cdb), SG_DXFER_TO_DEV, parameters, sizeof(parameters), NULL);
}

/* PTPL_A: what is registered now is kept. A target that does not say is taken not to. */
static int read_persistence(int fd, bool *persists)
{
    enum { PTPL_ACTIVE = 0x01 };
    uint8_t data[8];
    unsigned got = 0;
    int err = reserve_in(fd, REPORT_CAPABILITIES, data, sizeof(data), &got);

    *persists = !err && got >= 4 && (data[3] & PTPL_ACTIVE);
    return err == -EOPNOTSUPP ? 0 : err;
}

/*
 * Most disks have few registrants; the longest answer that can be asked for has 64 KiB. LIO leaves
 * out what does not fit and gives the length of the rest, against SPC-4 6.16.5: an answer that one
 * more descriptor would not fit behind may not be the whole of it.
 */
static int read_registrations(int fd, struct reservation_view *view)
{
    enum { FEW = 4096, MANY = 65532, HEAD = 8, DESCRIPTOR_MAX = 24 + 4 + 256 };
    uint8_t *data = malloc(MANY);
    int err = -EOVERFLOW;

    if (!data)
        return -ENOMEM;
    for (unsigned size = FEW; err == -EOVERFLOW && size; size = size == FEW ? MANY : 0) {
        unsigned got = 0;

        err = reserve_in(fd, READ_FULL_STATUS, data, size, &got);
        if (!err)
            err = key_nexus_read_full_status(data, got, view->reg, RESERVATION_KEYS_MAX,
                                             &view->count, &view->generation);
        if (!err && HEAD + get(data + 4, 4) + DESCRIPTOR_MAX > size)
            err = -EOVERFLOW;
    }
    free(data);
    return err == -EBADMSG ? -EIO : err;
}

static int read_view(int fd, struct reservation_view *view)
{
    uint8_t data[24];
    unsigned got = 0;
    int err = reserve_in(fd, READ_RESERVATION, data, sizeof(data), &got);

    if (!err && got < 8)
        err = -EIO;
    if (err)
        return err;
    view->held = get(data + 4, 4) != 0;
    if (view->held && got < sizeof(data) - 2)
        return -EIO;
    view->holder_key = view->held ? get(data + 8, 8) : 0;
    view->exclusive_registrants = view->held && (data[21] & 0x0f) == EXCLUSIVE_REGISTRANTS;
    err = read_persistence(fd, &view->persists);
    return err ? err : read_registrations(fd, view);
}

const struct reservation_ops reservation_scsi = {
    .name = "SCSI",
    .identify = identify,
    .probe = probe,
    .register_key = register_key,
    .reserve = reservation_kernel_reserve,
    .preempt = reservation_kernel_preempt,
    .read = read_view,
};
