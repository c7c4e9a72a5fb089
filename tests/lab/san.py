"""A SAN of guests: an iSCSI target with real persistent reservations (LIO), a server and clients
that log in to it.

The target's disks are images of this machine. The storage network is not the one that NFS uses, so
a guest can be cut off from either. Nobody here needs blkmapd.
"""
import subprocess

from disk import MIB
from guest_server import GuestServer
from lab import Lab

TARGET_IP = "10.98.0.11"  # the first guest's
TARGET_NAME = "iqn.2026-11.lab:target"
CONFIGFS = "/sys/kernel/config/target"
TPG = f"{CONFIGFS}/iscsi/{TARGET_NAME}/tpgt_1"

TARGET = ("configfs target_core_mod", f"""\
mount -t configfs none /sys/kernel/config
mkdir -p /run/target/pr /run/target/alua
echo /run/target > {CONFIGFS}/dbroot
"$lab_dir/modprobe" -a target_core_iblock iscsi_target_mod
""")

INITIATOR = """\
mkdir -p /mnt/iscsi /run/lock
cp -r /etc/iscsi/. /mnt/iscsi
mount --bind /mnt/iscsi /etc/iscsi
echo "InitiatorName=iqn.2026-11.lab:$lab_name" > /etc/iscsi/initiatorname.iscsi
iscsid -f > /run/iscsid.log 2>&1 &
"""
INITIATOR_MODULES = "iscsi_tcp sd_mod sg"
SERVER = (f"{INITIATOR_MODULES} xfs ext4 quota_v2", INITIATOR)
CLIENT = (f"{INITIATOR_MODULES} sunrpc nfsv4 blocklayoutdriver", INITIATOR)

# Log in, wait for the disks, and make the names that udev would make.
LOGIN = f"""\
set -e
for i in $(seq 100); do
  code=0
  iscsiadm -m session > /dev/null 2>&1 || code=$?
  [ $code = 21 ] && break
  sleep 0.1
done
iscsiadm -m node -o new -T {TARGET_NAME} -p {TARGET_IP}:3260,1 > /dev/null
iscsiadm -m node -T {TARGET_NAME} -p {TARGET_IP}:3260 -o update \\
  -n node.conn[0].timeo.noop_out_interval -v 0
iscsiadm -m node -T {TARGET_NAME} -p {TARGET_IP}:3260 --login > /dev/null
mkdir -p /dev/disk/by-id
for i in $(seq $lab_disks); do
  letters=abcdefgh
  disk=/sys/block/sd${{letters:i-1:1}}
  for j in $(seq 100); do [ -e $disk/device/wwid ] && break; sleep 0.1; done
  read -r name < $disk/device/wwid
  echo 5 > $disk/device/timeout
  ln -sf ../../${{disk##*/}} /dev/disk/by-id/wwn-0x${{name#naa.}}
done
"""


# What target.service does: LIO writes registrations that were made with APTPL to a file, and has to
# be given them again.
RESTORE = """\
if [ -f /run/target/pr/aptpl_{serial} ]; then
  awk '/PR_REG_START/ {{ s = ""; next }}
       /PR_REG_END/ {{ print s; next }}
       {{ s = s (s == "" ? "" : ",") $0 }}' /run/target/pr/aptpl_{serial} |
    while read -r line; do echo -n "$line" > {core}/pr/res_aptpl_metadata; done
fi"""


class San:
    """The target, and one disk image a LUN; disk i is /dev/sd(a+i) everywhere. keeps: its
    registrations outlive a restart."""

    def __init__(self, lab, disks=1, size=1024 * MIB, keeps=True):
        self.lab, self.initiators, self.keeps = lab, [], keeps
        lab.storage_network()
        self.images = [f"{lab.directory}/lun{i}.img" for i in range(disks)]
        for image in self.images:
            with open(image, "wb") as f:
                f.truncate(size)
        self.target = lab.guest(images=self.images, role=TARGET, memory=256)

    def make_fs(self, fs="xfs", disk=0, options=()):
        """Before anybody logs in."""
        make = {"xfs": ["mkfs.xfs", "-q", "-f", "-m", "reflink=0"],
                "ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096", "-E",
                         "nodiscard,lazy_itable_init=1"]}[fs]
        subprocess.run([*make, *options, self.images[disk]], check=True)

    def up(self, initiators):
        """Serve the LUNs to these guests."""
        self.initiators += initiators
        self.target.ready().run(self._target_script())
        return self

    def _target_script(self):
        lines = ["set -e", f"mkdir -p {TPG}/np/{TARGET_IP}:3260"]
        for i in range(len(self.images)):
            core, serial = (f"{CONFIGFS}/core/iblock_{i}/lun{i}",
                            f"5c5111ab-{i:04}-4000-8000-00000000feed")
            lines += [f"mkdir -p {core} {TPG}/lun/lun_{i}",
                      f"echo -n udev_path=/dev/ubd{'abcd'[i]},readonly=0 > {core}/control",
                      f"echo -n {serial} > {core}/wwn/vpd_unit_serial", f"echo 1 > {core}/enable",
                      RESTORE.format(serial=serial, core=core) if self.keeps
                      else "rm -f /run/target/pr/*", f"ln -s {core} {TPG}/lun/lun_{i}/port"]
        lines += [f"echo 0 > {TPG}/attrib/authentication",
                  f"echo 0 > {TPG}/attrib/generate_node_acls"]
        for guest in self.initiators:
            acl = f"{TPG}/acls/iqn.2026-11.lab:{guest.name}"
            lines += [f"mkdir -p {acl}"]
            for i in range(len(self.images)):
                lines += [f"mkdir -p {acl}/lun_{i}",
                          f"ln -s {TPG}/lun/lun_{i} {acl}/lun_{i}/default"]
            lines += [f"echo 60 > {acl}/attrib/nopin_timeout; "
                      f"echo 60 > {acl}/attrib/nopin_response_timeout"]
        return "\n".join(lines + [f"echo 1 > {TPG}/enable"])

    def down(self):
        """The target goes as if switched off in order: sessions end, what it keeps of reservations
        is in its files."""
        lines = [f"echo 0 > {TPG}/enable",
                 f"for a in {TPG}/acls/*; do rm -f $a/lun_*/default; rmdir $a/lun_* $a; done",
                 f"rm -f {TPG}/lun/lun_*/port; rmdir {TPG}/lun/lun_* {TPG}/np/* {TPG} "
                 f"{CONFIGFS}/iscsi/{TARGET_NAME}", f"rmdir {CONFIGFS}/core/iblock_*/lun*"]
        self.target.run("\n".join(lines))

    def log_in(self, *guests):
        """All at once. To be done before the disks are reserved: LIO tells their size to nobody
        without a key then."""
        for job in [guest.start(f"lab_disks={len(self.images)}\n{LOGIN}") for guest in guests]:
            job.finish()

    def keys(self, disk=0):
        """The keys registered at the target, by the name of the initiator: the
        target's own view."""
        text = self.target.run(f"cat {CONFIGFS}/core/iblock_{disk}/lun"
                               f"{disk}/pr/res_pr_registered_i_pts")
        found = {}
        for line in text.splitlines():
            if "Key: 0x" in line:
                found.setdefault(line.split("lab:")[1].split(",")[0].split()[0],
                                 []).append(line.split("Key: 0x")[1].split()[0])
        return found

    def generation(self, disk=0):
        """The target's count of what changed its registrations: one for each REGISTER and each
        PREEMPT that it carried out."""
        return int(self.target.run(f"cat {CONFIGFS}/core/iblock_{disk}/lun"
                                   f"{disk}/pr/res_pr_generation"), 0)

    def reservation(self, disk=0):
        where = f"{CONFIGFS}/core/iblock_{disk}/lun{disk}/pr"
        return self.target.run(f"cat {where}/res_holder {where}/res_pr_type "
                               f"{where}/res_pr_generation")


class SanLab:
    """What most tests start from: a target with one LUN, a server that has its file system at
    /mnt/data, clients with NFS mounts."""

    def __init__(self, lab: Lab, fs="xfs", clients=1, size=1024 * MIB, export=None, keeps=True,
                 make=(), mount="defaults", **options):
        self.lab, self.fs = lab, fs
        self.san = San(lab, size=size, keeps=keeps)
        self.san.make_fs(fs, options=make)
        self.host = lab.guest(images=[], role=SERVER)
        self.clients = [lab.guest(images=[], role=CLIENT) for _ in range(clients)]
        self.san.up([self.host, *self.clients])
        self.san.log_in(self.host, *self.clients)
        self.host.run(f"mkdir -p /mnt/data; mount -t {fs} -o {mount} /dev/sda /mnt/data")
        exports = {"/data": {"path": "/mnt/data", **(export or {})}}
        self.server = GuestServer(self.host, lab.build, exports, **options)
        lab.servers.append(self.server)
        self.server.start()
        self.mount(*self.clients)

    def mount(self, *guests):
        for job in [guest.start(f"mkdir -p /mnt/n; mount -t nfs4 -o vers=4.1 {self.host.ip}:/data "
                                f"/mnt/n") for guest in guests]:
            job.finish()

    def file(self, name):
        return f"/mnt/data/{name}"

    def write(self, name, size, source="/dev/urandom"):
        """A file of `size` bytes, on disk, written by the server's machine; its SHA-256."""
        path = self.file(name)
        self.host.run(f"dd if={source} of={path} bs=1M count={size} iflag=count_bytes,fullblock "
                      f"conv=fsync status=none")
        return self.sha256(name)

    def sha256(self, name):
        """The digest of what is on the disk."""
        return self.host.run(f"dd if={self.file(name)} bs=1M iflag=direct status=none | "
                             f"sha256sum").split()[0]
