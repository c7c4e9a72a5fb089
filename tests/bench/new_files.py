"""How fast a stock client writes a new file: new_files.py BUILD, in a guest of tests/rdma/run.

The guest is client and server at once, on processors of their own. The client writes new files by
layouts of the guest's own disk, where they grow under their seal; in turn with that through the
server, in an export without layouts; and before it dd writes to the raw disk. Of each file: the
time until its first mebibyte is durable, the rate until all of it is and it is closed, and what the
server used of a processor meanwhile.

Prints what tests/rdma/console takes for a test, and each row behind "bench:".
"""
import os
import re
import statistics
import subprocess
import sys
import time
import traceback

BUILD = sys.argv[1]
MIB = 1 << 20
SIZE, ROUNDS = 512 * MIB, 5
PORT = 2049
DISKS = {"XFS": ("/dev/vda", os.environ["RDMA_XFS"], ["mkfs.xfs", "-q", "-f"]),
         "ext4": ("/dev/vdb", os.environ["RDMA_EXT4"],
                  ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"])}
MODULES = ("dm_mod", "nfsv4", "blocklayoutdriver")
WAYS = {"layouts": "/grows", "through": "/plain"}


def say(text):
    print(f"bench: {text}", flush=True)


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def prepare():
    for module in MODULES:
        run("modprobe", "-C", "/dev/null", "-d", os.environ["lab_kernel"], module)
    os.makedirs("/run/rpc_pipefs", exist_ok=True)
    run("mount", "-t", "rpc_pipefs", "rpc", "/run/rpc_pipefs")
    daemon = subprocess.Popen(["blkmapd", "-f"], stderr=subprocess.DEVNULL)
    while not any("blocklayout" in os.readlink(f"/proc/{daemon.pid}/fd/{fd}")
                  for fd in os.listdir(f"/proc/{daemon.pid}/fd")):
        time.sleep(0.1)


def raw(device):
    """MiB a second of dd to the disk that nobody has mounted."""
    begin = time.monotonic()
    run("taskset", "-c", "1", "dd", "if=/dev/zero", f"of={device}", "bs=1M",
        f"count={SIZE // MIB}", "oflag=direct", "conv=fsync", "status=none")
    return SIZE / MIB / (time.monotonic() - begin)


class Server:
    """sealnfsd with two exports of one file system: where files grow, and without layouts."""

    def __init__(self, path):
        work = f"/tmp/new{len(os.listdir('/tmp'))}"
        os.makedirs(f"{work}/state", mode=0o700)
        common = 'clients = {"127.0.0.0/8"}\n  unprivileged_ports = "allow"\n  squash = "none"'
        for name in ("grows", "plain"):
            os.mkdir(f"{path}/{name}")
        with open(f"{work}/conf", "w", encoding="utf-8") as f:
            f.write(f"""
listen = {{"127.0.0.1"}}
port = {PORT}
state_dir = "{work}/state"
control_socket = "{work}/control"
rpcbind = false
grace_time = 1
export "/grows" {{
  path = "{path}/grows"
  {common}
  layouts = true
  layout_types = "block"
  direct_writes = true
}}
export "/plain" {{
  path = "{path}/plain"
  {common}
  layouts = false
}}
""")
        self.control = f"{work}/control"
        with open(f"{work}/log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", "0", f"{BUILD}/bin/sealnfsd", "-f", "--config", f"{work}/conf"],
                stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 60
        while "clients can mount" not in open(f"{work}/log", encoding="utf-8").read():
            if self.process.poll() is not None or time.monotonic() > end:
                print(open(f"{work}/log", encoding="utf-8").read())
                raise RuntimeError("sealnfsd did not start")
            time.sleep(0.1)

    def seconds(self):
        """Of processor time so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            user, system = f.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.terminate()
        self.process.wait(60)


WRITER = """
import mmap, os, sys, time
page = mmap.mmap(-1, 1 << 20)
page[:] = os.urandom(4096) * 256
begin = time.monotonic()
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)
os.write(fd, page)
os.fsync(fd)
first = time.monotonic() - begin
for i in range(int(sys.argv[2]) - 1):
    os.write(fd, page)
os.fsync(fd)
os.close(fd)
print(first, time.monotonic() - begin)
"""


def calls(at):
    """WRITEs and LAYOUTCOMMITs of a mount."""
    with open("/proc/self/mountstats", encoding="ascii") as f:
        text = next(part for part in f.read().split("device ") if f" mounted on {at} " in part)
    return [int(re.search(rf"^\s+{name}: (\d+) ", text, re.M)[1])
            for name in ("WRITE", "LAYOUTCOMMIT")]


def write(server, way, number):
    """(MiB a second, seconds to the first byte, share of a core, WRITEs, LAYOUTCOMMITs)"""
    at = f"/mnt/nfs-{way}"
    before, used = calls(at), server.seconds()
    name = f"{at}/file{number}"
    first, whole = map(float, run("taskset", "-c", "1", "python3", "-c", WRITER, name,
                                  str(SIZE // MIB)).split())
    share = (server.seconds() - used) / whole
    writes, commits = (now - then for now, then in zip(calls(at), before))
    if way == "layouts" and (not commits or writes > SIZE // MIB // 4):
        raise RuntimeError(f"not written on the disk: {writes} WRITEs, {commits} LAYOUTCOMMITs")
    os.unlink(name)
    return SIZE / MIB / whole, first, share, writes, commits


def show(disk, way, rows, of):
    columns = [sorted(column) for column in zip(*rows)]
    rate, first, share, writes, commits = map(statistics.median, columns)
    say(f"{disk}, {way}: {rate:.0f} MiB/s ({columns[0][0]:.0f}-{columns[0][-1]:.0f}), "
        f"{rate / of:.2f} of dd; first byte {first * 1000:.0f} ms "
        f"({columns[1][0] * 1000:.0f}-{columns[1][-1] * 1000:.0f}); server {share:.2f} of a core; "
        f"{writes:.0f} WRITEs, {commits:.0f} LAYOUTCOMMITs")


def on_disk(disk, device, path, make):
    run("umount", path)
    rates = [raw(device) for _ in range(ROUNDS)]
    say(f"{disk}: dd to the raw disk: {statistics.median(rates):.0f} MiB/s "
        f"({min(rates):.0f}-{max(rates):.0f})")
    run(*make, device)
    run("mount", device, path)
    server = Server(path)
    try:
        for way, export in WAYS.items():
            os.makedirs(f"/mnt/nfs-{way}", exist_ok=True)
            run("mount", "-t", "nfs4", "-o", f"vers=4.1,nosharecache,port={PORT}",
                f"127.0.0.1:{export}", f"/mnt/nfs-{way}")
        rows = {way: [] for way in WAYS}
        for number in range(ROUNDS):
            for way in WAYS:
                rows[way].append(write(server, way, number))
        for way, found in rows.items():
            show(disk, way, found, statistics.median(rates))
            run("umount", f"/mnt/nfs-{way}")
    finally:
        server.end()


def main():
    print("[ RUN      ] new_files", flush=True)
    say(f"kernel {os.uname().release}, files of {SIZE // MIB} MiB, {ROUNDS} rounds, medians")
    try:
        prepare()
        for disk, how in DISKS.items():
            on_disk(disk, *how)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print("[  FAILED  ] new_files", flush=True)
        return 1
    print("[       OK ] new_files", flush=True)
    return 0


sys.exit(main())
