"""One node of two is lost, and the other one serves what it served (docs/failover.md)."""
import time

from pair import Pair, TRY_LOCK, Work, direct_again
from registry import equal, holds, test


def pair(lab):
    """A stage: node a serves two clients."""
    scene = Pair(lab)
    scene.a.up()
    scene.mount()
    return scene


@test(seconds=60, timeout=600, long=True)
def a_killed_nodes_files_locks_and_clients_go_on_at_the_other_one(lab):
    """Power cut of the active node. No acknowledged write is lost, the lock is kept, I/O is direct
    again. The time to the first answer is said, with --show."""
    scene = pair(lab)
    work = Work(scene)
    scene.a.guest.kill()
    begin = time.monotonic()
    equal(scene.b.fence("off", "a")[0], 0, "the fence")
    fenced = time.monotonic() - begin
    scene.b.up()
    up = time.monotonic() - begin
    work.check(scene.b)
    print(f"fence {fenced:.1f} s, resources up after {up:.1f} s; the longest write: "
          f"sealed {work.sealed.longest} s, plain {work.plain.longest} s")
    direct_again(scene, scene.b, scene.clients[0])


@test(seconds=60, timeout=600)
def a_node_that_was_paused_and_wakes_up_writes_nothing_and_ends(lab):
    """It is stopped with writes of its own under way, and woken after the other one serves: the
    disk refuses them, and its server sees whose the disk is and ends. Its resources do not start
    again before they were stopped."""
    scene = pair(lab)
    work = Work(scene)
    own = scene.a.guest.start("while dd if=/dev/zero of=/mnt/data/own bs=64K count=16 conv=fsync "
                              "status=none; do :; done; cat /mnt/data/own > /dev/null; true")
    scene.a.guest.stop()
    scene.b.up()
    scene.a.guest.cont()
    scene.a.ends("was taken over by another node")
    own.wait()
    status, said = scene.a.agent("disks", "monitor")
    holds(status == 1 and "does not hold it" in said, f"{status}: {said}")
    said = scene.a.guest.fails("dd if=/dev/zero of=/dev/sda bs=4096 count=1 seek=64 oflag=direct "
                               "2>&1")
    holds("Invalid exchange" in said, f"what the disk refuses for, a reservation conflict: {said}")
    equal(scene.a.agent("server", "start")[0], 1, "its mounts are of before")
    status, said = scene.a.agent("disks", "start")
    holds(status == 1 and "was fenced" in said, f"{status}: {said}")
    status, said = scene.a.fence("off", "b")
    holds(status == 1 and "was fenced" in said, f"a fenced node fences nobody: {status}: {said}")
    equal(scene.a.agent("disks", "stop")[0], 0, "it leaves the disks")
    equal(scene.a.agent("disks", "monitor")[0], 7, "its disks are stopped")
    status, said = scene.a.agent("disks", "start")
    holds(status == 1 and "was fenced" in said, f"nor are they taken back: {status}: {said}")
    equal(scene.a.agent("server", "monitor")[0], 7, "its server is not running")
    equal(sorted(scene.san.keys()).count(scene.a.guest.name), 0, "a's registrations")
    work.check(scene.b)
    direct_again(scene, scene.b, scene.clients[0])


@test(seconds=60, timeout=600, long=True)
def without_a_fence_the_second_node_does_not_start_and_says_why(lab):
    """Split brain by misconfiguration: the disks are let in on both, and nobody was fenced."""
    scene = pair(lab)
    equal(scene.b.fence("status", "a")[0], 0, "a is on")
    equal(scene.b.fence("status", "b")[0], 2, "b is off")
    equal(scene.b.fence("monitor")[0], 0, "the fence device")
    equal(scene.b.fence("on", "b")[0], 0, "b may use the disks")
    equal(scene.b.fence("status", "b")[0], 0, "b is on")
    # What is only in the log is not seen by a mount that does not recover it.
    scene.a.guest.run("for at in /mnt/state /mnt/data; do fsfreeze -f $at; fsfreeze -u $at; done")
    said = scene.b.guest.fails(
        "mkdir -p /mnt/state /mnt/data; mount -o ro,norecovery /dev/sdb /mnt/state; "
        "mount -o ro,norecovery /dev/sda /mnt/data; "
        "/mnt/lab/bin/sealnfsd --config /mnt/lab/sealnfs.conf 2>&1")
    holds('was last used by node "a"' in said and "--take-over" in said, said)
    equal(scene.a.agent("server", "monitor")[0], 0, "a serves on")
    scene.clients[0].run("dd if=/dev/zero of=/mnt/n/file bs=1M count=1 conv=fsync status=none")
    scene.b.guest.run("umount /mnt/data /mnt/state")


@test(seconds=60, timeout=600, long=True)
def a_move_in_order_there_and_back_needs_no_fence_device(lab):
    """Stopped cleanly on a, started on b, and back: the agents' own work is enough."""
    scene = pair(lab)
    work = Work(scene)
    scene.a.down()
    equal(scene.a.agent("disks", "monitor")[0], 7, "a has left the disks")
    scene.b.up()
    equal(scene.b.agent("disks", "monitor")[0], 0, "b has them")
    equal(scene.b.agent("server", "monitor")[0], 0, "b serves")
    work.two.fails(TRY_LOCK)
    scene.b.down()
    scene.a.up()
    work.check(scene.a)
    direct_again(scene, scene.a, scene.clients[0])
