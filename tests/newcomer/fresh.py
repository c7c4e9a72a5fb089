"""The README's quick start, word by word, in a fresh Debian 12 that boots with systemd: for run --long.

The root is made by debootstrap once and kept in /var/cache/sealnfs-newcomer. systemd-nspawn boots a copy of it with a
network of its own, in which the server has the README's address, and a loop device for the shared disk. The commands
are those of README.md; where it has blocks of output, what the commands say has their shape. The kernel's own NFS client
is used where this machine has one, otherwise sealio reads as the client does.
"""
import os
import re
import signal
import subprocess
import time

CACHE = "/var/cache/sealnfs-newcomer/bookworm"
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def call(*command, status=0, timeout=1800):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, env=PATH, check=False)
    if done.returncode != status:
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}, not {status}\n{done.stdout[-3000:]}")
    return done.stdout


def make_root():
    """The fresh Debian: nothing but what boots."""
    if not os.path.exists(f"{CACHE}/made"):
        call("rm", "-rf", CACHE)
        os.makedirs(os.path.dirname(CACHE), exist_ok=True)
        call("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,udev", "bookworm", CACHE)
        with open(f"{CACHE}/made", "w", encoding="utf-8"):
            pass


def quick_start():
    """[(commands, output expected)] of the blocks of README.md's quick start, and its configuration."""
    with open(f"{TOP}/README.md", encoding="utf-8") as readme:
        section = re.search(r"^## Quick start\n(.*?)^## ", readme.read(), re.MULTILINE | re.DOTALL)[1]
    blocks = [block.strip("\n").splitlines() for block in re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)]
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
    """A copy of the fresh root, booted."""

    def __init__(self, work):
        self.root, self.work, self.boot, self.leader, self.loop = f"{work}/root", work, None, None, None
        call("cp", "-a", "--reflink=auto", CACHE, self.root)
        os.makedirs(f"{self.root}/root/sealnfs")
        tree = subprocess.run("find . -path ./build -prune -o -path ./.git -prune -o ! -type d -print0 | tar -c --null -T - "
                              f"| tar -x -C {self.root}/root/sealnfs", cwd=TOP, shell=True, check=True)
        assert tree.returncode == 0

    def before_boot(self, command):
        """On the host's network, where the packages are."""
        return call("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--as-pid2", "-D", self.root,
                    "--chdir=/root/sealnfs", "bash", "-euc", command)

    def start(self):
        disk = f"{self.work}/disk"
        with open(disk, "wb") as stream:
            stream.truncate(400 << 20)
        self.loop = call("losetup", "--find", "--show", disk).strip()
        console = open(f"{self.work}/console", "wb")
        self.boot = subprocess.Popen(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--boot",
                                      "--machine=sealnfs-newcomer", f"--bind={self.loop}", "--capability=CAP_SYS_RAWIO",
                                      "--console=pipe", "-D", self.root],
                                     stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
        deadline = time.monotonic() + 120
        while True:
            if self.boot.poll() is not None or time.monotonic() > deadline:
                with open(f"{self.work}/console", errors="replace", encoding="utf-8") as said:
                    raise AssertionError("the fresh Debian does not boot:\n" + said.read()[-3000:])
            children = subprocess.run(["pgrep", "-P", str(self.boot.pid)], stdout=subprocess.PIPE, text=True, check=False)
            self.leader = children.stdout.split()[0] if children.stdout.split() else None
            if self.leader and self.run("systemctl is-system-running --wait || true", check=False).strip() in ("running", "degraded"):
                break
            time.sleep(0.2)

    def run(self, command, check=True, timeout=300):
        done = subprocess.run(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-r", "-w", "bash", "-c", command],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, env=PATH, check=False)
        if check and done.returncode != 0:
            journal = self.run("journalctl -n 30 --no-pager -u sealnfsd", check=False)
            raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout[-2000:]}\n{journal}")
        return done.stdout

    def stop(self):
        if self.boot:
            if self.leader:
                self.run("chattr -i /srv/data/movie; systemctl stop sealnfsd; umount /srv/data", check=False)
            self.boot.send_signal(signal.SIGTERM)  # to nspawn: power off
            try:
                self.boot.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.boot.pid, signal.SIGKILL)
                self.boot.wait()
        if self.loop:
            call("losetup", "-d", self.loop)


def same_shape(said, shown):
    shape = [[re.sub(r"\d+", "N", re.sub(r"\d\d+\.\d+\.\d+\.\d+.*?  ", "CLIENT  ", line)).split() for line in lines]
             for lines in (said, shown)]
    return shape[0] == shape[1]


def as_the_readme_says(machine, steps):
    """Each command of steps 2 to 5; in place of the kernel's mount, where there is none, sealio."""
    kernel_client = "nfs4" in open("/proc/filesystems", encoding="utf-8").read()
    for command, shown in steps:
        if command.startswith("systemctl enable --now sealnfs-blkmap") and not kernel_client:
            machine.run("systemd-analyze verify --man=no /etc/systemd/system/sealnfs-blkmap.service && "
                        "systemctl enable sealnfs-blkmap")
        elif re.match(r"(mount|dd|grep) ", command) and not kernel_client:
            if command.startswith("mount "):
                machine.run("sealio cat --require-layout nfs://192.0.2.1/data/movie | cmp - /srv/data/movie")
                machine.run("(sealio cat --require-layout --hold-until-recall nfs://192.0.2.1/data/movie >/dev/null 2>/root/held &) ; "
                            "timeout 30 tail -n +1 -F /root/held 2>/dev/null | grep -q -m1 holding")
        else:
            said = machine.run(command).splitlines()
            if shown and not command.startswith("grep ") and not same_shape(said, shown):
                raise AssertionError(f"{command} said\n" + "\n".join(said) + "\nand README.md shows\n" + "\n".join(shown))


def the_quick_start_works_word_by_word_in_a_fresh_debian(work):
    make_root()
    install, config, steps = quick_start()
    machine = Machine(work)
    try:
        machine.before_boot("\n".join(line for line in install if "systemd-sysusers" not in line))
        machine.before_boot("apt-get install -y --no-install-recommends nfs-common >/dev/null 2>&1")
        machine.start()
        machine.run("systemd-sysusers && getent group sealnfs")
        machine.run("ip link set lo up; ip address add 192.0.2.1/24 dev lo")
        machine.run(f"mkfs.xfs -q -m reflink=0 {machine.loop} && mkdir -p /srv/data && mount {machine.loop} /srv/data && "
                    "dd if=/dev/urandom of=/srv/data/movie bs=1M count=64 status=none && sync")
        machine.run("cat >/etc/sealnfs.conf <<'END'\n" + "\n".join(config) + "\nEND")
        machine.run("cp /root/sealnfs/config/sealnfs-blkmap.service /etc/systemd/system/")
        as_the_readme_says(machine, steps)
        machine.run("sealctl unseal --wait --timeout 60 /srv/data/movie && ! lsattr /srv/data/movie | cut -d' ' -f1 | grep -q i")
        log = machine.run("journalctl --no-pager -u sealnfsd")
        if "serves 1 export on port 2049: clients can mount" not in log:
            raise AssertionError("the log does not say what README.md shows:\n" + log)
    finally:
        machine.stop()


TESTS = [the_quick_start_works_word_by_word_in_a_fresh_debian]
