"""SCSI layouts of volumes on two LUNs and of a partition: stock clients find the disks by their
designators and put them together."""
from disk import MIB
from guest_server import GuestServer
from registry import equal, holds, test
from san import CLIENT, SERVER, San
from test_volumes import HOST, MAKE, fill_around_lossy_places, host_sha256

SIZE = 44  # of the file, in MiB: on both sides of every boundary
LVM = (f"{SERVER[0]} dm_mod raid0", SERVER[1] + HOST[1].replace('"ubd"', '"sd"'))

# How a volume is made and taken apart, and its node.
KINDS = {
    "linear": (
    "lvm vgcreate -q vg /dev/sda /dev/sdb && lvm lvcreate -q -y -Wn -L 28m -n lv vg /dev/sda && "
    "lvm lvextend -q -L 72m vg/lv /dev/sdb", "lvm vgremove -q -y vg", "/dev/mapper/vg-lv"),
    "striped": ("lvm vgcreate -q vg /dev/sda /dev/sdb && lvm lvcreate -q -y -Wn -i 2 -I 64k -L 72m "
                "-n lv vg", "lvm vgremove -q -y vg && wipefs -q -a /dev/sda /dev/sdb",
                "/dev/mapper/vg-lv"),
    "partition": ("echo 2048,264192 | sfdisk -q /dev/sda && until [ -b /dev/sda1 ]; do :; done",
                  "sfdisk -q --delete /dev/sda", "/dev/sda1"),}


def serve(server, host, kind, fs):
    make, _, node = KINDS[kind]
    host.run(f"{make} && mkdir -p /mnt/data && {MAKE[fs]} {node} && mount -t {fs} {node} /mnt/data")
    server.start()


def take_apart(server, host, kind, clients):
    for guest in clients:
        guest.run("umount /mnt/n")
    server.stop()
    host.run(f"umount /mnt/data && {KINDS[kind][1]}")


def expect_direct(guest):
    counters = guest.counters()
    equal((counters.pnfs, counters.data(), counters["GETDEVICEINFO"]), ("LAYOUT_SCSI", 0, 1),
          f"{guest.name}: driver, READ and WRITE, GETDEVICEINFO ({counters.show()})")


def throughput(reader):
    """Of direct reads, as dd says it. Not judged: every LUN of this lab is a file of the same
    machine. And not to the end, where a client asks for a layout of what is not there."""
    return reader.run(f"dd if=/mnt/n/file of=/dev/null bs=4M count={SIZE // 4} iflag=direct "
                      f"2>&1").splitlines()[-1]


def through_a_volume(server, host, clients, kind, fs):
    serve(server, host, kind, fs)
    some_refused = fill_around_lossy_places(server, host, SIZE)
    holds(some_refused or kind != "linear", "files at the end of the first piece were refused")
    server.ctl("seal", "--pinned", "/mnt/data/file")
    before = host_sha256(host)
    writer, reader = clients
    for guest in clients:
        guest.mount("/data", server=host.ip)
    equal(reader.sha256("/mnt/n/file"), before, "what the server wrote, read by a client")
    digest = writer.write("/mnt/n/file", SIZE)
    holds(digest != before, "the writer wrote")
    equal(host_sha256(host), digest, "what the writer wrote, on the server's volume")
    equal(reader.sha256("/mnt/n/file"), digest, "read by another client")
    print(f"{kind}: {throughput(reader)}")
    for guest in clients:
        expect_direct(guest)
    server.ctl("unseal", "--wait", "/mnt/data/file")
    take_apart(server, host, kind, clients)


class Volumes:
    """Two LUNs, a server's machine that can make volumes of them, and two clients."""

    def __init__(self, lab):
        self.san = San(lab, disks=2, size=136 * MIB)
        self.host = lab.guest(images=[], role=LVM)
        self.clients = [lab.guest(images=[], role=CLIENT) for _ in range(2)]
        self.san.up([self.host, *self.clients])
        self.san.log_in(self.host, *self.clients)
        self.server = GuestServer(self.host, lab.build,
                                  {"/data": {"path": "/mnt/data", "stripes": True}}, grace_time=1,
                                  lease_time=10)
        lab.servers.append(self.server)


def volumes(lab, fs):
    """A stage for each file system, so that they run side by side."""
    return Volumes(lab)


@test(on=volumes, fs=("xfs",), kind=tuple(KINDS), seconds=60, timeout=400)
@test(on=volumes, fs=("ext4",), kind=tuple(KINDS), timeout=400, long=True)
def clients_read_and_write_volumes_of_two_luns_and_a_partition(scene, kind, fs):
    through_a_volume(scene.server, scene.host, scene.clients, kind, fs)
    for disk in range(2):
        keys = scene.san.keys(disk)
        holds(scene.host.name in keys,
              f"the server keeps disk {disk} under its reservation: {keys}")
