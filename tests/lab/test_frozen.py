"""One export's file system is frozen, with writers and an unseal on it: nobody else notices, and
the operator is told which it is."""
import itertools
import subprocess
import threading
import time

from disk import MIB, immutable
from holder import Holder, OK, install_hook
from nfs4 import (ANONYMOUS, Closed, PUTROOTFH, Session, compound, expect, getattr, lookup, opaque,
                  read, record, sequence, u32, u64)
from registry import equal, holds, test

WRITERS, LOADS = 4, 4


def write(data):
    """WRITE at the beginning, UNSTABLE4."""
    return u32(38) + ANONYMOUS + u64(0) + u32(0) + opaque(data)


def write_at(export, name):
    return [PUTROOTFH, lookup(export), lookup(name), write(b"x" * 4096)]


class Writer(Session):
    """Has one WRITE under way on the frozen export, and does not wait for it. It comes there from
    the other one, in one compound."""

    def begin(self, name):
        self.sequence_id += 1
        self.connection.send(record(compound(sequence(self.id, self.sequence_id),
                                             *write_at(b"data", b"written"),
                                             *write_at(b"data1", name.encode()))))

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


def place(lab, fs):
    live, cold = lab.disk("live", fs=fs, size=400 * MIB), lab.disk("cold", fs=fs, size=400 * MIB)
    for name in ("read", "written", "kept", "lost"):
        live.write(name, MIB)
    for name in ("sealed", *(f"w{i}" for i in range(WRITERS))):
        cold.write(name, MIB)
    server = lab.server(live, cold, workers=2, recall_timeout=2, fence_retry=1, fence_timeout=5,
                        fence_hook=install_hook(lab.directory))
    for path in (live.file("kept"), live.file("lost")):
        server.ctl("seal", "--pinned", path)
    server.ctl("seal", cold.file("sealed"))
    return live, cold, server


class Load:
    """Clients of the other export, each of which reads, writes and asks in turn, and what
    each call took."""

    CALLS = ([PUTROOTFH, lookup(b"data"), lookup(b"read"), read(ANONYMOUS, 0, 65536)],
             write_at(b"data", b"written"),
             [PUTROOTFH, lookup(b"data"), lookup(b"read"), getattr(1 << 4)])

    def __init__(self):
        self.sessions = [Session() for _ in range(LOADS)]
        self.took = [[] for _ in self.sessions]  # (since when, seconds)
        self.over, self.errors = threading.Event(), []
        self.threads = [threading.Thread(target=self._work, args=pair, daemon=True)
                        for pair in zip(self.sessions, self.took)]
        for thread in self.threads:
            thread.start()

    def _work(self, session, took):
        try:
            for call in itertools.cycle(self.CALLS):
                begin = time.monotonic()
                expect(session.compound(*call)[0])
                took.append((begin, time.monotonic() - begin))
                if self.over.wait(0.002):
                    return
        except (Closed, OSError, ValueError) as error:
            self.errors.append(error)

    def since(self, moment):
        """What each call took that was begun after that, client by client."""
        return [[seconds for begin, seconds in took if begin >= moment] for took in self.took]

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        equal(self.errors, [], "errors of the clients of the other export")


class Asker(threading.Thread):
    """Asks `sealctl status` over and over: what each answer took, and those that say that somebody
    does not answer."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.took, self.named = server, threading.Event(), [], []
        self.start()

    def run(self):
        while not self.over.wait(0.3):
            begin = time.monotonic()
            text = self.server.sealctl("status", timeout=60)[1]
            self.took.append(time.monotonic() - begin)
            if "has not answered for" in text:
                self.named.append(text)

    def end(self):
        self.over.set()
        self.join(90)
        holds(not self.is_alive(), "sealctl status was not answered")


def released(server, path):
    code, text = server.sealctl("unseal", "--wait", "--timeout", "30", path, timeout=60)
    equal((code, immutable(path)), (0, False), f"unseal of {path} said: {text}")


def once_elsewhere(live, server, kept, lost):
    """Two layouts, a recall of one, a fence of the other, a seal."""
    equal((kept.get_soon("kept"), lost.get_soon("lost")), (OK, OK), "LAYOUTGET on the other export")
    released(server, live.file("kept"))
    lost.deaf = True
    released(server, live.file("lost"))
    holds(not lost.usable(), "the deaf holder was not fenced")
    lost.restart()
    lost.connect()
    for holder in (kept, lost):
        holder.close_file()
        holder.forget()
        server.ctl("seal", "--pinned", live.file(holder.owner))


def elsewhere_for(seconds, *where):
    """And new clients; how often."""
    begin, rounds = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        once_elsewhere(*where)
        Session().close()
        rounds += 1
    return rounds


def worst_share(lists, share):
    """The time that so many of the calls did not exceed, in ms."""
    took = sorted(itertools.chain.from_iterable(lists))
    return took[min(len(took) - 1, int(len(took) * share))] * 1000


def say_figures(usual, frozen, rounds, asker):
    print(f"{sum(map(len, usual))} calls before, p99 {worst_share(usual, 0.99):.1f} ms; "
          f"{sum(map(len, frozen))} while it was frozen, p99 "
          f"{worst_share(frozen, 0.99):.1f} ms, the longest {worst_share(frozen, 1):.1f} ms; "
          f"{rounds} recalls and fences elsewhere; "
          f"{len(asker.took)} answers of sealctl status, the longest {max(asker.took):.2f} s")


@test(fs=("ext4", "xfs"), seconds=40, timeout=600)
def a_frozen_export_holds_up_nobody_else(lab, fs):
    """For 8 seconds; for 60 in a long run."""
    live, cold, server = place(lab, fs)
    kept, lost = Holder(live, "kept", lab.directory).connect(), Holder(live, "lost",
                                                                       lab.directory).connect()
    load, writers = Load(), [Writer() for _ in range(WRITERS)]
    begin, asker = time.monotonic(), Asker(server)
    elsewhere_for(lab.times(3, 20), live, server, kept, lost)
    usual = load.since(begin)
    asker.end()
    with Frozen(cold):
        begin, asker = time.monotonic(), Asker(server)
        for i, writer in enumerate(writers):
            writer.begin(f"w{i}")
        unseal = server.start_ctl("unseal", "--wait", cold.file("sealed"))
        rounds = elsewhere_for(lab.times(8, 60), live, server, kept, lost)
        while not asker.named:
            rounds += elsewhere_for(1, live, server, kept, lost)
            holds(time.monotonic() < begin + 120, f"sealctl status never named {cold.path}")
        frozen, late = load.since(begin), load.since(begin + lab.times(8, 60) / 2)
        asker.end()
        equal(server.state(cold.file("sealed")) != "open", True,
              "the seal on the frozen one, as sealctl status says")
        equal((unseal.poll(), immutable(cold.file("sealed"))), (None, True),
              "the unseal on the frozen one")
    say_figures(usual, frozen, rounds, asker)
    holds(all(late), f"calls in the last half of the freeze: {[len(took) for took in late]}")
    holds(all(cold.path in text for text in asker.named), f"another is named: {asker.named}")
    for writer in writers:
        writer.end()
    equal(unseal.wait(60), 0, "unseal after the thaw")
    holds(not immutable(cold.file("sealed")), "the flag is still there after the thaw")
    load.end()
    healthy = {f"{client.client_id:016x}" for client in (*load.sessions, kept)}
    equal({entry["client"]
           for entry in server.trace() if entry["what"] in ("client-lapsed", "fence")} & healthy,
          set(), "leases that ran out, and fences")
    for holder in (kept, lost):
        holder.end()
