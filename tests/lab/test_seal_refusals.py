"""What cannot be sealed, each with its own message, and the file left as it was. No guests: sealctl
and the file system."""
import contextlib
import hashlib
import mmap
import os
import subprocess

from disk import MIB, Unavailable, extents, immutable
from registry import equal, holds, test

UNWRITTEN, SHARED = 0x800, 0x2000  # linux/fiemap.h


def snapshot(path):
    """Everything about a file that a refused seal must not change."""
    about = os.lstat(path)
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    return (about.st_mode, about.st_size, about.st_blocks, about.st_mtime_ns, about.st_nlink,
            immutable(path), extents(path) if about.st_blocks else [], digest)


def expect_refused(server, path, *words, options=(), unchanged=True):
    before = snapshot(path) if unchanged else None
    text = server.refused("seal", *options, path)
    for word in words:
        holds(word in text.lower(), f"no {word!r} in: {text}")
    holds(len(text.splitlines()) == 1, f"more than one line: {text}")
    if unchanged:
        equal(snapshot(path), before, "the file after the refusal")
    equal(server.state(path), "open", "state")
    return text


def small(lab, fs, **options):
    disk = lab.disk(fs=fs, size=400 * MIB, **options)
    disk.write("file", MIB)
    return disk, lab.server(), disk.file("file")


@test(fs=("xfs", "ext4"))
def a_file_with_an_open_writer(lab, fs):
    _, server, path = small(lab, fs)
    with open(path, "r+b"):
        expect_refused(server, path, "open for writing")
        expect_refused(server, path, "open for writing", options=["--pinned"])
    server.ctl("seal", path)


@test(fs=("xfs", "ext4"))
def a_file_with_a_mapped_writer(lab, fs):
    """A shared writable mapping outlives the descriptor it was made from, and stores
    reach the disk."""
    _, server, path = small(lab, fs)
    with open(path, "r+b") as f:
        mapping = mmap.mmap(f.fileno(), MIB)
    expect_refused(server, path, "writ")
    mapping[0] = mapping[0]  # the writer is none the worse for the attempt
    mapping.close()
    server.ctl("seal", path)


@test(fs=("xfs", "ext4"))
def readers_do_not_prevent_a_seal(lab, fs):
    _, server, path = small(lab, fs)
    with open(path, "rb") as f, contextlib.closing(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)):
        server.ctl("seal", path)
    holds(immutable(path), "a sealed file carries the flag")


@test(kind=("frozen", "pinned"), fs=("xfs", "ext4"))
def unwritten_extents_unless_filled(lab, kind, fs):
    """Unwritten blocks hold other files' old data: they are never granted as data."""
    disk, server, path = small(lab, fs)
    with open(path, "r+b") as f:
        os.posix_fallocate(f.fileno(), MIB, MIB)
        os.fsync(f.fileno())
    pinned = ["--pinned"] if kind == "pinned" else []
    before = disk.sha256("file")
    text = expect_refused(server, path, "unwritten", options=pinned)
    holds("--fill" in text, f"the remedy is not named: {text}")
    server.ctl("seal", *pinned, "--fill", path)
    equal([e for e in extents(path) if e[3] & UNWRITTEN], [],
          "unwritten extents of the filled file")
    equal(disk.sha256("file"), before, "its data")


def sparse(disk, path):
    with open(path, "r+b") as f:
        f.seek(3 * MIB)
        f.write(b"the end" + bytes(MIB - 7))
        os.fsync(f.fileno())
    return disk.sha256("file")


@test(fs=("xfs", "ext4"))
def holes_in_a_pinned_file_unless_filled(lab, fs):
    """A client could not write there without a change of the map."""
    disk, server, path = small(lab, fs)
    digest = sparse(disk, path)
    text = expect_refused(server, path, "hole", options=["--pinned"])
    holds("--fill" in text, f"the remedy is not named: {text}")
    server.ctl("seal", "--pinned", "--fill", path)
    equal(disk.sha256("file"), digest, "its data")
    equal(sum(length for _, _, length, _ in extents(path)), 4 * MIB, "bytes with a block")


@test(fs=("xfs", "ext4"))
def holes_unless_they_are_filled_or_wanted(lab, fs):
    """A hole may be what a copy has not come to yet. Both remedies are named; the one that
    allocates leaves the data as it was."""
    disk, server, path = small(lab, fs)
    digest = sparse(disk, path)
    text = expect_refused(server, path, "hole")
    holds("--fill" in text and "--sparse" in text, f"the remedies are not named: {text}")
    server.ctl("seal", "--sparse", path)
    server.ctl("unseal", "--wait", path)
    server.ctl("seal", "--fill", path)
    equal(disk.sha256("file"), digest, "its data")
    equal(sum(length for _, _, length, _ in extents(path)), 4 * MIB, "bytes with a block")
    holds(server.sealctl("seal", "--pinned", "--sparse", path)[0] == 2,
          "--pinned with --sparse is wrong usage")


@test(fs=("xfs", "ext4"))
def holes_in_a_frozen_file_are_read_as_zeros(lab, fs):
    """A read layout can say that there is nothing."""
    disk, server, path = small(lab, fs)
    digest = sparse(disk, path)
    server.ctl("seal", "--sparse", path)
    guest, = lab.clients(1)
    equal((guest.sha256("/mnt/n/file"), guest.sha256("/mnt/n/file", direct=False)),
          (digest, digest), "what a client reads")
    counters = guest.counters()
    equal((counters.data(), counters["LAYOUTGET"]), (0, 1), counters.show())


@test()
def shared_extents(lab):
    disk, server, path = small(lab, "xfs", reflink=True)
    disk.run(f"cp --reflink=always {path} {path}.clone; sync -f {path}")
    holds(extents(path)[0][3] & SHARED, "the clone does not share")
    expect_refused(server, path, "shared")


@test()
def a_realtime_file(lab):
    """FIEMAP does not say that the blocks are on another device."""
    disk = lab.disk(fs="xfs", size=400 * MIB)
    realtime = lab.disk("realtime", fs="xfs", size=400 * MIB)
    realtime.umount()
    disk.umount()
    subprocess.run(["mkfs.xfs", "-q", "-f", "-m", "reflink=0,rmapbt=0", "-r",
                    f"rtdev={realtime.device}", disk.device], check=True)
    if subprocess.run(["mount", "-o", f"rtdev={realtime.device}", disk.device, disk.path],
                      capture_output=True).returncode:
        raise Unavailable("this kernel has no XFS realtime volumes (CONFIG_XFS_RT)")
    disk.run(f"touch {disk.file('file')}; xfs_io -c 'chattr +r' {disk.file('file')}; "
             f"dd if=/dev/urandom of={disk.file('file')} bs=1M count=1 conv=fsync status=none")
    server = lab.server(disk)
    expect_refused(server, disk.file("file"), "realtime")


def other_export(lab, name, make):
    """A server with a second export on another kind of file system, made by the script."""
    disk = lab.disk(size=400 * MIB)
    path = f"{lab.directory}/{name}"
    os.mkdir(path)
    made = subprocess.run(["bash", "-ec", make.format(path=path, image=f"{path}.img")],
                          capture_output=True, text=True)
    if made.returncode:
        raise Unavailable(f"no {name} here: {made.stderr.strip()}")
    with open(f"{path}/file", "wb") as f:
        f.write(os.urandom(MIB))
    return lab.server(disk, exports={f"/{name}": {"path": path}}), f"{path}/file"


@test()
def a_file_on_tmpfs(lab):
    server, path = other_export(lab, "tmpfs", "mount -t tmpfs tmpfs {path}")
    equal(server.state(path), "open")
    text = server.refused("seal", path)
    holds("tmpfs" in text, f"tmpfs is not named: {text}")


@test()
def a_file_on_btrfs(lab):
    """Its extents may be on several devices, compressed, or moved at any time."""
    server, path = other_export(lab, "btrfs", "truncate -s 300M {image}; mkfs.btrfs -q {image}; "
                                "mount -o loop {image} {path}")
    text = server.refused("seal", path)
    holds("btrfs" in text, f"btrfs is not named: {text}")


@test(fs=("xfs", "ext4"))
def what_is_not_a_regular_file(lab, fs):
    disk, server, _ = small(lab, fs)
    os.mkdir(disk.file("directory"))
    os.mkfifo(disk.file("fifo"))
    os.symlink("/nowhere", disk.file("dangling"))
    for name in ("directory", "fifo"):
        text = server.refused("seal", disk.file(name))
        holds("regular" in text or name in text.lower(), text)
    server.refused("seal", disk.file("dangling"))
    server.refused("seal", disk.file("not-there"))


@test(fs=("xfs", "ext4"))
def an_empty_file(lab, fs):
    disk, server, _ = small(lab, fs)
    open(disk.file("empty"), "w").close()
    expect_refused(server, disk.file("empty"), "empty")


@test(fs=("xfs", "ext4"))
def a_file_that_somebody_else_made_immutable(lab, fs):
    """The flag is not ours, so we must neither rely on it nor clear it."""
    disk, server, path = small(lab, fs)
    disk.run(f"chattr +i {path}")
    expect_refused(server, path, "immutable")
    holds(immutable(path), "the flag of somebody else is gone")
    disk.run(f"chattr -i {path}")


@test()
def data_inside_an_inode(lab):
    disk = lab.disk(fs="ext4", size=400 * MIB, options=("-O", "inline_data", "-I", "256"))
    server = lab.server()
    with open(disk.file("tiny"), "wb") as f:
        f.write(b"0123456789")
        os.fsync(f.fileno())
    expect_refused(server, disk.file("tiny"), "in")


@test(fs=("xfs", "ext4"))
def a_sealed_file_is_sealed_once(lab, fs):
    _, server, path = small(lab, fs)
    server.ctl("seal", path)
    server.ctl("seal", path)
    text = server.refused("seal", "--pinned", path)
    holds("frozen" in text or "sealed" in text, text)
    equal(server.state(path), "sealed")
    server.ctl("unseal", "--wait", path)
    holds(not immutable(path), "a released file carries no flag")


@test(fs=("xfs", "ext4"))
def all_names_of_a_file_are_one_seal(lab, fs):
    disk, server, path = small(lab, fs)
    os.link(path, disk.file("link"))
    server.ctl("seal", disk.file("link"))
    equal((server.state(path), server.state(disk.file("link"))), ("sealed", "sealed"))
    equal(len(server.ctl("status")["status"]), 1, "seals")
    server.ctl("unseal", "--wait", path)
    equal(server.state(disk.file("link")), "open")


@test(fs=("xfs", "ext4"))
def a_file_that_an_nfs_client_writes(lab, fs):
    _, server, path = small(lab, fs)
    guest, = lab.clients(1)
    writer = guest.start("exec 5>> /mnt/n/file; echo more >&5; say open; until [ -e /tmp/close ]; "
                         "do sleep 0.2; done; exec 5>&-; sync")
    writer.expect("open")
    text = server.refused("seal", path)
    holds("writ" in text, text)
    holds(not immutable(path), "the flag was left behind")
    guest.run("touch /tmp/close")
    writer.finish()
    server.ctl("seal", path)


@test(fs=("xfs", "ext4"))
def explain_says_why_in_a_sentence(lab, fs):
    disk, server, path = small(lab, fs)
    for words, change in ((("not sealed", "seal"), None), (("layout", "seal"), "seal")):
        if change:
            server.ctl(change, path)
        explain = server.ctl("explain", path)["explain"]
        holds(any(word in explain["why"].lower() for word in words) and len(explain["why"]) > 15,
              f"explain: {explain}")
