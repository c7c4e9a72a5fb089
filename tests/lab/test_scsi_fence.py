"""Clients that are lost while they write: the server fences them by their keys, with no operator,
and only then frees a block."""
import os
import shutil
import time

from disk import MIB
from guest_server import RUN
from registry import equal, holds, test
from san import CONFIGFS, SanLab
from trace import Trace
from victim import Victim, remove

HERE = os.path.dirname(os.path.abspath(__file__))
RECALL_TIMEOUT = 2
SOON = {"recall_timeout": RECALL_TIMEOUT, "lease_time": 10, "grace_time": 1, "fence_timeout": 15,
        "fence_retry": 2}
# Seconds from the deadline to the release, at most: not the lease of 90, and nobody asked. 0.1 s
# were seen.
MARGIN = 20
SECOND = 10**9
SIZE = 8
# Seconds in which an initiator of this lab has its commands at the target, once its path works.
SETTLE = 3


def stopped(scene, guest):
    guest.stop()


def cut_off_silently(scene, guest):
    guest.cut()


def disconnected(scene, guest):
    """The server's end of the connection goes, and the client cannot make another."""
    scene.host.run(f"ss -K dst {guest.ip} > /dev/null; ip route add prohibit {guest.ip}")


def past_its_lease(scene, guest):
    last = scene.server.trace()[-1]["seq"]
    guest.cut()
    scene.server.wait_trace(lambda entry: entry["what"] == "client-lapsed" and entry["seq"] > last,
                            timeout=150)


def cut_off_from_the_storage(scene, guest):
    guest.cut_storage()


def cut_off_from_both(scene, guest):
    guest.cut()
    guest.cut_storage()


WAYS = {way.__name__: way for way in
        (stopped, cut_off_silently, disconnected, past_its_lease, cut_off_from_the_storage,
         cut_off_from_both)}


def heal(scene, guest):
    guest.cont()
    guest.mend()
    guest.mend_storage()
    scene.host.run(f"ip route del prohibit {guest.ip} 2> /dev/null; true")


class Writer:
    """Overwrites the file over and over, by one open descriptor, whatever becomes of it."""

    def __init__(self, guest, name, at="/mnt/n", size=SIZE * MIB):
        self.guest, self.path = guest, f"{at}/{name}"
        shutil.copy(f"{HERE}/direct-writer", guest.directory)
        self.job = guest.start(f"rm -f /tmp/stop; "
                               f"exec /mnt/lab/direct-writer {self.path} {size} /tmp/stop")

    def under_way(self):
        self.job.expect("wrote", times=2)
        return self

    def end(self):
        self.guest.run("touch /tmp/stop")
        self.job.finish(180)


# A process of the server's machine that keeps the file's first page in memory, as it is now.
MAP = """\
exec python3 -c '
import mmap, os
with open("{path}") as f:
    m = mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ)
    m[0]
os.write(3, (os.environ["job"] + " say mapped\\n").encode())
os.mkfifo("/run/unmap")
open("/run/unmap").read()'
"""


def direct_writer(scene, guest, name, write=True, at="/mnt/n"):
    """A pinned file, and a client that writes to it directly."""
    if write:
        scene.write(name, SIZE * MIB)
    scene.server.ctl("seal", "--pinned", scene.file(name))
    before = guest.counters(at)
    writer = Writer(guest, name, at).under_way()
    counters = guest.counters(at) - before
    equal((counters.pnfs, counters["WRITE"]), ("LAYOUT_SCSI", 0),
          f"the writer writes directly: {counters.show()}")
    return writer


def fenced_and_released(scene, name):
    """In this order: the recall, the deadline, the key seen to be gone, the release."""
    trace = Trace(scene.server, scene.file(name))
    release = trace.release()
    recall = trace.all("recall")[0]
    fence = next(entry for entry in trace.all("fence"))
    fenced = next(entry for entry in trace.all("fenced") if entry["seq"] > fence["seq"])
    equal(fenced["how"], "key preempted", "how")
    holds(recall["seq"] < fence["seq"] < fenced["seq"] < release["seq"],
          f"order: {recall} {fence} {fenced} {release}")
    took = (release["time_ns"] - recall["time_ns"]) / SECOND
    holds(fence["time_ns"] - recall["time_ns"] >= RECALL_TIMEOUT * SECOND,
          "fenced before the deadline")
    print(f"released {took - RECALL_TIMEOUT:.2f} s after the deadline")
    holds(took <= RECALL_TIMEOUT + MARGIN, f"released {took:.1f} s after the recall")


def late_write_conflicts(guest):
    """Whatever the client writes to the disk now, by whatever it still believes to hold."""
    guest.fails("dmesg -C; dd if=/dev/zero of=/dev/sda bs=4K count=1 oflag=direct conv=notrunc")
    holds("reservation conflict" in guest.run("dmesg"),
          "the disk does not refuse the write for want of a key")


def reuse_and_heal(scene, guest, writer, name):
    """Give the file's blocks to another one, and have the client back, with what it had queued."""
    victim = Victim(scene, name)
    heal(scene, guest)
    writer.end()
    victim.expect_untouched()
    late_write_conflicts(guest)


def lose(scene, guest, way, name):
    """Lose the client while it writes, release its file, give its blocks to another, and have
    the client back."""
    writer = direct_writer(scene, guest, name)
    old_key, generation = scene.san.keys()[guest.name], scene.san.generation()
    WAYS[way](scene, guest)
    scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file(name))
    fenced_and_released(scene, name)
    equal(scene.san.generation() - generation, 1,
          "what the target was asked to change of its keys: one PREEMPT")
    holds(guest.name not in scene.san.keys(), f"the key is still there: {scene.san.keys()}")
    reuse_and_heal(scene, guest, writer, name)
    return old_key


def begin_anew(scene, guest, old_key, name):
    """The application has gone on through the server; a new mount writes directly,
    with another key."""
    scene.write(name, SIZE * MIB)
    before = guest.counters()
    guest.write(f"/mnt/n/{name}", SIZE)
    holds((guest.counters() - before)["WRITE"] > 0, "the fenced client writes through the server")
    mount_anew(scene, guest)
    scene.server.ctl("seal", "--pinned", scene.file(name))
    guest.write(f"/mnt/n/{name}", SIZE)
    equal(guest.counters()["WRITE"], 0, "WRITE after a new mount")
    keys = scene.san.keys()
    holds(guest.name in keys and keys[guest.name] != old_key, f"a new key: {keys}, not {old_key}")
    scene.server.ctl("unseal", "--wait", scene.file(name))
    remove(scene, name)


def mount_anew(scene, guest):
    guest.run("umount /mnt/n; dmesg -C")
    scene.mount(guest)


def fill(scene, free):
    """Leave so many bytes free, root's reserve counted: whoever wants blocks gets those that
    were freed last."""
    scene.host.run(f"fallocate -l $(($(stat -f -c '%f * %S' /mnt/data) - {free})) "
                   f"/mnt/data/filler; sync")


def small_san(lab, **options):
    """A stage: a disk with room for one file beside the filler, and one client."""
    scene = SanLab(lab, fs="ext4", size=96 * MIB, **{**SOON, **options})
    fill(scene, (SIZE + 3) * MIB)
    return scene


def losing(lab, lease):
    """A stage."""
    return small_san(lab, lease_time=lease)


def failing_fences(lab):
    """A stage: fences are soon given up."""
    return small_san(lab, fence_timeout=4)


@test(on=losing, lease=(10,), way=tuple(WAYS), seconds=16, timeout=400)
@test(on=losing, lease=(90,), way=("cut_off_from_both",), seconds=25, timeout=400)
@test(on=losing, lease=(90,), way=tuple(way for way in WAYS if way != "cut_off_from_both"),
      timeout=400, long=True)
def lost_writers_are_fenced_and_their_blocks_are_safe(scene, way):
    """In every way that a client can be lost, at a short lease; and at the default one, which a
    fence does not wait for."""
    guest, = scene.clients
    old_key = lose(scene, guest, way, way)
    if way in ("stopped", "cut_off_from_both") or scene.lab.long:
        begin_anew(scene, guest, old_key, way)
    else:
        mount_anew(scene, guest)


@test(on=losing, lease=(10,), seconds=25, timeout=1500)
def a_writer_cut_off_from_both_never_reaches_another_files_blocks(scene):
    """Twenty times in a long run."""
    guest, = scene.clients
    for turn in range(scene.lab.times(2, 20)):
        lose(scene, guest, "cut_off_from_both", f"file{turn}")
        mount_anew(scene, guest)


def restart_and_release(scene, guest, name):
    """A writer's disk path is cut with writes queued, the server is restarted, and the file
    released; the writer."""
    writer = direct_writer(scene, guest, name)
    key = scene.san.keys()[guest.name]
    guest.cut_storage()
    scene.server.kill()
    ids, back = {entry["client"] for entry in scene.server.trace()}, set()
    scene.server.start()

    def all_are_back(entry):
        if entry["what"] == "client-confirmed" and entry["client"] not in ids:
            back.add(entry["client"])
        return len(back) == len(scene.clients)

    scene.server.wait_trace(all_are_back)
    equal(scene.san.keys().get(guest.name), key, "nobody is fenced for a restart")
    scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file(name))
    return writer


def since_restart(scene):
    """The trace; the numbers begin anew with the server."""
    entries = scene.server.trace()
    return entries[max(i for i, entry in enumerate(entries) if entry["what"] == "resume"):]


def restart_over_a_queue(scene, guest, name):
    """What ended what the client had, and then; whether its key was there after the release."""
    writer = restart_and_release(scene, guest, name)
    registered, since = guest.name in scene.san.keys(), since_restart(scene)
    reuse_and_heal(scene, guest, writer, name)
    return [entry.get("how") or entry["step"] for entry in since
            if entry["what"] in ("fenced", "past-is-over", "grant-ended")
            or entry.get("step") == "unflag"], registered


@test(on=losing, lease=(10,), seconds=45, timeout=1500)
def a_writer_whose_server_restarts_is_fenced_before_the_release(scene):
    """Its disk path is cut with writes queued, its network is not. When the server comes back it
    throws its layout away without waiting for them, and would say that it has none. Twice; ten
    times in a long run."""
    guest, = scene.clients
    for turn in range(scene.lab.times(2, 10)):
        ends, registered = restart_over_a_queue(scene, guest, f"restarted{turn}")
        equal((ends, registered), (["key preempted", "unflag"], False),
              "what ended what the client had, and then; is its key there")
        mount_anew(scene, guest)


# initiator_settle_time: more than an initiator of this lab needs to bring or give up what it
# had queued
QUEUE_TIME = 15


def settling(lab):
    """A stage: a client to be lost, and a healthy one that writes all the time."""
    scene = small_san(lab, clients=2, initiator_settle_time=QUEUE_TIME, recall_timeout=10)
    scene.host.run("rm /mnt/data/filler")
    for name in ("steady", *(f"{when}{turn}" for turn in range(lab.times(2, 10))
                             for when in ("early", "late"))):
        scene.write(name, MIB)
        scene.server.ctl("seal", "--pinned", scene.file(name))
    fill(scene, (SIZE + 3) * MIB)
    return scene


def visit_more(guest, job):
    """It has come once more, from now on."""
    guest.poll(0)
    # The first may have been under way.
    job.expect("visited", 120, times=job.said.count("visited") + 2)


class Steady:
    """A healthy client's writes to a file of its own."""

    def __init__(self, guest):
        self.guest = guest
        shutil.copy(f"{HERE}/direct-visitor", guest.directory)
        self.job = guest.start(f"exec /mnt/lab/direct-visitor write /mnt/n/steady 0 {MIB} "
                               f"/tmp/stop")

    def expect_direct(self):
        """From now on. A write may be under way that began when there was no server."""
        visit_more(self.guest, self.job)
        before = self.guest.counters()
        visit_more(self.guest, self.job)
        rest = self.guest.counters() - before
        equal((rest.pnfs, rest.data()), ("LAYOUT_SCSI", 0), f"the healthy client: {rest.show()}")

    def end(self):
        self.guest.run("touch /tmp/stop")
        self.job.finish()


def disk_bytes(guest):
    """How many the client itself has read from the disk, and written to it."""
    fields = guest.run("cat /sys/block/sda/stat").split()
    return int(fields[2]) * 512, int(fields[6]) * 512


def read_while_fenced(scene, guest, fenced, name):
    """Its disk path is well again. What it reads it has from the server, until it has settled."""
    before = guest.counters()
    equal(guest.sha256(f"/mnt/n/{name}"), scene.sha256(name), "what the fenced client reads")
    settled = [entry for entry in scene.server.trace() if entry["what"] == "unfenced"
               and entry["client"] == fenced["client"]]
    rest = guest.counters() - before
    holds(rest["READ"] > 0 or settled, f"the fenced client reads through the server: {rest.show()}")
    print(f"fenced: {rest.show()}")


def direct_again(scene, guest, name):
    """By the mount that it had all the time, it reads and writes a file on the disk."""
    before, (read, written) = guest.counters(), disk_bytes(guest)
    equal(guest.sha256(f"/mnt/n/{name}"), scene.sha256(name), "what the client reads")
    digest = guest.write(f"/mnt/n/{name}", 1)
    equal(scene.sha256(name), digest, "what the client wrote")
    rest, (read_now, written_now) = guest.counters() - before, disk_bytes(guest)
    equal((rest.pnfs, rest.data()), ("LAYOUT_SCSI", 0),
          f"the client that was fenced: {rest.show()}")
    holds(rest["LAYOUTGET"] > 0, f"the client that was fenced: {rest.show()}")
    holds(read_now - read >= MIB and written_now - written >= MIB,
          f"at its disk: {read_now - read} read, {written_now - written} written")
    print(f"direct again: {rest.show()}; "
          f"{read_now - read} bytes read and {written_now - written} written at its disk")


def settle_after_a_fence(scene, guest, turn):
    """Fenced, released, direct again: by then whatever is queued at it still is let in by
    its new key."""
    name = f"settling{turn}"
    writer = restart_and_release(scene, guest, name)
    holds(guest.name not in scene.san.keys(), "its key is gone")
    acts = [entry for entry in since_restart(scene) if entry["what"] in ("fence", "fenced")
            or entry.get("step") == "unflag"]
    equal([entry.get("how") or entry.get("step") for entry in acts if entry["what"] != "fence"],
          ["key preempted", "unflag"], "in this order")
    # One may fail, while the healthy client is about to register.
    fence = [entry for entry in acts if entry["what"] == "fence"][-1]
    victim = Victim(scene, name)
    guest.run("dmesg -C")
    heal(scene, guest)
    read_while_fenced(scene, guest, fence, f"early{turn}")
    writer.end()
    print(f"{guest.run('dmesg').count('reservation conflict')} of its commands were refused for "
          f"want of a key")
    settled = scene.server.wait_trace(lambda entry: entry["what"] == "unfenced"
                                      and entry["client"] == fence["client"])
    took = (settled["time_ns"] - fence["time_ns"]) / SECOND
    holds(took >= QUEUE_TIME, f"called settled {took:.1f} s after its fence")
    equal([entry for entry in since_restart(scene) if entry["what"] == "grant"
           and entry["client"] == fence["client"] and fence["seq"] < entry["seq"] < settled["seq"]],
          [], "what it was granted before")
    direct_again(scene, guest, f"late{turn}")
    holds(guest.name in scene.san.keys(), "it has a key")
    victim.expect_untouched()
    scene.server.ctl("unseal", "--wait", scene.file(f"late{turn}"))
    fences = [entry for entry in since_restart(scene) if entry["what"] in ("fence", "fenced")]
    equal({entry["client"] for entry in fences}, {fence["client"]}, "who was fenced")
    equal(sum(entry["what"] == "fenced" for entry in fences), 1, "how often")


@test(on=settling, seconds=85, timeout=1500)
def a_client_that_was_fenced_is_direct_again_after_the_settle_time(scene):
    """Without an unmount. Its disk path is cut with writes queued, and the server is restarted;
    then it is fenced, and its file's blocks are given away. Until the settle time has passed it
    goes on through the server, then it has its disk again, and returns what it has when it is
    asked. Nobody else is fenced. Twice on one mount; ten times in a long run."""
    guest, healthy = scene.clients
    steady = Steady(healthy)
    for turn in range(scene.lab.times(2, 10)):
        steady.expect_direct()
        settle_after_a_fence(scene, guest, turn)
        steady.expect_direct()
    log = [line for line in scene.server.log_text().splitlines() if "was fenced from" in line]
    holds(log and all(guest.ip in line for line in log), f"who was fenced, by the log: {log}")
    steady.end()


PAUSE = 16  # seconds from when something of the client's waits: past the deadline


def waiting(lab):
    """A stage: there is time to stop the server before a deadline, and to remind a
    client after it."""
    return small_san(lab, recall_timeout=12)


# Started before the recall: stop the server when it has sent it.
STOP_AT_RECALL = """\
while [ $(grep -c '"what":"recall"' {trace}) = {before} ]; do sleep 0.05; done
kill -STOP $(cat {pid})
say stopped"""


def pause_across_a_deadline(scene, guest, name):
    """The client hears of the recall when the server is stopped already; what it says waits in
    the server's socket."""
    writer = direct_writer(scene, guest, name)
    recalls = sum(entry["what"] == "recall" for entry in scene.server.trace())
    guest.cut()
    stopper = scene.host.start(STOP_AT_RECALL.format(trace=scene.server.trace_file, before=recalls,
                                                     pid=f"{RUN}/pid"))
    release = scene.server.start_ctl("unseal", "--wait", "--timeout", "60", scene.file(name))
    stopper.expect("stopped")
    guest.mend()
    scene.host.run(f"until ss -Hnt state established dst {guest.ip} | awk '$1 > 0 {{ found = 1 }} "
                   f"END {{ exit !found }}'; do sleep 0.1; done")
    time.sleep(PAUSE)
    scene.host.run(f"kill -CONT $(cat {RUN}/pid)")
    release.wait()
    writer.end()
    holds("failed" not in writer.job.said, f"the client had an error: {writer.job.output()}")
    remove(scene, name)


@test(on=waiting, seconds=60, timeout=1500)
def a_server_that_was_stopped_reads_what_waits_before_it_judges(scene):
    """Stopped across the deadline of a recall, it finds the client's LAYOUTRETURN when it goes on.
    Twice; ten times in a long run."""
    guest, = scene.clients
    for turn in range(scene.lab.times(2, 10)):
        pause_across_a_deadline(scene, guest, f"paused{turn}")
        ends = [entry.get("how") or entry["what"] for entry in scene.server.trace()
                if entry["what"] in ("fence", "fenced", "grant-ended")]
        print(f"{turn + 1} pauses: {ends}")
        holds(set(ends) == {"returned"}, f"how its grants ended: {ends}")
        mount_anew(scene, guest)


def expect_stuck(scene, guest, name, key):
    """The seal stays, nothing is freed, the key is where it was, and the operator is told."""
    scene.server.wait_state(scene.file(name), "stuck")
    why = scene.server.ctl("status", scene.file(name))["status"][0]["why"]
    holds(guest.ip in why and "its key could not be seen to be gone" in why, f"status: {why}")
    scene.host.fails(f"truncate -s 0 {scene.file(name)}")
    equal(Trace(scene.server, scene.file(name)).all("step", step="unflag"), [], "releases")
    equal(scene.san.keys().get(guest.name), key, "the client's key at the target")


def fenced_late(scene, guest, name, breaks, mends):
    """A fence that does not work at first: the seal waits for one that does."""
    writer = direct_writer(scene, guest, name)
    key = scene.san.keys()[guest.name]
    cut_off_from_both(scene, guest)
    breaks()
    release = scene.server.start_ctl("unseal", scene.file(name))
    expect_stuck(scene, guest, name, key)
    mends()
    release.wait()
    scene.server.wait_state(scene.file(name), "open")
    trace = Trace(scene.server, scene.file(name))
    recall, end = trace.all("recall")[0], trace.release()
    for what in ("fence-failed", "fenced"):
        holds([entry for entry in trace.all(what) if recall["seq"] < entry["seq"] < end["seq"]],
              f"no {what} before the release")
    reuse_and_heal(scene, guest, writer, name)


@test(on=failing_fences, how=("refused", "dropped"), seconds=30, timeout=300)
def a_fence_that_does_not_work_keeps_the_seal_until_one_does(scene, how):
    """The target refuses the PREEMPT, or does not hear of it."""
    guest, = scene.clients
    attribute = f"{CONFIGFS}/core/iblock_0/lun0/attrib/emulate_pr"
    breaks, mends = {"refused": (lambda: scene.san.target.run(f"echo 0 > {attribute}"),
                                 lambda: scene.san.target.run(f"echo 1 > {attribute}")),
                     "dropped": (scene.host.cut_storage, scene.host.mend_storage)}[how]
    fenced_late(scene, guest, how, breaks, mends)
    mount_anew(scene, guest)


@test(on=failing_fences, seconds=25, timeout=300)
def a_crash_between_the_fence_and_the_release_frees_nothing_that_may_be_written(scene):
    """The server dies after the key has gone and before the flag has: a stale page of the file,
    mapped by somebody, keeps the flag."""
    guest, = scene.clients
    scene.write("file", SIZE * MIB)
    mapped = scene.host.start(MAP.format(path=scene.file("file")))
    mapped.expect("mapped")
    writer = direct_writer(scene, guest, "file", write=False)
    cut_off_from_both(scene, guest)
    release = scene.server.start_ctl("unseal", scene.file("file"))
    scene.server.wait_trace(lambda entry: entry["what"] == "step" and entry["step"] == "unflag"
                            and entry["file"] == scene.file("file"))
    holds(guest.name not in scene.san.keys(), "the key is gone")
    scene.server.kill()
    release.wait()
    scene.host.fails(f"truncate -s 0 {scene.file('file')}")
    scene.server.start()
    scene.server.wait_state(scene.file("file"), "releasing")
    scene.host.fails(f"truncate -s 0 {scene.file('file')}")
    scene.host.run("echo > /run/unmap")
    mapped.finish()
    scene.server.wait_state(scene.file("file"), "open")
    reuse_and_heal(scene, guest, writer, "file")
    mount_anew(scene, guest)


@test(on=failing_fences, seconds=25, timeout=300)
def a_target_that_restarts_while_a_fence_is_wanted(scene):
    """It is given its registrations again: the server goes on with its reservation, and the client
    that was cut off writes nothing."""
    guest, = scene.clients
    writer = direct_writer(scene, guest, "again")
    scene.server.wait_log(f"key 0x{scene.san.keys()[guest.name][0].rjust(16, '0')} is registered")
    cut_off_from_both(scene, guest)
    scene.san.down()
    release = scene.server.start_ctl("unseal", scene.file("again"))
    last = scene.server.trace()[-1]["seq"]
    scene.server.wait_trace(lambda entry: entry["what"] == "fence" and entry["seq"] > last)
    scene.san.up([])
    release.wait()
    scene.server.wait_state(scene.file("again"), "open")
    reuse_and_heal(scene, guest, writer, "again")
    holds("Exclusive Access, Registrants Only" in scene.san.reservation(),
          "the server has the reservation")


class Visits:
    """Two readers and two writers of one file, each in its half of it."""

    def __init__(self, scene, number, size):
        self.scene, self.stop = scene, f"/tmp/stop{number}"
        path = f"/mnt/n/file{number}"
        self.before = [guest.counters() for guest in scene.clients]
        self.jobs = [guest.start(f"exec /mnt/lab/direct-visitor {how} {path} {offset} {size // 2} "
                                 f"{self.stop}") for guest, how, offset in zip(
            scene.clients, ("read", "read", "write", "write"), (0, size // 2, 0, size // 2))]

    def more(self):
        """Each has come once more, from now on."""
        for guest, job in zip(self.scene.clients, self.jobs):
            visit_more(guest, job)

    def expect_direct(self, when):
        """All that they read and wrote since the last look went to the disk."""
        for i, guest in enumerate(self.scene.clients):
            counters = guest.counters()
            rest, self.before[i] = counters - self.before[i], counters
            equal((rest.pnfs, rest.data()), ("LAYOUT_SCSI", 0),
                  f"{guest.name}, {when}: {rest.show()}")
            holds(rest["LAYOUTGET"] > 0, f"{guest.name}, {when}: {rest.show()}")

    def end(self):
        """None of them has had an error."""
        for guest in self.scene.clients:
            guest.run(f"touch {self.stop}")
        for job in self.jobs:
            job.finish()


def restart_under(scene, visits):
    """They were direct before, and are again at once: what they did while there was no
    server is over."""
    scene.server.kill()
    scene.server.start()
    visits.more()
    visits.before = [guest.counters() for guest in scene.clients]
    visits.more()
    for guest, before in zip(scene.clients, visits.before):
        rest = guest.counters() - before
        equal((rest.pnfs, rest.data()), ("LAYOUT_SCSI", 0),
              f"{guest.name}, after the restart: {rest.show()}")


@test(seconds=70, timeout=1800)
def healthy_clients_keep_their_disk_through_seal_after_seal_and_a_restart(lab):
    """Two readers and two writers of one file at a time, which is sealed before they come and
    unsealed while they are there; in the middle the server is killed under them. Each time
    another file: who was told that there is no layout does not ask again for two minutes. Fifty
    times in a long run."""
    rounds, size = lab.times(4, 50), MIB
    scene = SanLab(lab, clients=4, initiator_settle_time=SETTLE, grace_time=1)
    scene.host.run(f"for i in $(seq 0 {rounds - 1}); do dd if=/dev/urandom of=/mnt/data/file$i "
                   f"bs={size} count=1 status=none; done; sync")
    for guest in scene.clients:
        shutil.copy(f"{HERE}/direct-visitor", guest.directory)
    before = None
    for number in range(rounds):
        scene.server.ctl("seal", "--pinned", scene.file(f"file{number}"))
        visits = Visits(scene, number, size)
        visits.more()
        visits.expect_direct(f"round {number}")
        if number == rounds // 2:
            before = None  # each is told a key anew
            restart_under(scene, visits)
        keys = scene.san.keys()
        before = before or keys
        equal(keys, before, "the keys at the target while all hold layouts")
        scene.server.ctl("unseal", "--wait", scene.file(f"file{number}"))
        visits.end()
    equal(sorted(before), sorted(guest.name for guest in (scene.host, *scene.clients)),
          "who has a key")
    equal([entry for entry in scene.server.trace() if entry["what"] in ("fence", "fenced")], [],
          "fences")
    print(f"{rounds} seals and a restart: nobody fenced, no error")
