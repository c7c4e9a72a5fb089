"""Reservation keys stand for nexuses, and last as long as the target remembers them: two clients of
one machine, and a target that is restarted."""
import contextlib

from disk import MIB
from guest_server import GuestServer
from registry import equal, holds, test
from san import CLIENT, SERVER, San, SanLab
from server import ServerError
from test_scsi_fence import (SIZE, SOON, Writer, cut_off_from_both, direct_writer, fill, heal,
                             late_write_conflicts, mount_anew, small_san)
from test_volumes import MAKE
from victim import Victim

SECOND_CLIENT = "10.99.0.51"


def extents(scene, name):
    """The blocks of a file, by FIEMAP."""
    found = set()
    for line in scene.host.run(f"filefrag -v -b4096 {scene.file(name)}").splitlines():
        parts = line.replace("..", " ").replace(":", " ").split()
        if parts and parts[0].isdigit() and len(parts) >= 6:
            found |= set(range(int(parts[3]), int(parts[4]) + 1))
    return found


def reuse(scene, name, before):
    """Give the file's blocks to another one; its digest."""
    scene.host.run(f"truncate -s 0 {scene.file(name)}; sync")
    digest = scene.write(f"{name}-reused", SIZE * MIB)
    shared = len(before & extents(scene, f"{name}-reused"))
    holds(shared > len(before) // 2,
          f"the victim has {shared} of the {len(before)} blocks that were released")
    return digest


def expect_untouched(scene, name, digest):
    equal(scene.sha256(f"{name}-reused"), digest, "the victim's data")
    remove(scene, name, f"{name}-reused")


def enter_namespace(scene, guest, name, address, hostname, at):
    """A network namespace of the guest's, with a hostname and an address of its own, and the
    server's export mounted there; the same initiator."""
    guest.run(f'"$lab_dir/modprobe" macvlan; mkdir -p /run/netns {at}; ip netns add {name}\n'
              f"ip link add mv-{name} link vec0 type macvlan mode bridge; "
              f"ip link set mv-{name} netns {name}\n"
              f"ip -n {name} link set lo up; ip -n {name} link set mv-{name} up; "
              f"ip -n {name} addr add {address}/24 dev mv-{name}\n"
              f"nsenter --net=/run/netns/{name} unshare --uts sh -c "
              f"'echo {hostname} > /proc/sys/kernel/hostname; "
              f"mount -t nfs4 -o vers=4.1 {scene.host.ip}:/data {at}'")


def write_second(guest):
    guest.run("dd if=/dev/urandom of=/mnt/two/second bs=1M count=2 oflag=direct conv=notrunc "
              "status=none")


def lose_the_first(scene, guest, name):
    """The first of two clients of a machine is lost with a write queued, and its file's blocks
    are given away."""
    writer = direct_writer(scene, guest, name)
    alone = scene.san.keys()[guest.name]
    enter_namespace(scene, guest, "two", SECOND_CLIENT, "second", "/mnt/two")
    scene.server.ctl("seal", "--pinned", scene.file("second"))
    write_second(guest)
    equal(guest.counters("/mnt/two")["WRITE"], 0, "the second client writes directly")
    together = scene.san.keys()[guest.name]
    holds(len(together) == 1 and together != alone,
          f"one nexus, one key, and it is the second's: {alone}, {together}")
    scene.server.wait_log(f"0x{together[0].rjust(16, '0')} is registered")
    scene.host.run(f"ss -K dst {guest.ip} > /dev/null; ip route add prohibit {guest.ip}")
    guest.cut_storage()
    scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file(name))
    keys, victim = scene.san.keys(), Victim(scene, name)
    heal(scene, guest)
    writer.end()
    victim.expect_untouched()
    holds(guest.name not in keys, f"the nexus has no key: {keys}")


@test(seconds=100, timeout=1500)
def two_clients_of_one_machine_are_fenced_together(lab):
    """The second's key takes the place of the first's. The first is lost with a write queued: the
    second is recalled by name, returns what it has and is not lost with it, and nothing of the
    first's reaches the blocks that were released. Twice; ten times in a long run."""
    scene = small_san(lab)
    guest, = scene.clients
    scene.host.run("rm /mnt/data/filler")
    scene.write("second", 2 * MIB)
    fill(scene, (SIZE + 3) * MIB)
    for turn in range(lab.times(2, 10)):
        lose_the_first(scene, guest, f"first{turn}")
        log = scene.server.log_text()
        holds("are on one machine" in log
              and log.count("\"Linux NFSv4.1 second\" is on the machine of") > turn,
              "the log names who goes with it")
        fences = [entry for entry in scene.server.trace() if entry["what"] == "fenced"]
        equal(len(fences), turn + 1,
              f"the first is fenced, and the second returned its layout: {fences}")
        write_second(guest)
        scene.server.ctl("unseal", "--wait", scene.file("second"))
        guest.run("umount /mnt/two; ip netns del two")
        mount_anew(scene, guest)


def restart_target(scene):
    """Everything at once that a loss of power does to it, but for what is in its files.
    Nobody hears it before it is there whole: initiators give up on a target that answers and
    does not know them."""
    scene.san.target.cut_storage()
    scene.san.down()
    scene.san.up([])
    scene.san.target.mend_storage()


@test(seconds=100, timeout=1500)
def a_target_that_keeps_registrations_keeps_a_fence_over_its_restart(lab):
    """Fenced, released, reused; the target is restarted and given its registrations again (APTPL);
    the client comes back with what it had queued. Twice; ten times in a long run."""
    scene = small_san(lab)
    guest, = scene.clients
    for turn in range(lab.times(2, 10)):
        name = f"file{turn}"
        writer = direct_writer(scene, guest, name)
        cut_off_from_both(scene, guest)
        scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file(name))
        registered, victim = scene.san.keys(), Victim(scene, name)
        holds(guest.name not in registered, f"the key is gone: {registered}")
        restart_target(scene)
        equal(scene.san.keys(), registered, "registrations after the restart")
        heal(scene, guest)
        writer.end()
        victim.expect_untouched()
        late_write_conflicts(guest)
        holds(scene.server.ctl("devices")["devices"][0]["layouts"],
              "SCSI layouts are offered still")
        mount_anew(scene, guest)


def begin_writing(scene, guest, name):
    """To the file's first half MiB. Without a layout it does not come far: the client asks for one
    again and again before it writes."""
    writer = Writer(guest, name, size=MIB // 2)
    while ("wrote" not in writer.job.said
           and f"gets no layout of {scene.file(name)}" not in scene.server.log_text()):
        holds(not writer.job.done(), f"the writer has ended: {writer.job.output()}")
    return writer


def lose_over_a_restart(scene, guest, name):
    """A writer is cut off from both, its file is released and its blocks are reused; the target
    forgets everything; the writer is back."""
    scene.write(name, SIZE * MIB)
    scene.server.ctl("seal", "--pinned", scene.file(name))
    writer = begin_writing(scene, guest, name)
    cut_off_from_both(scene, guest)
    scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file(name))
    victim = Victim(scene, name)
    restart_target(scene)
    heal(scene, guest)
    writer.end()
    victim.expect_untouched()


@test(seconds=120, timeout=1500)
def a_target_that_forgets_gets_no_scsi_layouts_any_more(lab):
    """It says that it keeps registrations, and is restarted without. The next look finds out; the
    log, `devices` and `explain` say why, clients read and write through the server, so that the
    next time it forgets, nothing is queued for another file's blocks; and the operator can insist.
    Two losses; ten in a long run."""
    scene = small_san(lab, keeps=False)
    guest, = scene.clients
    scene.write("file", MIB)
    scene.server.ctl("seal", "--pinned", scene.file("file"))
    guest.write("/mnt/n/file", 1)
    equal(guest.counters()["WRITE"], 0, "direct at first")
    restart_target(scene)
    scene.server.wait_log("has lost every registration")
    device = scene.server.ctl("devices")["devices"][0]
    holds(not device["layouts"] and "scsi_volatile_reservations" in device["why"],
          f"devices: {device}")
    why = scene.server.ctl("explain", scene.file("file"))
    holds("lost registrations" in str(why), f"explain: {why}")
    scene.server.ctl("unseal", "--wait", scene.file("file"))
    for turn in range(lab.times(2, 10)):
        mount_anew(scene, guest)
        lose_over_a_restart(scene, guest, f"lost{turn}")
        holds(guest.counters()["WRITE"] > 0, "through the server")


@test(seconds=100, timeout=600)
def a_key_that_the_target_forgot_is_no_fence(lab):
    """The operator insists on a target that forgets. A client that is cut off with a write queued,
    and whose key goes with the target's memory, was not preempted by anybody: its seal waits until
    it has unmounted."""
    scene = small_san(lab, keeps=False, export={"scsi_volatile_reservations": "allow"})
    guest, = scene.clients
    writer = direct_writer(scene, guest, "file")
    scene.server.wait_log("is registered by")
    cut_off_from_both(scene, guest)
    restart_target(scene)
    scene.server.wait_log("scsi_volatile_reservations is \"allow\"")
    release = scene.server.start_ctl("unseal", scene.file("file"))
    scene.server.wait_state(scene.file("file"), "stuck")
    scene.server.wait_log("is gone, and not because the server preempted it")
    scene.host.fails(f"truncate -s 0 {scene.file('file')}")
    heal(scene, guest)
    writer.end()
    guest.run("umount /mnt/n")
    release.wait()
    scene.server.wait_state(scene.file("file"), "open")


class TwoVolumes:
    """A stage: a LUN with two partitions, each with a file system that is exported; one client,
    which has both mounted."""

    def __init__(self, lab):
        self.lab, self.san = lab, San(lab, size=192 * MIB)
        self.host, guest = lab.guest(images=[], role=SERVER), lab.guest(images=[], role=CLIENT)
        self.clients = [guest]
        self.san.up([self.host, guest])
        self.san.log_in(self.host, guest)
        # A client of 6.1 loses what it writes to the end of a partition, as much as lies before it
        # on the disk: no file is to be there.
        self.host.run("printf '2048,49152\\n51200\\n' | sfdisk -q /dev/sda; "
                      "until [ -b /dev/sda1 ] && [ -b /dev/sda2 ]; do :; done\n"
                      f"mkdir -p /mnt/data /mnt/more; {MAKE['ext4']} /dev/sda1; "
                      f"{MAKE['ext4']} /dev/sda2\n"
                      "mount -t ext4 /dev/sda1 /mnt/more; mount -t ext4 /dev/sda2 /mnt/data\n"
                      "dd if=/dev/urandom of=/mnt/more/file bs=1M count=1 conv=fsync status=none\n"
                      f"fallocate -l {SIZE}M /mnt/data/spare; sync")
        fill(self, 3 * MIB)
        self.host.run("rm /mnt/data/spare; sync")
        self.server = GuestServer(self.host, lab.build, {"/data": {"path": "/mnt/data"}}, **SOON)
        lab.servers.append(self.server)
        self.server.start()
        self.server.wait_log("is reserved for SCSI layouts")
        self.server.stop()
        self.server.exports["/more"] = {**self.server.exports["/data"], "path": "/mnt/more"}
        self.server.start()
        # No write waits for others to come back.
        guest.run("echo 0 > /sys/block/sda/queue/wbt_lat_usec")
        self.mount(guest)

    def mount(self, guest):
        guest.mount("/data", server=self.host.ip).mount("/more", at="/mnt/more",
                                                        server=self.host.ip)

    file, write, sha256 = SanLab.file, SanLab.write, SanLab.sha256


def hangs(guest, command, where):
    """A command that hangs in this function of the kernel, over a path that is cut."""
    job = guest.start(f"say $$; exec {command}")
    while not job.said:
        guest.poll(60, "its process id")
    guest.run(f"until grep -qs {where} /proc/{job.said[0]}/stack; "
              f"do [ -d /proc/{job.said[0]} ] && sleep 0.1 || exit; done")
    return job


def wait_behind(guest):
    """What was queued for the disk has come there before this, which may be refused."""
    for _ in range(2):
        guest.start("dd if=/dev/sda of=/dev/null bs=4K count=1 iflag=direct").wait(180)


@test(on=TwoVolumes, seconds=60, timeout=1500)
def a_registration_on_its_way_is_waited_for_before_the_release(scene):
    """The client writes to a file of one volume. Its disk path is cut; it asks for the other volume
    of that disk, is told a key, and registers it when the path is back, with writes to the first
    file behind it. Twice; ten times in a long run, or until one came unseen."""
    guest, = scene.clients
    for turn in range(scene.lab.times(2, 10)):
        name = f"first{turn}"
        released = register_late(scene, guest, name)
        guest.run("umount /mnt/more")
        mount_anew(scene, guest)
        if not released:
            scene.server.wait_state(scene.file(name), "open")
            Victim(scene, name).expect_untouched()
            return  # a turn more would begin with what this one left on the disk


def is_released(scene, name):
    """Once the REGISTER was seen. LIO may drop it with the session of before, between two looks:
    then the server has to keep the seal until the client has unmounted."""
    with contextlib.suppress(ServerError):
        scene.server.wait_state(scene.file(name), "open", timeout=30)
        return True
    print("the REGISTER came and went unseen, or never came: the seal is kept")
    return False


def register_late(scene, guest, name):
    """The REGISTER hangs, and behind it a write of the first file. Whether that was released while
    its client was there."""
    writer = direct_writer(scene, guest, name)
    scene.server.ctl("seal", "--pinned", "/mnt/more/file")
    guest.cut_storage()
    reader = hangs(guest, "dd if=/mnt/more/file of=/dev/null bs=64K count=1 iflag=direct",
                   "sd_pr_register")
    behind = hangs(guest, f"python3 -c 'import mmap, os; b = mmap.mmap(-1, {MIB}); "
                   f"b.write(b\"W\" * {MIB}); "
                   f"os.pwrite(os.open(\"/mnt/n/{name}\", os.O_WRONLY | os.O_DIRECT), b, "
                   f"{SIZE // 2 * MIB})'", "nfs_direct_wait")
    guest.cut()
    code, text = scene.server.sealctl("unseal", "--wait", "--timeout", "60", scene.file(name))
    victim = Victim(scene, name) if code == 0 else None
    guest.mend_storage()
    if not victim and is_released(scene, name):
        victim = Victim(scene, name)
    wait_behind(guest)
    heal(scene, guest)
    for job in (reader, behind):
        job.wait(180)
    writer.end()
    if victim:
        victim.expect_untouched()
    holds(code == 1 and "could not be seen to be gone" in text,
          f"the seal is kept until the REGISTER has come: exit {code}: {text}")
    scene.server.ctl("unseal", "--wait", "/mnt/more/file")
    return victim is not None


POD = "10.99.0.52"


@test(seconds=60, timeout=600)
def another_run_behind_the_same_address_is_no_restart_of_the_first(lab):
    """A container is made anew with the name and address of one that hangs, its network gone and
    writes queued. To the server it is the same client, started anew."""
    scene = small_san(lab)
    guest, = scene.clients
    enter_namespace(scene, guest, "one", POD, "pod", "/mnt/one")
    direct_writer(scene, guest, "first", at="/mnt/one")
    guest.cut_storage()
    guest.run("ip -n one link del mv-one")
    enter_namespace(scene, guest, "two", POD, "pod", "/mnt/two")
    guest.run("ls /mnt/two")
    scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file("first"))
    keys, victim = scene.san.keys(), Victim(scene, "first")
    guest.mend_storage()
    wait_behind(guest)
    victim.expect_untouched()
    holds(guest.name not in keys, f"the nexus was fenced before the release: {keys}")
