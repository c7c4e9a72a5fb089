"""SCSI layouts on an iSCSI target with real reservations: RFC 8154."""
import time

from disk import MIB
from registry import equal, holds, test
from san import SanLab


def pair(lab):
    """A stage."""
    return SanLab(lab, clients=2, lease_time=5, grace_time=1)


@test(on=pair, seconds=20)
def two_clients_read_and_write_one_pinned_file_directly(scene):
    """READ 0, WRITE 0, and the target has a key for the server and one for each client."""
    one, two = scene.clients
    digest = scene.write("file", 8 * MIB)
    scene.server.ctl("seal", "--pinned", scene.file("file"))
    for job in [guest.start("dd if=/mnt/n/file bs=512K count=16 iflag=direct status=none | "
                            "sha256sum") for guest in (one, two)]:
        equal(job.finish().split()[0], digest, "what a client reads")
    one.write("/mnt/n/file", 4)
    two.write("/mnt/n/file", 4, at_mib=4)
    digest = one.sha256("/mnt/n/file")
    equal(two.sha256("/mnt/n/file"), digest, "what both read in the end")
    equal(scene.sha256("file"), digest, "what is on the disk")
    for guest in (one, two):
        counters = guest.counters()
        equal((counters.pnfs, counters.data()), ("LAYOUT_SCSI", 0),
              f"{guest.name}: {counters.show()}")
    keys = scene.san.keys()
    equal(sorted(keys), sorted(guest.name for guest in (scene.host, one, two)),
          f"who has registered ({keys})")
    holds(len({key for name in keys for key in keys[name]}) == 3, f"one key each: {keys}")
    holds("Exclusive Access, Registrants Only" in scene.san.reservation(), scene.san.reservation())
    scene.server.ctl("unseal", "--wait", scene.file("file"))


def register(guest, key):
    """A key by a machine's own hand: PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING
    KEY; 0 takes it away. Its first command after its key was preempted only tells it so
    (a unit attention)."""
    # linux/pr.h: IOC_PR_REGISTER of old_key, new_key, flags (1: ignore the existing key), a pad
    guest.run("python3 -c 'import fcntl, os, struct, sys;"
              f"said = [fcntl.ioctl(os.open(\"/dev/sda\", os.O_RDWR), 0x401870C8, "
              f"bytearray(struct.pack(\"=QQLL\", 0, {key}, 1, 0))) for _ in range(2)];"
              "sys.exit(said[-1])'")


def no_key_is_in_the_report(scene):
    """That there is one is said, and lines of the log are shown, some of which name keys."""
    for text in scene.server.sealctl("doctor")[1], scene.server.sealctl("--json", "doctor")[1]:
        holds("present" in text and "was not given out by this server" in text, text)
        for key in [key for keys in scene.san.keys().values() for key in keys]:
            holds(f"{int(key, 16):x}" not in text.lower(), f"key {key} is in the report: {text}")


@test(on=pair, seconds=30, timeout=400)
def keys_outlive_a_crash_and_those_that_nobody_has_are_preempted(scene):
    """Over a crash the server keeps its key and a client goes on: told anew, it has one of its own
    again. A key with the server's own prefix that nobody has is found at the start and preempted;
    one that the server never gave out is reported and left alone."""
    one, two = scene.clients
    digest = scene.write("kept", 4 * MIB)
    scene.server.ctl("seal", "--pinned", scene.file("kept"))
    for guest in (one, two):
        equal(guest.sha256("/mnt/n/kept"), digest, f"{guest.name} reads")
    before = scene.san.keys()
    # The server's own prefix, a number that nobody has.
    orphan = (int(before[two.name][0], 16) & ~0xFFFFFF) | 0xABCDE
    foreign = 0x1234567890ABCDEF
    scene.server.kill()
    register(two, orphan)
    scene.server.start()
    deadline = time.monotonic() + 120
    while two.name in scene.san.keys():
        holds(time.monotonic() < deadline,
              f"a key that nobody has is still at the target: {scene.san.keys()}")
        time.sleep(0.2)  # nothing tells of a change at the target
    holds(f"key 0x{orphan:016x} of a client that is no more, or was fenced, "
          f"was taken off the disk" in scene.server.log_text(), "the log says so")
    register(two, foreign)
    while f"key 0x{foreign:016x} was not given out by this server" not in scene.server.log_text():
        holds(time.monotonic() < deadline + 120, "a foreign key is reported")
        time.sleep(0.2)
    no_key_is_in_the_report(scene)
    one.write("/mnt/n/kept", 4)
    counters = one.counters()
    equal((counters.pnfs, counters.data()), ("LAYOUT_SCSI", 0),
          f"{one.name}, over the crash: {counters.show()}")
    keys = scene.san.keys()
    equal(keys[scene.host.name], before[scene.host.name], "the server's key, before and after")
    equal(len(keys[one.name]), 1, f"the client's keys: {keys}")
    equal([int(key, 16) for key in keys[two.name]], [foreign], "the foreign key")
