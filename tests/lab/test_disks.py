"""Disks that are not there: at the start, and while they are served. The other exports are
served, clients wait, the directory underneath is never shown, and all goes on by itself when
the disk comes."""
import fcntl
import os
import signal
import struct

from disk import MIB, immutable
from holder import Holder, install_hook
from load import Load, reading
from registry import equal, holds, test

GOING_DOWN = 0x8004587D  # XFS_IOC_GOINGDOWN, and ext4's


def shut_down(disk):
    """As after an error that the file system cannot go on from: what was not flushed is lost."""
    descriptor = os.open(disk.path, os.O_RDONLY)
    fcntl.ioctl(descriptor, GOING_DOWN, struct.pack("=I", 2))
    os.close(descriptor)


def appending(guest, path):
    """Numbered lines, each flushed: `guest.run(f"cat {path}.told")` says how many the client was
    told are safe."""
    return Load(guest, "appending", "n=$((${n:-0} + 1))\n"
                f"echo line $n | dd of={path} oflag=append conv=notrunc,fsync status=none || exit "
                f"1\n"
                "echo $n > /tmp/told")


def warning(server):
    return server.sealctl("status")[1]


@test(fs=("xfs", "ext4"), seconds=30)
def one_export_is_held_back_until_its_disk_comes(lab, fs):
    """A client that has the pseudo root mounted uses the other export, and finds this one when its
    disk is mounted."""
    disk, late = lab.disk(fs=fs, size=400 * MIB), lab.disk("late", fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    digest = late.write("file", MIB)
    late.umount()
    with open(late.file("underneath"), "w"):
        pass
    server = lab.server(disk, exports={"/late": {"path": late.path, "mountpoint": True},
                                       "/missing": {"path": f"{late.path}/no/such"}})
    guest, = lab.clients(1, mount="/")
    server.wait_log("serves 1 export (2 more when their disks are there)")
    server.wait_log("export /late is not served")
    holds("/late is not served" in warning(server) and "mount its disk" in warning(server),
          warning(server))
    for path in late.file("underneath"), late.file("nothing"):
        text = server.refused("explain", path)
        holds("/late, which is not served" in text and "mount its disk" in text, text)
    text = server.refused("seal", late.file("underneath"))
    holds("/late, which is not served" in text, text)
    equal(guest.run("ls /mnt/n").split(), ["data"], "what is shown")
    guest.run("sha256sum /mnt/n/data/file")
    waiting = guest.start("stat -c %n /mnt/n/late/file")
    late.mount()
    server.wait_log("export /late: the disk of")
    waiting.finish()
    equal(guest.sha256("/mnt/n/late/file"), digest, "the file")
    equal(guest.run("ls /mnt/n; ls -d /mnt/n/late/*e*").split(),
          ["data", "late", "/mnt/n/late/file"], "what is shown")
    server.ctl("seal", late.file("file"))
    equal(server.state(late.file("file")), "sealed", "the seal of a file on the disk that came")


@test(seconds=20)
def not_underneath_after_a_start_without_the_disk(lab):
    """Without a word in the configuration: the server remembers what it served from there."""
    disk = lab.disk(fs="ext4", size=400 * MIB)
    digest = disk.write("file", MIB)
    server = lab.server()
    server.ctl("seal", disk.file("file"))
    server.stop()
    disk.umount()
    with open(disk.file("file"), "w"):
        pass
    server.start()
    server.wait_log("is not served, the others are: the file system that was served from")
    guest, = lab.clients(1, mount="/")
    equal(guest.run("ls /mnt/n").split(), [], "what is shown")
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("the configuration was reloaded")
    holds("/data is not served" in warning(server), warning(server))
    disk.mount()
    server.wait_log("export /data: the disk of")
    equal(guest.sha256("/mnt/n/data/file"), digest, "the file")
    equal(server.state(disk.file("file")), "sealed", "the seal")
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))


@test(fs=("xfs", "ext4"), seconds=40)
def a_disk_is_unmounted_lazily_under_io(lab, fs):
    """Clients wait, and go on by the opens that they have when it is mounted again."""
    disk, other = lab.disk(fs=fs, size=400 * MIB), lab.disk("other", fs=fs, size=400 * MIB)
    digest = disk.write("still", 4 * MIB)
    other.write("file", MIB)
    server = lab.server()
    guest, = lab.clients(1, mount="/")
    load = appending(guest, "/mnt/n/data/log")
    reader = reading(guest, "/mnt/n/data/still", 4, digest)
    load.rounds(3)
    reader.rounds(1)
    disk.run(f"umount -l {disk.path}")
    server.wait_log("export /data is not served")
    with open(disk.file("log"), "w"):  # the directory underneath
        pass
    guest.run("sha256sum /mnt/n/data1/file")
    disk.mount()
    server.wait_log("export /data: the disk of")
    load.rounds(3)
    reader.rounds(1)
    load.end()
    reader.end()
    told = int(guest.run("cat /tmp/told"))
    with open(disk.file("log")) as f:
        equal(f.read().split("\n"), [*(f"line {n}" for n in range(1, told + 1)), ""], "every line")
    holds("/data is not served" not in warning(server), warning(server))


@test(fs=("xfs", "ext4"), seconds=40)
def a_file_system_is_shut_down_under_io(lab, fs):
    """No error reaches the client, the server lets go of it so that it can be unmounted, and what
    was said to be safe is there."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    digest = disk.write("still", 4 * MIB)
    server = lab.server()
    guest, = lab.clients(1, mount="/data")
    load = appending(guest, "/mnt/n/log")
    reader = reading(guest, "/mnt/n/still", 4, digest)
    load.rounds(3)
    reader.rounds(1)
    shut_down(disk)
    server.wait_log("export /data is not served")
    holds("unmount it, repair it and mount it again" in warning(server), warning(server))
    disk.run(f"for i in $(seq 100); do umount {disk.path} && exit 0; sleep 0.1; done; exit 1")
    disk.mount()
    server.wait_log("export /data: the disk of")
    load.rounds(3)
    reader.rounds(1)
    load.end()
    reader.end()
    told = int(guest.run("cat /tmp/told"))
    with open(disk.file("log")) as f:
        lines = f.read().split()[1::2]
    equal(sorted(set(map(int, lines))), list(range(1, told + 1)),
          "every line that was said to be safe")


@test(fs=("xfs", "ext4"), seconds=15)
def a_seal_outlives_its_disk(lab, fs):
    """Who holds a layout returns it while the disk is away; the release waits for the disk, and
    nobody is fenced."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    path = disk.file("file")
    server = lab.server(recall_timeout=60, fence_retry=1, grace_time=1, scrub_interval=1,
                        fence_hook=install_hook(lab.directory))
    client = Holder(disk, "holder", lab.directory).connect()
    server.ctl("seal", "--pinned", path)
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    disk.run(f"umount -l {disk.path}")
    server.wait_log("export /data is not served")
    unseal = server.start_ctl("unseal", "--wait", "--timeout", "100", path)
    server.wait_trace(lambda entry: entry["what"] == "step" and entry["step"] == "unflag")
    holds(unseal.poll() is None, "released without its disk")
    disk.mount()
    holds(immutable(path), "the flag")
    equal(unseal.wait(100), 0, "the release when the disk is there")
    holds(not immutable(path), "the flag, after the release")
    holds(not os.path.exists(f"{lab.directory}/hook-calls"), "nobody was fenced")
    client.end()
