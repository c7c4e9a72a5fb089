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
import sys

CACHE = "/var/cache/sealnfs-newcomer"
FRESH = f"{CACHE}/bookworm"
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{TOP}/tests")

from machine import Machine, call  # noqa: E402


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


class FreshMachine(Machine):
    """A copy of the fresh root, with this tree in it."""

    def __init__(self, work):
        super().__init__(work, f"{work}/root", disk_size=1 << 30)
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


def same_shape(said, shown):
    shape = [[re.sub(r"\d+", "N", re.sub(r"\d\d+\.\d+\.\d+\.\d+.*?  ", "CLIENT  ", line)).split()
              for line in lines] for lines in (said, shown)]
    return shape[0] == shape[1]


def as_the_readme_says(machine, steps):
    """Each command of steps 2 to 6; in place of the kernel's mount, where there is none, sealio."""
    kernel_client = "nfs4" in open("/proc/filesystems", encoding="utf-8").read()
    for command, shown in steps:
        if command.startswith("systemctl enable --now sealnfs-blkmap") and not kernel_client:
            machine.run("systemd-analyze verify --man=no "
                        "/etc/systemd/system/sealnfs-blkmap.service && "
                        "systemctl enable sealnfs-blkmap")
        elif "of=/mnt/n/new/render.exr" in command:
            machine.run("sed -i 's/^    clients/    direct_writes = true\\n&/' /etc/sealnfs.conf "
                        "&& systemctl reload sealnfsd")
            machine.run(command if kernel_client else
                        "dd if=/dev/zero of=/root/new bs=1M count=256 status=none && "
                        "sealio cp /root/new nfs://192.0.2.1/data/new/render.exr")
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
    machine = FreshMachine(work)
    try:
        install_as_the_readme_says(machine, install)
        walk(machine, config, steps)
    finally:
        machine.stop()


TESTS = [the_quick_start_works_word_by_word_in_a_fresh_debian]
