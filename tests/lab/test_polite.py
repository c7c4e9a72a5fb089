"""What one peer can cost the others: a polite client is measured while hostile ones do their worst,
one kind after another.

The server and the polite client have one processor, who is hostile the other one. Windows of three
kinds take turns: nobody else is there; somebody works on the other processor and says nothing to
the server (the control: what the machine does); the hostile peer is at its worst. A case is judged
by the medians of its windows' p99, and where they say too slow, more rounds are run before it is
believed: what is slow by chance is slow in all three kinds, and not for long. Every window goes to
build/strangers.json.
"""
import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
import time

from disk import MIB
from holder import Holder
from nfs4 import Session
from polite import Polite
from registry import equal, holds, test

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = f"{os.path.dirname(os.path.dirname(HERE))}/build/strangers.json"
TIMES = 3  # p99: so many times its usual
FLOOR = 0.024  # seconds: six ticks of a scheduler, one for each thread that has work there: three
# workers of the hostile one, and of the polite one a worker, its loop and itself
ROUNDS, MORE_ROUNDS = 3, 4
CLEARLY = 10  # so many times more than what is allowed is no chance
WINDOW, WORST_WINDOW = 0.3, 0.8  # seconds
BACK_SOON = 15  # seconds, for a busy machine, in which one comes back, in or to his seal's release
LINES_A_SECOND, LINES = 100, 200  # of the log; journald takes 10,000 in 30 s and drops the rest
SETTLED = 20  # seconds in which the server has done with what a peer that is gone had asked for
FILLS, FILL = 6, 192  # files, and MiB of each
FILES = 30000  # more than the server may have open
REQUEST_MEMORY = 64 * MIB
# Growth of the resident set. Stated are request memory and a quarter of the machine's for sessions,
# opens and locks (sealnfs.conf(5), WHAT ONE PEER CAN COST); in the time that the peers have, on any
# machine, much less is taken.
MEMORY = min(REQUEST_MEMORY + os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4,
             1024 * MIB)

SLOW_DIRECTORY = """\
#include <nss.h>
#include <pwd.h>
#include <time.h>

enum nss_status _nss_slow_getpwnam_r(const char *name, struct passwd *result, char *buffer,
                                     size_t size, int *error);
enum nss_status _nss_slow_getpwnam_r(const char *name, struct passwd *result, char *buffer,
                                     size_t size, int *error)
{
    (void)name, (void)result, (void)buffer, (void)size, (void)error;
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    return NSS_STATUS_NOTFOUND;
}
"""


def processors():
    """The server's and the polite client's; who is hostile has the other one."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[0], cpus[-1]


def pinned(cpu, before_others):
    """A command before another: a session of its own on this processor, which goes before what else
    the machine does (the kernel shares processors by session first)."""
    return ["setsid", "sh", "-c", f'echo -{before_others} > /proc/self/autogroup; exec "$@"', "sh",
            "taskset", "-c", str(cpu)]


class Program:
    """A hostile peer, or what stands for one."""

    def __init__(self, name, source, directory, more=""):
        self.name = name
        self.process = subprocess.Popen([*pinned(processors()[1], 5), sys.executable,
                                         f"{HERE}/hostile.py", name, source, directory,
                                         more],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self, timeout=90):
        if (not select.select([self.process.stdout], [], [], timeout)[0]
                or self.process.stdout.readline() != "ready\n"):
            raise RuntimeError(f"{self.name} was never at its worst")
        return self

    def end(self):
        """Its report."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        said = ""
        if select.select([self.process.stdout], [], [], 30)[0]:
            said = self.process.stdout.read().strip()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if not said:
            raise RuntimeError(f"{self.name} ended without a report")
        return json.loads(said)


class Peer:
    """A hostile peer of one kind, at an address of its own."""
    number = 0

    def __init__(self, name, source=None):
        Peer.number += 1
        self.name, self.source, self.reports = name, source or f"127.0.1.{Peer.number}", []

    def begin(self, scene):
        self.program = Program(self.name, self.source, scene.lab.directory,
                               self.more(scene)).ready()

    def more(self, _):
        """Its further argument."""
        return str(FILES)

    def end(self, _):
        self.reports.append(self.program.end())

    def was_hostile(self):
        """In every round: a server that nobody troubled shows nothing."""
        for report in self.reports:
            for when in ("first", "then"):
                for what, counted, least in report[when]:
                    holds(counted >= least, f"{self.name} was not hostile: {when} {what} {counted},"
                          f" at least {least} wanted; in all {report['answers']}")


class Scene:
    """One server, a polite client, and somebody who holds a layout; all of the group's cases."""

    def __init__(self, lab):
        self.lab = lab
        disk = self.disk = lab.disk(size=3072 * MIB)
        for name, size in (("polite", MIB), ("shared", MIB), ("other", MIB), ("frozen", MIB),
                           ("big", 4 * MIB), ("held", MIB)):
            disk.write(name, size)
        mask = os.umask(0)
        for name, count in (("small", 20), ("many", FILES)):
            os.mkdir(disk.file(name))
            for i in range(count):
                os.mknod(disk.file(f"{name}/f{i:06d}"), 0o666)
        os.umask(mask)
        hostages = 2 * (3 * ROUNDS + MORE_ROUNDS)
        for i in range(hostages):
            disk.write(f"hostage{i}", 1 << 16, random=False)
        disk.run(f"chmod a+rw {disk.path}/*; sync -f {disk.path}")
        subprocess.run(["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o",
                        f"{lab.directory}/pump.so", f"{HERE}/pump.c"], check=True)
        self.hostages = iter(range(hostages))
        self.server = lab.server(
            listen=["127.0.0.1"], lease_time=60, grace_time=1, recall_timeout=4, log_level="info",
            max_request_memory=REQUEST_MEMORY,
            export={"clients": ["127.0.0.0/16"], "unprivileged_ports": "allow"},
            wrapper=[*pinned(processors()[0], 10), *self.slow_directory()])
        self.server.ctl("seal", disk.file("frozen"))
        self.server.ctl("seal", "--pinned", disk.file("held"))
        self.holder = Holder(disk, "holder", lab.directory).connect()
        equal(self.holder.get_soon("held"), 0, "LAYOUTGET")
        self.polite = Polite("127.0.0.2", pinned(processors()[0], 10))
        self.control = Program("control", "127.0.0.3", lab.directory).ready()
        self.control.process.send_signal(19)
        self.rss = self.server.rss()

    def slow_directory(self):
        """Names are asked of a directory server that takes a fifth of a second for each, as
        libnss_slow plays it."""
        directory = self.lab.directory
        with open(f"{directory}/slow.c", "w") as f:
            f.write(SLOW_DIRECTORY)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", f"{directory}/libnss_slow.so.2",
                        f"{directory}/slow.c"], check=True)
        with open(f"{directory}/nsswitch.conf", "w") as f:
            f.write("passwd: files slow\ngroup: files\n")
        subprocess.run(["mount", "--bind", f"{directory}/nsswitch.conf", "/etc/nsswitch.conf"],
                       check=True)
        return ["env", f"LD_LIBRARY_PATH={directory}"]

    # A round

    def settle(self):
        """What the hostile peer left to be done is not what is usual."""
        end = time.monotonic() + SETTLED
        while self.polite.window(0.05)["p99"] > FLOOR and time.monotonic() < end:
            pass

    def usual(self):
        return self.polite.window(self.lab.times(WINDOW, 5 * WINDOW))

    def controlled(self):
        self.control.process.send_signal(18)
        try:
            return self.usual()
        finally:
            self.control.process.send_signal(19)

    def hostile(self, peer, then=None):
        peer.begin(self)
        try:
            window = self.polite.window(self.lab.times(WORST_WINDOW, 5 * WORST_WINDOW))
            if then:
                then()
        finally:
            peer.end(self)
        return window

    # What must not be lost

    def others_are_served(self):
        """While the hostile peer is at its worst: who lost his connection, who is new, and who is
        recalled."""
        back = self.polite.ask("cut", BACK_SOON)
        holds("error" not in back, f"the polite client's connection was cut: {back}")
        begin = time.monotonic()
        new = soon(lambda: Session(source="127.0.0.4", reserved=False, timeout=BACK_SOON))
        new.getattr()
        new.close()
        self.took = {"back": back["seconds"], "new": time.monotonic() - begin}
        begin = time.monotonic()
        self.server.ctl("unseal", "--wait", "--timeout", str(BACK_SOON), self.disk.file("held"))
        self.took["recall"] = time.monotonic() - begin

    def nothing_is_lost(self):
        equal(self.polite.ask("check"), {"lost": []}, "of the polite client's state")
        holds(self.holder.recalls >= 1 and not self.holder.held,
              f"the holder was recalled {self.holder.recalls} times, holds {self.holder.held}")
        self.holder.forget()
        self.holder.close_file()
        self.server.ctl("seal", "--pinned", self.disk.file("held"))
        equal(self.holder.get_soon("held"), 0, "LAYOUTGET")

    def case(self, peer):
        begin, lines = time.monotonic(), self.log_lines()
        self.took = {}
        reset_peak(self.server.process.pid)
        windows = {"usual": [], "control": [], "hostile": []}
        rounds = self.lab.times(ROUNDS, 3 * ROUNDS)
        for number in range(rounds + MORE_ROUNDS):
            self.settle()
            windows["usual"].append(self.usual())
            windows["control"].append(self.controlled())
            last = number + 1 == rounds
            windows["hostile"].append(
                self.hostile(peer, self.others_are_served if last else None))
            if number + 1 >= rounds and (self.slow(windows) is None or self.slow(windows, CLEARLY)):
                break
        figures = {"case": peer.name, **{f"{kind} p99 ms": milliseconds(p99(found))
                                         for kind, found in windows.items()},
                   "times": round(p99(windows["hostile"]) / expected(windows), 2),
                   "rounds": len(windows["usual"]), **{f"{what} s": round(seconds, 2)
                                                       for what, seconds in self.took.items()},
                   "peak MiB": round((peak(self.server.process.pid) - self.rss) / MIB),
                   "log lines a second": round((self.log_lines() - lines)
                                               / (time.monotonic() - begin)),
                   "reports": peer.reports, "windows": windows}
        record_figures(figures)
        print(json.dumps({key: value for key, value in figures.items() if key != "windows"}))
        self.nothing_is_lost()
        holds(not (slow := self.slow(windows)), slow)
        failed = [each for window in windows["hostile"] for each in window["failed"]]
        holds(not failed, f"requests of the polite client failed: {failed[:3]}")
        holds(figures["peak MiB"] * MIB <= MEMORY,
              f"memory grew by {figures['peak MiB']} MiB, allowed {MEMORY / MIB:.0f}")
        peer.was_hostile()
        wrote, allowed = (self.log_lines() - lines,
                          LINES + LINES_A_SECOND * (time.monotonic() - begin))
        holds(wrote <= allowed, f"{wrote} lines in the log, allowed {allowed:.0f}")

    @staticmethod
    def slow(windows, clearly=1):
        """What is too slow, or None."""
        usual, hostile = expected(windows), p99(windows["hostile"])
        if hostile <= clearly * max(TIMES * usual, FLOOR):
            return None
        return (f"p99 {milliseconds(hostile)} ms, usual {milliseconds(usual)} ms: "
                f"{hostile / usual:.1f} times, allowed {TIMES}; by kind (last window): "
                f"{ {k: milliseconds(v) for k, v in windows['hostile'][-1]['kinds'].items()} }")

    def log_lines(self):
        with open(self.server.log, "rb") as f:
            return f.read().count(b"\n")


def p99(windows):
    return statistics.median(window["p99"] for window in windows)


def expected(windows):
    """What the machine gives when no hostile peer speaks to the server."""
    return max(p99(windows["usual"]), p99(windows["control"]))


def milliseconds(seconds):
    return round(seconds * 1000, 2)


def soon(make):
    """Again until it succeeds."""
    end = time.monotonic() + BACK_SOON
    while True:
        try:
            return make()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def peak(pid):
    """The greatest resident memory since then, in bytes."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) << 10


def record_figures(figures):
    rows = []
    with contextlib.suppress(OSError, ValueError), open(FIGURES, encoding="utf-8") as f:
        rows = [row for row in json.load(f) if row["case"] != figures["case"]]
    with open(FIGURES, "w", encoding="utf-8") as f:
        json.dump([*rows, figures], f, indent=1)


@test(on=Scene, timeout=300, kind=(
    "unread_replies", "slow_readers", "promised_requests", "reply_cache", "idle_connections",
    "connections_that_come_and_go", "ids_never_confirmed",
    "sessions_made_and_destroyed", "sessions_renegotiated", "requests_without_end",
    "compounds_of_greatest_length", "compounds_of_many_attributes", "big_reads",
    "bytes_one_at_a_time", "huge_directory", "big_writes",
    "lock_storm", "hundred_thousand_opens", "new_owner_names"))
def a_hostile_client(scene, kind):
    scene.case(Peer(kind))


@test(on=Scene, timeout=300, kind=("outside_the_exports", "idle_connections_of_many_outsiders"))
def a_stranger(scene, kind):
    scene.case(Peer(kind, source="127.9.0.1"))


class Hostages(Peer):
    """Clients with a layout of a file that is being unsealed."""

    def more(self, scene):
        self.file = f"hostage{next(scene.hostages)}"
        scene.server.ctl("seal", scene.disk.file(self.file))
        return self.file

    def begin(self, scene):
        super().begin(scene)
        self.unseal = scene.server.start_ctl("unseal", scene.disk.file(self.file))

    def end(self, scene):
        super().end(scene)
        self.unseal.communicate(timeout=60)


@test(on=Scene, timeout=300, kind=("callbacks_unanswered", "callbacks_answered_with_garbage"))
def a_holder_that_is_recalled(scene, kind):
    scene.case(Hostages(kind))


@test(on=Scene, timeout=300)
def refusals_and_garbage_do_not_hide_what_is_stuck(scene):
    """A flood of refused opens and garbage connections, and a seal that gets stuck meanwhile."""
    deaf = Holder(scene.disk, "deaf", scene.lab.directory).connect()
    scene.server.ctl("seal", "--pinned", scene.disk.file("big"))
    equal(deaf.get_soon("big"), 0, "LAYOUTGET")
    deaf.deaf = True
    unseal = scene.server.start_ctl("unseal", scene.disk.file("big"))
    try:
        scene.case(Peer("refusals_and_garbage"))
        end = time.monotonic() + 60
        while not (told := [line for line in scene.server.log_text().splitlines()
                            if scene.disk.file("big") in line and "sealctl fenced" in line]):
            holds(time.monotonic() < end, "the log does not say that the seal is stuck")
            time.sleep(0.05)  # the log is a file: nothing to wait on
        print(told[0])
    finally:
        unseal.kill()
        unseal.communicate()
        deaf.end()


class Fill:
    """An operator who is in a hurry."""
    name = "six_fills"

    def __init__(self):
        self.reports = []

    def begin(self, scene):
        for i in range(FILLS):
            scene.disk.run(f"truncate -s {FILL}M {scene.disk.file(f'sparse{i}')}")
        self.seals = [scene.server.start_ctl("seal", "--fill", scene.disk.file(f"sparse{i}"))
                      for i in range(FILLS)]

    def end(self, scene):
        said, filled = [], 0
        for i, seal in enumerate(self.seals):
            said.append(seal.communicate(timeout=120)[0][-100:])
            file = scene.disk.file(f"sparse{i}")
            filled += os.stat(file).st_blocks * 512 // MIB
            scene.server.ctl("unseal", "--wait", file)
            os.unlink(file)
        self.reports.append({"filled MiB": filled, "answers": said})

    def was_hostile(self):
        for report in self.reports:
            holds(report["filled MiB"] >= FILLS * FILL, f"not all was filled: {report}")


@test(on=Scene, timeout=300)
def six_files_filled_at_once(scene):
    scene.case(Fill())
