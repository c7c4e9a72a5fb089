"""Writers that are cut off from the server and from the disk, with writes in their queues, and come
back late: twenty times each in a long run.

Their files are unsealed, truncated and removed, their blocks go to other files, and the path to the
disk is back before the network. No byte of theirs may be in another file: because the release
waited for the fence, or because it never happened.
"""
import os
import shutil
import time

from disk import MIB, extents, immutable
from holder import OLD_STATEID, Holder, install_hook
from registry import equal, holds, test
from trace import Trace

HERE = os.path.dirname(os.path.abspath(__file__))
RECALL_TIMEOUT, LEASE = 1, 5
SIZE, SPARE = 8 * MIB, 4 * MIB
RUNS = 6, 20  # in a short run and in a long one
SECOND = 10**9
WAYS = ("silent", "closed", "lapsed")  # how the server loses the client

# The SAN's switch: it ends the process that does the guest's disk I/O, and looks.
SWITCH = """\
#!/bin/bash
echo "$SEALNFS_CLIENT_ADDRESS" >> {directory}/hook-calls
pid=$(cat "{directory}/disk-of-$SEALNFS_CLIENT_ADDRESS") || exit 1
{act}
for ((i = 0; i < 100; i++)); do
    case $(ps -o stat= -p "$pid") in Z* | "") exit 0 ;; esac
    sleep 0.05
done
exit 1
"""


def install_switch(lab, act='kill -9 "$pid"'):
    path = f"{lab.directory}/switch"
    with open(path, "w") as f:
        f.write(SWITCH.format(directory=lab.directory, act=act))
    os.chmod(path, 0o700)
    return path


def fenced_addresses(lab):
    with open(f"{lab.directory}/hook-calls") as f:
        return f.read().split()


class Lost:
    """A disk without room to spare, its server, and guests that are lost while they write, each to
    a file of its own."""

    def __init__(self, lab, fs, files=2, **options):
        self.lab, self.disk = lab, lab.disk(fs=fs, size=320 * MIB, options=("-m", "0", "-b", "4096")
                                            if fs == "ext4" else ())
        self.names = [f"file{i}" for i in range(files)]
        self.make()
        self.server = lab.server(recall_timeout=RECALL_TIMEOUT, lease_time=LEASE, grace_time=1,
                                 fence_timeout=15, fence_retry=1, **options)

    def make(self):
        """New files, on a disk that has just enough room for them."""
        filler = self.disk.file("filler")
        if os.path.exists(filler):
            os.unlink(filler)
        for name in self.names:
            self.disk.write(name, SIZE)
        self.disk.run(f"fallocate -l $(($(stat -f -c '%a * %S' {self.disk.path}) - {SPARE})) "
                      f"{filler}; sync -f {self.disk.path}")

    def write_directly(self, guests):
        """The files are sealed, and each guest writes to one."""
        self.guests, self.writers = guests, []
        before = [guest.counters() for guest in guests]
        for name in self.names:
            self.server.ctl("seal", "--pinned", self.disk.file(name))
        for guest, name in zip(guests, self.names):
            shutil.copy(f"{HERE}/direct-writer", guest.directory)
            self.writers.append(guest.start(f"rm -f /tmp/stop; exec /mnt/lab/direct-writer "
                                            f"/mnt/n/{name} {SIZE} /tmp/stop"))
            with open(f"{self.lab.directory}/disk-of-{guest.ip}", "w") as f:
                f.write(str(guest.disk_helper()))
        for writer in self.writers:
            writer.expect("wrote")
        for guest, then in zip(guests, before):
            counters = guest.counters() - then
            equal((counters.pnfs, counters["WRITE"]), ("LAYOUT_BLOCK_VOLUME", 0),
                  f"{guest.name} writes directly: {counters.show()}")

    def lose(self, way):
        for guest in self.guests:
            guest.cut_disk()
            guest.cut()
            if way == "closed":
                holds(self.server.disconnect(guest.ip) > 0, "no connection to close")
        deadline = time.monotonic() + 60
        while way == "lapsed" and self.lapsed() < len(self.guests):
            holds(time.monotonic() < deadline,
                  f"{self.lapsed()} of {len(self.guests)} leases ran out")
            time.sleep(0.05)  # the trace is a file: nothing to wait on

    def lapsed(self):
        """How many of those who hold the files have no lease now. On a busy machine one may run out
        before its client is cut off."""
        trace, files = self.server.trace(), [self.disk.file(name) for name in self.names]
        last = {entry["client"]: entry["what"]
                for entry in trace if entry["what"] in ("client-lapsed", "client-renewed")}
        holders = {entry["client"]
                   for entry in trace if entry["what"] == "grant" and entry["file"] in files}
        return sum(last.get(client) == "client-lapsed" for client in holders)

    def unseal(self):
        """Ask for all of the files at once; the exit codes."""
        asked = [self.server.start_ctl("unseal", "--wait", "--timeout", "60", self.disk.file(name))
                 for name in self.names]
        return [(process.wait(60), process.stdout.read()) for process in asked]

    def others(self):
        """New files that take what room there is; their digests."""
        return {f"other{i}": self.disk.write(f"other{i}", SIZE) for i in range(len(self.names))}

    def clean(self, others, when):
        for name, digest in others.items():
            equal(self.disk.sha256(name), digest, f"{when}: bytes of a lost client in {name}")


def clients(lab, count):
    """Guests that look soon whether a server that was silent is there again."""
    guests = [lab.guest() for _ in range(count)]
    for guest in guests:
        guest.ready().mount("/data", options="vers=4.1,timeo=20,retrans=1")
    return guests


@test(fs=("xfs",), seconds=80, timeout=900)
def never_released_without_a_fence(lab, fs):
    """Two guests, each time: the seal is STUCK, the late writes land in the file itself, and when
    the client is back it is released."""
    scene = Lost(lab, fs)
    guests = clients(lab, 2)
    runs, begin = 0, time.monotonic()
    while runs < lab.times(*RUNS):
        way = WAYS[runs // 2 % len(WAYS)]
        scene.names = [f"file{runs}", f"file{runs + 1}"]
        if runs:
            scene.make()
        scene.write_directly(guests)
        before = [extents(scene.disk.file(name)) for name in scene.names]
        scene.lose(way)
        for code, text in scene.unseal():
            holds(code in (1, 4), f"unseal: exit {code}: {text}")
        os.unlink(scene.disk.file("filler"))
        for name, extent in zip(scene.names, before):
            path = scene.disk.file(name)
            scene.server.wait_state(path, "stuck")
            for what in (lambda: os.truncate(path, 0), lambda: os.unlink(path)):
                try:
                    what()
                    raise AssertionError("a sealed file was truncated or removed")
                except PermissionError:
                    pass
            equal((immutable(path), extents(path)), (True, extent), "flag and blocks")
            scene.disk.run(f"dd if=/dev/zero of={scene.disk.loop} seek={extent[0][1] // 4096} "
                           f"bs=4096 count=1 oflag=direct conv=notrunc status=none")
        others = scene.others()
        for guest in guests:
            guest.mend_disk()
        scene.clean(others, "the disk is back")
        for guest, name in zip(guests, scene.names):
            guest.mend()
        for name in scene.names:
            scene.server.wait_state(scene.disk.file(name), "open", 60)
            Trace(scene.server, scene.disk.file(name)).given_back(count=1)
        for guest, writer in zip(guests, scene.writers):
            guest.run("touch /tmp/stop")
            writer.finish()
            holds("failed" not in writer.said, f"a write failed: {writer.output()}")
        scene.clean(others, "everybody is back")
        for name in (*scene.names, *others):
            os.unlink(scene.disk.file(name))
        runs += len(guests)
        print(f"{runs} runs, {way}, {time.monotonic() - begin:.0f} s")


def fenced_run(lab, scene, way):
    """Two guests are lost, fenced and come back; their blocks are other files' by then.
    The others' digests."""
    guests = clients(lab, 2)
    scene.write_directly(guests)
    before = [extents(scene.disk.file(name)) for name in scene.names]
    scene.lose(way)
    for code, text in scene.unseal():
        equal(code, 0, f"unseal: {text}")
    for name in scene.names:
        trace = Trace(scene.server, scene.disk.file(name))
        trace.released_after("grant-ended", count=1)
        equal(trace.all("grant-ended")[0]["how"], "fenced", "how the grant ended")
        holds(trace.all("fence")[0]["time_ns"] - trace.all("recall")[0]["time_ns"] >= RECALL_TIMEOUT
              * SECOND or way != "silent", "fenced too early")
        os.truncate(scene.disk.file(name), 0)
        os.unlink(scene.disk.file(name))
    scene.disk.run(f"sync -f {scene.disk.path}")
    others = scene.others()
    mine = [(start, start + size) for name in others
            for _, start, size, _ in extents(scene.disk.file(name))]
    holds(any(begin < start + size and start < end for extent in before
              for _, start, size, _ in extent for begin, end in mine),
          "no block was given to another file")
    for guest in guests:
        guest.mend_disk()
    time.sleep(0.3)  # late writes have time to come: nothing tells that there are none
    scene.clean(others, "the disk is back")
    for guest in guests:
        guest.mend()
    time.sleep(0.3)
    scene.clean(others, "everybody is back")
    for guest in guests:
        guest.kill()
    for name in others:
        os.unlink(scene.disk.file(name))


@test(seconds=60, timeout=900)
def released_only_after_the_fence(lab):
    """Two guests, each time: the hook ends their way to the disk, the blocks are other files' at
    once, and no late byte comes."""
    scene = Lost(lab, "ext4", fence_hook=install_switch(lab))
    runs = lab.times(*RUNS)
    for run in range(0, runs, 2):
        begin, way = time.monotonic(), WAYS[run // 2 % len(WAYS)]
        scene.names = [f"file{run}", f"file{run + 1}"]
        if run:
            scene.make()
        fenced_run(lab, scene, way)
        print(f"{run + 2} runs, {way}, {time.monotonic() - begin:.0f} s")
    equal(len(fenced_addresses(lab)), runs, "calls of the hook")


@test(seconds=20, timeout=300)
def a_fence_that_lies_is_seen_in_the_other_file(lab):
    """What the runs above look for does happen when the hook says 0 and does nothing. Only the
    operator can keep this from happening."""
    scene = Lost(lab, "ext4", fence_hook=install_switch(lab, "exit 0"))
    try:
        fenced_run(lab, scene, "silent")
    except AssertionError as error:
        holds("bytes of a lost client" in str(error), str(error))
        return
    raise AssertionError("late writes of clients that nobody fenced are not seen")


@test(seconds=20, timeout=400)
def scripted_clients_that_are_lost_in_all_ways(lab):
    """Beside a healthy client that is never fenced: silent, closed, past the lease, or answering a
    repeated recall with OLD_STATEID before it is lost, or after which it returns."""
    disk = lab.disk(size=320 * MIB)
    server = lab.server(recall_timeout=RECALL_TIMEOUT, lease_time=LEASE, grace_time=1,
                        fence_timeout=15, fence_retry=1, fence_hook=install_hook(lab.directory))
    good, lost = (Holder(disk, owner, lab.directory).connect() for owner in ("good", "lost"))
    fences = 0
    for run in range(lab.times(5, 20)):
        way = ("silent", "closed", "old stateid, then silent", "old stateid, then returned",
               "lapsed")[run % 5]
        path, other = disk.file(f"file{run}"), f"other{run}"
        disk.write(f"file{run}", SIZE)
        server.ctl("seal", "--pinned", path)
        for client in (good, lost):
            equal(client.get_soon(f"file{run}"), 0, f"LAYOUTGET of {client.owner}")
        lost.obeys = False
        if way.startswith("old"):
            lost.answer, lost.swallows = OLD_STATEID, True
        elif way == "closed":
            lost.disconnect()
        else:
            lost.deaf = True
        if way == "lapsed":
            seen = server.trace()[-1]["seq"]
            server.wait_trace(lambda entry: entry["what"] == "client-lapsed"
                              and entry["seq"] > seen)
            good.renew()
        unseal = server.start_ctl("unseal", "--wait", "--timeout", "60", path)
        # It knows of the recall, but its answer is lost with the connection, and it is asked again
        # on the next one.
        if way.startswith("old"):
            holds(lost.recalled.wait(60), "no recall")
            lost.disconnect()
            lost.swallows = False
            lost.rebind()
            lost.wait_answers(2)
            equal(lost.answers[-1], OLD_STATEID, "the answer to the repeated recall")
        if way.endswith("returned"):
            lost.give_back()
        elif way.endswith("silent"):
            lost.deaf = True
            lost.path.cut()
        equal((unseal.wait(60), immutable(path)), (0, False), "unseal")
        os.truncate(path, 0)
        os.unlink(path)
        digest = disk.write(other, SIZE)
        equal(lost.usable(), [], "the lost client can still write")
        if not way.endswith("returned"):
            fences += 1
            lost.path.mend()
            lost.restart()
            lost.connect()
        lost.obeys, lost.answer = True, None
        for client in (good, lost):
            client.close_file()
            client.forget()
        equal(disk.sha256(other), digest, "another file's data")
        os.unlink(disk.file(other))
    with open(f"{lab.directory}/hook-calls") as f:
        called = f.read().split()
    equal((set(called), len(called)), ({"lost"}, fences), "who was fenced, and how often")
    for client in (good, lost):
        client.end()


def successes(writer):
    return [int(said.split()[1]) for said in writer.said if said.startswith("did")]


def nothing_is_lost(scene, writer, name):
    """Whatever the application was told is written, is written."""
    with open(scene.disk.file(name), "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        data = f.read()
    for number in successes(writer):
        equal(data[number * 4096:number * 4096 + 8], b"%08d" % number,
              f"block {number}, of which the client was told that it is written")


@test(seconds=40, timeout=400)
def a_writer_stopped_past_its_lease_is_never_told_what_is_not_so(lab):
    """Continued, it goes on where it was: left alone, asked for its layout meanwhile,
    or fenced meanwhile."""
    scene = Lost(lab, "xfs", files=3, fence_hook=install_switch(lab, f'[ -e {lab.directory}/armed '
                                                                f'] || exit 1; kill -9 "$pid"'))
    guest, = lab.clients(1)
    shutil.copy(f"{HERE}/numbered-writer", guest.directory)
    with open(f"{lab.directory}/disk-of-{guest.ip}", "w") as f:
        f.write(str(guest.disk_helper()))
    for name, meanwhile in zip(scene.names, ("left alone", "asked", "fenced")):
        path = scene.disk.file(name)
        scene.server.ctl("seal", "--pinned", path)
        before = guest.counters()
        writer = guest.start(f"exec /mnt/lab/numbered-writer /mnt/n/{name} 0 {SIZE // 4096}")
        writer.expect("did 50")
        seen = scene.server.trace()[-1]["seq"]
        guest.stop()
        scene.server.wait_trace(lambda entry: entry["what"] == "client-lapsed"
                                and entry["seq"] > seen)
        if meanwhile == "asked":
            holds(scene.server.sealctl("unseal", "--wait", "--timeout", "10", path)[0] in (1, 4),
                  "released under a stopped client")
            scene.server.wait_state(path, "stuck")
        elif meanwhile == "fenced":
            with open(f"{lab.directory}/armed", "w"):
                scene.server.ctl("unseal", "--wait", "--timeout", "60", path)
        guest.cont()
        if meanwhile != "fenced":
            equal(writer.wait(), 0, "the writer's end")
            equal(len(successes(writer)), SIZE // 4096, "blocks written")
            holds((guest.counters() - before)["LAYOUTGET"] > 0, "it never had a layout")
        else:
            time.sleep(1)
            guest.poll(0)
        print(meanwhile, len(successes(writer)), "writes")
        nothing_is_lost(scene, writer, name)
