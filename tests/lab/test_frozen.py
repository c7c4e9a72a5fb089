"""One export's file system is frozen, with writers and an unseal on it: nobody else notices, and the operator is told which it is."""
import subprocess
import time

from disk import MIB, immutable
from holder import Holder, OK, install_hook
from nfs4 import ANONYMOUS, PUTROOTFH, Session, compound, expect, lookup, opaque, read, record, sequence, u32, u64
from registry import equal, holds, test

WRITERS = 4


def write(data):
    """WRITE at the beginning, UNSTABLE4."""
    return u32(38) + ANONYMOUS + u64(0) + u32(0) + opaque(data)


def write_at(export, name):
    return [PUTROOTFH, lookup(export), lookup(name), write(b"x" * 4096)]


class Writer(Session):
    """Has one WRITE under way on the frozen export, and does not wait for it. It comes there from the other one, in one compound."""

    def begin(self, name):
        self.sequence_id += 1
        self.connection.send(record(compound(sequence(self.id, self.sequence_id), *write_at(b"data", b"written"), *write_at(b"data1", name.encode()))))

    def end(self):
        self.connection.socket.settimeout(60)
        reply = self.connection.receive()
        expect(int.from_bytes(reply[24:28], "big"))


class Frozen:
    """The disk's file system, for as long as the block lasts."""

    def __init__(self, disk):
        self.disk = disk

    def __enter__(self):
        subprocess.run(["fsfreeze", "-f", self.disk.path], check=True)

    def __exit__(self, *_):
        subprocess.run(["fsfreeze", "-u", self.disk.path], check=True)


def within(seconds, what, action):
    """The action must not have been held up."""
    began = time.monotonic()
    result = action()
    took = time.monotonic() - began
    holds(took < seconds, f"{what} took {took:.1f} s")
    return result


def place(lab, fs):
    live, cold = lab.disk("live", fs=fs, size=400 * MIB), lab.disk("cold", fs=fs, size=400 * MIB)
    for name in ("read", "written", "kept", "lost", "later"):
        live.write(name, MIB)
    for name in ("sealed", *(f"w{i}" for i in range(WRITERS))):
        cold.write(name, MIB)
    server = lab.server(live, cold, workers=2, recall_timeout=2, fence_retry=1, fence_timeout=5, fence_hook=install_hook(lab.directory))
    for path in (live.file("kept"), live.file("lost")):
        server.ctl("seal", "--pinned", path)
    server.ctl("seal", cold.file("sealed"))
    return live, cold, server


def read_and_write(session):
    expect(session.compound(PUTROOTFH, lookup(b"data"), lookup(b"read"), read(ANONYMOUS, 0, 65536))[0])
    expect(session.compound(*write_at(b"data", b"written"))[0])


def released(server, path):
    code, text = server.sealctl("unseal", "--wait", "--timeout", "30", path, timeout=40)
    equal((code, immutable(path)), (0, False), f"unseal of {path} said: {text}")


def status_names(server, path, timeout=30):
    """Every answer comes at once; in the end it says who is in the way."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        _, text = within(1, "sealctl status", lambda: server.sealctl("status", timeout=10))
        if "has not answered for" in text:
            holds(path in text, f"another is named: {text}")
            return
        time.sleep(0.5)  # it is named when it has been stuck for a while
    raise AssertionError(f"sealctl status never named {path}: {text}")


@test(fs=("ext4", "xfs"))
def a_frozen_export_holds_up_nobody_else(lab, fs):
    live, cold, server = place(lab, fs)
    reader = Session()
    kept, lost = Holder(live, "kept", lab.directory).connect(), Holder(live, "lost", lab.directory).connect()
    equal((kept.get_soon("kept"), lost.get_soon("lost")), (OK, OK), "LAYOUTGET before")
    writers = [Writer() for _ in range(WRITERS)]
    with Frozen(cold):
        for i, writer in enumerate(writers):
            writer.begin(f"w{i}")
        unseal = server.start_ctl("unseal", "--wait", cold.file("sealed"))
        for _ in range(50):
            within(2, "READ and WRITE on the other export", lambda: read_and_write(reader))
        within(3, "a new client", Session).close()
        kept.give_back()
        equal(within(4, "LAYOUTGET on the other export", lambda: kept.get_soon("kept")), OK, "LAYOUTGET")
        within(8, "a recall on the other export", lambda: released(server, live.file("kept")))
        lost.deaf = True
        within(15, "a fence on the other export", lambda: released(server, live.file("lost")))
        holds(not lost.usable(), "the deaf holder was not fenced")
        within(4, "sealing on the other export", lambda: server.ctl("seal", live.file("later")))
        status_names(server, cold.path)
        within(1, "the state of a seal on the frozen one", lambda: server.state(cold.file("sealed")))
        for _ in range(50):
            within(2, "READ and WRITE on the other export", lambda: read_and_write(reader))
        equal((unseal.poll(), immutable(cold.file("sealed"))), (None, True), "the unseal on the frozen one")
    for writer in writers:
        writer.end()
    equal(unseal.wait(60), 0, "unseal after the thaw")
    holds(not immutable(cold.file("sealed")), "the flag is still there after the thaw")
    for holder in (kept, lost):
        holder.end()
