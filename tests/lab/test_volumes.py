"""Volumes of more than one disk: the server, in a guest with device-mapper, resolves what a file
system is on; stock clients see the disks only and put them together themselves."""
from disk import MIB
from guest_server import GuestServer
from registry import equal, holds, test

HOST = ("cbc aes_generic dm_mod raid0 raid1 dm_crypt dm_snapshot dm_thin_pool xfs ext4", """\
mkdir -p /run/lvm /run/lock/lvm
cat > /run/lvm/lvm.conf <<EOF
devices { types = [ "ubd", 16 ] use_devicesfile = 0 }
global { locking_dir = "/run/lock/lvm" }
activation { udev_sync = 0 udev_rules = 0 }
EOF
export LVM_SYSTEM_DIR=/run/lvm
""")
# Of the file, in MiB: most of the volume's blocks, so that it lies on both sides of every boundary.
SIZE = 44

# Where the members meet is no multiple of anything that mkfs would align to.
KINDS = {
    "linear": "lvm vgcreate -q vg /dev/ubda /dev/ubdb && lvm lvcreate -q -y -Wn -L 28m -n lv vg "
    "/dev/ubda && "
    "lvm lvextend -q -L 72m vg/lv /dev/ubdb",
    "striped": "lvm vgcreate -q vg /dev/ubda /dev/ubdb && lvm lvcreate -q -y -Wn -i 2 -I 64k -L "
    "72m -n lv vg",}
NODES = {"linear": "/dev/mapper/vg-lv", "striped": "/dev/mapper/vg-lv"}
MAKE = {"xfs": "mkfs.xfs -q -f -m reflink=0 --unsupported",
        "ext4": "mkfs.ext4 -q -F -b 4096 -E nodiscard,lazy_itable_init=1"}


def images(lab, count=2, size=96 * MIB):
    paths = [f"{lab.directory}/disk{i}.img" for i in range(count)]
    for path in paths:
        with open(path, "wb") as f:
            f.truncate(size)
    return paths


class Volumes:
    """A server's machine that can make volumes of two disks, and clients that see the disks."""

    def __init__(self, lab, clients):
        disks = images(lab)
        self.host = lab.guest(images=disks, role=HOST)
        self.clients = [lab.guest(images=disks) for _ in range(clients)]
        self.server = GuestServer(self.host.ready(), lab.build, {"/data": {"path": "/mnt/data"}})
        lab.servers.append(self.server)

    def serve(self, make, node, fs, **export):
        self.host.run(f"{make}; mkdir -p /mnt/data; "
                      f"{MAKE[fs]} {node} && mount -t {fs} {node} /mnt/data")
        self.server.exports["/data"].update(export)
        return self.server.start()

    def take_apart(self, script):
        for guest in self.clients:
            guest.umount()
        self.server.stop()
        self.host.run(f"umount /mnt/data && {script} && wipefs -q -a /dev/ubda /dev/ubdb")


def volumes(lab, fs):
    """A stage for each file system, so that they run side by side."""
    return Volumes(lab, 2)


def refusals(lab):
    """A stage."""
    return Volumes(lab, 0)


def host_sha256(host):
    return host.run("dd if=/mnt/data/file bs=1M iflag=direct status=none | sha256sum").split()[0]


def expect_direct(guest):
    counters = guest.counters()
    equal((counters.pnfs, counters.data(), counters["GETDEVICEINFO"]),
          ("LAYOUT_BLOCK_VOLUME", 0, 1),
          f"{guest.name}: driver, READ and WRITE, GETDEVICEINFO ({counters.show()})")


def fill_around_lossy_places(server, host, size=SIZE):
    """A file on both sides of every boundary. Where Linux clients lose writes nothing is sealed:
    first the whole volume is filled with small files, those that are refused stay where they are,
    and the others make way. Was any refused?"""
    ctl = f"/mnt/lab/bin/sealctl -s {server.control}"
    refused = host.run(f"""
        cd /mnt/data
        python3 -c '
import itertools, os
number = itertools.count()
for size in (1 << 20, 1 << 16):  # nothing that a file would begin in is left free there
    try:
        while True:
            with open(f"p{{next(number)}}", "wb") as f:
                f.write(bytes(size))
                f.flush()
                os.fsync(f.fileno())
    except OSError:
        pass'
        sync
        {ctl} seal $PWD/p* > /run/sealed 2> /run/why
        cat /run/why
        sed -n 's/: sealed$//p' /run/sealed > /run/free
        xargs {ctl} unseal --wait < /run/free > /dev/null
        xargs truncate -s 0 < /run/free
        xargs rm < /run/free
        sync
        dd if=/dev/urandom of=file bs=1M count={size} conv=fsync status=none""", timeout=300)
    return "where Linux clients lose what they write" in refused


REMOVE_GROUP = "lvm vgremove -q -ff -y vg"


@test(on=volumes, fs=("ext4",), kind=tuple(KINDS), timeout=420, seconds=20)
@test(on=volumes, fs=("xfs",), kind=tuple(KINDS), timeout=420, long=True)
def a_client_reads_and_writes_a_volume_of_two_disks(scene, kind, fs):
    host, clients = scene.host, scene.clients
    server = scene.serve(KINDS[kind], NODES[kind], fs, stripes=kind != "linear")
    some_refused = fill_around_lossy_places(server, host)
    holds(some_refused or kind != "linear", "files at the end of the first piece were refused")
    server.ctl("seal", "--pinned", "/mnt/data/file")
    before = host_sha256(host)
    writer, reader = [guest.ready().mount("/data", server=host.ip) for guest in clients]
    equal(reader.sha256("/mnt/n/file"), before, "what the server wrote, read by a client")
    digest = writer.write("/mnt/n/file", SIZE)
    holds(digest != before, "the writer wrote")
    equal(host_sha256(host), digest, "what the writer wrote, on the server's volume")
    equal(reader.sha256("/mnt/n/file"), digest, "read by another client")
    expect_direct(writer)
    expect_direct(reader)
    server.ctl("unseal", "--wait", "/mnt/data/file")
    scene.take_apart(REMOVE_GROUP)


# What clients cannot be told: how it is made, its node, how it is taken apart, what the
# refusal says.
GROUP = "lvm vgcreate -q vg /dev/ubda /dev/ubdb && "
LV = "/dev/mapper/vg-lv"
REFUSED = {
    "thin": (GROUP + "lvm lvcreate -q -y --type thin-pool -L 64m -n pool vg && lvm lvcreate -q -y "
             "-V 96m --thinpool pool -n lv vg", LV, REMOVE_GROUP, ["is a thin volume"]),
    "crypt": ("dmsetup create --noudevrules --noudevsync secret --table '0 131072 crypt "
              "cipher_null-ecb - 0 /dev/ubda 0'", "/dev/dm-0",
              "dmsetup remove --noudevrules --noudevsync secret", ["is encrypted"]),
    "snapshot": (GROUP + "lvm lvcreate -q -y -Wn -L 64m -n first vg && lvm lvcreate -q -y -s -L "
                 "32m -n lv vg/first", LV, REMOVE_GROUP, ["is a snapshot"]),
    "origin": (GROUP + "lvm lvcreate -q -y -Wn -L 64m -n lv vg && lvm lvcreate -q -y -s -L 32m -n "
               "second vg/lv", LV, REMOVE_GROUP, ["is the origin of a snapshot"]),
    "raid1": ("mdadm --create /dev/md0 --run --quiet --level=1 --metadata=1.2 --raid-devices=2 "
              "--assume-clean /dev/ubda /dev/ubdb", "/dev/md0", "mdadm --stop --quiet /dev/md0",
              ["/dev/md0 is an md raid1 array"]),
    "striped": (GROUP + "lvm lvcreate -q -y -Wn -i 2 -L 64m -n lv vg", LV, REMOVE_GROUP,
                ["is striped", "stripes = true"]),}


@test(on=refusals, kind=tuple(REFUSED))
def what_clients_cannot_be_told_is_refused_by_name(scene, kind):
    make, node, remove, words = REFUSED[kind]
    server = scene.serve(make, node, "ext4")
    scene.host.run("dd if=/dev/zero of=/mnt/data/file bs=1M count=1 conv=fsync status=none")
    said = server.refused("seal", "/mnt/data/file")
    for word in words:
        holds(word in said, f"{word!r} in {said!r}")
    scene.take_apart(remove)
