"""Sealed files: clients move the data themselves, and the server is not asked."""
import os

from disk import MIB, fragment
from registry import equal, test
from stage import Stage


def expect_direct(guest, layouts=1):
    """The guest moved all data itself, with as many LAYOUTGETs, and it asked for the device
    once."""
    counters = guest.counters()
    equal(counters.pnfs, "LAYOUT_BLOCK_VOLUME", f"{guest.name}: layout driver")
    equal(counters.data(), 0, f"{guest.name}: READ and WRITE calls ({counters.show()})")
    equal((counters["LAYOUTGET"], counters["GETDEVICEINFO"], counters["LAYOUTRETURN"]),
          (layouts, 1, 0),
          f"{guest.name}: LAYOUTGET, GETDEVICEINFO, LAYOUTRETURN ({counters.show()})")


def digest_of(guest, path, mib, skip=0):
    """The digest of a part of a file, read O_DIRECT."""
    return guest.run(f"dd if={path} bs=1M skip={skip} count={mib} iflag=direct status=none | "
                     f"sha256sum").split()[0]


def shared(lab, fs):
    """A stage."""
    return Stage(lab, fs, clients=3, plain=1)


@test(on=shared, fs=("xfs", "ext4"))
def a_frozen_file_is_read_from_the_disk(scene):
    disk, (guest,) = scene.directory("frozen")
    digest = disk.write("file", 32 * MIB)
    scene.server.ctl("seal", disk.file("file"))
    equal(guest.sha256("/mnt/n/file"), digest, "read O_DIRECT")
    equal(guest.sha256("/mnt/n/file", direct=False), digest, "read buffered")
    expect_direct(guest)
    guest.run("for i in 1 2 3 4 5; do dd if=/mnt/n/file of=/dev/null bs=1M count=1 skip=$i "
              "iflag=direct status=none || exit; done")
    expect_direct(guest)


@test(on=shared, fs=("xfs", "ext4"), timeout=300, seconds=10)
def a_pinned_file_is_written_on_the_disk(scene):
    """Written by one client in both ways, it reads the same for another client and on the disk."""
    disk, clients = scene.directory("pinned", 2)
    disk.write("file", 16 * MIB)
    scene.server.ctl("seal", "--pinned", disk.file("file"))
    written_in_both_ways(disk, *clients, 16)


@test(fs=("xfs", "ext4"), timeout=300)
def a_pinned_file_is_written_on_the_disk_in_a_partition(lab, fs):
    """The same; the clients see the whole disk and are told of a slice of it."""
    disk = lab.disk(fs=fs, partition=True)
    disk.write("file", 8 * MIB)
    lab.server().ctl("seal", "--pinned", disk.file("file"))
    written_in_both_ways(disk, *lab.clients(2), 8)


def written_in_both_ways(disk, writer, reader, size):
    for direct in (True, False):
        digest = writer.write("/mnt/n/file", size, direct)
        how = "O_DIRECT" if direct else "buffered"
        equal(reader.sha256("/mnt/n/file"), digest,
              f"written {how}, read O_DIRECT by another client")
        equal(reader.sha256("/mnt/n/file", direct=False), digest,
              f"written {how}, read buffered by another client")
        equal(disk.sha256("file"), digest, f"written {how}, on the server's disk")
    expect_direct(writer)
    expect_direct(reader)


@test(on=shared, fs=("xfs", "ext4"))
def what_a_client_wrote_is_what_the_server_reads(scene):
    """READ through the server, before and after a client's direct write: nothing stale from the
    server's page cache."""
    disk, (writer, reader) = scene.directory("wrote", 1, plain=1)
    before = disk.write("file", 8 * MIB)
    scene.server.ctl("seal", "--pinned", disk.file("file"))
    equal(reader.sha256("/mnt/n/file"), before, "read through the server before")
    digest = writer.write("/mnt/n/file", 8)
    equal(reader.sha256("/mnt/n/file"), digest, "read through the server after")
    expect_direct(writer)
    counters = reader.counters()
    equal((counters["LAYOUTGET"], counters["READ"] > 0), (0, True),
          f"the reader asked the server ({counters.show()})")


@test(on=shared, fs=("xfs", "ext4"))
def a_write_through_the_server_is_what_clients_read_directly(scene):
    disk, (direct, through) = scene.directory("through", 1, plain=1)
    disk.write("file", 8 * MIB)
    scene.server.ctl("seal", "--pinned", disk.file("file"))
    direct.sha256("/mnt/n/file")
    digest = through.write("/mnt/n/file", 8, direct=False)
    equal(through.counters()["WRITE"] > 0, True, "the writer asked the server")
    equal(direct.sha256("/mnt/n/file"), digest, "read from the disk")
    equal(disk.sha256("file"), digest, "on the server's disk")
    expect_direct(direct)


@test(on=shared, fs=("xfs", "ext4"), timeout=300, seconds=8)
def a_file_of_a_thousand_extents_takes_as_few_layoutgets_as_the_client_lets_it(scene):
    """Debian 12's client takes 4096 bytes of layout at a time: 56 for the head, 44
    for an extent."""
    disk, (writer, reader) = scene.directory("extents", 2)
    fragment(disk.file("frozen"), 1000)
    fragment(disk.file("pinned"), 1000)
    digest = disk.sha256("frozen")
    scene.server.ctl("seal", disk.file("frozen"))
    scene.server.ctl("seal", "--pinned", disk.file("pinned"))
    layouts = -(-1000 // ((4096 - 56) // 44))
    equal(reader.sha256("/mnt/n/frozen"), digest, "read O_DIRECT")
    equal(reader.sha256("/mnt/n/frozen", direct=False), digest, "read buffered")
    expect_direct(reader, layouts)
    written = writer.write("/mnt/n/pinned", 62)
    expect_direct(writer, layouts)
    equal(digest_of(reader, "/mnt/n/pinned", 62), written, "read by another client")
    expect_direct(reader, 2 * layouts)


@test(on=shared, fs=("xfs", "ext4"))
def mtime_and_change_follow_a_direct_write(scene):
    """The flag forbids changing times on disk; clients see them change all the same, and release
    writes them down."""
    disk, (writer, other) = scene.directory("times", 2)
    disk.write("file", MIB)
    os.utime(disk.file("file"), (1000000000, 1000000000))
    scene.server.ctl("seal", "--pinned", disk.file("file"))
    equal(other.run("stat -c %Y /mnt/n/file").strip(), "1000000000", "mtime before")
    writer.write("/mnt/n/file", 1)
    writer.run("sync /mnt/n/file")
    expect_direct(writer)
    equal(writer.counters()["LAYOUTCOMMIT"] > 0, True, "a LAYOUTCOMMIT")
    other.run("umount /mnt/n")
    other.mount("/data/times")
    seen = int(other.run("stat -c %Y /mnt/n/file"))
    equal(seen > 1700000000, True, f"mtime after the write: {seen}")
    scene.server.ctl("unseal", "--wait", disk.file("file"))
    equal(int(os.stat(disk.file("file")).st_mtime), seen, "mtime on the disk after the release")


@test(on=shared, fs=("xfs", "ext4"), timeout=300, seconds=15)
def holders_do_not_disturb_one_another(scene):
    """Three clients read one file at the same time, two write halves of another: no recall, no
    refusal, no detour."""
    disk, guests = scene.directory("together", 3)
    digest = disk.write("frozen", 16 * MIB)
    disk.write("pinned", 16 * MIB)
    scene.server.ctl("seal", disk.file("frozen"))
    scene.server.ctl("seal", "--pinned", disk.file("pinned"))
    read = ("for i in 1 2 3; do dd if=/mnt/n/frozen bs=1M count=16 iflag=direct status=none | "
            "sha256sum || exit; done")
    jobs = [guest.start(read) for guest in guests]
    for job in jobs:
        equal({line.split()[0] for line in job.finish().splitlines()}, {digest},
              f"{job.guest.name}: digests of its three reads")
    for guest in guests:
        expect_direct(guest)

    write = ("for i in 1 2 3; do dd if=/dev/urandom of=/tmp/x bs=1M count=8 status=none || exit;"
             "dd if=/tmp/x of=/mnt/n/pinned bs=1M seek={} oflag=direct conv=notrunc status=none || "
             "exit; done; sha256sum < /tmp/x")
    halves = [guest.start(write.format(8 * i)) for i, guest in enumerate(guests[:2])]
    written = [job.finish().split()[0] for job in halves]
    for i in range(2):
        equal(digest_of(guests[2], "/mnt/n/pinned", 8, skip=8 * i), written[i],
              f"half {i} as the third client reads it")
    for guest in guests:
        expect_direct(guest, layouts=2)
    equal([entry for entry in scene.server.trace() if "recall" in str(entry)
           and disk.path in entry["file"]], [], "recalls in the trace")
