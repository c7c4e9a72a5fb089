"""Files that grow under their seal: clients write new data to the disk themselves."""
import errno
import hashlib
import os
import re
import stat
import subprocess

from cut import Plug
from disk import MIB, immutable
from registry import equal, holds, test

RESERVE = 32 * MIB
GROWING = {"direct_writes": True, "direct_writes_reserve": RESERVE}
DISKS = {"xfs": {"fs": "xfs"}, "ext4": {"fs": "ext4"}, "mkfs.xfs": {"fs": "xfs", "reflink": None}}
FEW = 8  # WRITEs of a writer whose data does not pass the server


def hook_that_works(lab):
    """For a client that writes nothing any more: of what it had before a crash, say."""
    hook = f"{lab.directory}/fence-hook"
    with open(hook, "w") as f:
        f.write("#!/bin/sh\nexit 0\n")
    os.chmod(hook, stat.S_IRWXU)
    return hook


def released(server, disk, name, size, ahead=MIB):
    """The seal is gone by itself, and the file is no longer than what was written. `ahead`: what
    the file system may keep ready of itself for who writes through the server."""
    server.wait_state(disk.file(name), "open", 90)
    holds(not immutable(disk.file(name)), f"{name} is immutable after its release")
    st = os.stat(disk.file(name))
    equal(st.st_size, size, f"{name}: size on the server's disk")
    holds(st.st_blocks * 512 <= size + ahead, f"{name}: {st.st_blocks * 512} bytes in use")


def make(guest, path, mib, flags):
    """A new file of random data; its digest."""
    return guest.run(
        f"set -e; dd if=/dev/urandom of=/tmp/data bs=1M count=8 status=none; "
        f"part() {{ for i in $(seq {mib // 8}); do cat /tmp/data; done; }}; part | sha256sum; "
        f"part | dd of={path} bs=1M iflag=fullblock {flags} status=none; rm /tmp/data",
        timeout=300).split()[0]


@test(fs=("mkfs.xfs", "ext4"), timeout=600, seconds=60)
@test(fs=("xfs",), timeout=600, long=True)
def a_new_file_is_written_on_the_disk(lab, fs):
    """By O_DIRECT and buffered, over more than one reserve; and it is what was written when it has
    been closed."""
    disk = lab.disk(**DISKS[fs])
    server = lab.server(export=GROWING)
    writer, reader = lab.clients(2)
    for flags in ("oflag=direct", "conv=fsync"):
        name, size = f"new-{flags.partition('=')[2]}", 80 * MIB
        before = writer.counters()
        digest = make(writer, f"/mnt/n/{name}", size // MIB, flags)
        equal(int(reader.run(f"stat -c %s /mnt/n/{name}")), size, f"{name}: seen by another")
        released(server, disk, name, size)
        equal(disk.sha256(name), digest, f"{name}: on the server's disk")
        equal(reader.sha256(f"/mnt/n/{name}"), digest, f"{name}: read by another client")
        counters = writer.counters()
        equal(counters.pnfs, "LAYOUT_BLOCK_VOLUME", "layout driver")
        writes, commits = (counters[call] - before[call] for call in ("WRITE", "LAYOUTCOMMIT"))
        holds(writes <= FEW and commits > 0,
              f"{name}: {writes} WRITE calls, {commits} LAYOUTCOMMITs ({counters.show()})")
    grown = [entry for entry in server.trace() if entry["what"] == "gives-way"]
    holds(grown, "no reserve was used up")


@test(timeout=300, seconds=20)
def libsealio_writes_new_files_to_the_disk(lab):
    """`sealio cp` to a new file, over more than one reserve; once more over it, and shorter. The
    server gets what ends within a block, and the little that is sent before a reserve is there."""
    disk = lab.disk(**DISKS["mkfs.xfs"])
    server = lab.server(export={**GROWING, "direct_writes_reserve": 16 * MIB})
    source, tool = f"{lab.directory}/source", f"{lab.build}/bin/sealio"
    for size in (100 * MIB + 1234, 20 * MIB + 4096):
        data = os.urandom(size)
        with open(source, "wb") as f:
            f.write(data)
        done = subprocess.run([tool, "cp", "--stats", source, "nfs://127.0.0.1:2049/data/new"],
                              capture_output=True, text=True, timeout=120)
        equal(done.returncode, 0, f"exit code of sealio cp; {done.stderr}")
        direct, through = map(int, re.search(
            r"written: (\d+) bytes direct.* (\d+) bytes by the server", done.stderr).groups())
        equal(direct + through, size, "written in all")
        holds(through <= size % 4096 + 8 * MIB and direct >= size // 2,
              f"{through} of {size} bytes went through the server; {done.stderr}")
        released(server, disk, "new", size)
        equal(disk.sha256("new"), hashlib.sha256(data).hexdigest(), "on the server's disk")


FILL = """python3 - <<'END'
import mmap, os
fd = os.open("/mnt/n/{name}", os.O_WRONLY | os.O_CREAT | {flags}, 0o644)
page, number, kept = mmap.mmap(-1, 1 << 20), 0, 0
try:
    while True:
        page[:] = b"%015d\\n" % number * 65536
        length = os.write(fd, page)
        os.fsync(fd)
        kept += length
        number += 1
        if length < len(page):
            os.write(fd, page)
except OSError as error:
    print(error.errno, kept)
END"""


@test(flags=("os.O_DIRECT",), fs=("mkfs.xfs",), timeout=300, seconds=20)
@test(flags=("0",), fs=("ext4",), timeout=300, seconds=20)
@test(flags=("os.O_DIRECT", "0"), fs=("xfs",), timeout=300, long=True)
def a_disk_that_fills_up_says_so_and_loses_nothing(lab, flags, fs):
    """Two files, one after the other. What was synced is there, most of it past the server; the
    reserves do not become so small that each write takes a new seal."""
    disk = lab.disk(size=512 * MIB, **DISKS[fs])
    server = lab.server(export=GROWING)
    guest, = lab.clients(1)
    for name in ("first", "second"):
        before = guest.counters()
        error, kept = map(int, guest.run(FILL.format(name=name, flags=flags), timeout=200).split())
        counters = guest.counters() - before
        equal(error, errno.ENOSPC, "errno at the end")
        holds(kept > 380 * MIB, f"{kept} bytes fitted")
        server.wait_state(disk.file(name), "open", 90)
        holds(kept <= os.stat(disk.file(name)).st_size < kept + 2 * MIB, "its size")
        with open(disk.file(name), "rb") as f:
            for number in range(kept // MIB):
                equal(f.read(MIB) == b"%015d\n" % number * 65536, True, f"MiB {number} of it")
        holds(counters["WRITE"] < kept // MIB // 10 and counters["LAYOUTRETURN"] < 40,
              counters.show())
        guest.run(f"rm /mnt/n/{name}")


APPEND = """set -o pipefail; python3 - <<'END' | while read -r line; do say "$line"; done
import os, sys
fd = os.open("/mnt/n/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
i = 0
while not os.path.exists("/tmp/enough"):
    record = b"%07d\\n" % i * 8192
    os.write(fd, record)
    os.fsync(fd)
    i += 1
    if i % 20 == 0:
        print(i, flush=True)
os.close(fd)
print("in all", i)
END"""


@test(fs=("mkfs.xfs",), timeout=600, seconds=60)
@test(fs=("xfs", "ext4"), timeout=600, long=True)
def nothing_that_was_synced_is_lost_by_crashes(lab, fs):
    """kill -9 of the server while a client appends: what fsync said yes to is there."""
    disk = lab.disk(**DISKS[fs])
    server = lab.server(export={**GROWING, "direct_writes_min_size": 0}, grace_time=5,
                        lease_time=10)
    guest, = lab.clients(1)
    guest.run("rm -f /tmp/enough")
    job = guest.start(APPEND)
    for count in (20, 40, 60):
        job.expect(str(count), timeout=180)
        server.kill()
        server.start()
    job.expect("80", timeout=180)
    guest.run("touch /tmp/enough")
    job.finish(180)
    records = int(job.said[-1].removeprefix("in all "))
    counters = guest.counters()
    holds(counters.pnfs == "LAYOUT_BLOCK_VOLUME" and counters["LAYOUTCOMMIT"] > 0
          and counters["WRITE"] < records // 2,
          f"{records} records went past the server: {counters.show()}")
    guest.run("umount /mnt/n")  # what it had before the crashes ends with that
    released(server, disk, "log", records * 65536)
    with open(disk.file("log"), "rb") as f:
        for i in range(records):
            equal(f.read(65536) == b"%07d\n" % i * 8192, True, f"record {i} of {records}")


EFFECTS = ("allocate", "flag cleared", "flag set", "flush journal.db-wal",
           "remove trusted.sealnfs.seal", "send", "set trusted.sealnfs.seal", "truncate",
           "write journal.db-wal")
AT_THE_END = "truncate"
GO_ON = """set -o pipefail; python3 - <<'END' | while read -r line; do say "$line"; done
import os
fd = os.open("/mnt/n/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
number = 0
while not os.path.exists("/tmp/enough"):
    os.write(fd, b"%07d\\n" % number * 7500)
    os.fsync(fd)
    number += 1
    if number % 10 == 0:
        print(number, flush=True)
os.close(fd)
print("in all", number)
END"""


def finish(guest, job):
    guest.run("touch /tmp/enough")
    job.finish(60)


@test(timeout=200, seconds=25)
def past_its_reserve_a_writer_waits_for_a_fence_that_is_missing(lab):
    """After a crash its layout of before is haunted, and there is no fence: the seal cannot give
    way to a larger one. The program gets no error, and goes on by the operator's word."""
    disk = lab.disk(**DISKS["mkfs.xfs"])
    server = lab.server(grace_time=3, lease_time=6, recall_timeout=5,
                        export={**GROWING, "direct_writes_min_size": 0,
                                "direct_writes_reserve": 4 * MIB})
    guest, = lab.clients(1)
    guest.run("rm -f /tmp/enough")
    job = guest.start(GO_ON.format(name="file"))
    job.expect("20")
    server.kill()
    server.start()
    server.wait_log("cannot be released", timeout=60)
    records = int(job.said[-1])
    holds(job.code is None, f"the program has ended: {job.output()}")
    server.sealctl("fenced", "--yes", guest.ip)
    job.expect(str(records + 100), timeout=120)
    finish(guest, job)
    records = int(job.said[-1].removeprefix("in all "))
    released(server, disk, "file", records * 60000, ahead=16 * MIB)
    with open(disk.file("file"), "rb") as f:
        for i in range(records):
            equal(f.read(60000) == b"%07d\n" % i * 7500, True, f"record {i} of {records}")


@test(fs=("mkfs.xfs",), timeout=600, seconds=90)
@test(fs=("ext4",), timeout=600, long=True)
def killed_before_each_thing_that_growth_takes_the_server_loses_nothing(lab, fs):
    """kill -9 before the first of each kind of effect, with a client that appends and syncs; each
    time a new file, that is gone on with after the restart."""
    disk, plug = lab.disk(**DISKS[fs]), Plug(lab.directory)
    server = lab.server(wrapper=plug.wrapper, grace_time=3, lease_time=6, recall_timeout=2,
                        fence_hook=hook_that_works(lab),
                        export={**GROWING, "direct_writes_min_size": 0,
                                "direct_writes_reserve": 4 * MIB})
    guest, = lab.clients(1)
    for effect in EFFECTS:
        name = effect.replace(' ', '-')
        guest.run("rm -f /tmp/enough")
        plug.arm(1, effect)
        job = guest.start(GO_ON.format(name=name))
        if effect == AT_THE_END:
            job.expect("10")
            finish(guest, job)
        try:
            server.process.wait(60)
        except subprocess.TimeoutExpired:
            holds(False, f"growth never came to: {effect}")
        plug.arm(0)
        server.start()
        if effect != AT_THE_END:
            job.expect(str(int(job.said[-1] if job.said else 0) + 100), timeout=120)
            finish(guest, job)
        guest.run("umount /mnt/n")  # what it had before the crash ends with that
        records = int(job.said[-1].removeprefix("in all "))
        released(server, disk, name, records * 60000, ahead=16 * MIB)
        with open(disk.file(name), "rb") as f:
            for i in range(records):
                equal(f.read(60000) == b"%07d\n" % i * 7500, True,
                      f"{name}: record {i} of {records}")
        os.unlink(disk.file(name))
        guest.mount("/data")


STEADY = """set -o pipefail; python3 - <<'END' | while read -r line; do say "$line"; done
import mmap, os
fd = os.open("/mnt/n/file", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)
page, number = mmap.mmap(-1, 1 << 20), 0
while not os.path.exists("/tmp/enough"):
    page[:] = b"%015d\\n" % number * 65536
    os.write(fd, page)
    os.fsync(fd)
    number += 1
    print(number, flush=True)
os.close(fd)
print("in all", number)
END"""


@test(timeout=200, seconds=15)
def where_the_file_system_is_read_only_for_a_while_the_writer_waits(lab):
    """A seal that gives way to a larger one cannot; why is told, and who asks has it tried at
    once. The program on the client sees nothing of it."""
    disk = lab.disk(**DISKS["mkfs.xfs"])
    server = lab.server(export=GROWING)
    guest, = lab.clients(1)
    job = guest.start(STEADY)
    job.expect("3")
    disk.run(f"mount -o remount,ro {disk.path}")
    server.wait_log("the immutable flag could not be cleared")
    told = server.sealctl("explain", disk.file("file"))[1]
    holds("cannot be released yet" in told and "remount it read-write" in told, told)
    disk.run(f"mount -o remount,rw {disk.path}")
    server.ctl("unseal", "--wait", disk.file("file"))
    job.expect(str(int(job.said[-1]) + 40))
    guest.run("touch /tmp/enough")
    job.finish(60)
    number = int(job.said[-1].removeprefix("in all "))
    released(server, disk, "file", number * MIB)
    with open(disk.file("file"), "rb") as f:
        for i in range(number):
            equal(f.read(MIB) == b"%015d\n" % i * 65536, True, f"MiB {i} of {number}")
    said = server.log_text().count("watermark cannot be written")
    holds(said <= 1, f"the log says {said} times that the watermark cannot be written")


@test(fs=("ext4",), timeout=600, seconds=60)
@test(fs=("xfs",), timeout=600, long=True)
def what_a_killed_writer_did_not_commit_reads_as_zeros(lab, fs):
    """Another client makes the file longer over what it wrote."""
    disk = lab.disk(fs=fs)
    server = lab.server(export={**GROWING, "direct_writes_min_size": 0},
                        fence_hook=hook_that_works(lab),
                        recall_timeout=3, lease_time=5, grace_time=5)
    killed, other = lab.clients(2)
    job = killed.start("""python3 - <<'END' | while read -r line; do say "$line"; done
import mmap, os, time
fd = os.open("/mnt/n/file", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)
data = mmap.mmap(-1, 1 << 20)
data[:] = b"k" * (1 << 20)
os.pwrite(fd, data, 0)
os.fsync(fd)
os.pwrite(fd, data, 4 << 20)
print("written", flush=True)
time.sleep(1000)
END""")
    job.expect("written", timeout=120)
    server.wait_state(disk.file("file"), "sealed", 30)
    with open(disk.file("file"), "rb") as f:  # past its end, and not committed
        f.seek(4 * MIB)
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        was_there = f.read(MIB) == b"k" * MIB
    killed.kill()
    other.run("dd if=/dev/zero bs=1M count=1 status=none | tr '\\0' o | "
              "dd of=/mnt/n/file bs=1M seek=8 conv=notrunc,fsync iflag=fullblock status=none",
              timeout=300)
    released(server, disk, "file", 9 * MIB)
    with open(disk.file("file"), "rb") as f:
        equal(f.read(MIB) == b"k" * MIB, True, "what was committed")
        equal(f.read(7 * MIB) == bytes(7 * MIB), True, "what was not, and the hole")
        equal(f.read() == b"o" * MIB, True, "what the other wrote")
    holds(was_there, "the killed writer had not written past the end: nothing was shown")



STRIDES = """python3 - <<'END'
import mmap, os
fd = os.open("/mnt/n/shared", os.O_RDWR | os.O_DIRECT)
data = mmap.mmap(-1, 1 << 20)
for i in range({first}, {blocks}, {step}):
    data[:] = b"%07d\\n" % i * (1 << 17)
    os.pwrite(fd, data, i << 20)
os.fsync(fd)
os.close(fd)
END"""


@test(of=(("xfs", 8),), timeout=600, seconds=60)
@test(of=(("ext4", 2),), timeout=600, long=True)
def many_write_one_file_whose_size_is_known(lab, of):
    """Halves by two clients, strides by eight processes on them: the size is told first, so nobody
    is recalled for another's sake, and the data do not pass the server."""
    (fs, writers), blocks = of, 64
    disk = lab.disk(fs=fs)
    server = lab.server(export=GROWING)
    guests = lab.clients(2)
    before = [guest.counters() for guest in guests]
    guests[0].run(f"truncate -s {blocks}M /mnt/n/shared")
    share = blocks // writers
    jobs = []
    for i in range(writers):
        first, last, step = ((i * share, (i + 1) * share, 1) if writers == 2
                             else (i, blocks, writers))
        jobs.append(guests[i % 2].start(STRIDES.format(first=first, blocks=last, step=step)))
    for job in jobs:
        job.finish(300)
    released(server, disk, "shared", blocks * MIB)
    events = [entry["what"] for entry in server.trace()]
    last = len(events) - events[::-1].index("grant")
    equal(events[:last].count("recall"), 0, f"recalls among those who write: {events}")
    with open(disk.file("shared"), "rb") as f:
        for i in range(blocks):
            equal(f.read(MIB) == b"%07d\n" % i * (1 << 17), True, f"block {i} of {blocks}")
    for guest, then in zip(guests, before):
        counters = guest.counters()
        writes = counters["WRITE"] - then["WRITE"]
        holds(writes <= FEW, f"{writes} WRITE calls ({counters.show()})")


DATABASE = """python3 - <<'END' | while read -r line; do say "$line"; done
import os, sqlite3, time
db = sqlite3.connect("/mnt/n/{mode}.db", timeout=120, isolation_level=None)
db.execute("PRAGMA journal_mode={mode}")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, data BLOB)")
i = 0
while not os.path.exists("/tmp/enough"):
    db.execute("INSERT INTO t VALUES (?, ?)", (i, b"%07d." % i * 8192))
    i += 1
    if i % 10 == 0:
        print(i, flush=True)
db.close()
print("in all", i)
END"""

SOUND = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("PRAGMA integrity_check").fetchone()[0])
rows = [(i, data) for i, data in db.execute("SELECT i, data FROM t ORDER BY i")]
print(len(rows), all(i == n and data == b"%07d." % n * 8192 for n, (i, data) in enumerate(rows)))
"""


@test(of=(("xfs", "delete"), ("ext4", "wal")), timeout=600, long=True)
def a_database_stays_sound(lab, of):
    """SQLite on the mount, synchronous, with its file under a growing seal. With a journal of its
    own that is deleted and made again, the server is killed twice meanwhile; a log that is kept
    (wal) could not be deleted after that before the client has unmounted (docs/beliefs.md)."""
    fs, mode = of
    disk = lab.disk(fs=fs)
    server = lab.server(export={**GROWING, "direct_writes_min_size": 0}, grace_time=5,
                        lease_time=10)
    guest, = lab.clients(1)
    guest.run("rm -f /tmp/enough")
    job = guest.start(DATABASE.format(mode=mode))
    for count in (20, 40) if mode == "delete" else ():
        job.expect(str(count), timeout=180)
        server.kill()
        server.start()
    job.expect("60", timeout=180)
    guest.run("touch /tmp/enough")
    job.finish(180)
    records = int(job.said[-1].removeprefix("in all "))
    said = guest.run(f"python3 - /mnt/n/{mode}.db <<'END'{SOUND}END")
    equal(said.split(), ["ok", str(records), "True"], "what the database says of itself")
    counters = guest.counters()
    holds(counters["LAYOUTCOMMIT"] > 0, f"nothing was written on the disk: {counters.show()}")
    guest.run("umount /mnt/n")
    server.wait_state(disk.file(f"{mode}.db"), "open", 90)
    st = os.stat(disk.file(f"{mode}.db"))
    holds(st.st_size % 4096 == 0 and not immutable(disk.file(f"{mode}.db")),
          f"{st.st_size} bytes after the release")


WRITER = """python3 - <<'END' | while read -r line; do say "$line"; done
import mmap, os, time
def wait(name):
    while not os.path.exists("/tmp/" + name):
        time.sleep(0.05)
os.system("rm -f /tmp/cut /tmp/moved /tmp/gone")
fd = os.open("/mnt/n/file", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
data = mmap.mmap(-1, 8 << 20)
data[:] = b"w" * (8 << 20)
os.pwrite(fd, data, 0)
os.fsync(fd)
print("written", flush=True)
wait("cut")
plain = os.open("/mnt/n/file", os.O_RDWR)
os.pwrite(plain, b"a", (10 << 20) + 4)
os.fsync(plain)
os.close(plain)
print("longer", flush=True)
wait("moved")
memory = mmap.mmap(fd, 12 << 20) if os.ftruncate(fd, 12 << 20) is None else None
memory[11 << 20:(11 << 20) + 4] = b"mmap"
memory.flush()
memory.close()
os.fsync(fd)
print("mapped", flush=True)
wait("gone")
os.close(fd)
END"""


@test(fs=("ext4",), timeout=600, seconds=60)
@test(fs=("xfs",), timeout=600, long=True)
def a_growing_file_is_cut_moved_mapped_and_removed(lab, fs):
    """By another client, while a writer has it open and a layout of it."""
    disk = lab.disk(fs=fs)
    server = lab.server(export={**GROWING, "direct_writes_min_size": 0})
    writer, other = lab.clients(2)
    job = writer.start(WRITER)
    job.expect("written", timeout=120)
    other.run(f"truncate -s {3 * MIB + 123} /mnt/n/file")
    other.run(f"truncate -s {5 * MIB} /mnt/n/file")
    writer.run("touch /tmp/cut")
    job.expect("longer", timeout=120)
    equal(int(other.run("stat -c %s /mnt/n/file")), 10 * MIB + 5, "size seen by another client")
    other.run("mv /mnt/n/file /mnt/n/moved; ln /mnt/n/moved /mnt/n/kept")
    writer.run("touch /tmp/moved")
    job.expect("mapped", timeout=120)
    other.run("rm /mnt/n/moved")
    writer.run("touch /tmp/gone")
    job.finish(120)
    released(server, disk, "kept", 12 * MIB)
    cut, longer, mapped = 3 * MIB + 123, 10 * MIB + 4, 11 * MIB
    with open(disk.file("kept"), "rb") as f:
        data = f.read()
    holds(data[:cut] == b"w" * cut, "what was left is not what was written")
    holds(data[cut:longer] == bytes(longer - cut), "what was cut off came back")
    equal((data[longer:longer + 1], data[mapped:mapped + 4]), (b"a", b"mmap"), "what came after")
    counters = writer.counters()
    holds(counters["LAYOUTCOMMIT"] > 0 and counters["WRITE"] <= FEW + 4,
          f"the writer's data went past the server: {counters.show()}")
