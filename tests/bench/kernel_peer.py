"""sealnfsd beside the Linux kernel's server, in a guest of tests/rdma/run: kernel_peer.py BUILD
[OPERATION...].

Both serve the same directory of the guest's own disks (XFS, then ext4), durably ("sync"), each with
processor 0 for itself while it is asked; sealio bench has processor 1. Operation by operation they
take turns, ROUNDS times. CPU time is all that processor 0 does but idling: the kernel's threads and
interrupts count for both. The peer is set up by its kernel interface alone, as mountd and rpc.nfsd
do it.

Prints what tests/rdma/console takes for a test, and each row behind "bench:", the last of them as
JSON.
"""
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import traceback

BUILD = sys.argv[1]
LONG = bool(os.environ.get("SEAL_LONG"))
ROUNDS, SECONDS = (5, 3) if LONG else (2, 1)
OPERATIONS = ("null", "getattr", "lookup", "open", "create", "readdir", "read4k", "write4k",
              "read1m", "write1m")
CHOSEN = sys.argv[2:] or OPERATIONS
OURS, PEER = 20491, 2049
DISKS = {"XFS": os.environ["RDMA_XFS"], "ext4": os.environ["RDMA_EXT4"]}
THREADS = 8
# fs/nfsd/export.h: ports that anybody may have, no check of subtrees, a file system by number.
FLAGS = 0x2 | 0x400 | 0x2000
FOR_EVER = 2147483647


def say(text):
    print(f"bench: {text}", flush=True)


def put(path, text):
    """In one write, as such files want it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"{path} does not take {text!r}") from error
    finally:
        os.close(file)


class KernelServer:
    """nfsd. What mountd would answer it is said before it asks."""
    name, port = "the kernel's", PEER

    def __init__(self, path):
        subprocess.run(["modprobe", "-C", "/dev/null", "-d", os.environ["lab_kernel"], "nfsd"],
                       check=True)
        if not os.path.exists("/proc/fs/nfsd/threads"):
            subprocess.run(["mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd"], check=True)
        self.tell(path)
        put("/proc/fs/nfsd/versions", "-3 +4 +4.1 -4.2\n")
        self.socket = socket.create_server(("127.0.0.1", PEER))
        put("/proc/fs/nfsd/portlist", f"{self.socket.fileno()}\n")
        put("/proc/fs/nfsd/threads", f"{THREADS}\n")
        with contextlib.suppress(OSError):  # nobody is to be waited for
            put("/proc/fs/nfsd/v4_end_grace", "Y\n")
        for thread in kernel_threads("nfsd"):
            os.sched_setaffinity(thread, {0})

    @staticmethod
    def tell(path):
        put("/proc/net/rpc/auth.unix.ip/channel", f"nfsd 127.0.0.1 {FOR_EVER} here\n")
        put("/proc/net/rpc/nfsd.fh/channel", f"here 1 \\x00000000 {FOR_EVER} {path}\n")
        put("/proc/net/rpc/nfsd.export/channel",
            f"here {path} {FOR_EVER} {FLAGS} 65534 65534 0\n")

    def url(self):
        return f"nfs://127.0.0.1:{PEER}/"

    def end(self):
        put("/proc/fs/nfsd/threads", "0\n")
        self.socket.close()
        for cache in ("auth.unix.ip", "nfsd.fh", "nfsd.export"):
            put(f"/proc/net/rpc/{cache}/flush", f"{int(time.time()) + 1}\n")
        time.sleep(2)  # the caches' clock has seconds


def kernel_threads(name):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as file:
            if file.read().strip() == name:
                found.append(int(pid))
    if not found:
        raise RuntimeError(f"no thread is called {name}")
    return found


class OurServer:
    name, port = "sealnfsd", OURS

    def __init__(self, path):
        work = f"/tmp/ours{len(os.listdir('/tmp'))}"
        os.makedirs(f"{work}/state", mode=0o700)
        put(f"{work}/conf", f"""
listen = {{"127.0.0.1"}}
port = {OURS}
state_dir = "{work}/state"
control_socket = "{work}/control"
rpcbind = false
lease_time = 600
grace_time = 1
export "/data" {{
  path = "{path}"
  clients = {{"127.0.0.0/8"}}
  unprivileged_ports = "allow"
  squash = "none"
}}
""")
        with open(f"{work}/log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", "0", f"{BUILD}/bin/sealnfsd", "-f", "--config", f"{work}/conf"],
                stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", OURS), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    with open(f"{work}/log", encoding="utf-8") as log:
                        print(log.read())
                    raise
                time.sleep(0.2)

    def url(self):
        return f"nfs://127.0.0.1:{OURS}/data"

    def end(self):
        self.process.terminate()
        self.process.wait(30)


def measure(server, operation):
    result = f"/tmp/{server.port}.json"
    subprocess.run(["taskset", "-c", "1", f"{BUILD}/bin/sealio", "bench", "--op", operation,
                    "--connections", "1,16", "--seconds", str(SECONDS), "--server-cpu", "0",
                    "--json", result, server.url()],
                   check=True, timeout=300, stdout=subprocess.DEVNULL)
    with open(result, encoding="ascii") as file:
        rows = json.load(file)["rows"]
    bad = [row for row in rows if not row["ok"] or row["errors"]]
    if bad:
        raise RuntimeError(f"{server.name}: {bad}")
    os.sync()
    return rows


FIGURES = (("ops/s", lambda row: row["ops_per_s"]),
           ("ops per CPU second", lambda row: 1e6 / max(row["server_cpu_us"], 1e-3)),
           ("p50 us", lambda row: row["p50_us"]), ("p99 us", lambda row: row["p99_us"]),
           ("bytes an operation", lambda row: row["bytes_per_op"]))


def middle(rows, figure):
    values = sorted(map(figure, rows))
    return statistics.median(values), values[0], values[-1]


def compare(disk, operation, servers):
    """The medians of the rounds and their spread, ours and theirs, and the medians' ratio."""
    found = {server.name: [] for server in servers}
    for number in range(ROUNDS):
        for server in servers if number % 2 else servers[::-1]:
            found[server.name].append(measure(server, operation))
    rows = []
    for index, connections in enumerate((1, 16)):
        for name, figure in FIGURES:
            ours, peer = (middle([each[index] for each in found[server.name]], figure)
                          for server in servers)
            row = {"name": f"{disk}, {operation}, {connections} conn., {name}", "ours": ours,
                   "peer": peer, "ratio": round(ours[0] / peer[0], 2) if peer[0] else None}
            rows.append(row)
            say(f"{row['name']:<50} {ours[0]:>11.1f} {peer[0]:>11.1f} {row['ratio']}  "
                f"({ours[1]:.0f}-{ours[2]:.0f}, {peer[1]:.0f}-{peer[2]:.0f})")
    return rows


def on_disk(disk, path):
    os.chmod(path, 0o777)
    servers = []
    try:
        servers.append(OurServer(path))
        servers.append(KernelServer(path))
        return [row for operation in CHOSEN for row in compare(disk, operation, servers)]
    finally:
        for server in servers:
            server.end()


def main():
    print("[ RUN      ] beside_the_kernels_server", flush=True)
    say(f"kernel {os.uname().release}, {ROUNDS} rounds of {SECONDS} s; sealnfsd, the kernel's "
        f"server, ratio, (spreads)")
    try:
        rows = [row for disk, path in DISKS.items() for row in on_disk(disk, path)]
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print("[  FAILED  ] beside_the_kernels_server", flush=True)
        return 1
    say("json " + json.dumps(rows))
    print("[       OK ] beside_the_kernels_server", flush=True)
    return 0


sys.exit(main())
