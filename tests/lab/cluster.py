"""The two nodes of pair.py under Corosync and Pacemaker themselves, set up by what docs/failover.md
has typed: its pcs lines make corosync.conf and the CIB (pcs needs no cluster for that), its block
of sealnfs.conf is the nodes' configuration. Both are then where a running pcs would have put them.

The package sealnfs-ha is as good as installed: the lab's namespace has its files at their places,
and with it the guests, whose root that is.
"""
import os
import re
import shutil
import subprocess
import time

from disk import Unavailable
from load import reading
from pair import ADDRESS, Node, Pair, Work
from registry import equal

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
AGENTS = "/usr/lib/ocf/resource.d/sealnfs"
NEEDED = {"/usr/sbin/corosync": "corosync", "/usr/sbin/pacemakerd": "pacemaker",
          "/usr/sbin/crm_mon": "pacemaker-cli-utils", "/usr/sbin/pcs": "pcs",
          "/usr/lib/ocf/resource.d/heartbeat/Filesystem": "resource-agents"}
# Milliseconds. pcs has 3000 by default, which is too short for guests that share two processors.
TOKEN = 5000
MEMORY = 512

# What a lab's short life needs beside the page's block.
CONFIG = """\
node = "{node}"
listen = {{"0.0.0.0"}}
rpcbind = false
lease_time = 10
grace_time = 60
recall_timeout = 5
"""
EXPORT = """\
    squash = "none"
    policy = "at-rest"
    at_rest_include = {"rest*"}
"""

# The page's commands, of which those for the running cluster are for pcs without one.
TYPED = """\
set -e
cd "$1"
pcs() {{
  case "$1 $2" in
    "host auth") ;;
    "cluster setup") command pcs cluster setup sealnfs one addr={one} two addr={two} \\
        totem token={token} --corosync_conf corosync.conf ;;
    *) command pcs -f cib.xml "$@" ;;
  esac
}}
rm -f corosync.conf
cibadmin --empty > cib.xml
{typed}
{more}
"""

# The server's log where the test finds it, no long wait for a first election; and a guest that ends
# where a machine would boot, which mend() does for it.
MORE = """\
pcs resource update server log=/mnt/lab/server.log
pcs resource update disks fenced=crash
pcs property set dc-deadtime=5s"""
UP = r"Result of start operation for address on \w+: ok"

# What a takeover is made of: what, whose log says it, and how.
TAKEOVER = [("no token", "corosync", r"processor failed, forming new"),
            ("membership", "corosync", r"A new membership"),
            ("fenced", "pacemaker", r"was terminated .*: (OK|complete)"),
            *((name, "pacemaker", rf"Result of start operation for {name} on \w+: ok")
              for name in ("disks", "state", "data", "server", "address"))]

# What systemd, the packages' scripts and tmpfiles do on a machine that boots.
PREPARE = """\
set -e
echo {name} > /proc/sys/kernel/hostname
# Logs are written to this machine's files, which is to see them soon.
for what in expire writeback; do echo 10 > /proc/sys/vm/dirty_${{what}}_centisecs; done
for at in /srv /var/log /var/lib/pacemaker /var/lib/corosync; do mount -t tmpfs tmp $at; done
mkdir -p /srv/data /srv/state /run/resource-agents
(cd /var/lib/pacemaker; mkdir blackbox cib cores pengine)
cp /mnt/lab/cib.xml /var/lib/pacemaker/cib/
chmod 600 /var/lib/pacemaker/cib/cib.xml
chmod 750 /var/lib/pacemaker /var/lib/pacemaker/*
chown -R hacluster:haclient /var/lib/pacemaker
mount --bind /mnt/lab/corosync /etc/corosync
mount --bind /mnt/lab/sealnfs.conf /etc/sealnfs.conf
ln -s /srv/data /mnt/data
ln -s /run/sealnfs/control.sock /run/control
"""
START = """\
corosync -f > /mnt/lab/corosync.out 2>&1 &
until corosync-cfgtool -s > /dev/null 2>&1; do
  kill -0 $! || exit 1
  sleep 0.1
done
export PCMK_logfile=/mnt/lab/pacemaker.log PCMK_panic_action=crash
exec pacemakerd -f
"""


def install(lab):
    """What the packages sealnfsd and sealnfs-ha bring, at its places in this namespace."""
    place = f"{lab.directory}/installed"
    files = {f"{lab.build}/bin/sealnfsd": "/usr/sbin", f"{lab.build}/bin/sealctl": "/usr/sbin",
             f"{lab.build}/bin/fence_sealnfs": "/usr/sbin", f"{TOP}/config/ha/disks": AGENTS,
             f"{TOP}/config/ha/server": AGENTS, f"{TOP}/config/sealnfs.conf": "/etc"}
    for file, where in files.items():
        os.makedirs(place + where, exist_ok=True)
        shutil.copy(file, place + where)
    for where in ("/usr/sbin", os.path.dirname(AGENTS), "/etc"):
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={place}{where}:{where}", where], check=True)


def blocks(kind=""):
    """The fenced blocks of the page with this word behind the fence."""
    with open(f"{TOP}/docs/failover.md", encoding="utf-8") as page:
        return re.findall(rf"^```{kind}\n(.*?)^```$", page.read(), re.MULTILINE | re.DOTALL)


class Member(Node):
    """A guest that is a node of the cluster; what it logs is where this machine can read it."""

    def configure(self, directory):
        with open(f"{self.guest.directory}/sealnfs.conf", "w") as f:
            own = next(block for block in blocks() if block.startswith("node ="))
            f.write(CONFIG.format(node=self.name)
                    + own.replace('node = "one"\n', "").replace("192.0.2.", "10.99.0.")
                    .replace("}\n}", "}\n" + EXPORT + "}"))
        os.mkdir(f"{self.guest.directory}/corosync")
        for name in ("corosync.conf", "authkey"):
            shutil.copy(f"{directory}/{name}", f"{self.guest.directory}/corosync")
        shutil.copy(f"{directory}/cib.xml", self.guest.directory)
        return self

    def start(self):
        self.guest.run(PREPARE.format(name=self.name))
        self.job = self.guest.start(START)
        return self

    def text(self, which):
        """A log: pacemaker, corosync or server."""
        path = f"{self.guest.directory}/{which}.log"
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as f:
            return f.read()

    def says(self, pattern, which="pacemaker", after=0, timeout=180):
        """Wait for a line, beyond the first `after` bytes."""
        deadline = time.monotonic() + timeout
        while not self.line(pattern, which, after):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}'s {which}.log never said {pattern!r}:\n"
                                   + "\n".join(self.text(which).splitlines()[-60:]))
            time.sleep(0.1)  # a file: nothing to wait on

    @staticmethod
    def when(line):
        """The time of a line of either log, as this machine's clock has it."""
        stamp = re.match(r"(\w+ \d+ [\d:]+)(\.\d+)", line)
        return (time.mktime(time.strptime(f"{time.localtime().tm_year} {stamp[1]}",
                                          "%Y %b %d %H:%M:%S")) + float(stamp[2]))

    def line(self, pattern, which="pacemaker", after=0):
        found = [line for line in self.text(which)[after:].splitlines() if re.search(pattern, line)]
        return found[0] if found else None

    def panics(self, timeout=180):
        """It ends by itself, since it was fenced."""
        self.guest.process.wait(timeout)
        self.guest.kill()

    def is_up(self):
        """All of the group is started."""
        return bool(re.search(UP, self.text("pacemaker")))


class Cluster(Pair):
    """A stage's lab: nodes one and two, with a serving. `more`: pcs commands after the page's."""

    def __init__(self, lab, more=""):
        for path, package in NEEDED.items():
            if not os.path.exists(path):
                raise Unavailable(f"{path} is missing: install {package}")
        install(lab)
        super().__init__(lab, node=Member, names=("one", "two"), memory=MEMORY)
        self.set_up(f"{MORE}\n{more}")
        for node in (self.a, self.b):
            node.configure(lab.directory).start()
        self.choose()
        self.works = 0

    def set_up(self, more):
        """corosync.conf and the CIB, by pcs from the page's lines."""
        directory = self.lab.directory
        typed = next(block for block in blocks() if block.startswith("DISKS="))
        for disk, name in (("aaaa", "sda"), ("bbbb", "sdb")):
            wwid = self.a.guest.run(f"cat /sys/block/{name}/device/wwid").strip()
            typed = typed.replace(f"wwn-0x6001405{disk}", f"wwn-0x{wwid.removeprefix('naa.')}")
        typed = typed.replace("192.0.2.10", ADDRESS)
        script = TYPED.format(typed=typed, more=more, one=self.a.guest.ip, two=self.b.guest.ip,
                              token=TOKEN)
        subprocess.run(["bash", "-c", script, "set-up", directory], check=True)
        subprocess.run(["crm_verify", "-V", "-x", f"{directory}/cib.xml"], check=True)
        with open(f"{directory}/corosync.conf") as f:
            conf = f.read()
        with open(f"{directory}/corosync.conf", "w") as f:
            f.write(conf.replace("/var/log/corosync/", "/mnt/lab/")
                    .replace("timestamp: on", "timestamp: hires"))
        with open(f"{directory}/authkey", "wb") as f:
            f.write(os.urandom(256))

    def choose(self, timeout=180):
        """a is the one that serves."""
        deadline = time.monotonic() + timeout
        while not self.a.is_up():
            self.a, self.b = self.b, self.a
            if time.monotonic() > deadline:
                raise RuntimeError("no node serves:\n" + self.a.text("pacemaker")[-8000:])
            time.sleep(0.1)  # two files

    def part(self, cut=True):
        """The nodes' network carries nothing between the two of them, and all else."""
        for node in (self.a, self.b):
            subprocess.run(["bridge", "link", "set", "dev", node.guest.tap, "isolated",
                            "on" if cut else "off"], check=True)


    def mend(self):
        """Who serves is a; the other one is b, which boots if it is dead, and stands by."""
        self.a, self.b = self.b, self.a
        self.part(False)
        self.b.guest.mend_storage()
        if self.b.guest.process.poll() is None:
            return
        guest = self.lab.reboot(self.b.guest)
        self.san.log_in(guest)
        self.b = Member(self.lab, guest, self.b.name).configure(self.lab.directory).start()
        self.b.says(r"Result of probe operation for address on \w+: not running")


class Marks:
    """Where a node's logs are when the other one is lost, to see what comes after."""

    def __init__(self, node):
        self.node, self.begin = node, time.time()
        self.at = {which: len(node.text(which)) for which in ("pacemaker", "corosync")}

    def says(self, pattern, which="pacemaker"):
        return self.node.says(pattern, which, self.at[which])

    def tell(self, way, work):
        """What the time until the first answer was made of, in seconds."""
        parts = []
        for what, which, pattern in TAKEOVER:
            line = self.node.line(pattern, which, self.at[which])
            parts += [f"{what} {self.node.when(line) - self.begin:.1f}"] if line else []
        print(f"{way}: {', '.join(parts)}; longest write: plain {work.plain.longest}, "
              f"sealed {work.sealed.longest}")


class FullWork(Work):
    """And the other client reads a file that is sealed while at rest, and checks it. Seals of
    before stay: a client that held layouts of a server that was lost is fenced for their release.
    """

    def __init__(self, scene):
        scene.works += 1
        super().__init__(scene, f"sealed{scene.works}")
        name = f"rest{scene.works}"
        digest = scene.a.guest.run(
            f"dd if=/dev/urandom of=/mnt/data/{name} bs=1M count=4 conv=fsync status=none; "
            f"sha256sum < /mnt/data/{name}").split()[0]
        self.rest = reading(self.two, f"/mnt/n/{name}", 4, digest)
        self.reads_directly()

    def reads_directly(self):
        self.rest.rounds(1)
        before = self.two.counters()
        self.rest.rounds(2)
        counters = self.two.counters() - before
        equal((counters.pnfs, counters["READ"]), ("LAYOUT_SCSI", 0),
              f"what is at rest is read directly: {counters.show()}")

    def check(self, node):
        super().check(node)
        self.rest.rounds(1)
        self.reads_directly()
        self.rest.end()
