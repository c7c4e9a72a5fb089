"""Reservation keys stand for nexuses, and last as long as the target remembers them: two clients of one machine, and a target that is restarted."""
from disk import MIB
from registry import equal, holds, test
from test_scsi_fence import SIZE, cut_off_from_both, direct_writer, fill, heal, remove, small_san

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
    holds(shared > len(before) // 2, f"the victim has {shared} of the {len(before)} blocks that were released")
    return digest


def expect_untouched(scene, name, digest):
    equal(scene.sha256(f"{name}-reused"), digest, "the victim's data")
    remove(scene, name, f"{name}-reused")


def mount_second(scene, guest):
    """Another NFS client on the same machine: a network namespace, a name of its own, and the same initiator."""
    guest.run('"$lab_dir/modprobe" macvlan; mkdir -p /run/netns /mnt/two; ip netns add two\n'
              "ip link add mv0 link vec0 type macvlan mode bridge; ip link set mv0 netns two\n"
              f"ip -n two link set lo up; ip -n two link set mv0 up; ip -n two addr add {SECOND_CLIENT}/24 dev mv0\n"
              "nsenter --net=/run/netns/two unshare --uts sh -c "
              f"'echo second > /proc/sys/kernel/hostname; mount -t nfs4 -o vers=4.1 {scene.host.ip}:/data /mnt/two'")


@test(seconds=100, timeout=600)
def two_clients_of_one_machine_are_fenced_together(lab):
    """The second's key takes the place of the first's. The first is lost with a write queued: the second is recalled by name, returns what it has and
    is not lost with it, and nothing of the first's reaches the blocks that were released."""
    scene = small_san(lab)
    guest, = scene.clients
    scene.host.run("rm /mnt/data/filler")
    scene.write("second", 2 * MIB)
    fill(scene, (SIZE + 3) * MIB)
    scene.server.ctl("seal", "--pinned", scene.file("second"))
    writer = direct_writer(scene, guest, "first")
    before, alone = extents(scene, "first"), scene.san.keys()[guest.name]
    mount_second(scene, guest)
    guest.run("dd if=/dev/urandom of=/mnt/two/second bs=1M count=2 oflag=direct conv=notrunc status=none")
    equal(guest.counters("/mnt/two")["WRITE"], 0, "the second client writes directly")
    together = scene.san.keys()[guest.name]
    holds(len(together) == 1 and together != alone, f"one nexus, one key, and it is the second's: {alone}, {together}")
    scene.server.wait_log("are on one machine")

    scene.host.run(f"ss -K dst {guest.ip} > /dev/null; ip route add prohibit {guest.ip}")
    guest.cut_storage()
    scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file("first"))
    holds(guest.name not in scene.san.keys(), f"the nexus has no key: {scene.san.keys()}")
    holds("\"Linux NFSv4.1 second\" is on the machine of" in scene.server.log_text(), "the log names who goes with it")
    fences = [entry for entry in scene.server.trace() if entry["what"] == "fenced"]
    equal(len(fences), 1, f"the first is fenced, and the second returned its layout: {fences}")
    digest = reuse(scene, "first", before)
    heal(scene, guest)
    writer.end()
    guest.run("dd if=/dev/urandom of=/mnt/two/second bs=1M count=2 oflag=direct conv=notrunc status=none")
    expect_untouched(scene, "first", digest)


def lose_and_reuse(scene, guest, name):
    """Cut off with a write queued, fenced, released, its blocks given away."""
    writer = direct_writer(scene, guest, name)
    before = extents(scene, name)
    cut_off_from_both(scene, guest)
    scene.server.ctl("unseal", "--wait", "--timeout", "60", scene.file(name))
    holds(guest.name not in scene.san.keys(), f"the key is gone: {scene.san.keys()}")
    return writer, reuse(scene, name, before)


@test(seconds=100, timeout=600)
def a_target_that_keeps_registrations_keeps_a_fence_over_its_restart(lab):
    """Fenced, released, reused; the target is restarted and given its registrations again (APTPL); the client comes back with what it had queued."""
    scene = small_san(lab)
    guest, = scene.clients
    writer, digest = lose_and_reuse(scene, guest, "file")
    registered = scene.san.keys()
    scene.san.down()
    scene.san.up([])
    equal(scene.san.keys(), registered, "registrations after the restart")
    heal(scene, guest)
    writer.end()
    guest.fails("dmesg -C; dd if=/dev/zero of=/dev/sda bs=4K count=1 oflag=direct conv=notrunc")
    expect_untouched(scene, "file", digest)
    holds(scene.server.ctl("devices")["devices"][0]["layouts"], "SCSI layouts are offered still")


@test(seconds=100, timeout=600)
def a_target_that_forgets_gets_no_scsi_layouts_any_more(lab):
    """It says that it keeps registrations, and is restarted without. The next look finds out; the log, `devices` and `explain` say why, clients read
    and write through the server, and the operator can insist."""
    scene = small_san(lab, keeps=False)
    guest, = scene.clients
    scene.write("file", MIB)
    scene.server.ctl("seal", "--pinned", scene.file("file"))
    guest.write("/mnt/n/file", 1)
    equal(guest.counters()["WRITE"], 0, "direct at first")
    scene.san.down()
    scene.san.up([])
    scene.server.wait_log("has lost every registration")
    device = scene.server.ctl("devices")["devices"][0]
    holds(not device["layouts"] and "scsi_volatile_reservations" in device["why"], f"devices: {device}")
    why = scene.server.ctl("explain", scene.file("file"))
    holds("lost registrations" in str(why), f"explain: {why}")
    guest.run("umount /mnt/n")
    scene.mount(guest)
    guest.write("/mnt/n/file", 1)
    holds(guest.counters()["WRITE"] > 0, "through the server")


@test(seconds=100, timeout=600)
def a_key_that_the_target_forgot_is_no_fence(lab):
    """The operator insists on a target that forgets. A client that is cut off with a write queued, and whose key goes with the target's memory, was not
    preempted by anybody: its seal waits until it has unmounted."""
    scene = small_san(lab, keeps=False, export={"scsi_volatile_reservations": "allow"})
    guest, = scene.clients
    writer = direct_writer(scene, guest, "file")
    scene.server.wait_log("is registered by")
    cut_off_from_both(scene, guest)
    scene.san.down()
    scene.san.up([])
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
