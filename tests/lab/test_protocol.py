"""What other servers were seen to get wrong and only a clock, a restart or a
callback shows (docs/pitfalls.md)."""
import os
import time

from disk import MIB
from holder import BLOCK_VOLUME, Holder, PUTFH, install_hook
from nfs4 import (Connection, NO_SECURITY, PUTROOTFH, Session, exchange_id, expect,
                  RECLAIM_COMPLETE, opaque, sequence, u32, u64)
from registry import equal, holds, test

BACKCHANNEL_CTL, GETDEVICEINFO, LAYOUTCOMMIT, RPCSEC_GSS = 40, 47, 49, 6
NOENT = 2
SEQ_MISORDERED, BADSESSION = 10063, 10052
LAYOUTUNAVAILABLE = 10059
RECALLABLE_STATE_REVOKED = 0x40
FOREVER = 600


def place(lab, **options):
    disk = lab.disk(size=320 * MIB)
    disk.write("file", MIB)
    server = lab.server(**{"recall_timeout": 1, "lease_time": 5, "grace_time": 1, **options})
    server.ctl("seal", "--pinned", disk.file("file"))
    return disk, server


@test()
def a_sequence_that_fails_renews_no_lease(lab):
    _, server = place(lab)
    session, begin = Session(), time.monotonic()
    while not [entry for entry in server.trace() if entry["what"] == "client-lapsed"]:
        holds(time.monotonic() - begin < 90, "SEQUENCEs that fail keep the lease")
        status = session.connection.compound(sequence(session.id, session.sequence_id + 9),
                                             PUTROOTFH)[0]
        holds(status in (SEQ_MISORDERED, BADSESSION), f"status {status}")
        time.sleep(0.2)  # it is about time
    holds(time.monotonic() - begin >= 4, "lapsed before the lease was over")


@test()
def a_client_is_on_record_when_it_is_confirmed_and_not_before(lab):
    """After a restart there is grace for those on record only."""
    _, server = place(lab, grace_time=FOREVER, lease_time=FOREVER)
    with Connection() as connection:
        expect(connection.compound(exchange_id(b"never confirmed"))[0])
        server.kill()
    server.start()
    holds("may reclaim what they had" not in server.log_text(),
          "an unconfirmed client was recorded")
    client = Session(b"confirmed")
    server.kill()
    server.start()
    holds("1 client may reclaim" in server.log_text()
          or "1 clients may reclaim" in server.log_text(), "a confirmed client was not recorded")
    client.close()


@test()
def a_fenced_client_is_told_that_its_layouts_were_revoked(lab):
    disk, server = place(lab, fence_hook=install_hook(lab.directory))
    client = Holder(disk, "holder", lab.directory).connect()
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    client.renew()
    equal(client.status_flags & RECALLABLE_STATE_REVOKED, 0, "nothing was revoked yet")
    client.obeys = False
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    client.renew()
    equal(client.status_flags & RECALLABLE_STATE_REVOKED, RECALLABLE_STATE_REVOKED,
          f"sr_status_flags {client.status_flags:#x}")
    client.end()


@test()
def the_callback_channel_is_what_the_client_said_last(lab):
    """The first security of its list cannot be used, the second can; BACKCHANNEL_CTL then
    names another program."""
    disk, server = place(lab, recall_timeout=30, lease_time=60)
    client = Holder(disk, "holder", lab.directory)
    client.security = u32(2, RPCSEC_GSS, 1) + opaque(b"theirs") + opaque(b"ours") + u32(0)
    client.connect()
    equal(client.get_soon("file"), 0, "LAYOUTGET: the backchannel works")
    equal(client.program, 0x40000000, "the program that is called")
    expect(client.compound(u32(BACKCHANNEL_CTL, 0x40000077) + NO_SECURITY)[0])
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    equal(client.program, 0x40000077, "the program that is called after BACKCHANNEL_CTL")
    client.end()


NARROW = {"one operation": ((4096, 4096, 1, 1), NO_SECURITY),
          "no slot": ((4096, 4096, 2, 0), NO_SECURITY),
          "a short request": ((512, 512, 2, 1),
                              u32(1, 1, 0) + opaque(b"m" * 255) + u32(0, 0, 16) + bytes(64))}


@test(narrow=tuple(NARROW))
def who_cannot_be_recalled_gets_no_layout(lab, narrow):
    """A backchannel that is bound and answers, and into whose limits no CB_LAYOUTRECALL fits."""
    disk, server = place(lab, recall_timeout=30, lease_time=60)
    client = Holder(disk, "holder", lab.directory)
    client.back, client.security = NARROW[narrow]
    client.connect()
    equal(client.get_soon("file"), LAYOUTUNAVAILABLE, "LAYOUTGET")
    client.disconnect()
    client.back, client.security = (4096, 4096, 2, 1), NO_SECURITY
    client.begin_session()
    equal(client.get_soon("file"), 0, "LAYOUTGET of the same client with another session")
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    client.end()


def device_information(client, device_id):
    """GETDEVICEINFO: the status, and the description."""
    status, result = client.compound(u32(GETDEVICEINFO) + device_id + u32(BLOCK_VOLUME, 4096, 0))
    return status, result[result.index(u32(GETDEVICEINFO), 40) + 8:]


@test()
def a_device_id_is_answered_for_after_a_restart(lab):
    """Also before anything was granted again."""
    disk, server = place(lab)
    client = Holder(disk, "holder", lab.directory).connect()
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    device_id = client.device_id
    status, before = device_information(client, device_id)
    equal(status, 0, "GETDEVICEINFO")
    server.kill()
    server.start()
    client.disconnect()
    client.connect()
    equal(device_information(client, device_id), (0, before), "GETDEVICEINFO after the restart")
    equal(device_information(client, bytes(16))[0], NOENT, "GETDEVICEINFO of an id that never was")
    client.end()


@test()
def a_layoutcommit_is_reclaimed_in_grace(lab):
    """What was written before the crash and not committed: its time is taken in grace from who held
    a layout, and from nobody else."""
    disk, server = place(lab, lease_time=60, grace_time=60)
    client, stranger = (Holder(disk, owner, lab.directory).connect()
                        for owner in ("holder", "stranger"))
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    handle, when = client.handle, int(time.time()) + 1000
    commit = (u32(PUTFH) + opaque(handle), u32(LAYOUTCOMMIT) + u64(0) + u64(4096) + u32(1)
              + client.layout + u32(0, 1) + u64(when) + u32(0) + u32(BLOCK_VOLUME) + opaque(u32(0)))
    client.obeys = False  # what is given back at a recall cannot be committed afterwards
    server.kill()
    server.start()
    for each in (client, stranger):
        each.disconnect()
        each.begin_session()
    holds(stranger.compound(*commit)[0] != 0,
          "a LAYOUTCOMMIT of a client that held nothing was taken")
    equal(client.compound(*commit)[0], 0, "LAYOUTCOMMIT with reclaim in grace")
    for each in (client, stranger):
        expect(each.compound(RECLAIM_COMPLETE)[0])
    client.give_all_back()
    holds(client.compound(*commit)[0] != 0, "a LAYOUTCOMMIT with reclaim after the grace was taken")
    server.ctl("fenced", "holder")  # what it had before the restart: a bulk return does not end it
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    equal(int(os.stat(disk.file("file")).st_mtime), when, "the file's time")
    for each in (client, stranger):
        each.end()
