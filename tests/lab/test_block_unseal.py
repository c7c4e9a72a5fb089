"""Taking a seal off while clients use the file: everybody is recalled, and the release waits for the last return."""
from disk import MIB, immutable
from load import reading, writing
from registry import equal, holds, test
from trace import Trace


@test(fs=("xfs", "ext4"), timeout=300)
def applications_go_on_through_a_release(lab, fs):
    disk = lab.disk(fs=fs)
    path = disk.file("file")
    disk.write("file", 32 * MIB)
    server = lab.server(recall_timeout=60)
    server.ctl("seal", "--pinned", path)
    guests = lab.clients(3)
    unchanged = guests[0].run("dd if=/mnt/n/file bs=1M skip=16 count=16 iflag=direct status=none | sha256sum").split()[0]
    loads = [reading(guests[0], "/mnt/n/file", 16, unchanged, skip=16), reading(guests[1], "/mnt/n/file", 16, unchanged, skip=16),
             writing(guests[2], "/mnt/n/file", 8)]
    for load in loads:
        load.rounds(2)
    for guest in guests:
        equal(guest.counters().data(), 0, f"{guest.name}: READ and WRITE before the release")

    server.ctl("unseal", "--wait", "--timeout", "50", path)
    holds(not immutable(path), "a released file carries no flag")
    trace = Trace(server, path)
    trace.released_after("recall", count=3)
    trace.given_back(count=3)
    equal(trace.all("fence"), [], "fences")

    for load in loads:
        load.rounds(2)
    for load in loads:
        load.end()
    holds(all(guest.counters()["READ"] > 0 for guest in guests), "afterwards everybody reads through the server")
    holds(guests[2].counters()["WRITE"] > 0, "afterwards the writer writes through the server")
    last = guests[2].run("sha256sum < /tmp/writing").split()[0]
    guests[2].run("sync /mnt/n/file")
    equal(disk.run(f"head -c {8 * MIB} {path} | sha256sum").split()[0], last, "the writer's last round as the server reads it")


@test(fs=("xfs", "ext4"))
def a_returned_layout_is_not_used_again(lab, fs):
    """After the release the file's blocks may move; a client that had a layout reads the new data, and through the server."""
    disk = lab.disk(fs=fs)
    path = disk.file("file")
    disk.write("file", 8 * MIB)
    server = lab.server()
    server.ctl("seal", path)
    guest, = lab.clients(1)
    guest.sha256("/mnt/n/file")
    equal(guest.counters()["LAYOUTGET"], 1)
    server.ctl("unseal", "--wait", path)
    disk.run(f"cp {path} {path}.new && shred -n1 {path} && sync")
    digest = disk.sha256("file")
    equal(guest.sha256("/mnt/n/file"), digest, "what the guest reads after the change")
    holds(guest.counters()["READ"] > 0, "it asked the server")


@test()
def a_file_sealed_again_is_read_directly_again(lab):
    disk = lab.disk()
    path = disk.file("file")
    digest = disk.write("file", 8 * MIB)
    server = lab.server()
    guest, = lab.clients(1)
    equal(guest.sha256("/mnt/n/file"), digest)
    equal(guest.counters()["READ"] > 0, True, "an unsealed file is read through the server")
    for _ in range(2):
        server.ctl("seal", path)
        guest.umount()
        guest.mount("/data")
        equal(guest.sha256("/mnt/n/file"), digest)
        equal(guest.counters().data(), 0, "READ and WRITE of a sealed file")
        server.ctl("unseal", "--wait", path)


@test()
def a_seal_without_holders_is_released_at_once(lab):
    disk = lab.disk(size=400 * MIB)
    disk.write("file", MIB)
    server = lab.server()
    server.ctl("seal", disk.file("file"))
    server.ctl("unseal", "--wait", disk.file("file"))
    equal(Trace(server, disk.file("file")).all("recall"), [], "recalls")
    holds(not immutable(disk.file("file")), "a released file carries no flag")
