"""Programs that know nothing of layouts, on files that grow under their seal: a database server, a
disk image, a movie that is read while it is written. They are not among those of every day: they
need packages (tests/packages/block-long) and minutes."""
import os
import shutil
import stat
import subprocess

from disk import MIB, Unavailable
from registry import equal, holds, test

POSTGRES = "/usr/lib/postgresql/15/bin"
GROWING = {"direct_writes": True, "direct_writes_reserve": 32 * MIB}
PLAIN = {"layouts": False}


def needed(program):
    if not shutil.which(program):
        raise Unavailable(f"no {program}: tests/apt-install block-long")


def hook_that_works(lab):
    """For a client that writes nothing any more by what it had before a crash."""
    hook = f"{lab.directory}/fence-hook"
    with open(hook, "w") as f:
        f.write("#!/bin/sh\nexit 0\n")
    os.chmod(hook, stat.S_IRWXU)
    return hook


AS_POSTGRES = "as() { setpriv --reuid=postgres --regid=postgres --init-groups \"$@\"; }; cd /tmp\n"
START = f"""{AS_POSTGRES}
as {POSTGRES}/pg_ctl start -w -t 120 -D /mnt/n/pg -l /tmp/pg.log > /dev/null || {{
    cat /tmp/pg.log; exit 1; }}
"""
MAKE_CLUSTER = f"""set -e
{AS_POSTGRES}
mkdir -m 700 /mnt/n/pg
chown postgres /mnt/n/pg
as {POSTGRES}/initdb -N -k --no-locale -E SQL_ASCII -D /mnt/n/pg > /tmp/initdb.log
cat >> /mnt/n/pg/postgresql.conf <<'END'
listen_addresses = ''
unix_socket_directories = '/tmp'
shared_buffers = 16MB
max_wal_size = 48MB
min_wal_size = 32MB
checkpoint_timeout = 30s
autovacuum = off
END
{START}
as psql -qAt -h /tmp postgres <<'END'
CREATE EXTENSION amcheck;
CREATE TABLE t (i integer PRIMARY KEY, data text);
ALTER TABLE t ALTER data SET STORAGE EXTERNAL;
END
"""
DATA = "repeat(md5({}::text), 256)"
INSERT = AS_POSTGRES + """
i=0
while [ ! -e /tmp/enough ]; do
    echo "INSERT INTO t VALUES ($i, """ + DATA.format("$i") + """) RETURNING i;"
    i=$((i + 1))
done | as psql -qAt -h /tmp postgres | while read -r i; do
    echo "$i" > /tmp/last
    [ $((i % 100)) != 0 ] || say "$i"
done
"""
ASK = (AS_POSTGRES + 'as psql -qAt -h /tmp postgres -c "SELECT count(*), max(i), '
       f'bool_and(data = {DATA.format("i")}) FROM t"')


def check_sums(directory):
    done = subprocess.run([f"{POSTGRES}/pg_checksums", "--check", "-D", directory],
                          capture_output=True, text=True, timeout=120)
    holds(done.returncode == 0, f"on the server's disk: {done.stdout}{done.stderr}")


@test(of=(("xfs", True), ("ext4", True), ("xfs", False)), timeout=900, seconds=200, long=True)
def postgresql_loses_no_row_that_it_said_yes_to(lab, of):
    """Its whole cluster on the mount. The server is killed twice under it; then it is killed itself
    and recovers from its log, which is what was written directly."""
    fs, layouts = of
    needed(f"{POSTGRES}/initdb")
    disk = lab.disk(fs=fs)
    server = lab.server(export=GROWING if layouts else PLAIN, grace_time=5, lease_time=10,
                        recall_timeout=3, fence_hook=hook_that_works(lab))
    guest, = lab.clients(1)
    guest.run(MAKE_CLUSTER, timeout=400)
    job = guest.start(INSERT)
    for count in (400, 800):
        job.expect(str(count), timeout=200)
        server.kill()
        server.start()
    job.expect("1600", timeout=300)
    guest.run(f"{AS_POSTGRES} as {POSTGRES}/pg_ctl stop -m immediate -w -D /mnt/n/pg > /dev/null; "
              "touch /tmp/enough")
    job.wait(60)
    acknowledged = int(guest.run("cat /tmp/last"))
    guest.run(START, timeout=200)
    count, last, right = guest.run(ASK).strip().split("|")
    equal((int(count), right), (int(last) + 1, "t"), "rows, and what is in them")
    holds(int(last) >= acknowledged, f"{last} is the last row, {acknowledged} was acknowledged")
    guest.run(f"{AS_POSTGRES} as {POSTGRES}/pg_amcheck -h /tmp --heapallindexed postgres && "
              f"as {POSTGRES}/pg_ctl stop -m fast -w -D /mnt/n/pg > /dev/null && "
              f"as {POSTGRES}/pg_checksums --check -D /mnt/n/pg", timeout=300)
    counters = guest.counters()
    equal(counters["LAYOUTCOMMIT"] > 0, layouts, f"written on the disk: {counters.show()}")
    guest.run("umount /mnt/n")
    for name in os.listdir(disk.file("pg/pg_wal")):
        server.wait_state(disk.file(f"pg/pg_wal/{name}"), "open", 90)
    check_sums(disk.file("pg"))
    print(f"{acknowledged + 1} rows acknowledged, {count} there; {counters.show()}")


IMAGE = """set -e
dd if=/dev/urandom of=/tmp/raw bs=1M count=24 status=none
truncate -s 40M /tmp/raw
dd if=/dev/urandom of=/tmp/raw bs=1M count=24 seek=40 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 -t {cache} -W /tmp/raw /mnt/n/{cache}.qcow2
qemu-img check -q /mnt/n/{cache}.qcow2
qemu-img compare -q -f raw -F qcow2 /tmp/raw /mnt/n/{cache}.qcow2
"""
# Every cluster of a new image, in an order in which nobody would write a file.
BENCH = """set -e
qemu-img create -q -f qcow2 /mnt/n/grown.qcow2 64M
for i in 0 1 2 3 4 5 6 7; do
    qemu-img bench -q -w -f qcow2 -t none -c 128 -d 4 -s 65536 -S 524288 \\
        -o $(((i * 5 % 8) * 65536)) --pattern=$((i + 65)) --flush-interval=16 /mnt/n/grown.qcow2
    say $i
done
qemu-img check -q /mnt/n/grown.qcow2
"""


@test(fs=("xfs", "ext4"), timeout=600, seconds=90, long=True)
def a_qcow2_image_grows(lab, fs):
    """By qemu-img, through the page cache and past it; one that grows by pattern has its server
    killed meanwhile."""
    needed("qemu-img")
    disk = lab.disk(fs=fs)
    server = lab.server(export={**GROWING, "direct_writes_min_size": 0}, grace_time=5,
                        lease_time=10, recall_timeout=3, fence_hook=hook_that_works(lab))
    guest, other = lab.clients(2)
    for cache in ("writeback", "none"):
        before = guest.counters()
        guest.run(IMAGE.format(cache=cache), timeout=300)
        counters = guest.counters() - before
        holds(counters["LAYOUTCOMMIT"] > 0, f"not written on the disk: {counters.show()}")
        print(f"{cache}: {counters.show()}")
        other.run(f"qemu-img check -q /mnt/n/{cache}.qcow2")
        server.wait_state(disk.file(f"{cache}.qcow2"), "open", 90)
        disk.run(f"qemu-img check -q {disk.file(cache)}.qcow2")
        equal(other.sha256(f"/mnt/n/{cache}.qcow2", direct=False), disk.sha256(f"{cache}.qcow2"),
              f"{cache}: what another client reads")
    job = guest.start(BENCH)
    job.expect("1", timeout=200)
    server.kill()
    server.start()
    job.finish(300)
    guest.run("umount /mnt/n")
    server.wait_state(disk.file("grown.qcow2"), "open", 90)
    disk.run(f"qemu-img check -q {disk.file('grown.qcow2')}; "
             f"qemu-img convert -O raw {disk.file('grown.qcow2')} {lab.directory}/raw")
    with open(f"{lab.directory}/raw", "rb") as f:
        data = f.read()
    for i in range(8):
        at = i * 5 % 8 * 65536
        holds(all(data[start:start + 65536] == bytes([i + 65]) * 65536
                  for start in range(at, len(data), 524288)), f"pattern {i}")


MOVIE = """python3 - <<'END' | while read -r line; do say "$line"; done
import os
os.system("rm -f /tmp/enough")
fd = os.open("/mnt/n/movie", os.O_RDWR | os.O_CREAT, 0o644)
os.write(fd, b"head" * 16384)
for i in range({frames}):
    os.write(fd, b"%07d\\n" % i * 12345)
    if i % 16 == 15:
        os.fsync(fd)
        print(i + 1, flush=True)
os.write(fd, b"indx" * 30000)
os.pwrite(fd, b"moov" * 16384, 0)
os.close(fd)
print("done", flush=True)
END"""
FRAME, FRAMES = 8 * 12345, 10600  # 1 GiB
FOLLOW = """python3 - <<'END'
import os
seen = frames = looks = 0
last = False
while True:
    fd = os.open("/mnt/n/movie", os.O_RDONLY)
    size = os.fstat(fd).st_size
    assert size >= seen, (size, seen)
    looks += size > seen
    while 65536 + (frames + 1) * {frame} <= size and frames < {frames}:
        data = os.pread(fd, {frame}, 65536 + frames * {frame})
        assert data == b"%07d\\n" % frames * 12345, (frames, size, data[:16], data[-16:])
        frames += 1
    head = os.pread(fd, 65536, 0)
    assert len(head) < 65536 or head in (b"head" * 16384, b"moov" * 16384), head[:16]
    os.close(fd)
    seen = size
    if last:
        break
    last = os.path.exists("/tmp/enough")
assert head == b"moov" * 16384 and frames == {frames}, (head[:16], frames)
print(looks)
END"""


@test(fs=("xfs", "ext4"), timeout=600, seconds=90, long=True)
def a_movie_is_read_while_it_is_written(lab, fs):
    """By another client, which sees it grow and never sees what is not there yet; in the end its
    beginning is written anew. Frames end anywhere in a block."""
    disk = lab.disk(fs=fs)
    server = lab.server(export=GROWING)
    writer, reader = lab.clients(2)
    job = writer.start(MOVIE.format(frames=FRAMES))
    job.expect("16", timeout=120)
    reader.run("rm -f /tmp/enough")
    follower = reader.start(FOLLOW.format(frame=FRAME, frames=FRAMES))
    job.expect("done", timeout=400)
    reader.run("touch /tmp/enough")
    looks = int(follower.finish(200))
    size = 65536 + FRAMES * FRAME + 120000
    server.wait_state(disk.file("movie"), "open", 90)
    equal(os.stat(disk.file("movie")).st_size, size, "its size on the server's disk")
    holds(looks > 3, f"it was seen at {looks} sizes only")
    counters = writer.counters()
    holds(counters["LAYOUTCOMMIT"] > 0, f"not written on the disk: {counters.show()}")
    print(f"{size} bytes, seen at {looks} sizes; the writer: {counters.show()}; "
          f"the reader: {reader.counters().show()}")
