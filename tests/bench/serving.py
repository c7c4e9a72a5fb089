"""What the benches share: a disk to serve from, a server that is measured, and its figures."""
import os
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SEALNFS_CONF = """
listen = {{"127.0.0.1"}}
port = {port}
state_dir = "{work}/state"
control_socket = "{work}/control.sock"
rpcbind = false
lease_time = 600
max_connections = 20000
grace_time = 1
export "/data" {{
  path = "{path}"
  clients = {{"127.0.0.0/8"}}
  unprivileged_ports = "allow"
  squash = "none"
}}
"""


def say(text):
    print(text, flush=True)


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def output_of(*command, **options):
    return run(*command, stdout=subprocess.PIPE, text=True, **options).stdout


def pinned(cpu):
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


def tail(path):
    with open(path, encoding="utf-8", errors="replace") as stream:
        return "".join(stream.readlines()[-15:])


def text_of(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}"


class Server:
    """One server process under measurement."""

    def __init__(self, name, command, port, log, cpu):
        self.name, self.port, self.log, self.cpu, self.command = name, port, log, cpu, command
        self.process = None

    def start(self, settle=2):
        """`settle`: seconds for what a start leaves under way: grace, threads."""
        with open(self.log, "a", encoding="utf-8") as log:
            # A session each: the kernel shares CPU time by session first, and a server in the
            # session of the load generator would be starved by it where one that makes its own
            # is not.
            self.process = subprocess.Popen(pinned(self.cpu) + self.command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not serve; its log:\n{tail(self.log)}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        time.sleep(settle)

    def stop(self):
        if not self.process or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def url(self, path=""):
        return f"nfs://127.0.0.1:{self.port}/data{path}"

    def rss(self):
        """KiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def cpu_seconds(self):
        """Of all its threads, to the nanosecond: /proc/PID/stat counts ticks."""
        total, tasks = 0, f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as stream:
                total += int(stream.read().split()[0])
        return total / 1e9


class Disk:
    """XFS on a loop device, mounted below the work directory."""

    def __init__(self, work, gib):
        self.work, self.gib = work, gib
        self.mount, self.loop = f"{work}/mnt", None

    def make(self):
        image = f"{self.work}/disk"
        with open(image, "wb") as stream:
            stream.truncate(self.gib << 30)
        self.loop = output_of("losetup", "-f", "--show", image).strip()
        run("mkfs.xfs", "-q", self.loop)
        os.makedirs(self.mount)
        run("mount", self.loop, self.mount)
        os.chmod(self.mount, 0o777)

    def close(self):
        for _ in range(10):
            if not os.path.ismount(self.mount) or subprocess.run(
                    ["umount", self.mount], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
            time.sleep(0.5)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)
