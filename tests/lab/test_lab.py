"""The lab itself: what the other tests stand on."""
import os
import time

from disk import extents, fragment, immutable
from registry import equal, holds, test

MIB = 1 << 20


@test(fs=("xfs", "ext4"), partition=(False, True))
def guest_and_server_see_each_others_writes(lab, fs, partition):
    """The server's file system and a guest's direct I/O meet on the image with no stale cache in between."""
    disk = lab.disk(fs=fs, partition=partition, size=1024 * MIB)
    guest = lab.guest().ready()
    node = "/dev/ubda1" if partition else "/dev/ubda"
    for turn in range(3):
        digest = disk.write("file", MIB)
        (_, physical, _, _), *rest = extents(disk.file("file"))
        equal(rest, [], "further extents")
        at = f"bs=1M count=1 iflag=direct,skip_bytes status=none skip={physical}"
        seen = guest.run(f"dd if={node} {at} | sha256sum").split()[0]
        equal(seen, digest, f"turn {turn}: what the guest reads")
        written = guest.run(f"dd if=/dev/urandom of=/tmp/x bs=1M count=1 status=none; sha256sum < /tmp/x;"
                            f"dd if=/tmp/x of={node} bs=1M oflag=direct,seek_bytes status=none conv=notrunc seek={physical}").split()[0]
        equal(disk.sha256("file"), written, f"turn {turn}: what the server reads")
        os.unlink(disk.file("file"))


@test()
def a_stopped_guest_answers_after_it_goes_on(lab):
    lab.disk(size=512 * MIB)
    guest = lab.guest().ready()
    guest.run("true")
    guest.stop()
    job = guest.start("echo back")
    begin = time.monotonic()
    guest.poll(1)
    holds(not job.done() and time.monotonic() - begin > 0.9, "a stopped guest did something")
    guest.cont()
    equal(job.finish(60), "back\n")
    guest.kill()
    equal(guest.processes(traced=True), [], "processes of a killed guest")


@test()
def a_cut_guest_is_silent_until_mended(lab):
    lab.disk(size=512 * MIB)
    guest = lab.guest().ready()
    knock = "timeout 2 bash -c '</dev/tcp/10.99.0.1/9'"  # nobody is there: the answer is a refusal
    refused, silence = 1, 124
    equal(guest.start(knock).wait(), refused)
    guest.cut()
    equal(guest.start(knock).wait(), silence)
    guest.mend()
    equal(guest.start(knock).wait(), refused)


@test(fs=("xfs", "ext4"))
def a_fragmented_file_has_as_many_extents_as_asked(lab, fs):
    disk = lab.disk(fs=fs)
    fragment(disk.file("file"), 1000)
    equal(len(extents(disk.file("file"))), 1000)
    equal(immutable(disk.file("file")), False)
