"""A root that systemd boots, in a container of systemd-nspawn with a network of its own: for tests
of what an operator types on a machine.

Whoever makes a Machine says how its root comes about; start() boots it, run() types a command in
it, stop() leaves nothing of it.
"""
import os
import signal
import subprocess
import time

PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
        "LANG": "C.UTF-8"}
# What the server asks of the kernel and nspawn's own filter refuses.
CALLS = "fanotify_init fanotify_mark open_by_handle_at"


def run_bounded(command, timeout):
    """(exit status, what it said); when the time is over it is killed with all that it started."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          errors="replace", stderr=subprocess.STDOUT, env=PATH,
                          start_new_session=True) as process:
        try:
            said = process.communicate(timeout=timeout)[0]
        except BaseException as reason:
            os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()[0]
            if not isinstance(reason, subprocess.TimeoutExpired):
                raise
            raise AssertionError(f"{' '.join(command)}: no end in {timeout} s\n{said[-3000:]}")
    return process.returncode, said


def call(*command, timeout=60):
    status, said = run_bounded(command, timeout)
    if status != 0:
        raise AssertionError(f"{' '.join(command)}: exit status {status}\n{said[-3000:]}")
    return said


class Machine:
    """root: a directory, or with `before` what that makes one: a shell script that runs in a mount
    namespace of its own, with the root's path as $1. The disk is a loop device of so many bytes,
    which the machine sees as `disk_name` too."""

    def __init__(self, work, root, before=":", disk_size=400 << 20, disk_name=None):
        self.work, self.root, self.before = work, root, before
        self.disk_size, self.disk_name = disk_size, disk_name
        self.boot, self.leader, self.loop = None, None, None

    def command(self):
        names = [f"--bind={self.loop}"]
        if self.disk_name:
            names.append(f"--bind={self.loop}:{self.disk_name}")
        return ["unshare", "--mount", "--propagation", "private", "bash", "-euc",
                f'{self.before}\nroot=$1; shift; exec "$@" -D "$root"', "-", self.root,
                "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
                "--boot", f"--machine=sealnfs-{os.getpid()}", *names,
                "--capability=CAP_SYS_RAWIO", f"--system-call-filter={CALLS}", "--console=pipe"]

    def start(self):
        disk = f"{self.work}/disk"
        with open(disk, "wb") as stream:
            stream.truncate(self.disk_size)
        self.loop = call("losetup", "--find", "--show", disk).strip()
        with open(f"{self.work}/console", "wb") as console:
            self.boot = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=console,
                                         stderr=console, env=PATH, start_new_session=True)
        deadline = time.monotonic() + 180
        while not self.is_up():
            if self.boot.poll() is not None or time.monotonic() > deadline:
                with open(f"{self.work}/console", errors="replace", encoding="utf-8") as said:
                    raise AssertionError("the machine does not boot:\n" + said.read()[-3000:])
            time.sleep(0.2)

    def is_up(self):
        """Whether systemd has started all that it starts by itself."""
        children = subprocess.run(["pgrep", "-P", str(self.boot.pid)], stdout=subprocess.PIPE,
                                  text=True, check=False).stdout.split()
        if not children:
            return False
        self.leader = children[0]
        state = self.enter("systemctl is-system-running", 30)[1].strip()
        return state in ("running", "degraded")

    def enter(self, command, timeout=180):
        """(exit status, what it said)."""
        return run_bounded(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-r", "-w",
                            "bash", "-c", command], timeout)

    def run(self, command, timeout=180):
        """What it said; it has to succeed."""
        status, said = self.enter(command, timeout)
        if status != 0:
            raise AssertionError(f"{command}: exit status {status}\n{said[-2000:]}\n"
                                 f"{self.journal()}")
        return said

    def journal(self):
        return self.enter("journalctl -n 30 --no-pager -u sealnfsd", 30)[1]

    def stop(self):
        if self.boot:
            self.boot.send_signal(signal.SIGTERM)  # to nspawn: power off
            try:
                self.boot.wait(60)
            except subprocess.TimeoutExpired:
                self.boot.kill()  # its process 1 goes with it, and with that one all others
                self.boot.wait()
        if self.loop:
            call("losetup", "-d", self.loop)
