/*
 * Persistent reservations over a disk that is not there: ioctl() is ours, and what it gets goes to
 * a small target that keeps keys, a reservation, unit attentions and faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/nvme_ioctl.h>
#include <linux/pr.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "layout/reservation/reservation.h"
#include "proto/layout/scsi.h"

enum { SERVER = 0xabcdef, KEYS = 64, FD = 1000 };

static struct {
    uint64_t keys[KEYS]; /* our own path's is the first one, 0: none */
    size_t count;
    bool held;
    uint64_t holder;
    uint8_t type; /* SPC's number */
    uint32_t generation;
    int attentions;    /* unit attentions that wait */
    int lost_preempts; /* answered with success, and nothing done */
    bool preempt_conflicts, gone, no_persistence, forgetful;
    bool kept;                 /* registrations, over a power failure */
    bool no_full_status, cuts; /* the second: leaves out what does not fit, and the length of it */
    bool no_nguid, no_eui64, no_exclusive_registrants;
    int conflict; /* the driver's word for one, 0: SCSI's */
    unsigned preempts, registrations;
} disk;

static struct reservation_view view;
static uint64_t own, victim;
static struct reservation_removal done;

static int setup(void **state)
{
    (void)state;
    memset(&disk, 0, sizeof(disk));
    own = reservation_key(SERVER, 0);
    victim = reservation_key(SERVER, 7);
    return 0;
}

static int conflict(void)
{
    return disk.conflict ? disk.conflict : 0x18;
}

static bool registered(uint64_t key)
{
    for (size_t i = 0; i < disk.count; i++) {
        if (disk.keys[i] == key)
            return true;
    }
    return false;
}

static void put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static void put_le(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static int do_register(uint64_t key, bool persists)
{
    disk.kept = persists && !disk.no_persistence && !disk.forgetful;
    disk.registrations++;
    disk.generation++;
    if (disk.held && disk.count && disk.holder == disk.keys[0])
        disk.holder = key;
    disk.keys[0] = key;
    disk.count = disk.count ? disk.count : 1;
    return 0;
}

static int do_preempt(const struct pr_preempt *p)
{
    size_t kept = 0;

    disk.preempts++;
    if (disk.preempt_conflicts || !disk.count || disk.keys[0] != p->old_key ||
        !registered(p->new_key))
        return conflict();
    if (disk.lost_preempts > 0) {
        disk.lost_preempts--;
        return 0;
    }
    for (size_t i = 0; i < disk.count; i++) {
        if (disk.keys[i] != p->new_key)
            disk.keys[kept++] = disk.keys[i];
    }
    disk.count = kept;
    disk.generation++;
    if (disk.holder == p->new_key)
        disk.holder = p->old_key;
    return 0;
}

enum { STATUS_SIZE = 24 + 4 + 20 };

/* By an iSCSI initiator of its own, at target port 1. */
static void put_status(uint8_t *at, size_t i)
{
    put(at, i < KEYS ? disk.keys[i] : 1, 8);
    put(at + 18, 1, 2);
    put(at + 20, 4 + 20, 4);
    at[24] = 0x05;
    put(at + 26, 20, 2);
    (void)snprintf((char *)at + 28, 20, "iqn.test:%u", (unsigned)(i % 100000));
}

static void read_scsi(uint8_t action, uint8_t *data, unsigned len)
{
    switch (action) {
    case 3:
        put(data, disk.generation, 4);
        put(data + 4, STATUS_SIZE * disk.count, 4);
        for (size_t i = 0; i < disk.count && 8 + STATUS_SIZE * (i + 1) <= len; i++) {
            put_status(data + 8 + STATUS_SIZE * i, i);
            if (disk.cuts)
                put(data + 4, STATUS_SIZE * (i + 1), 4);
        }
        return;
    case 1:
        put(data, disk.generation, 4);
        put(data + 4, disk.held ? 16 : 0, 4);
        if (disk.held) {
            put(data + 8, disk.holder, 8);
            data[21] = disk.type;
        }
        return;
    default:
        put(data, 8, 2);
        data[2] = disk.no_persistence ? 0 : 1;
        data[3] = disk.kept ? 0x81 : 0x80;
        data[4] = 0x40;
        return;
    }
}

static int scsi(sg_io_hdr_t *io)
{
    if (disk.gone) {
        io->host_status = 1;
        return 0;
    }
    if (disk.attentions > 0) {
        disk.attentions--;
        io->status = 2;
        io->sbp[0] = 0x70;
        io->sbp[2] = 6;
        io->sb_len_wr = 18;
        return 0;
    }
    if (io->cmdp[0] == 0x5e && io->cmdp[1] == 3 && disk.no_full_status) {
        io->status = 2;
        io->sbp[0] = 0x70;
        io->sbp[2] = 5;
        io->sb_len_wr = 18;
    } else if (io->cmdp[0] == 0x5e)
        read_scsi(io->cmdp[1], io->dxferp, io->dxfer_len);
    else if (io->cmdp[0] == 0x5f && io->cmdp[1] == 6)
        (void)do_register(
            ((uint64_t)((uint8_t *)io->dxferp)[8] << 56) | /* enough of it to see that it came */
                (own & UINT64_C(0xffffffffffffff)),
            false);
    return 0;
}

static int nvme_admin(const struct nvme_admin_cmd *cmd)
{
    uint8_t *data = (uint8_t *)(uintptr_t)cmd->addr;

    data[31] = disk.no_exclusive_registrants ? 0x0f : 0x1f;
    if (!disk.no_nguid)
        memcpy(data + 104, "NGUID of 16 byte", 16);
    if (!disk.no_eui64)
        memcpy(data + 120, "EUI 64!!", 8);
    return 0;
}

/* A host has one key: REGISTER of another is a conflict, whatever is ignored. */
static int nvme_register(const struct nvme_passthru_cmd *cmd)
{
    const uint8_t *data = (const uint8_t *)(uintptr_t)cmd->addr;
    const uint32_t action = cmd->cdw10 & 7;
    uint64_t key = 0;

    assert_int_equal(cmd->data_len, 16);
    assert_true(cmd->cdw10 & 8);
    assert_true(action == 0 || action == 2);
    for (unsigned i = 0; i < 8; i++)
        key |= (uint64_t)data[8 + i] << (8 * i);
    if (disk.count && (action == 0) != (disk.keys[0] == key))
        return disk.conflict ? disk.conflict : 0x4083;
    return do_register(key, cmd->cdw10 >> 30 == 3);
}

static int nvme_command(const struct nvme_passthru_cmd *cmd)
{
    uint8_t *data = (uint8_t *)(uintptr_t)cmd->addr;

    if (cmd->opcode == 0x0d)
        return nvme_register(cmd);
    assert_int_equal(cmd->opcode, 0x0e);
    assert_int_equal(cmd->cdw11, 1);
    put_le(data, disk.generation, 4);
    data[4] = !disk.held ? 0 : disk.type == 6 ? 4 : disk.type; /* SPC's 6 is NVMe's 4 */
    put_le(data + 5, disk.count, 2);
    data[9] = disk.kept;
    for (size_t i = 0; i < disk.count && i < KEYS; i++) {
        uint8_t *entry = data + 64 + 64 * i;

        put_le(entry + 8, disk.keys[i], 8);
        put_le(entry + 16, i + 1, 8);
        entry[2] = disk.held && disk.holder == disk.keys[i];
    }
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *argument;

    va_start(args, request);
    argument = va_arg(args, void *);
    va_end(args);
    assert_int_equal(fd, FD);
    switch (request) {
    case SG_IO:
        return scsi(argument);
    case NVME_IOCTL_ID:
        return 1;
    case NVME_IOCTL_ADMIN_CMD:
        return nvme_admin(argument);
    case NVME_IOCTL_IO_CMD:
        return nvme_command(argument);
    default:
        break;
    }
    if (disk.gone) {
        errno = ENXIO;
        return -1;
    }
    if (disk.attentions > 0) {
        disk.attentions--;
        return 2;
    }
    switch (request) {
    case IOC_PR_REGISTER:
        return do_register(((struct pr_registration *)argument)->new_key, true);
    case IOC_PR_RESERVE:
        if (disk.held &&
            (disk.holder != ((struct pr_reservation *)argument)->key || disk.type != 6))
            return conflict();
        disk.held = true;
        disk.holder = ((struct pr_reservation *)argument)->key;
        disk.type = 6;
        return 0;
    case IOC_PR_PREEMPT_ABORT:
        return do_preempt(argument);
    default:
        errno = ENOTTY;
        return -1;
    }
}

static const struct reservation_ops *const kinds[] = {&reservation_scsi, &reservation_nvme};

#define FOR_EACH_KIND(ops)                                                                         \
    for (size_t kind_ = 0; kind_ < 2 && setup(NULL) == 0; kind_++)                                 \
        for (const struct reservation_ops *ops = kinds[kind_]; ops; ops = NULL)

static void a_disk_is_taken_and_stays_taken(void **state)
{
    struct reservation_loss loss;

    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        assert_true(disk.held && disk.holder == own && disk.type == 6);
        assert_int_equal(reservation_take(ops, FD, own, &view), 0); /* after a restart */
        assert_int_equal(disk.count, 1);
        assert_int_equal(reservation_check(ops, FD, own, &view, &loss), 0);
        assert_false(loss.lost);
        disk.held = false; /* the target was restarted and forgot */
        disk.count = 0;
        const uint32_t before = disk.generation;
        assert_int_equal(reservation_check(ops, FD, own, &view, &loss), 0);
        assert_true(loss.lost && disk.held);
        assert_int_equal(loss.generation, before);
    }
}

static void a_disk_that_another_holds_is_left_alone(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        disk.keys[0] = 0;
        disk.keys[1] = 4711;
        disk.count = 2;
        disk.held = true;
        disk.holder = 4711;
        disk.type = 6;
        assert_int_equal(reservation_take(ops, FD, own, &view), -EBUSY);
        assert_int_equal(view.holder_key, 4711);
        assert_int_equal(disk.registrations, 0);
    }
}

static void the_key_of_a_node_is_its_names_and_no_clients(void **state)
{
    (void)state;
    assert_int_not_equal(reservation_node_key("a"), reservation_node_key("b"));
    assert_int_equal(reservation_node_key("a"), reservation_node_key("a"));
    assert_true(reservation_key_is_node(reservation_node_key("a")));
    assert_false(reservation_key_is_node(own));
    assert_false(reservation_key_is_ours(SERVER, reservation_node_key("a")));
}

/* Node A has the disk by a path of its own; B's is the first. */
static void held_by_a(void)
{
    own = reservation_node_key("b");
    victim = reservation_node_key("a");
    disk.keys[1] = victim;
    disk.keys[2] = reservation_key(SERVER, 8);
    disk.count = 3;
    disk.held = true;
    disk.holder = victim;
    disk.type = 6;
}

static void a_node_that_lost_the_disk_does_not_register_again(void **state)
{
    struct reservation_loss loss;

    (void)state;
    FOR_EACH_KIND(ops)
    {
        held_by_a();
        assert_int_equal(reservation_check(ops, FD, own, &view, &loss), -EBUSY);
        assert_int_equal(view.holder_key, victim);
        assert_int_equal(disk.registrations, 0);
    }
}

static void a_take_over_leaves_no_other_node_and_every_client(void **state)
{
    unsigned expelled;

    (void)state;
    FOR_EACH_KIND(ops)
    {
        held_by_a();
        disk.keys[3] = reservation_node_key("c"); /* it stood by */
        disk.count = 4;
        assert_int_equal(reservation_take_over(ops, FD, own, &view, &expelled), 0);
        assert_int_equal(expelled, 2);
        assert_false(registered(victim) || registered(reservation_node_key("c")));
        assert_true(registered(own) && registered(reservation_key(SERVER, 8)));
        assert_int_equal(disk.holder, own);
        assert_int_equal(reservation_take_over(ops, FD, own, &view, &expelled), 0);
        assert_int_equal(expelled, 0);
    }
}

static void a_take_over_that_is_not_seen_is_none(void **state)
{
    unsigned expelled;

    (void)state;
    FOR_EACH_KIND(ops)
    {
        held_by_a();
        disk.lost_preempts = 1000;
        assert_int_equal(reservation_take_over(ops, FD, own, &view, &expelled), -EBUSY);
        assert_true(registered(victim));
        held_by_a(); /* it stands by, and we hold the disk */
        disk.keys[0] = disk.holder = own;
        assert_int_equal(reservation_take_over(ops, FD, own, &view, &expelled), -EBUSY);
        held_by_a();
        disk.lost_preempts = 0;
        disk.preempt_conflicts = true;
        assert_int_equal(reservation_take_over(ops, FD, own, &view, &expelled), -EBUSY);
        disk.gone = true;
        assert_int_equal(reservation_take_over(ops, FD, own, &view, &expelled), -ENXIO);
    }
}

static void a_holder_expels_without_registering(void **state)
{
    unsigned expelled;

    (void)state;
    FOR_EACH_KIND(ops)
    {
        held_by_a();
        disk.keys[0] = disk.holder = own;
        assert_int_equal(reservation_hold(ops, FD, own, &view, &expelled), 0);
        assert_int_equal(expelled, 1);
        assert_true(!registered(victim) && disk.registrations == 0);
        held_by_a(); /* meanwhile it was expelled itself */
        disk.keys[0] = 0;
        assert_int_equal(reservation_hold(ops, FD, own, &view, &expelled), -EBUSY);
        assert_true(registered(victim) && !registered(own) && disk.registrations == 0);
        held_by_a(); /* just now */
        disk.keys[0] = disk.holder = own;
        disk.preempt_conflicts = true;
        assert_int_equal(reservation_hold(ops, FD, own, &view, &expelled), -EBUSY);
        assert_int_equal(disk.registrations, 0);
    }
}

static void a_disk_of_who_is_no_node_is_not_taken_over(void **state)
{
    unsigned expelled;

    (void)state;
    FOR_EACH_KIND(ops)
    {
        held_by_a();
        disk.keys[1] = disk.holder = 4711;
        assert_int_equal(reservation_take_over(ops, FD, own, &view, &expelled), -EBUSY);
        assert_int_equal(view.holder_key, 4711);
        assert_int_equal(disk.registrations, 0);
    }
}

static void the_key_of_an_earlier_version_is_followed_on_any_path(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        const uint64_t before = own;

        assert_int_equal(reservation_take(ops, FD, before, &view), 0);
        own = reservation_node_key("b");
        assert_int_equal(reservation_succeed(ops, FD, own, before, &view), 0);
        assert_true(disk.holder == own && !registered(before) && disk.preempts == 0);

        held_by_a(); /* by a path that is gone */
        disk.keys[0] = 0;
        disk.keys[1] = disk.holder = before;
        assert_int_equal(reservation_succeed(ops, FD, own, before, &view), 0);
        assert_true(disk.holder == own && !registered(before) && disk.preempts == 1);

        held_by_a();
        disk.keys[1] = disk.holder = before;
        disk.lost_preempts = 1000;
        assert_int_equal(reservation_succeed(ops, FD, own, before, &view), -EBUSY);
    }
}

static void a_removed_key_is_seen_to_be_gone_and_no_other_is_touched(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        disk.keys[1] = victim;
        disk.keys[2] = reservation_key(SERVER, 8);
        disk.keys[3] = victim; /* by another path */
        disk.count = 4;
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), 0);
        assert_false(registered(victim));
        assert_true(registered(own) && registered(reservation_key(SERVER, 8)));
        assert_true(done.sent && done.preempted);
        assert_int_equal(disk.preempts, 1);
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done),
                         0); /* again: it is gone */
        assert_false(done.sent || done.preempted);
        assert_int_equal(disk.preempts, 1);
    }
}

static void a_preempt_that_did_nothing_is_no_fence(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        disk.keys[1] = victim;
        disk.count = 2;
        disk.lost_preempts = 100;
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), -EBUSY);
        disk.lost_preempts = 1;
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), 0);
        disk.keys[1] = victim;
        disk.count = 2;
        disk.preempt_conflicts = true;
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), -EBUSY);
    }
}

/* What was not sent has not taken a key off that is gone later; what got no answer may have. */
static void a_preempt_that_was_refused_was_not_carried_out(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        disk.keys[1] = victim;
        disk.count = 2;
        disk.preempt_conflicts = true;
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), -EBUSY);
        assert_false(done.sent || done.preempted);
        disk.preempt_conflicts = false;
        disk.lost_preempts = 100;
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), -EBUSY);
        assert_true(done.sent);
    }
}

static void what_a_target_forgets_while_a_key_is_removed_is_told(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        disk.count = 0;
        disk.held = false;
        disk.generation = 0;
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), 0);
        assert_true(done.loss.lost);
        assert_int_equal(done.loss.generation, 0);
        assert_false(done.sent);
    }
}

static void nobody_preempts_everybody_or_itself(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        assert_int_equal(reservation_remove(ops, FD, own, 0, &view, &done), -EINVAL);
        assert_int_equal(reservation_remove(ops, FD, own, own, &view, &done), -EINVAL);
        assert_int_equal(disk.preempts, 0);
    }
}

static void unit_attentions_are_waited_out(void **state)
{
    (void)state;
    assert_int_equal(reservation_take(&reservation_scsi, FD, own, &view), 0);
    disk.keys[1] = victim;
    disk.count = 2;
    disk.attentions = 3;
    assert_int_equal(reservation_remove(&reservation_scsi, FD, own, victim, &view, &done), 0);
    disk.attentions = 1000;
    assert_int_equal(reservation_remove(&reservation_scsi, FD, own, victim, &view, &done), -EAGAIN);
}

static void a_disk_that_is_gone_fences_nobody(void **state)
{
    (void)state;
    assert_int_equal(reservation_take(&reservation_scsi, FD, own, &view), 0);
    disk.gone = true;
    assert_int_equal(reservation_remove(&reservation_scsi, FD, own, victim, &view, &done), -ENXIO);
}

static void a_target_without_persistence_is_asked_for_none(void **state)
{
    (void)state;
    disk.no_persistence = true;
    (void)reservation_take(&reservation_scsi, FD, own, &view);
    assert_int_equal(disk.registrations, 1);
    assert_true(disk.count == 1 && disk.keys[0] == own);
}

static void what_a_target_says_of_persistence_is_seen(void **state)
{
    struct reservation_loss loss;

    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        assert_true(view.persists);
        disk.kept = false; /* somebody registered without it */
        assert_int_equal(reservation_check(ops, FD, own, &view, &loss), 0);
        assert_true(view.persists && !loss.lost);
        disk.forgetful = true; /* it says that it can, and does not */
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        assert_false(view.persists);
    }
}

static void registrations_are_told_apart_by_their_nexus(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        disk.keys[1] = disk.keys[2] = victim;
        disk.count = 3;
        assert_int_equal(ops->read(FD, &view), 0);
        assert_int_equal(view.count, 3);
        assert_int_equal(view.reg[1].key, victim);
        assert_int_equal(view.reg[2].key, victim);
        assert_false(key_nexus_equal(&view.reg[1].nexus, &view.reg[2].nexus));
    }
}

static void a_disk_that_does_not_tell_whose_a_key_is_is_refused(void **state)
{
    bool persists;

    (void)state;
    disk.no_full_status = true;
    assert_int_equal(reservation_scsi.probe(FD, &persists), -EOPNOTSUPP);
}

static void many_registrations_are_asked_for_again(void **state)
{
    (void)state;
    assert_int_equal(reservation_take(&reservation_scsi, FD, own, &view), 0);
    disk.count = 1000;
    assert_int_equal(reservation_scsi.read(FD, &view), 0);
    assert_int_equal(view.count, 1000);
    disk.cuts = true; /* as LIO does */
    assert_int_equal(reservation_scsi.read(FD, &view), 0);
    assert_int_equal(view.count, 1000);
    disk.count = 1400;
    assert_int_equal(reservation_scsi.read(FD, &view), -EOVERFLOW);
}

static void more_keys_than_are_read_are_an_error(void **state)
{
    (void)state;
    assert_int_equal(reservation_take(&reservation_scsi, FD, own, &view), 0);
    disk.count = RESERVATION_KEYS_MAX + 1; /* the fake writes no further than it is asked to */
    assert_int_equal(reservation_scsi.read(FD, &view), -EOVERFLOW);
}

static void keys_are_ours_by_server_and_number(void **state)
{
    (void)state;
    assert_true(reservation_key_is_ours(SERVER, victim));
    assert_false(reservation_key_is_ours(SERVER + 1, victim));
    assert_false(reservation_key_is_ours(SERVER, 4711));
    assert_int_equal(reservation_key_number(victim), 7);
    assert_int_not_equal(own, 0);
}

static void the_best_designator_of_the_unit_is_taken(void **state)
{
    static const uint8_t page[] = {
        0, 0x83, 0,  0x3c, 2,    1,  0,  4,  'a', 'b', 'c', 'd', /* a vendor's text */
        1, 2,    0,  8,    1,    2,  3,  4,  5,   6,   7,   8,   /* EUI-64 */
        1, 0x13, 0,  8,    0x50, 0,  0,  0,  0,   0,   0,   1,   /* NAA of the port */
        1, 3,    0,  16,   0x60, 1,  2,  3,  4,   5,   6,   7,
        8, 9,    10, 11,   12,   13, 14, 15, 1,   3,   0,   4, /* too short for what it says */
    };
    struct designator found;
    char text[64];

    (void)state;
    assert_int_equal(designator_from_vpd(page, sizeof(page), &found), 0);
    assert_int_equal(found.type, PS_DESIGNATOR_NAA);
    assert_int_equal(found.len, 16);
    designator_text(&found, text, sizeof(text));
    assert_string_equal(text, "naa.6001020304050607"
                              "08090a0b0c0d0e0f");
    assert_int_equal(designator_from_vpd(page, 4 + 8 + 12, &found), 0);
    assert_int_equal(found.type, PS_DESIGNATOR_EUI64);
    assert_int_equal(designator_from_vpd(page, 4 + 8, &found), -ENODATA);
    assert_int_equal(designator_from_vpd(page, 3, &found), -ENODATA);
}

static void a_namespace_goes_by_its_nguid(void **state)
{
    struct designator found;

    (void)state;
    assert_int_equal(reservation_nvme.identify(FD, &found), 0);
    assert_int_equal(found.type, PS_DESIGNATOR_EUI64);
    assert_int_equal(found.len, 16);
    assert_memory_equal(found.bytes, "NGUID of 16 byte", 16);
}

static void a_namespace_without_an_nguid_goes_by_its_eui64(void **state)
{
    struct designator found;

    (void)state;
    disk.no_nguid = true;
    assert_int_equal(reservation_nvme.identify(FD, &found), 0);
    assert_int_equal(found.type, PS_DESIGNATOR_EUI64);
    assert_int_equal(found.len, 8);
    assert_memory_equal(found.bytes, "EUI 64!!", 8);
    disk.no_eui64 = true;
    assert_int_equal(reservation_nvme.identify(FD, &found), -ENODATA);
}

static void a_namespace_without_the_type_of_reservation_is_refused(void **state)
{
    bool persists;

    (void)state;
    assert_int_equal(reservation_nvme.probe(FD, &persists), 0);
    disk.no_exclusive_registrants = true;
    assert_int_equal(reservation_nvme.probe(FD, &persists), -EOPNOTSUPP);
    assert_int_equal(reservation_take(&reservation_nvme, FD, own, &view), -EOPNOTSUPP);
    assert_int_equal(disk.registrations, 0);
}

static void more_registrants_of_a_namespace_than_are_read_are_an_error(void **state)
{
    (void)state;
    assert_int_equal(reservation_take(&reservation_nvme, FD, own, &view), 0);
    disk.count = 2000;
    assert_int_equal(reservation_nvme.read(FD, &view), -EOVERFLOW);
}

/* As a Linux that was a client here, and unmounted, left it. */
static void a_key_that_this_host_had_is_replaced(void **state)
{
    static const uint64_t left[] = {0, 77};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        setup(NULL);
        disk.count = 1;
        disk.keys[0] = left[i];
        assert_int_equal(reservation_take(&reservation_nvme, FD, own, &view), 0);
        assert_int_equal(disk.keys[0], own);
        assert_int_equal(disk.count, 1);
    }
}

/* Whoever it is by, another type lets others in: Write Exclusive - Registrants Only lets all read.
 */
static void a_reservation_of_another_type_is_not_ours(void **state)
{
    (void)state;
    FOR_EACH_KIND(ops)
    {
        assert_int_equal(reservation_take(ops, FD, own, &view), 0);
        disk.keys[1] = victim;
        disk.count = 2;
        disk.type = ops == &reservation_nvme ? 3 : 5;
        assert_int_equal(reservation_take(ops, FD, own, &view), -EBUSY);
        assert_int_equal(reservation_remove(ops, FD, own, victim, &view, &done), -EBUSY);
    }
}

/* What drivers say of a conflict: SCSI's status, NVMe's, and NVMe's with Do Not Retry and More
 * beside it. */
static void a_conflict_is_one_in_every_drivers_words(void **state)
{
    static const int words[] = {0x18, 0x83, 0x4083, 0x6083};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        setup(NULL);
        disk.conflict = words[i];
        assert_int_equal(reservation_take(&reservation_nvme, FD, own, &view), 0);
        disk.type = 3;
        assert_int_equal(reservation_nvme.reserve(FD, own), -EBADE);
        assert_int_equal(reservation_nvme.preempt(FD, own, victim),
                         -EBADE); /* nobody has that key */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_disk_is_taken_and_stays_taken, setup),
        cmocka_unit_test_setup(a_disk_that_another_holds_is_left_alone, setup),
        cmocka_unit_test_setup(a_removed_key_is_seen_to_be_gone_and_no_other_is_touched, setup),
        cmocka_unit_test_setup(a_preempt_that_did_nothing_is_no_fence, setup),
        cmocka_unit_test_setup(a_preempt_that_was_refused_was_not_carried_out, setup),
        cmocka_unit_test_setup(what_a_target_forgets_while_a_key_is_removed_is_told, setup),
        cmocka_unit_test_setup(nobody_preempts_everybody_or_itself, setup),
        cmocka_unit_test_setup(unit_attentions_are_waited_out, setup),
        cmocka_unit_test_setup(a_disk_that_is_gone_fences_nobody, setup),
        cmocka_unit_test_setup(a_target_without_persistence_is_asked_for_none, setup),
        cmocka_unit_test_setup(what_a_target_says_of_persistence_is_seen, setup),
        cmocka_unit_test_setup(registrations_are_told_apart_by_their_nexus, setup),
        cmocka_unit_test_setup(a_disk_that_does_not_tell_whose_a_key_is_is_refused, setup),
        cmocka_unit_test_setup(many_registrations_are_asked_for_again, setup),
        cmocka_unit_test_setup(more_keys_than_are_read_are_an_error, setup),
        cmocka_unit_test_setup(keys_are_ours_by_server_and_number, setup),
        cmocka_unit_test_setup(the_best_designator_of_the_unit_is_taken, setup),
        cmocka_unit_test_setup(a_namespace_goes_by_its_nguid, setup),
        cmocka_unit_test_setup(a_namespace_without_an_nguid_goes_by_its_eui64, setup),
        cmocka_unit_test_setup(a_namespace_without_the_type_of_reservation_is_refused, setup),
        cmocka_unit_test_setup(more_registrants_of_a_namespace_than_are_read_are_an_error, setup),
        cmocka_unit_test_setup(the_key_of_a_node_is_its_names_and_no_clients, setup),
        cmocka_unit_test_setup(a_node_that_lost_the_disk_does_not_register_again, setup),
        cmocka_unit_test_setup(a_take_over_leaves_no_other_node_and_every_client, setup),
        cmocka_unit_test_setup(a_take_over_that_is_not_seen_is_none, setup),
        cmocka_unit_test_setup(a_holder_expels_without_registering, setup),
        cmocka_unit_test_setup(a_disk_of_who_is_no_node_is_not_taken_over, setup),
        cmocka_unit_test_setup(the_key_of_an_earlier_version_is_followed_on_any_path, setup),
        cmocka_unit_test_setup(a_key_that_this_host_had_is_replaced, setup),
        cmocka_unit_test_setup(a_reservation_of_another_type_is_not_ours, setup),
        cmocka_unit_test_setup(a_conflict_is_one_in_every_drivers_words, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
