"""The README's quick start, word by word, in a fresh Debian 12 that boots with systemd:
for run --long.

The root is made by debootstrap once and kept in /var/cache/sealnfs-newcomer. systemd-nspawn boots a
copy of it with a network of its own, in which the server has the README's address, and a loop
device for the shared disk. The commands are those of README.md; where it has blocks of output, what
the commands say has their shape. The kernel's own NFS client is used where this machine has one,
otherwise sealio reads as the client does.
"""
import os
import re
import signal
import subprocess
import time

CACHE = "/var/cache/sealnfs-newcomer"
FRESH = f"{CACHE}/bookworm"
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
        "LANG": "C.UTF-8"}


def run_bounded(command, timeout):
    """(exit status, what it said); when the time is over it is killed with all that it started."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env=PATH, start_new_session=True) as process:
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


def make_root():
    """The fresh Debian: nothing but what boots."""
    if not os.path.exists(FRESH):
        os.makedirs(f"{CACHE}/archives", exist_ok=True)
        call("rm", "-rf", f"{FRESH}.new")
        call("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,udev",
             "bookworm", f"{FRESH}.new", timeout=900)
        os.rename(f"{FRESH}.new", FRESH)


def quick_start():
    """[(commands, output expected)] of the blocks of README.md's quick start, and its
    configuration."""
    with open(f"{TOP}/README.md", encoding="utf-8") as readme:
        section = re.search(r"^## Quick start\n(.*?)^## ", readme.read(),
                            re.MULTILINE | re.DOTALL)[1]
    blocks = [block.strip("\n").splitlines()
              for block in re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)]
    install, config, *rest = blocks
    steps = []
    for block in rest:
        for line in block:
            if line.startswith("# "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
    return install, config, steps


class Machine:
    """A copy of the fresh root, booted. Whatever happens, stop() leaves nothing of it."""

    def __init__(self, work):
        self.root, self.work = f"{work}/root", work
        self.boot, self.leader, self.loop = None, None, None
        call("cp", "-a", "--reflink=auto", FRESH, self.root)
        os.makedirs(f"{self.root}/root/sealnfs")
        call("bash", "-o", "pipefail", "-c", f"cd '{TOP}' && find . -path ./build -prune -o "
             "-path ./.git -prune -o ! -type d -print0 | tar -c --null -T - | "
             f"tar -x -C '{self.root}/root/sealnfs'")

    def before_boot(self, command):
        """In the machine's root, on the host's network, where the packages are."""
        return call("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe",
                    "--as-pid2", f"--bind={CACHE}/archives:/var/cache/apt/archives", "-D",
                    self.root, "--chdir=/root/sealnfs", "bash", "-euc", command, timeout=900)

    def start(self):
        disk = f"{self.work}/disk"
        with open(disk, "wb") as stream:
            stream.truncate(400 << 20)
        self.loop = call("losetup", "--find", "--show", disk).strip()
        with open(f"{self.work}/console", "wb") as console:
            self.boot = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
                 "--boot", f"--machine=sealnfs-newcomer-{os.getpid()}", f"--bind={self.loop}",
                 "--capability=CAP_SYS_RAWIO", "--console=pipe", "-D", self.root],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=PATH,
                start_new_session=True)
        deadline = time.monotonic() + 180
        while not self.is_up():
            if self.boot.poll() is not None or time.monotonic() > deadline:
                with open(f"{self.work}/console", errors="replace", encoding="utf-8") as said:
                    raise AssertionError("the fresh Debian does not boot:\n" + said.read()[-3000:])
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

    def enter(self, command, timeout):
        return run_bounded(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-r", "-w",
                            "bash", "-c", command], timeout)

    def run(self, command, timeout=180):
        status, said = self.enter(command, timeout)
        if status != 0:
            journal = self.enter("journalctl -n 30 --no-pager -u sealnfsd", 30)[1]
            raise AssertionError(f"{command}: exit status {status}\n{said[-2000:]}\n{journal}")
        return said

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


def same_shape(said, shown):
    shape = [[re.sub(r"\d+", "N", re.sub(r"\d\d+\.\d+\.\d+\.\d+.*?  ", "CLIENT  ", line)).split()
              for line in lines] for lines in (said, shown)]
    return shape[0] == shape[1]


def as_the_readme_says(machine, steps):
    """Each command of steps 2 to 5; in place of the kernel's mount, where there is none, sealio."""
    kernel_client = "nfs4" in open("/proc/filesystems", encoding="utf-8").read()
    for command, shown in steps:
        if command.startswith("systemctl enable --now sealnfs-blkmap") and not kernel_client:
            machine.run("systemd-analyze verify --man=no "
                        "/etc/systemd/system/sealnfs-blkmap.service && "
                        "systemctl enable sealnfs-blkmap")
        elif re.match(r"(mount|dd|grep) ", command) and not kernel_client:
            if command.startswith("mount "):
                machine.run("sealio cat --require-layout nfs://192.0.2.1/data/movie | cmp - "
                            "/srv/data/movie")
                machine.run("(sealio cat --require-layout --hold-until-recall "
                            "nfs://192.0.2.1/data/movie >/dev/null 2>/root/held &) ; "
                            "timeout 30 tail -n +1 -F /root/held 2>/dev/null | grep -q -m1 holding")
        else:
            said = machine.run(command).splitlines()
            if shown and not command.startswith("grep ") and not same_shape(said, shown):
                raise AssertionError(f"{command} said\n" + "\n".join(said) + "\n"
                                     "and README.md shows\n" + "\n".join(shown))


def install_as_the_readme_says(machine, install):
    """Step 1, but for systemd-sysusers, for which a machine has to run; and what a client needs."""
    machine.before_boot("\n".join(line for line in install if line != "systemd-sysusers"))
    machine.before_boot("apt-get install -y --no-install-recommends nfs-common iproute2")


def make_shared_disk(machine):
    """What step 2 asks for, on the network and the path that README.md writes of."""
    machine.run("ip link set lo up; ip address add 192.0.2.1/24 dev lo")
    machine.run(f"mkfs.xfs -q -m reflink=0 {machine.loop} && mkdir -p /srv/data && "
                f"mount {machine.loop} /srv/data && sync && "
                "dd if=/dev/urandom of=/srv/data/movie bs=1M count=64 conv=fsync status=none")


def walk(machine, config, steps):
    machine.start()
    machine.run("systemd-sysusers && getent group sealnfs")
    make_shared_disk(machine)
    machine.run("cat >/etc/sealnfs.conf <<'END'\n" + "\n".join(config) + "\nEND")
    machine.run("cp /root/sealnfs/config/sealnfs-blkmap.service /etc/systemd/system/")
    as_the_readme_says(machine, steps)
    machine.run("sealctl unseal --wait --timeout 60 /srv/data/movie")
    if "i" in machine.run("lsattr /srv/data/movie").split()[0]:
        raise AssertionError("the file is still immutable")
    log = machine.run("journalctl --no-pager -u sealnfsd")
    if "serves 1 export on port 2049: clients can mount" not in " ".join(log.split()):
        raise AssertionError("the log does not say what README.md shows:\n" + log)


def the_quick_start_works_word_by_word_in_a_fresh_debian(work):
    make_root()
    install, config, steps = quick_start()
    machine = Machine(work)
    try:
        install_as_the_readme_says(machine, install)
        walk(machine, config, steps)
    finally:
        machine.stop()


TESTS = [the_quick_start_works_word_by_word_in_a_fresh_debian]
