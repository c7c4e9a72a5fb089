"""kill -9 of the server under load: clients carry on, state is reclaimed, seals are still seals."""
from disk import MIB, extents, immutable
from load import Load, reading, writing
from registry import equal, holds, test
from test_nfs_ordinary import lock_holder, locker


@test(fs=("xfs", "ext4"), timeout=400, seconds=25)
def clients_carry_on_through_a_crash(lab, fs):
    disk = lab.disk(fs=fs)
    digest = disk.write("frozen", 4 * MIB)
    disk.write("pinned", 4 * MIB)
    disk.write("plain", 4 * MIB)
    server = lab.server(lease_time=20, grace_time=20)
    server.ctl("seal", disk.file("frozen"))
    server.ctl("seal", "--pinned", disk.file("pinned"))
    maps = [extents(disk.file(name)) for name in ("frozen", "pinned")]
    one, two = lab.clients(2)
    holder = lock_holder(one, "/mnt/n/plain", then="os.pwrite(fd, b'held', 0)\nos.fsync(fd)")
    loads = [reading(one, "/mnt/n/frozen", 4, digest), writing(two, "/mnt/n/pinned", 2),
             Load(two, "making",
                  "mkdir /mnt/n/d && mv /mnt/n/d /mnt/n/e && rmdir /mnt/n/e || exit 1")]
    for load in loads:
        load.rounds(1)
    for _ in range(2):
        server.kill()
        holds(immutable(disk.file("frozen")) and immutable(disk.file("pinned")),
              "a seal did not outlive the server")
        server.start()
        equal((server.state(disk.file("frozen")), server.state(disk.file("pinned"))),
              ("sealed", "sealed"))
        for load in loads:
            load.rounds(2, timeout=150)
    equal([extents(disk.file(name)) for name in ("frozen", "pinned")], maps,
          "the sealed files' blocks")
    denied = locker(two, "lock(fd, fcntl.F_RDLCK, 4, 1)", "/mnt/n/plain")
    holds(denied.wait() != 0 and "BlockingIOError" in denied.output(),
          f"the lock was not reclaimed: {denied.output()}")
    one.run("touch /tmp/release")
    holder.finish()
    for load in loads:
        load.end()
    equal(disk.run(f"head -c4 {disk.file('plain')}"), "held",
          "written after the crash by an open from before it")


@test(fs=("xfs",), timeout=300)
def a_silent_holder_of_before_the_crash_keeps_the_seal(lab, fs):
    """The server has forgotten the layout, the client has not: no release until it
    is known gone."""
    disk = lab.disk(fs=fs)
    disk.write("file", 8 * MIB)
    path, before = disk.file("file"), extents(disk.file("file"))
    server = lab.server(recall_timeout=2, lease_time=5, grace_time=5)
    server.ctl("seal", "--pinned", path)
    guest, = lab.clients(1)
    guest.write("/mnt/n/file", 8)
    guest.stop()
    server.kill()
    server.start()
    code, text = server.sealctl("unseal", "--wait", "--timeout", "60", path)
    holds(code in (1, 4), f"unseal: exit {code}: {text}")
    holds(immutable(path), "released under a holder of before the crash")
    equal(extents(path), before, "the file's blocks")
    guest.cont()
    guest.run("ls /mnt/n")
    holds(immutable(path), "released because its holder has come back, and forgotten its layout")
    guest.run("umount /mnt/n")
    server.wait_state(path, "open", 120)
    guest.mount("/data")
    digest = guest.write("/mnt/n/file", 8)
    equal(disk.sha256("file"), digest, "the guest writes on")


@test(fs=("xfs", "ext4"), timeout=300)
def a_release_goes_on_after_a_crash_in_its_middle(lab, fs):
    """The wish to release, the seal and its holder are all on record: nobody has to ask again."""
    disk = lab.disk(fs=fs)
    disk.write("file", 8 * MIB)
    path = disk.file("file")
    server = lab.server(recall_timeout=4, lease_time=10, grace_time=10)
    server.ctl("seal", path)
    guest, = lab.clients(1)
    guest.sha256("/mnt/n/file")
    guest.stop()
    code, text = server.sealctl("unseal", path)
    equal(code, 4, f"unseal without waiting: {text}")
    server.kill()
    server.start()
    holds(immutable(path), "released under a holder of before the crash")
    holds(server.state(path) in ("recalling", "fencing", "stuck"),
          "the release did not go on after the restart")
    guest.cont()
    guest.run("ls /mnt/n; umount /mnt/n")
    server.wait_state(path, "open", timeout=150)
    holds(not immutable(path), "a released file carries no flag")
