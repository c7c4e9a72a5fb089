#!/usr/bin/env python3
"""The real sealnfsd and sealio, each in a network namespace of its own, with soft-RoCE on both ends
of a veth pair. Runs in the guest of tests/rdma/run, which says by RDMA_XFS_DAX, RDMA_EXT4_DAX,
RDMA_XFS and RDMA_EXT4 where files are.

  end_to_end.py BUILD [--bench] [NAME...]
"""
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time

from guest_tests import (CLIENT_RUN, MIB, SERVER, digest_of, make_file, network, run, run_tests,
                         test, tests, wait_for)
from registry import equal, holds
from server import Server

BUILD = sys.argv[1]
LONG = bool(os.environ.get("SEAL_LONG"))
# Seconds for a recall: the former where a client obeys, however slow the machine is.
PATIENCE, IMPATIENCE = 40, 5
# Seconds: who holds something of before a restart and is gone is waited for so long.
LEASE = 60 if LONG else 20


def rdma_links():
    """A link of soft-RoCE on each end."""
    for prefix, name in ((), "sv"), (CLIENT_RUN, "cv"):
        run(*prefix, "rdma", "link", "add", f"rxe-{name}", "type", "rxe", "netdev", name)


class Cpu:
    """Processor time of all threads of a process, in milliseconds, and how often one of them had
    done what it woke up for; or both for a second of an interval."""

    def __init__(self, ms, turns):
        self.ms, self.turns = ms, turns

    def since(self, later, seconds):
        return Cpu((later.ms - self.ms) / seconds, (later.turns - self.turns) / seconds)


def cpu(pid):
    ms, turns = 0, 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            ms += int(f.read().split()[0]) / 1e6
        with open(f"/proc/{pid}/task/{task}/status") as f:
            turns += next(int(line.split()[1])
                          for line in f if line.startswith("voluntary_ctxt_switches:"))
    return Cpu(ms, turns)


def resources(link):
    """What exists on an RDMA link."""
    line = next(line
                for line in run("rdma", "resource", "show").splitlines() if f" {link}:" in line)
    return {kind: int(count)
            for kind, count in re.findall(r"(pd|cq|qp|cm_id|mr|ctx|srq) (\d+)", line)}


class Stats(dict):
    """The counters that sealio --stats prints."""

    def __init__(self, text):
        names = {"read": ("direct", "reads", "server", "READs", "holes"),
                 "written": ("direct", "writes", "server", "WRITEs"),
                 "layouts": ("layoutgets", "refused", "commits", "returns", "deviceinfos",
                             "recalls"), "rdma": ("read", "written")}
        for line in text.splitlines():
            head, _, rest = line.partition(":")
            if head in names:
                self[head] = dict(zip(names[head], (int(n) for n in re.findall(r"\d+", rest))))
        holds("rdma" in self, f"counters in {text!r}")


def sealio(*arguments, **options):
    return [*CLIENT_RUN, f"{BUILD}/bin/sealio", *arguments]


def url(server, path):
    directory = os.path.dirname(path)
    export = next(name for name, e in server.exports.items() if e["path"] == directory)
    return f"nfs://{SERVER}{export}/{os.path.basename(path)}"


class Reader:
    """sealio cat, its output digested here."""

    def __init__(self, server, path, *options):
        self.process = subprocess.Popen(sealio("cat", "--stats", *options, url(server, path)),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.digest, self.size = hashlib.sha256(), 0

    def take(self, most=None):
        """Up to so many bytes, or all there are to come."""
        while most is None or most > 0:
            data = self.process.stdout.read1(MIB if most is None else min(most, MIB))
            if not data:
                break
            self.digest.update(data)
            self.size += len(data)
            most = most and most - len(data)
        return self

    def end(self, code=0):
        self.take()
        text = self.process.stderr.read().decode()
        equal(self.process.wait(120), code, f"exit code of sealio cat ({text})")
        return Stats(text)


def make_server():
    exports = {f"/{key.lower().replace('_', '-')}": {"path": os.environ[f"RDMA_{key}"]}
               for key in ("XFS_DAX", "EXT4_DAX", "XFS", "EXT4")}
    return Server("/tmp", BUILD, listen=[SERVER], rdma_listen=[SERVER], recall_timeout=IMPATIENCE,
                  lease_time=LEASE, export={"layout_types": "rdma"}, exports=exports)


def free_space(where):
    fs = os.statvfs(os.environ[f"RDMA_{where}"])
    return fs.f_bfree * fs.f_frsize


class Scene:
    """The server, which is one for all tests (the file systems remember its journal), and files
    that are taken away again."""

    def __init__(self, server, recall_timeout=IMPATIENCE):
        if server.running() and server.options["recall_timeout"] != recall_timeout:
            server.stop()
        server.options["recall_timeout"] = recall_timeout
        self.server, self.files = server if server.running() else server.start(), []

    def file(self, where, size, *seal):
        path = f"{os.environ[f'RDMA_{where}']}/file"
        self.files.append(path)
        # A removed file that a client has open, which went away without a word, is there until its
        # lease is over.
        wait_for(lambda: free_space(where) > size + 16 * MIB, f"room for {size // MIB} MiB", 90)
        digest = make_file(path, size)
        if seal:
            code, text = self.server.sealctl("seal", *seal[1:], path)
            equal(code, 0, f"sealctl seal: {text}")
        return path, digest

    def end(self):
        for path in self.files:
            if self.server.running():
                self.server.sealctl("unseal", "--wait", "--timeout", "60", path, timeout=90)
            subprocess.run(["chattr", "-i", path], check=False)
            if os.path.exists(path):
                os.unlink(path)
        holds(self.server.running(), "the server is still there")


@test
def a_pinned_file_in_persistent_memory_is_read_and_written(scene):
    free = free_space("XFS_DAX")
    size, part = (256, 64) if LONG else (64, 16)
    path, digest = scene.file("XFS_DAX", size * MIB, "seal", "--pinned")
    reader = Reader(scene.server, path, "--require-layout").take(MIB)
    pid = reader.process.pid  # ip-netns(8) becomes what it runs
    idle, seconds = cpu(scene.server.process.pid), 10 if LONG else 5
    time.sleep(seconds)  # what the server does besides: its timers
    idle = idle.since(cpu(scene.server.process.pid), seconds)
    before = cpu(scene.server.process.pid), cpu(pid), time.monotonic()
    reader.take((size - 2) * MIB)
    seconds = time.monotonic() - before[2]
    server, client = (before[0].since(cpu(scene.server.process.pid), seconds),
                      before[1].since(cpu(pid), seconds))
    stats = reader.end()
    equal(reader.digest.hexdigest(), digest, "digest of what was read by RDMA")
    equal(stats["rdma"]["read"], size * MIB, "bytes read by RDMA")
    equal((stats["read"]["READs"], stats["written"]["WRITEs"]), (0, 0), "READs and WRITEs")
    share, turns = (100 * (server.ms - idle.ms) / client.ms,
                    100 * (server.turns - idle.turns) / client.turns)
    print(f"lab: {size} MiB read in {seconds:.1f} s; a second, "
          f"the threads of sealnfsd ran {server.turns:.1f} times for {server.ms:.2f} ms "
          f"(idle: {idle.turns:.1f} times, {idle.ms:.2f} ms), those of sealio {client.turns:.0f} "
          f"times for {client.ms:.0f} ms; the difference to idle is "
          f"{share:.2f} % of the client's time, {turns:.2f} % of its turns")
    # Under emulation a turn costs a millisecond and more, whatever is done in it, and is charged
    # with the interrupts of the adapter's packets: so what is judged is how often the server had
    # something to do, not for how long. To serve the data it would have a turn for each READ, of
    # which there would be one for each MiB.
    extra = (server.turns - idle.turns) * seconds
    holds(extra < size / 2, f"the server had {extra:.0f} turns more than when idle, for {size} MiB")
    make_file("/tmp/source", part * MIB)
    change = os.stat(path).st_mtime_ns
    done = subprocess.run(sealio("cp", "--in-place", "--require-layout", "--stats", "--quiet",
                                 "/tmp/source", url(scene.server, path)), stderr=subprocess.PIPE,
                          text=True)
    equal(done.returncode, 0, f"exit code of sealio cp ({done.stderr})")
    stats = Stats(done.stderr)
    equal(stats["rdma"]["written"], part * MIB, "bytes written by RDMA")
    equal((stats["read"]["READs"], stats["written"]["WRITEs"]), (0, 0), "READs and WRITEs")
    holds(stats["layouts"]["commits"] > 0, "a LAYOUTCOMMIT")
    holds(os.stat(path).st_mtime_ns > change, "mtime follows the commit")
    with open("/tmp/source", "rb") as source, open(path, "rb") as file:
        holds(source.read() == file.read(part * MIB), "the server sees what was written")
    through = Reader(scene.server, path, "--no-layout")
    stats = through.end()
    equal(stats["rdma"]["read"], 0, "bytes read by RDMA with --no-layout")
    equal(through.digest.hexdigest(), digest_of(path), "digest by READ and on the server")
    os.unlink("/tmp/source")
    scene.end()
    wait_for(lambda: free_space("XFS_DAX") >= free - MIB,
             "the space of a removed file is given back", 10)


FROZEN = 32 if LONG else 8  # MiB
TAKEN = 64 if LONG else 40  # a file of which a client has 8 MiB when something happens


def frozen_on(scene, where):
    path, digest = scene.file(where, FROZEN * MIB, "seal")
    reader = Reader(scene.server, path, "--require-layout")
    stats = reader.end()
    equal(reader.digest.hexdigest(), digest, "digest")
    equal((stats["rdma"]["read"], stats["read"]["READs"]), (FROZEN * MIB, 0),
          "bytes by RDMA, READs")
    make_file("/tmp/source", MIB)
    done = subprocess.run(sealio("cp", "--in-place", "--require-layout", "--quiet", "/tmp/source",
                                 url(scene.server, path)), stderr=subprocess.PIPE, text=True)
    holds(done.returncode != 0, f"writing a frozen file is refused ({done.stderr})")
    equal(digest_of(path), digest, "digest on the server afterwards")


@test
def a_frozen_file_on_xfs_is_read_from_the_page_cache(scene):
    frozen_on(scene, "XFS")


@test
def a_frozen_file_on_ext4_is_read_from_the_page_cache(scene):
    frozen_on(scene, "EXT4")


@test
def a_frozen_file_on_ext4_in_persistent_memory_is_read(scene):
    frozen_on(scene, "EXT4_DAX")


@test
def a_pinned_file_on_a_disk_goes_through_the_server(scene):
    path, digest = scene.file("EXT4", 8 * MIB, "seal", "--pinned")
    reader = Reader(scene.server, path)
    stats = reader.end()
    equal(reader.digest.hexdigest(), digest, "digest")
    equal(stats["rdma"]["read"], 0, "bytes by RDMA")
    holds(stats["layouts"]["refused"] > 0, "the layout is refused")
    print("lab: explain: " + scene.server.sealctl("explain", path)[1].strip())


@test
def a_client_that_is_recalled_goes_on_through_the_server(scene):
    size = 128 if LONG else 64
    path, digest = scene.file("XFS_DAX", size * MIB, "seal")
    reader = Reader(scene.server, path).take(24 * MIB)
    code, text = scene.server.sealctl("unseal", "--wait", "--timeout", "60", path, timeout=90)
    equal(code, 0, f"sealctl unseal: {text}")
    stats = reader.end()
    equal(reader.digest.hexdigest(), digest, "digest")
    equal(stats["layouts"]["recalls"], 1, "recalls")
    holds(stats["layouts"]["returns"] >= 1, "it returns what is recalled")
    holds(stats["rdma"]["read"] > 0 and stats["read"]["server"] > 0,
          "a part by RDMA, the rest by READ")
    equal(stats["rdma"]["read"] + stats["read"]["server"], size * MIB, "bytes")


class Late:
    """tests/rdma/late_client."""

    def __init__(self, scene, how, path):
        self.process = subprocess.Popen([*CLIENT_RUN, f"{BUILD}/tests/rdma/late_client", how,
                                         url(scene.server, path)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def line(self, head):
        for line in self.process.stdout:
            if line.startswith(head + " ") or line.strip() == head:
                return line.split()[1:]
            print("lab: late client: " + line.strip())
        raise AssertionError(f"the late client never said {head}")

    def end(self):
        self.process.stdin.close()
        numbers = int(self.line("then")[0]), int(self.line("late")[0])
        self.process.wait(30)
        return numbers


def ignored(scene, how, *seal):
    path, _ = scene.file("XFS_DAX", 32 * MIB, "seal", *seal)
    late = Late(scene, how, path)
    late.line("holding")
    before, asked = os.stat(path).st_mtime, time.time()
    code, text = scene.server.sealctl("unseal", "--wait", "--timeout", "60", path, timeout=90)
    equal(code, 0, f"sealctl unseal: {text}")
    after = os.stat(path).st_mtime  # it never commits, and is fenced after the patience
    holds(after > asked + IMPATIENCE - 1 if how == "write" else after == before,
          f"mtime is that of the release if it could write: {before}, {asked}, {after}")
    with open(path, "r+b") as f:  # what nobody may see, or spoil, any more
        for _ in range(32):
            f.write(b"\xee" * MIB)
        f.flush()
        os.fsync(f.fileno())
    error, _, moved = late.line("error")
    time.sleep(3)  # time for it to try again
    after, seen = late.end()
    print(f"lab: a client that ignored its recall moved {moved} MiB, then got error {error}; "
          f"{after} later attempts succeeded")
    equal((after, seen), (0, 0), "operations after the fence, pages from after the release")
    with open(path, "rb") as f:
        holds(f.read() == b"\xee" * 32 * MIB, "no late WRITE is in the file")
    holds(any("fence" in json.dumps(entry) for entry in scene.server.trace()),
          "the fence is in the trace")


@test
def a_client_that_ignores_its_recall_reads_nothing_after_the_release(scene):
    ignored(scene, "read")


@test
def a_client_that_ignores_its_recall_writes_nothing_after_the_release(scene):
    ignored(scene, "write", "--pinned")


@test
def what_was_not_granted_is_refused_and_the_server_unharmed(scene):
    path, digest = scene.file("XFS_DAX", 8 * MIB, "seal")
    late = Late(scene, "try", path)
    output = late.process.communicate(timeout=120)[0]
    results = [line.split() for line in output.splitlines()]
    holds(len(results) == 8 and all(int(rc) < 0 for name, rc in results if name != "right"),
          f"every attempt fails: {results}")
    equal(results[-1], ["right", "0"], "what is granted works")
    reader = Reader(scene.server, path, "--require-layout")
    reader.end()
    equal(reader.digest.hexdigest(), digest, "digest")


@test
def a_killed_server_comes_back_and_the_transfer_ends_well(scene):
    before = resources("rxe-cv")
    path, digest = scene.file("XFS_DAX", TAKEN * MIB, "seal")
    reader = Reader(scene.server, path).take(8 * MIB)
    scene.server.kill()
    scene.server.start()
    stats = reader.end()
    equal(reader.digest.hexdigest(), digest, "digest")
    print(f"lab: over a kill of the server: {stats['rdma']['read'] // MIB} MiB by RDMA, "
          f"{stats['read']['server'] // MIB} MiB by READ")
    wait_for(lambda: resources("rxe-cv") == before,
             f"the client's link is as it was ({before}, now {resources('rxe-cv')})")


@test
def a_killed_client_leaves_nothing(scene):
    path, _ = scene.file("XFS_DAX", TAKEN * MIB, "seal")
    before = resources("rxe-sv")
    reader = Reader(scene.server, path).take(8 * MIB)
    holds(resources("rxe-sv") != before, "a transfer is seen")
    reader.process.kill()
    reader.process.wait(30)
    code, text = scene.server.sealctl("unseal", "--wait", "--timeout", "60", path, timeout=90)
    equal(code, 0, f"sealctl unseal: {text}")
    wait_for(lambda: resources("rxe-sv") == before,
             f"the server's link is as it was: {before}, not {resources('rxe-sv')}")


def figure(server, name):
    """Of the RDMA device, as sealctl devices has it."""
    code, text = server.sealctl("--json", "devices")
    equal(code, 0, f"sealctl devices: {text}")
    return next(device[name] for device in json.loads(text)["devices"] if "rdma" in device)


@test
def a_client_that_is_gone_without_a_word_is_noticed(scene):
    path, _ = scene.file("XFS_DAX", TAKEN * MIB, "seal")
    before = resources("rxe-sv")["qp"]
    late = Late(scene, "read", path)
    late.line("holding")
    equal(resources("rxe-sv")["qp"], before + 1, "queue pairs of the server with a client")
    dead = figure(scene.server, "dead")
    # Its goodbye goes to a card that is not there.
    run(*CLIENT_RUN, "ip", "neigh", "replace", SERVER, "lladdr", "02:00:00:00:00:99", "dev", "cv",
        "nud", "permanent")
    late.process.kill()
    late.process.wait(30)
    try:
        wait_for(lambda: resources("rxe-sv")["qp"] == before, "its queue pair is destroyed", 180)
        equal(figure(scene.server, "connections"), 0, "connections")
        equal(figure(scene.server, "dead"), dead + 1, "connections that were seen to be dead")
    finally:
        run(*CLIENT_RUN, "ip", "neigh", "del", SERVER, "dev", "cv")


@test
def holes_are_neither_registered_nor_asked_for(scene):
    path = f"{os.environ['RDMA_XFS']}/file"
    scene.files.append(path)
    size, digest = 128 * MIB, hashlib.sha256()
    with open(path, "wb") as f:
        for at in 0, size // 2:
            f.seek(at)
            f.write(os.urandom(MIB))
        f.truncate(size)
        f.flush()
        os.fsync(f.fileno())
    code, text = scene.server.sealctl("seal", "--sparse", path)
    equal(code, 0, f"sealctl seal: {text}")
    reader = Reader(scene.server, path, "--require-layout").take(MIB)
    equal(figure(scene.server, "registrations"), 1, "registrations")
    equal(figure(scene.server, "pinned_bytes"), 2 * MIB, "bytes pinned of 128 MiB")
    stats = reader.end()
    with open(path, "rb") as f:
        for piece in iter(lambda: f.read(MIB), b""):
            digest.update(piece)
    equal(reader.digest.hexdigest(), digest.hexdigest(), "digest")
    equal((stats["rdma"]["read"], stats["read"]["READs"]), (2 * MIB, 0), "bytes by RDMA, READs")


@test
def what_is_too_large_to_be_pinned_goes_through_the_server(scene):
    scene.server.stop()
    scene.server.options["rdma_max_pinned"] = 4 * MIB
    scene.server.start()
    try:
        path, digest = scene.file("EXT4", FROZEN * MIB, "seal")
        holds("rdma_max_pinned" in scene.server.sealctl("explain", path)[1], "sealctl explain")
        reader = Reader(scene.server, path)
        stats = reader.end()
        equal(reader.digest.hexdigest(), digest, "digest")
        equal(stats["rdma"]["read"], 0, "bytes by RDMA")
        holds(stats["layouts"]["refused"] > 0, "the layout is refused")
        holds("rdma_max_pinned" in scene.server.log_text(), "the log says why")
        equal(figure(scene.server, "pinned_bytes"), 0, "bytes pinned")
    finally:
        scene.server.stop()
        del scene.server.options["rdma_max_pinned"]
        scene.server.start()


@test
def a_removed_link_does_not_hang_the_client(scene):
    path, digest = scene.file("XFS_DAX", TAKEN * MIB, "seal")
    reader = Reader(scene.server, path).take(8 * MIB)
    run(*CLIENT_RUN, "rdma", "link", "delete", "rxe-cv")
    stats = reader.end()
    run(*CLIENT_RUN, "rdma", "link", "add", "rxe-cv", "type", "rxe", "netdev", "cv")
    equal(reader.digest.hexdigest(), digest, "digest")
    holds(stats["read"]["server"] > 0, "the rest came by READ")


@test
def a_removed_link_of_the_server_hangs_nobody(scene):
    path, digest = scene.file("XFS_DAX", TAKEN * MIB, "seal")
    reader = Reader(scene.server, path).take(8 * MIB)
    run("rdma", "link", "delete", "rxe-sv")
    reader.end()
    equal(reader.digest.hexdigest(), digest, "digest")
    code, text = scene.server.sealctl("unseal", "--wait", "--timeout", "60", path, timeout=90)
    run("rdma", "link", "add", "rxe-sv", "type", "rxe", "netdev", "sv")
    equal(code, 0, f"sealctl unseal: {text}")


# ---- bench ----

def perftest(tool, *options):
    """A tool of perftest, over the same two links; the numbers of its last line."""
    server = subprocess.Popen(["stdbuf", "-oL", tool, "-R", "-F", *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    try:
        for line in server.stdout:
            if "aiting for client" in line:
                break
        done = subprocess.run([*CLIENT_RUN, tool, "-R", "-F", *options, SERVER],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
    finally:
        server.kill()
        server.wait()
    rows = [line.split()
            for line in done.stdout.splitlines() if re.match(r"\s*\d+\s+\d+\s+[\d.]", line)]
    holds(rows, f"{tool} measured nothing: {done.stdout}")
    return [float(value) for value in rows[-1]]


class Ratios:
    """Of ours to theirs, measured in turn: what the machine does besides hits both. Prints
    medians."""

    def __init__(self):
        self.found = {}

    def add(self, what, ours, theirs):
        print(f"bench: {what}: ours {ours:.1f}, theirs {theirs:.1f}")
        self.found.setdefault(what, []).append((ours / theirs, ours, theirs))

    def show(self):
        for what, rows in self.found.items():
            ratio, ours, theirs = (statistics.median(column) for column in zip(*rows))
            lowest, highest = min(rows)[0], max(rows)[0]
            print(f"bench: {what}: median of {len(rows)}: ours {ours:.1f}, theirs {theirs:.1f}, "
                  f"ratio {ratio:.2f} ({lowest:.2f} to {highest:.2f})")


def bench(scene):
    path, _ = scene.file("XFS_DAX", 256 * MIB, "seal", "--pinned")
    target, ratios = url(scene.server, path), Ratios()

    def ours(*options):
        command = sealio("bench", "--rdma", "--seconds", "3", *options, target)
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120).stdout
        print("bench: sealio bench --rdma --seconds 3 " + " ".join(options) + "\nbench:   "
              + text.strip().replace("\n", "\nbench:   "))
        return (float(re.search(r"([\d.]+) MiB/s", text)[1]),
                float(re.search(r"p50 ([\d.]+) us", text)[1]))

    for _ in range(5):
        for tool, options in (("ib_read_bw", ()), ("ib_write_bw", ("--write",))):
            theirs = perftest(tool, "-D", "3", "-s", "65536", "-t", "16")[3]
            ratios.add(f"MiB/s beside {tool} -R -D 3 -s 65536 -t 16",
                       ours("--depth", "16", "--block", "64k", *options)[0], theirs)
        waiting = perftest("ib_read_lat", "-e", "-n", "2000", "-s", "4096")[4]
        latency = ours("--depth", "1", "--block", "4k")[1]
        polling = perftest("ib_read_lat", "-n", "2000", "-s", "4096")[4]
        ratios.add("median latency in us beside ib_read_lat -R -e -n 2000 -s 4096, "
                   "which waits for events too", latency, waiting)
        ratios.add("median latency in us beside ib_read_lat -R -n 2000 -s 4096, which polls",
                   latency, polling)
        direct = ours("--depth", "16", "--block", "64k")[0]
        ratios.add("MiB/s by RDMA beside READ through the server", direct,
                   ours("--depth", "16", "--block", "64k", "--no-layout")[0])
    ratios.show()


def main():
    names = [name for name in sys.argv[2:] if not name.startswith("-")]
    network()
    rdma_links()
    server = make_server()
    if "--bench" in sys.argv:
        tests[:] = [bench]
    failed = run_tests(names, server, lambda name: Scene(
        server, PATIENCE if "is_recalled" in name else IMPATIENCE), Scene.end)
    server.close()
    return 1 if failed else 0


sys.exit(main())
