"""A User-Mode Linux guest: Debian's own linux.uml with the stock NFS client and blkmapd.

A guest's root is this machine's file system, read-only. Jobs are bash scripts handed over by number
on a serial line (a socket pair), see guest-init. Everything waits on that line; nothing sleeps.
"""
import os
import select
import signal
import socket
import subprocess
import time

from counters import Counters

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = "/usr/lib/uml/modules"
# glibc in a guest must not choose string functions for registers that Debian 12's linux.uml does
# not save.
TUNABLES = "glibc.cpu.hwcaps=" + ",".join(
    "-" + name for name in ("AVX512F", "AVX512VL", "AVX512BW", "AVX2", "AVX2_Usable",
                            "AVX512F_Usable", "AVX512VL_Usable", "AVX512BW_Usable"))

# What makes a guest a client of block layouts: modules, and what guest-init does last.
BLOCK_CLIENT = ("sunrpc nfsv4 blocklayoutdriver", """\
blkmapd -f > /mnt/lab/blkmapd.log 2>&1 &
until [[ $(readlink /proc/$!/fd/*) == *blocklayout* ]]; do :; done
""")

FSTAB = """\
sys  /sys             sysfs       defaults
tmp  /run             tmpfs       defaults
tmp  /mnt             tmpfs       defaults
tmp  /tmp             tmpfs       defaults
tmp  /var/lib/nfs     tmpfs       defaults
tmp  /dev/shm         tmpfs       x-mount.mkdir
lab  /mnt/lab         hostfs      {directory},x-mount.mkdir
"""
PIPEFS = "rpc  /run/rpc_pipefs  rpc_pipefs  x-mount.mkdir\n"


class Kernel:
    """What a guest runs: Debian 12's linux.uml, or what newer-kernel made of a later one's."""

    def __init__(self, program="linux.uml", modules=MODULES, own=("GLIBC_TUNABLES=" + TUNABLES,),
                 shim=True):
        self.program, self.modules, self.own, self.shim = program, modules, own, shim

    @classmethod
    def newer(cls, directory):
        return cls(f"{directory}/linux", f"{directory}/modules", own=(), shim=False)


class GuestError(Exception):
    """A job failed, ran out of time, or its guest died."""


class Job:
    """A script that runs in a guest."""

    def __init__(self, guest, number, script):
        self.guest, self.number, self.script = guest, number, script
        self.code = None
        self.said = []

    def output(self):
        """What the job printed; complete once it has ended."""
        try:
            with open(f"{self.guest.directory}/{self.number}.out", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def done(self):
        self.guest.poll(0)
        return self.code is not None

    def expect(self, text, timeout=60, times=1):
        """Wait until the job has said `text` so many times (the shell function `say`)."""
        deadline = time.monotonic() + timeout
        while self.said.count(text) < times:
            if self.code is not None:
                raise GuestError(f"{self.guest.name}: job ended ({self.code}) and never said "
                                 f"{text!r}:\n{self.output()}")
            self.guest.poll(deadline - time.monotonic(), f"{text!r} from: {self.script}")
        return self

    def wait(self, timeout=120):
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + timeout
        while self.code is None:
            self.guest.poll(deadline - time.monotonic(), f"the end of: {self.script}")
        return self.code

    def finish(self, timeout=120):
        """Wait for the end, which must be a success; what it printed."""
        code = self.wait(timeout)
        if code != 0:
            raise GuestError(f"{self.guest.name}: exit {code} from: {self.script}\n{self.output()}")
        return self.output()


class Guest:
    """One guest, booting from the moment it is made; `ready()` waits for it."""

    def __init__(self, directory, machine):
        self.directory, self.machine = directory, machine
        self.name, self.ip, self.tap = machine["name"], machine["ip"], machine["tap"]
        self.modules, self.role = machine.get("role", BLOCK_CLIENT)
        self.kernel = machine["kernels"]["newer" if "nfsv4" in self.modules
                                         and "newer" in machine["kernels"] else "usual"]
        self.storage_tap, self.storage_ip = machine.get("storage_tap"), machine.get("storage_ip")
        self.console = f"{directory}/console"
        self.jobs, self.pending, self.booted = {0: Job(self, 0, "boot")}, b"", False
        os.mkdir(directory)
        self._write_boot_files()
        self.line, theirs = socket.socketpair()
        environment = dict(os.environ, TMPDIR=machine["memory_dir"],
                           **({"LD_PRELOAD": machine["shim"]} if self.kernel.shim else {}))
        with open(self.console, "wb") as log:
            self.process = subprocess.Popen(self._command(theirs.fileno()),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, pass_fds=(theirs.fileno(),),
                                            start_new_session=True)
        theirs.close()
        # A guest's kernel and processes are host processes that only ever run in turn: on one
        # processor they switch faster.
        os.sched_setaffinity(self.process.pid, {machine["cpu"]})

    def _command(self, line):
        mac = "02:00:00:00:63:{:02x}".format(int(self.ip.rpartition(".")[2]))
        command = [self.kernel.program, f"mem={self.machine.get('memory', 320)}M",
                   "rootfstype=hostfs", "ro", f"init={HERE}/guest-init",
                   f"lab_name={self.name}", f"lab_dir={self.directory}", *self.kernel.own,
                   "con=null", "con0=null,fd:1", f"ssl0=fd:{line}", "ssl=null",
                   f"uml_dir={self.directory}/", f"umid={self.name}",
                   # 1.1 s less to boot
                   "initcall_blacklist=raid6_select_algo,init_zswap", "cryptomgr.notests",
                   f"vec0:transport=tap,ifname={self.tap},gro=1,mac={mac}"]
        if self.storage_tap:
            command.append(f"vec1:transport=tap,ifname={self.storage_tap},gro=1,mac="
                           f"{mac.replace('63', '64')}")
        # c: shared with others, no locking. The server reaches the image through a loop device and
        # the page cache; so do we.
        return command + [f"ubd{i}c={image}" for i, image in enumerate(self.machine["images"])]

    def _write_boot_files(self):
        """What guest-init reads from $lab_dir."""
        with open(f"{self.directory}/fstab", "w") as f:
            f.write(FSTAB.format(directory=self.directory)
                    + (PIPEFS if "sunrpc" in self.modules else ""))
        with open(f"{self.directory}/network", "w") as f:
            f.write(f"link set lo up\nlink set vec0 up\naddr add {self.ip}/24 dev vec0\n")
            if self.storage_tap:
                f.write(f"link set vec1 up\naddr add {self.storage_ip}/24 dev vec1\n")
        for name, text in (("modules", self.modules), ("role", self.role)):
            with open(f"{self.directory}/{name}", "w") as f:
                f.write(text)
        # /lib/modules may not exist here: modprobe looks below a root that has it, also when the
        # guest's kernel calls it.
        os.makedirs(f"{self.directory}/root/lib")
        os.symlink(self.kernel.modules, f"{self.directory}/root/lib/modules")
        with open(f"{self.directory}/modprobe", "w") as f:
            f.write(f'#!/bin/sh\nexec /sbin/modprobe -d {self.directory}/root "$@"\n')
        os.chmod(f"{self.directory}/modprobe", 0o755)

    # The line

    def poll(self, timeout, what=None):
        """Take what the line has, waiting for it up to `timeout` seconds. With `what`, nothing in
        time is an error."""
        if not select.select([self.line], [], [], max(timeout, 0))[0]:
            if what and timeout <= 0:
                raise GuestError(f"{self.name}: no time left waiting for {what}")
            return
        data = self.line.recv(65536)
        if not data:
            raise GuestError(f"{self.name}: guest ended while waiting for {what or 'a job'}")
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self._heard(line.decode(errors="replace").strip())

    def _heard(self, line):
        number, event, *rest = line.split(" ", 2)
        job, text = self.jobs[int(number)], rest[0] if rest else ""
        if event == "exit":
            job.code = int(text)
        else:
            job.said.append(text)

    # Life

    def ready(self, timeout=180):
        if not self.booted:
            self.jobs[0].expect("ready", timeout)
            self.booted = True
        return self

    def start(self, script):
        """Start a bash script and do not wait for it."""
        self.ready()
        number = len(self.jobs)
        job = self.jobs[number] = Job(self, number, script)
        with open(f"{self.directory}/{number}.sh", "w") as f:
            f.write(script + "\n")
        self.line.sendall(b"%d\n" % number)
        return job

    def run(self, script, timeout=120):
        """Run a bash script that must succeed; what it printed."""
        return self.start(script).finish(timeout)

    def fails(self, script, timeout=120):
        """Run a bash script that must fail; what it printed."""
        job = self.start(script)
        if job.wait(timeout) == 0:
            raise GuestError(f"{self.name}: succeeded, and should not have: {script}\n"
                             f"{job.output()}")
        return job.output()

    def processes(self, traced):
        """Process ids of this guest: the kernel and its I/O helpers; with `traced` also the
        guest's own processes."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as f:
                    session = int(f.read().rpartition(")")[2].split()[3])
                if session != self.process.pid or _is_zombie(name):
                    continue
                with open(f"/proc/{name}/status") as f:
                    tracer = next(int(line.split()[1])
                                  for line in f if line.startswith("TracerPid"))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if traced or tracer == 0:
                found.append(int(name))
        return found

    def stop(self):
        """Stop the guest in its tracks. Its connections stay open and nobody answers on them."""
        for pid in self.processes(traced=False):
            os.kill(pid, signal.SIGSTOP)

    def cont(self):
        for pid in self.processes(traced=False):
            os.kill(pid, signal.SIGCONT)

    def cut(self):
        """Take the guest off the network without a word to anybody; its disk stays."""
        subprocess.run(["ip", "link", "set", self.tap, "nomaster"], check=True)

    def mend(self):
        subprocess.run(["ip", "link", "set", self.tap, "master", "br0"], check=True)

    def disk_helper(self):
        """The process that does this guest's disk I/O (the kernel starts it before its other
        helpers): its path to the disk."""
        return self.processes(traced=False)[1]

    def cut_disk(self):
        """The disk is silent: what the guest reads and writes is queued."""
        os.kill(self.disk_helper(), signal.SIGSTOP)

    def mend_disk(self):
        """The path to the disk is back, and what is queued goes there; unless it was fenced
        meanwhile."""
        for pid in self.processes(traced=False)[1:]:
            os.kill(pid, signal.SIGCONT)

    def cut_storage(self):
        """The same for the storage network, where there is one."""
        subprocess.run(["ip", "link", "set", self.storage_tap, "nomaster"], check=True)

    def mend_storage(self):
        subprocess.run(["ip", "link", "set", self.storage_tap, "master", "br1"], check=True)

    def kill(self):
        """End the guest as a power failure would."""
        while True:
            found = self.processes(traced=True)
            if not found:
                break
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)
        self.process.wait()

    def console_tail(self, lines=25):
        with open(self.console, errors="replace") as f:
            # Without the stacks' raw words.
            return "".join([line for line in f if "[<" not in line][-lines:])

    # NFS

    def mount(self, path="/", at="/mnt/n", options="vers=4.1", server="10.99.0.1", timeout=60):
        self.run(f"mkdir -p {at}; mount -t nfs4 -o {options} {server}:{path} {at}", timeout)
        return self

    def without_layouts(self):
        """Make this guest a client that knows no block layouts; before its first mount."""
        self.run("kill $(pidof blkmapd) && sleep 0.1; "
                 "rmmod blocklayoutdriver && echo /bin/true > /proc/sys/kernel/modprobe")
        return self

    def umount(self, at="/mnt/n"):
        self.run(f"umount {at}")

    def sha256(self, path, direct=True):
        """The digest of a file as this guest reads it now: by O_DIRECT, or through an
        emptied page cache.

        A direct read that begins at the end of the file is asked of the server, so none is made.
        Inodes stay in the cache
        (1, not 3): to forget one is to return its layout.
        """
        blocks = f"bs=512K count=$((($(stat -c %s {path}) + 524287) / 524288))"
        how = f"dd if={path} {blocks} iflag=direct status=none" if direct else f"cat {path}"
        return self.run(f"set -o pipefail; echo 1 > /proc/sys/vm/drop_caches; "
                        f"{how} | sha256sum").split()[0]

    def write(self, path, mib, direct=True, at_mib=0):
        """Overwrite a part of a file in place with random data, durably; the data's digest."""
        flags = "oflag=direct conv=notrunc" if direct else "conv=notrunc,fsync"
        script = (f"set -e; dd if=/dev/urandom of=/tmp/data bs=1M count={mib} status=none; "
                  f"sha256sum < /tmp/data;"
                  f"dd if=/tmp/data of={path} bs=1M seek={at_mib} {flags} status=none; "
                  f"rm /tmp/data")
        return self.run(script).split()[0]

    def counters(self, at="/mnt/n"):
        """The client's own counters of a mount."""
        return Counters.parse(self.run("cat /proc/self/mountstats"), at)


def _is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
