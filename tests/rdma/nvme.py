#!/usr/bin/env python3
"""SCSI layouts of an NVMe namespace (RFC 9561), with the kernel's own target, the real sealnfsd and
the kernel's own client, which has a network namespace of its own. Runs in the guest of
tests/rdma/run, which says by lab_kernel where the kernel's modules are.

  nvme.py BUILD [NAME...]

The namespace has a controller for each host: the server's, the client's, and one of another node.
Reservations are of hosts, so to the target they are three machines. Nothing that the server says of
a reservation is believed here: who may read and write is tried, by the blocks that lie behind the
file system.
"""
import ctypes
import fcntl
import mmap
import os
import signal
import struct
import subprocess
import sys
import uuid

from guest_tests import (MIB, NAMESPACE, SERVER, digest_of, make_file, network, run, run_tests,
                         test, wait_for)
from counters import Counters
from registry import equal, holds
from server import Server

BUILD, NAMES = sys.argv[1], sys.argv[2:]
HERE = os.path.dirname(os.path.abspath(__file__))
NVMET, SUBSYSTEM = "/sys/kernel/config/nvmet", "sealnfs"
NVME_ID, NVME_IO_CMD = 0x4E40, 0xC0484E43
NGUID = uuid.UUID("5ea11f50-0000-4000-8000-00000000000a")
SIZE, FS_SIZE = 320 * MIB, 316 * MIB
AT, MOUNT = "/mnt/nvme", "/mnt/client"
RELOADED = "the configuration was reloaded"
# Not ip-netns(8), whose mounts are its own.
IN_CLIENT = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]


def put(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def unregister(disk):
    """A host's key, whatever it is: RESERVATION REGISTER, action 1, as nvme-cli sends it."""
    file, data = os.open(disk, os.O_RDWR), mmap.mmap(-1, 16)
    address = ctypes.addressof(ctypes.c_char.from_buffer(data))
    command = bytearray(struct.pack("=BBHIIIQQIIIIIIIIII", 0x0D, 0, 0, fcntl.ioctl(file, NVME_ID),
                                    0, 0, 0, address, 0, 16, 1 | 1 << 3, 0, 0, 0, 0, 0, 0, 0))
    equal(fcntl.ioctl(file, NVME_IO_CMD, command), 0, f"the status of unregistering by {disk}")
    os.close(file)


def modules():
    """Controllers of one namespace are disks of their own, not paths to one."""
    load = ["modprobe", "-C", "/dev/null", "-d", os.environ["lab_kernel"]]
    run(*load, "nvme_core", "multipath=0")
    for module in ("nvmet", "nvme_loop", "nfsv4", "blocklayoutdriver"):
        run(*load, module)


def target():
    """A namespace with reservations, which a restart of the target forgets: nvmet has no PTPL."""
    if not os.path.exists(NVMET):
        run("mount", "-t", "configfs", "configfs", "/sys/kernel/config")
    with open("/tmp/namespace", "wb") as image:
        image.truncate(SIZE)
    subsystem = f"{NVMET}/subsystems/{SUBSYSTEM}"
    os.mkdir(subsystem)
    put(f"{subsystem}/attr_allow_any_host", "1")
    os.mkdir(f"{subsystem}/namespaces/1")
    for name, value in (("device_path", "/tmp/namespace"), ("device_nguid", str(NGUID)),
                        ("resv_enable", "1"), ("enable", "1")):
        put(f"{subsystem}/namespaces/1/{name}", value)
    os.mkdir(f"{NVMET}/ports/1")
    put(f"{NVMET}/ports/1/addr_trtype", "loop")
    os.symlink(subsystem, f"{NVMET}/ports/1/subsystems/{SUBSYSTEM}")


def host(number):
    """A controller of a host of its own: its disk."""
    name = uuid.UUID(int=number)
    with open("/dev/nvme-fabrics", "r+b", buffering=0) as fabrics:
        fabrics.write(f"transport=loop,nqn={SUBSYSTEM},hostid={name},"
                      f"hostnqn=nqn.2014-08.org.nvmexpress:uuid:{name}".encode())
        answer = dict(word.split("=") for word in fabrics.read(4096).decode().strip().split(","))
    disk = f"/dev/nvme{answer['instance']}n1"
    wait_for(lambda: os.path.exists(disk), f"{disk} is there")
    return disk


def may(disk):
    """Whether a host may read and write: of the last page, which is no file system's."""
    page, done = mmap.mmap(-1, 4096), []
    file = os.open(disk, os.O_RDWR | os.O_DIRECT)
    for call in (os.preadv, os.pwritev):
        try:
            done.append(call(file, [page], SIZE - 4096) == 4096)
        except OSError:
            done.append(False)
    os.close(file)
    return tuple(done)


class Disks:
    """The namespace, as each of the three hosts sees it, with a file system of the server's."""

    def __init__(self):
        modules()
        target()
        self.servers, self.clients, self.others = host(1), host(2), host(3)
        run("mkfs.xfs", "-q", "-m", "reflink=0", "-d", f"size={FS_SIZE}", self.servers)
        os.makedirs(AT)
        os.makedirs(MOUNT)
        run("mount", "-t", "xfs", self.servers, AT)
        os.makedirs("/dev/disk/by-id", exist_ok=True)
        os.symlink(self.clients, f"/dev/disk/by-id/nvme-eui.{NGUID.hex}")

    def as_the_server(self):
        """A command before the server's: on its machine the others' disks are not."""
        os.makedirs("/tmp/nothing")
        return ["unshare", "-m", "sh", "-c", "for disk in " + " ".join(
            os.path.realpath(f"/sys/class/block/{os.path.basename(disk)}")
            for disk in (self.clients, self.others))
                + '; do mount --bind /tmp/nothing $disk; done; exec "$@"', "sh"]

    def reached(self):
        """Which of the three may read and write, by trying."""
        return [may(disk) for disk in (self.servers, self.clients, self.others)]


class Scene:
    """A server, which is one for all tests, and the client's mount."""

    def __init__(self, disks, server):
        self.disks, self.server, self.files, self.writer = disks, server, [], None
        if not server.running():
            server.start()
        self.mount()

    @staticmethod
    def mount():
        run(*IN_CLIENT, "mount", "-t", "nfs4", "-o", "vers=4.1", f"{SERVER}:/data", MOUNT)

    def umount(self):
        run("umount", MOUNT)

    def file(self, name, size):
        path = f"{AT}/{name}"
        digest = make_file(path, size)
        self.files.append(path)
        self.server.ctl("seal", "--pinned", path)
        return path, digest

    def configure(self, volatile):
        """By a reload, which a reader of the log sees."""
        self.server.exports["/data"]["scsi_volatile_reservations"] = volatile
        self.server.write_config()
        said = self.server.log_text().count(RELOADED)
        self.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.server.log_text().count(RELOADED) > said, "the reload")

    def counters(self):
        with open("/proc/self/mountstats", encoding="ascii") as file:
            return Counters.parse(file.read(), MOUNT)

    def read(self, name):
        """The client's, past its cache, and not past its end, for which it would ask the server."""
        size = os.stat(f"{MOUNT}/{name}").st_size // MIB
        return run("sh", "-c", f"dd if={MOUNT}/{name} bs=1M count={size} iflag=direct status=none "
                   "| sha256sum").split()[0]

    def write_on(self, name, size):
        """Over and over, directly, until the end."""
        self.writer = subprocess.Popen(
            ["sh", "-c", f"job=writer exec {HERE}/../lab/direct-writer {MOUNT}/{name} {size} "
             "/tmp/stop 3>/tmp/rounds >/dev/null"])

    def rounds(self, outcome):
        if not os.path.exists("/tmp/rounds"):
            return 0
        with open("/tmp/rounds", encoding="ascii") as file:
            return file.read().count(outcome)

    def stop_writing(self):
        if self.writer:
            put("/tmp/stop", "")
            self.writer.wait(90)
            os.unlink("/tmp/stop")
            self.writer = None

    def end(self):
        run("ip", "link", "set", "sv", "up")
        if not self.server.running():
            # Its file system is shut down already, or is to end trying.
            subprocess.run(["xfs_io", "-x", "-c", "shutdown", AT], check=False,
                           stderr=subprocess.DEVNULL)
            return
        self.stop_writing()
        for path in self.files:
            self.server.sealctl("unseal", "--wait", "--timeout", "60", path, timeout=90)
        self.umount()
        if may(self.disks.clients)[0]:
            unregister(self.disks.clients)
        for path in self.files:
            os.unlink(path)


@test
def a_stock_client_reads_and_writes_a_namespace_directly(scene):
    """And whoever has registered may, nobody else."""
    path, digest = scene.file("file", 8 * MIB)
    equal(scene.disks.reached(), [(True, True), (False, False), (False, False)],
          "who may read and write: the server, the client, another")
    equal(scene.read("file"), digest, "what the client reads")
    digest = make_file("/tmp/source", 8 * MIB)
    run("dd", "if=/tmp/source", f"of={MOUNT}/file", "bs=1M", "oflag=direct", "conv=notrunc",
        "status=none")
    counters = scene.counters()
    equal((counters.pnfs, counters.data()), ("LAYOUT_SCSI", 0), counters.show())
    equal(scene.disks.reached(), [(True, True), (True, True), (False, False)],
          "who may, with a layout out")
    scene.server.ctl("unseal", "--wait", path)
    equal(digest_of(path), digest, "what the server reads after the release")


@test
def what_an_unmounted_client_leaves_behind_is_named(scene):
    """A registration with key 0. It keeps the client from registering, and so from the disk, until
    it is taken away there."""
    path, digest = scene.file("again", 8 * MIB)
    equal(scene.read("again"), digest, "what the client reads")
    equal(scene.counters().data(), 0, "by the disk")
    scene.umount()
    equal(scene.disks.reached()[1], (True, True), "who unmounted may still")
    scene.mount()
    equal(scene.read("again"), digest, "what it reads after the next mount")
    holds(scene.counters()["READ"] > 0, f"by the server: {scene.counters().show()}")
    scene.server.wait_log("is registered with key 0")
    scene.server.ctl("unseal", "--wait", "--timeout", "60", path)
    unregister(scene.disks.clients)
    scene.umount()
    scene.mount()
    scene.server.ctl("seal", "--pinned", path)
    equal(scene.read("again"), digest, "what it reads once that is gone")
    equal(scene.counters().data(), 0, f"by the disk again: {scene.counters().show()}")


@test
def a_client_that_is_cut_off_is_fenced_on_the_namespace(scene):
    """It goes on writing, by the disk alone, and nothing of it arrives after the release."""
    path, _ = scene.file("cut", 8 * MIB)
    scene.write_on("cut", 8 * MIB)
    wait_for(lambda: scene.rounds("wrote") > 0, "a round is written")
    equal(scene.counters().data(), 0, f"READs and WRITEs: {scene.counters().show()}")
    run("ip", "link", "set", "sv", "down")
    scene.server.ctl("unseal", "--wait", "--timeout", "60", path)
    equal(scene.disks.reached(), [(True, True), (False, False), (False, False)],
          "who may, after the release")
    holds(any("fence" in str(entry).lower() for entry in scene.server.trace()),
          "the server has fenced it")
    digest = make_file(path, 8 * MIB)
    holds(scene.writer.poll() is None, "the writer goes on")
    run("sync", "-f", path)
    equal(run("sh", "-c", f"dd if={path} bs=1M iflag=direct status=none | sha256sum").split()[0],
          digest, "what the server wrote after the release, on the disk")
    run("ip", "link", "set", "sv", "up")
    wrote = scene.rounds("wrote")
    wait_for(lambda: scene.rounds("wrote") > wrote + 1, "it writes again, by the server", 120)
    scene.stop_writing()


@test
def what_the_target_forgets_is_not_promised(scene):
    """By default: nvmet says that it keeps no reservation over a restart."""
    scene.configure("refuse")
    path = f"{AT}/plain"
    digest = make_file(path, 8 * MIB)
    scene.files.append(path)
    scene.server.sealctl("seal", "--pinned", path)
    wait_for(lambda: "scsi_volatile_reservations" in scene.server.sealctl("explain", path)[1],
             "explain says why")
    equal(scene.read("plain"), digest, "what the client reads")
    counters = scene.counters()
    holds(counters["READ"] > 0, f"by the server: {counters.show()}")
    scene.configure("allow")


@test
def a_node_is_cut_off_from_the_namespace(scene):
    """By fence_sealnfs, from another node; the server there ends when it sees it."""
    scene.file("served", MIB)
    scene.umount()
    put("/tmp/other.conf", 'node = "other"\n')
    fence = [f"{BUILD}/bin/fence_sealnfs", "-n", "first", "-d", scene.disks.others, "--config",
             "/tmp/other.conf"]
    run(*fence, "-o", "off")
    equal(scene.disks.reached(), [(False, False), (False, False), (True, True)],
          "who may, after the fence")
    equal(subprocess.run([*fence, "-o", "status"], check=False).returncode, 2, "status: off")
    equal(scene.server.process.wait(60), 3, "how the server ended")
    scene.server.process = None


def main():
    network()
    disks = Disks()
    server = Server("/tmp", BUILD, name="nvme", listen=[SERVER], recall_timeout=5, lease_time=20,
                    node="first", wrapper=disks.as_the_server(),
                    exports={"/data": {"path": AT, "layout_types": "scsi",
                                       "scsi_volatile_reservations": "allow"}})
    failed = run_tests(NAMES, server, lambda name: Scene(disks, server), Scene.end)
    server.close()
    return 1 if failed else 0


sys.exit(main())
