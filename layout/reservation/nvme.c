/*
 * Persistent reservations of NVMe namespaces (RFC 9561; NVM Express Base Specification,
 * Reservations): see reservation.h. Reservations are taken and preempted by the kernel's ioctls;
 * all else goes by the driver's passthrough. NVMe numbers the types of reservation differently from
 * SCSI, and its registrants are hosts.
 *
 * A host may be registered with the key 0, which nobody can preempt: Linux leaves it behind where
 * it means to unregister, since IOC_PR_REGISTER of 0 is REPLACE there (nvme_pr_register; Linux
 * 7.3). So this module does not register by that ioctl.
 */
#include <errno.h>
#include <linux/nvme_ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "layout/reservation/kernel.h"
#include "layout/reservation/reservation.h"
#include "proto/layout/scsi.h"

enum {
    ADMIN_IDENTIFY = 0x06,
    IO_RESERVATION_REGISTER = 0x0d,
    IO_RESERVATION_REPORT = 0x0e,
    ACTION_REGISTER = 0,
    ACTION_REPLACE = 2,
    IGNORE_EXISTING_KEY = 1 << 3,
    STATUS_CONFLICT = 0x83,
    EXCLUSIVE_REGISTRANTS = 4,
    IDENTIFY_SIZE = 4096,
    RESCAP_AT = 31, /* Reservation Capabilities, in Identify Namespace */
    RESCAP_PERSISTS = 1 << 0,
    RESCAP_EXCLUSIVE_REGISTRANTS = 1 << 4,
    NGUID_AT = 104,
    EUI64_AT = 120,
    REPORT_HEAD = 64, /* of the extended data structure, as are the next three */
    REPORT_ENTRY = 64,
    REPORT_STATUS_AT = 2,
    REPORT_KEY_AT = 8,
    REPORT_HOST_AT = 16,
    HOST_SIZE = 16,
    REPORT_PERSISTS_AT = 9,
};

static uint64_t get_le(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = size; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static int result(int rc)
{
    if (rc == 0)
        return 0;
    if (rc < 0)
        return -errno;
    return (rc & 0x7ff) == STATUS_CONFLICT ? -EBADE : (rc & 0x7ff) == 1 ? -EOPNOTSUPP : -EIO;
}

static int identify_namespace(int fd, uint8_t data[IDENTIFY_SIZE])
{
    struct nvme_admin_cmd cmd = {
        .opcode = ADMIN_IDENTIFY, .addr = (uint64_t)(uintptr_t)data, .data_len = IDENTIFY_SIZE};
    int nsid = ioctl(fd, NVME_IOCTL_ID);

    if (nsid <= 0)
        return nsid < 0 ? -errno : -ENODEV;
    cmd.nsid = (uint32_t)nsid;
    memset(data, 0, IDENTIFY_SIZE);
    return result(ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd));
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

/* RFC 9561: NGUID and EUI-64 are both EUI-64 designators, of 16 and 8 bytes. */
static int identify(int fd, struct designator *designator)
{
    uint8_t data[IDENTIFY_SIZE];
    int err = identify_namespace(fd, data);
    bool nguid = !err && !is_zero(data + NGUID_AT, 16);

    if (err)
        return err;
    if (!nguid && is_zero(data + EUI64_AT, 8))
        return -ENODATA;
    *designator = (struct designator){.code_set = PS_CODE_SET_BINARY, .type = PS_DESIGNATOR_EUI64};
    designator->len = nguid ? 16 : 8;
    memcpy(designator->bytes, data + (nguid ? NGUID_AT : EUI64_AT), designator->len);
    return 0;
}

static int probe(int fd, bool *persists)
{
    uint8_t data[IDENTIFY_SIZE];
    int err = identify_namespace(fd, data);

    if (err)
        return err;
    if (!(data[RESCAP_AT] & RESCAP_EXCLUSIVE_REGISTRANTS))
        return -EOPNOTSUPP;
    *persists = data[RESCAP_AT] & RESCAP_PERSISTS;
    return 0;
}

static int change_key(int fd, uint32_t action, uint64_t key, bool persists)
{
    const uint32_t set_ptpl = UINT32_C(3) << 30;
    uint8_t data[16] = {0}; /* the current key, which is ignored, and the new one */
    struct nvme_passthru_cmd cmd = {.opcode = IO_RESERVATION_REGISTER,
                                    .addr = (uint64_t)(uintptr_t)data,
                                    .data_len = sizeof(data),
                                    .cdw10 =
                                        action | IGNORE_EXISTING_KEY | (persists ? set_ptpl : 0)};
    int nsid = ioctl(fd, NVME_IOCTL_ID);

    if (nsid <= 0)
        return nsid < 0 ? -errno : -ENODEV;
    cmd.nsid = (uint32_t)nsid;
    for (unsigned i = 0; i < 8; i++)
        data[8 + i] = (uint8_t)(key >> (8 * i));
    return result(ioctl(fd, NVME_IOCTL_IO_CMD, &cmd));
}

/* A host that is registered with another key is told of a conflict. */
static int register_key(int fd, uint64_t key, bool persists)
{
    int err = change_key(fd, ACTION_REGISTER, key, persists);

    return err == -EBADE ? change_key(fd, ACTION_REPLACE, key, persists) : err;
}

static int parse_report(const uint8_t *data, size_t len, struct reservation_view *view)
{
    size_t count = get_le(data + 5, 2);
    uint8_t type = data[4];

    if (count > RESERVATION_KEYS_MAX || REPORT_HEAD + count * REPORT_ENTRY > len)
        return -EOVERFLOW; /* a key that is not read is not seen to be gone */
    *view = (struct reservation_view){.generation = (uint32_t)get_le(data, 4),
                                      .persists = data[REPORT_PERSISTS_AT] & 1,
                                      .count = count};
    for (size_t i = 0; i < count; i++) {
        const uint8_t *entry = data + REPORT_HEAD + i * REPORT_ENTRY;

        view->reg[i].key = get_le(entry + REPORT_KEY_AT, 8);
        key_nexus_from_host(entry + REPORT_HOST_AT, HOST_SIZE, &view->reg[i].nexus);
        if (type && (entry[REPORT_STATUS_AT] & 1)) {
            view->held = true;
            view->holder_key = view->reg[i].key;
        }
    }
    view->exclusive_registrants = view->held && type == EXCLUSIVE_REGISTRANTS;
    return 0;
}

static int read_view(int fd, struct reservation_view *view)
{
    enum { ENTRIES = 1024, SIZE = REPORT_HEAD + ENTRIES * REPORT_ENTRY, EXTENDED = 1 };
    struct nvme_passthru_cmd cmd = {.opcode = IO_RESERVATION_REPORT,
                                    .data_len = SIZE,
                                    .cdw10 = SIZE / 4 - 1,
                                    .cdw11 = EXTENDED};
    uint8_t *data;
    int nsid = ioctl(fd, NVME_IOCTL_ID);
    int err;

    if (nsid <= 0)
        return nsid < 0 ? -errno : -ENODEV;
    data = calloc(1, SIZE);
    if (!data)
        return -ENOMEM;
    cmd.nsid = (uint32_t)nsid;
    cmd.addr = (uint64_t)(uintptr_t)data;
    err = result(ioctl(fd, NVME_IOCTL_IO_CMD, &cmd));
    if (!err)
        err = parse_report(data, SIZE, view);
    free(data);
    return err;
}

const struct reservation_ops reservation_nvme = {
    .name = "NVMe",
    .identify = identify,
    .probe = probe,
    .register_key = register_key,
    .reserve = reservation_kernel_reserve,
    .preempt = reservation_kernel_preempt,
    .read = read_view,
};
