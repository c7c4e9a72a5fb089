"""What a file system, its volume and the kernel do that a seal must not be fooled by: a journal
that replays data, two file systems of one UUID, a UUID changed under a seal, errors that look like
a file that is gone, a volume that moves underneath."""
import os
import subprocess
import time

from disk import MIB, immutable
from guest_server import GuestServer
from holder import Holder, install_hook
from registry import equal, holds, test
from server import ServerError
from test_volumes import HOST, MAKE, images

OWN_UUID = {"xfs": "xfs_admin -U generate {0}", "ext4": "e2fsck -fy {0}; tune2fs -U random {0}"}


def hook_calls(lab):
    path = f"{lab.directory}/hook-calls"
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return f.read().split()


@test()
def a_file_system_with_data_in_its_journal_by_default(lab):
    """The mount table leaves out what is the super block's own default."""
    disk = lab.disk(fs="ext4", size=400 * MIB)
    disk.write("file", MIB)
    disk.umount()
    disk.run(f"tune2fs -o journal_data {disk.device}")
    disk.mount()
    server = lab.server()
    for options in ([], ["--pinned"]):
        text = server.refused("seal", *options, disk.file("file"))
        holds("data=journal" in text and "tune2fs" in text, text)
    holds(not immutable(disk.file("file")), "the flag was left behind")


def copy_of(lab, disk):
    """The disk as a snapshot has it, mounted."""
    copy = lab.disk("copy", fs=disk.fs, size=400 * MIB)
    copy.umount()
    disk.umount()
    disk.run(f"dd if={disk.device} of={copy.device} bs=1M conv=sparse status=none")
    disk.mount()
    copy.mount("nouuid" if disk.fs == "xfs" else "defaults")
    return copy


@test(fs=("xfs", "ext4"))
def the_second_of_two_file_systems_with_one_uuid(lab, fs):
    """Its files would be the first's: to clients, and to a release."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    copy = copy_of(lab, disk)
    try:
        server = lab.server(disk, copy)
    except ServerError as error:
        holds("before it was ready" in str(error), str(error))
    else:
        raise AssertionError(f"both are served: {server.log_text()}")
    said = next(line for line in lab.servers[-1].log_text().splitlines() if "same UUID" in line)
    holds(disk.path in said and copy.path in said, f"both are named: {said}")
    copy.umount()
    copy.run(OWN_UUID[fs].format(copy.device))
    copy.mount()
    lab.servers[-1].start()


@test(fs=("xfs", "ext4"))
def a_copy_that_is_mounted_over_an_export_later(lab, fs):
    """What the server opened at its start is what it serves, also after a reload."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    copy = copy_of(lab, disk)
    copy.umount()
    server = lab.server(disk, exports={"/later": {"path": copy.path, "layouts": False}})
    copy.mount("nouuid" if fs == "xfs" else "defaults")
    server.process.send_signal(1)
    server.wait_log("reload")
    cat = [f"{lab.build}/bin/sealio", "cat", "--no-layout"]
    equal(subprocess.run([*cat, "nfs://127.0.0.1:2049/data/file"],
                         stdout=subprocess.DEVNULL).returncode, 0, "the original")
    holds(subprocess.run([*cat, "nfs://127.0.0.1:2049/later/file"], capture_output=True).returncode
          != 0, "a file of the copy")
    text = server.refused("seal", copy.file("file"))
    holds("in no export" in text, text)


@test(fs=("xfs",), seconds=30)
@test(fs=("ext4",), long=True)
def a_uuid_that_is_changed_under_a_seal(lab, fs):
    """The seal is known by its mark: who held a layout is still waited for, or fenced, before
    the flag goes."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    path = disk.file("file")
    server = lab.server(recall_timeout=2, lease_time=5, grace_time=1,
                        fence_hook=install_hook(lab.directory))
    client = Holder(disk, "holder", lab.directory).connect()
    server.ctl("seal", "--pinned", path)
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    client.disconnect()
    server.kill()
    disk.run(f"umount {disk.path}; {OWN_UUID[fs].format(disk.device)}")
    disk.mount()
    server.start()
    explained = server.ctl("explain", path)["explain"]
    holds("UUID" in explained["why"] and "unseal" in explained["advice"], f"explain: {explained}")
    equal(len(server.ctl("status")["status"]), 1, "seals")
    text = server.refused("seal", path)
    holds("unseal it first" in text, text)
    holds(client.usable(), "the holder still has its path")
    server.ctl("unseal", "--wait", "--timeout", "60", path)
    equal((client.usable(), hook_calls(lab)), ([], ["holder"]),
          "what the holder can use, and who was fenced")
    equal((immutable(path), server.ctl("status")["status"]), (False, []), "the flag, the seals")
    server.ctl("seal", path)
    client.path.close()


@test(fs=("xfs", "ext4"))
def a_copy_with_a_uuid_of_its_own_beside_its_original(lab, fs):
    """Its sealed files have the original's marks: the original's seal is not theirs to end."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    server = lab.server(disk)
    server.ctl("seal", disk.file("file"))
    server.stop()
    copy = copy_of(lab, disk)
    copy.umount()
    copy.run(OWN_UUID[fs].format(copy.device))
    copy.mount()
    server.exports["/copy"] = {**server.exports["/data"], "path": copy.path}
    server.start()
    code, text = server.sealctl("unseal", "--wait", "--timeout", "2", copy.file("file"))
    holds(code != 0 and "forget-holders" in text, f"{code}: {text}")
    server.ctl("forget-holders", "--yes", copy.file("file"))
    server.ctl("unseal", "--wait", copy.file("file"))
    equal((immutable(copy.file("file")), immutable(disk.file("file"))), (False, True),
          "the flags of the copy and the original")
    equal(server.state(disk.file("file")), "sealed")


def watched(server):
    return sum(entry["what"] == "step" and entry.get("step") == "watch" for entry in server.trace())


@test(fs=("xfs",), seconds=30)
@test(fs=("ext4",), long=True)
def a_file_system_that_was_shut_down_and_mounted_again(lab, fs):
    """Its errors look like a file that is gone. Nobody is recalled or fenced for them, and all
    is as before."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    digest = disk.write("file", MIB)
    path = disk.file("file")
    server = lab.server(scrub_interval=1, recall_timeout=2, lease_time=60, grace_time=1,
                        fence_hook=install_hook(lab.directory))
    client = Holder(disk, "holder", lab.directory).connect()
    server.ctl("seal", "--pinned", path)
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    client.disconnect()
    server.kill()
    disk.umount()
    disk.mount()  # nothing of the file is in memory
    server.start()
    disk.run(f"xfs_io -x -c shutdown {disk.path}")
    before = watched(server)
    server.wait_trace(lambda entry: watched(server) >= before + 4)
    equal((server.state(path), hook_calls(lab)), ("sealed", []), "the seal, and who was fenced")
    server.kill()
    disk.umount()
    disk.mount()
    server.start()
    equal(server.state(path), "sealed", "after the file system was mounted again")
    client.connect()
    equal((client.get_soon("file"), hook_calls(lab)), (0, []),
          "LAYOUTGET after that, and who was fenced")
    server.ctl("unseal", "--wait", path)
    holds(not immutable(path), "the seal is off")
    holds(disk.sha256("file") != digest, "the client wrote")
    client.end()


@test(fs=("xfs",), seconds=30)
@test(fs=("ext4",), long=True)
def a_sealed_file_that_is_gone(lab, fs):
    """Seen twice, it is a broken seal; the operator takes it off by the path on record."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    path = disk.file("file")
    server = lab.server(scrub_interval=1)
    server.ctl("seal", "--pinned", path)
    server.stop()
    disk.run(f"chattr -i {path}; rm {path}")
    server.start()
    server.wait_log("THE PROMISE OF ITS SEAL WAS BROKEN FROM OUTSIDE: the file is gone")
    explained = server.ctl("explain", path)["explain"]
    holds("gone" in explained["why"] and "unseal" in explained["advice"], f"explain: {explained}")
    text = server.refused("unseal", f"{path}.other")
    holds("no seal on record" in text, text)
    server.ctl("unseal", "--wait", path)
    equal(server.ctl("status")["status"], [], "seals")


def moves(lab):
    """A stage: a server's machine with a logical volume, and a client that sees the disks."""
    return Moves(lab)


class Moves:
    def __init__(self, lab):
        disks = images(lab)
        role = (f"{HOST[0]} dm_mirror", HOST[1])
        self.host, self.client = lab.guest(images=disks, role=role), lab.guest(images=disks)
        self.host.ready().run("lvm vgcreate -q vg /dev/ubda /dev/ubdb && lvm lvcreate -q -y -Wn -L "
                              "64m -n lv vg /dev/ubda && "
                              f"mkdir -p /mnt/data && {MAKE['ext4']} /dev/mapper/vg-lv && mount "
                              f"/dev/mapper/vg-lv /mnt/data")
        self.server = GuestServer(self.host, lab.build, {"/data": {"path": "/mnt/data"}},
                                  device_interval=1)
        lab.servers.append(self.server)
        self.server.start()
        self.client.ready().mount("/data", server=self.host.ip)


GIVEN_AGAIN, OLD_PLACE = "layouts are given again", "old place of a volume that was moved?"
WIPE_OLD_PLACE = """case $(lvm lvs --noheadings -o devices vg/lv) in
*ubda*) old=ubdb ;;
*ubdb*) old=ubda ;;
esac
dd if=/dev/zero of=/dev/$old bs=1M seek=1 count=1 oflag=direct conv=notrunc status=none"""
# The move, what it makes of the volume, what is left of it, and its end. pvmove ends a move when it
# looks again: the mirror may stay till then, or be gone at once. Where the volume is not after
# that, its file system's superblock still is.
MOVES = {
    "pvmove": ("lvm pvmove -q -b -i 3600 /dev/ubda /dev/ubdb",
               ("is mirrored", OLD_PLACE), "lvm pvmove -q --abort || true"),
    "snapshot": ("lvm lvcreate -q -y -s -L 16m -n later vg/lv", ("is the origin of a snapshot",),
                 "lvm lvremove -q -y vg/later"),}


@test(on=moves, timeout=420, seconds=30, move=tuple(MOVES))
def a_volume_that_moves_under_a_writer(scene, move):
    """Its layout comes back, what it writes after that reaches all copies, and layouts are given
    again when the move is over. (What it writes between the move and the next look may be lost: so
    the manual says to unseal first, and this client waits.)"""
    host, client, server = scene.host, scene.client, scene.server
    begin, words, end = MOVES[move]
    path, at_client = f"/mnt/data/{move}", f"/mnt/n/{move}"
    host.run(f"dd if=/dev/urandom of={path} bs=1M count=8 conv=fsync status=none")
    server.ctl("seal", "--pinned", path)
    before = client.counters().data()
    client.write(at_client, 8)
    equal(client.counters().data(), before, f"READ and WRITE ({client.counters().show()})")
    holds(server.ctl("grants")["grants"], "the client holds a layout")
    seen, given = server.trace()[-1]["seq"], server.log_text().count(GIVEN_AGAIN)
    host.run(begin)
    server.wait_state(path, "open")
    said = next(line for line in server.log_text().splitlines() if "changed underneath" in line
                and path in line)
    holds(any(some in said for some in words), f"the log says why: {said}")
    digest = client.write(at_client, 8)
    holds(client.counters().data() > before, "it writes through the server")
    text = server.refused("seal", "--pinned", path)
    holds(any(some in text for some in words), text)
    host.run(end)
    if move == "pvmove":
        server.wait_log(OLD_PLACE)
        host.run(WIPE_OLD_PLACE)
    deadline = time.monotonic() + 60
    while server.log_text().count(GIVEN_AGAIN) == given:
        holds(time.monotonic() < deadline, "layouts are given again")
        time.sleep(0.1)  # the log is a file: nothing to wait on
    on_volume = host.run(f"dd if={path} bs=1M iflag=direct status=none | sha256sum").split()[0]
    equal((on_volume, client.sha256(at_client)), (digest, digest),
          "what the client wrote last, on the volume and read by it")
    ended = [entry["how"] for entry in server.trace() if entry["seq"] > seen
             and entry["what"] == "grant-ended"]
    holds(ended in (["returned"], ["nomatching"]), f"how the grant ended: {ended}")
    server.ctl("seal", "--pinned", path)
    server.ctl("unseal", "--wait", path)
