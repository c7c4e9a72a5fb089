"""The shared disk: an image file, attached here as a loop device for the server and given to guests
as their /dev/ubda.

Both ways go through the image file's page cache on this machine, so what one side wrote the
other side reads
(test_lab.py holds us to it). The loop device clears itself when its last user is gone, so nothing
is left behind.
"""
import fcntl
import os
import stat
import struct
import subprocess

LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LOOP_SET_STATUS64 = 0x4C82, 0x4C0A, 0x4C04
LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN = 4, 8
LOOP_INFO64_SIZE, LOOP_INFO64_FLAGS_AT = 232, 52
BLKGETSIZE64 = 0x80081272
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FIEMAP = 0x80086601, 0x40086602, 0xC020660B
FS_IMMUTABLE_FL = 0x10
PARTITION_START = 2048  # in sectors of 512 bytes

MIB = 1 << 20


class Unavailable(Exception):
    """This machine lacks what a test needs; the message says what."""


def _attach(image):
    """A loop device over the image; the descriptor keeps it alive until something is
    mounted from it."""
    if not os.path.exists("/dev/loop-control"):
        raise Unavailable("no /dev/loop-control: the kernel has no loop driver, "
                          "or this container was not given it")
    backing = os.open(image, os.O_RDWR)
    try:
        for _ in range(50):
            control = os.open("/dev/loop-control", os.O_RDWR)
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            os.close(control)
            path = f"/dev/loop{number}"
            if not os.path.exists(path):
                os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, number))
            device = os.open(path, os.O_RDWR)
            info = bytearray(LOOP_INFO64_SIZE)
            struct.pack_into("=I", info, LOOP_INFO64_FLAGS_AT,
                             LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE,
                            struct.pack("=II", backing, 512) + bytes(info) + bytes(64))
                return path, device
            except OSError:  # another run took it between the question and the answer
                os.close(device)
        raise Unavailable("no free loop device in 50 tries")
    finally:
        os.close(backing)


def _partition(image, size):
    """An MBR with one Linux partition from sector 2048 to the end."""
    entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", PARTITION_START,
                        size // 512 - PARTITION_START)
    with open(image, "r+b") as f:
        f.write(bytes(440) + b"SEAL" + bytes(2) + entry + bytes(48) + b"\x55\xaa")


class Disk:
    """`fs` is xfs or ext4; the file system is on the whole disk, or on its one partition. `reflink`
    None: as mkfs.xfs makes it."""

    def __init__(self, directory, name="disk", fs="xfs", size=2048 * MIB, partition=False,
                 reflink=False, options=()):
        self.image, self.fs, self.path = f"{directory}/{name}.img", fs, f"{directory}/{name}"
        with open(self.image, "wb") as f:
            f.truncate(size)
        if partition:
            _partition(self.image, size)
        self.loop, self.descriptor = _attach(self.image)
        self.device = self._partition_node(size) if partition else self.loop
        clones = [] if reflink is None else ["-m", f"reflink={int(reflink)}"]
        make = {"xfs": ["mkfs.xfs", "-q", "-f", *clones],
                "ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=1"]}[fs]
        subprocess.run([*make, *options, self.device], check=True)
        os.mkdir(self.path)
        self.mount()

    def _partition_node(self, size):
        """The partition's device. Told to the kernel by hand: not every kernel reads partition
        tables by itself."""
        node = self.loop + "p1"
        entry = f"/sys/block/{os.path.basename(self.loop)}/{os.path.basename(node)}"
        if not os.path.exists(entry):
            sectors = size // 512 - PARTITION_START
            subprocess.run(["addpart", self.loop, "1", str(PARTITION_START), str(sectors)],
                           check=True)
        with open(f"{entry}/dev") as f:
            major, minor = map(int, f.read().split(":"))
        if not os.path.exists(node):
            os.mknod(node, 0o600 | stat.S_IFBLK, os.makedev(major, minor))
        return node

    def mount(self, options="defaults"):
        subprocess.run(["mount", "-t", self.fs, "-o", options, self.device, self.path], check=True)

    def umount(self):
        subprocess.run(["umount", self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)
        os.close(self.descriptor)

    def run(self, script):
        """A bash script on this machine that must succeed; what it printed."""
        return subprocess.run(["bash", "-ec", script], check=True, stdout=subprocess.PIPE,
                              text=True).stdout

    def file(self, name):
        return f"{self.path}/{name}"

    def write(self, name, size, random=True):
        """A file of `size` bytes of random data, on disk; its SHA-256."""
        source = "/dev/urandom" if random else "/dev/zero"
        subprocess.run(["dd", f"if={source}", f"of={self.file(name)}", "bs=1M", f"count={size}",
                        "iflag=count_bytes,fullblock", "conv=fsync", "status=none"], check=True)
        return self.sha256(name)

    def sha256(self, name):
        """The digest of what is on the disk, whatever this machine's page cache of
        the file says."""
        return self.run(f"dd if={self.file(name)} bs=1M iflag=direct status=none | "
                        f"sha256sum").split()[0]


def immutable(path):
    """Is the file's immutable flag set?"""
    return bool(_flags(path) & FS_IMMUTABLE_FL)


def _flags(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return struct.unpack("L", fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8)))[0]
    finally:
        os.close(descriptor)


def extents(path, limit=4096):
    """The file's block map as the kernel tells it: (logical, physical, length, flags) in bytes,
    after a sync."""
    sync = 1
    request = bytearray(struct.pack("=QQLLLL", 0, (1 << 64) - 1, sync, 0, limit, 0)
                        + bytes(56 * limit))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, FS_IOC_FIEMAP, request)
    finally:
        os.close(descriptor)
    count = struct.unpack_from("=L", request, 20)[0]
    found = []
    for i in range(count):
        logical, physical, length, _, _, flags = struct.unpack_from("=QQQQQL", request, 32 + 56 * i)
        found.append((logical, physical, length, flags))
    return found


def fragment(path, count, unit=64 << 10, tries=5):
    """Write a file of exactly `count` extents of `unit` bytes. The file system may have its own
    mind (XFS goes to another group of blocks while one is busy): then again."""
    for _ in range(tries):
        _grow_in_turn(path, count, unit)
        found = len(extents(path))
        if found == count:
            return
        os.unlink(path)
        subprocess.run(["sync", "-f", os.path.dirname(path)], check=True)
    raise RuntimeError(f"{path} has {found} extents, wanted {count}")


def _grow_in_turn(path, count, unit):
    """Two files grow in turn, then the other one goes."""
    other = path + ".other"
    block = os.urandom(unit)
    with open(path, "wb", 0) as file, open(other, "wb", 0) as spacer:
        for i in range(count):
            os.posix_fallocate(file.fileno(), i * unit, unit)
            os.posix_fallocate(spacer.fileno(), i * unit, unit)
        for i in range(count):
            file.write(struct.pack("=Q", i) + block[8:])
        os.fsync(file.fileno())
    os.unlink(other)
