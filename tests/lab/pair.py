"""Two nodes that serve one after the other, as a cluster manager would have them: by the resource
agents of config/ha, called as Pacemaker calls them, in guests of a SAN (san.py).

LUN 0 has the exported file system, LUN 1 the state directory's. What clients mount from is an
address of its own, which goes where the server goes.
"""
import json
import os
import shutil
import time

from disk import MIB
from registry import equal
from san import CLIENT, SERVER, San

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = "10.99.0.200"
DISKS = "/dev/sda,/dev/sdb"
LOG = "/run/server.log"

CONFIG = """\
node = "{node}"
listen = {{"0.0.0.0"}}
rpcbind = false
lease_time = 10
grace_time = 60
recall_timeout = 5
state_dir = "/mnt/state"
control_socket = "/run/control"
export "/data" {{
  path = "/mnt/data"
  clients = {{"10.99.0.0/24"}}
  squash = "none"
}}
"""

# A gratuitous ARP request, as the agent IPaddr2 sends it: who had the owner of the address in a
# cache asks anew.
ANNOUNCE = """\
import socket
import sys
device, address = sys.argv[1:]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((device, 0x806))
own, ip = raw.getsockname()[4], socket.inet_aton(address)
raw.send(b"\\xff" * 6 + own + bytes.fromhex("0806000108000604" "0001") + own + ip + bytes(6) + ip)
"""

# In the order in which a group starts them; `agent` is one of config/ha.
FUNCTIONS = f"""\
export PATH=/mnt/lab/bin:$PATH OCF_ROOT=/usr/lib/ocf OCF_RESKEY_config=/mnt/lab/sealnfs.conf
export OCF_RESKEY_socket=/run/control OCF_RESKEY_daemon=/mnt/lab/bin/sealnfsd
export OCF_RESKEY_devices={DISKS} OCF_RESKEY_log={LOG} HA_RSCTMP=/run
agent() {{ "/mnt/lab/bin/ocf-$1" "$2"; }}
"""
START = """\
set -e
agent disks start
mkdir -p /mnt/state /mnt/data
mount /dev/sdb /mnt/state
mount /dev/sda /mnt/data
chmod 700 /mnt/state
agent server start
ip addr add {address}/24 dev vec0
python3 /mnt/lab/bin/announce vec0 {address}
"""
STOP = """\
set -e
ip addr del {address}/24 dev vec0
agent server stop
umount /mnt/data
umount /mnt/state
agent disks stop
"""

LOCKER = """\
exec python3 -c '
import fcntl, os, time
file = open("/mnt/n/locked", "r+")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.write(3, (os.environ["job"] + " say locked\\n").encode())
while not os.path.exists("/tmp/unlock"):
    time.sleep(0.1)
fcntl.lockf(file, fcntl.LOCK_UN)'
"""
TRY_LOCK = """python3 -c '
import fcntl
fcntl.lockf(open("/mnt/n/locked", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)'"""


class Node:
    """A guest that can serve."""

    def __init__(self, lab, guest, name):
        self.guest, self.name = guest, name
        where = f"{guest.directory}/bin"
        os.mkdir(where)
        for program in ("sealnfsd", "sealctl", "fence_sealnfs"):
            shutil.copy(f"{lab.build}/bin/{program}", where)
        for agent in ("disks", "server"):
            shutil.copy(f"{HERE}/../../config/ha/{agent}", f"{where}/ocf-{agent}")
        with open(f"{where}/announce", "w") as f:
            f.write(ANNOUNCE)
        with open(f"{guest.directory}/sealnfs.conf", "w") as f:
            f.write(CONFIG.format(node=name))

    def script(self, text):
        return FUNCTIONS + text

    def begin(self):
        """All of a node's resources, in a job."""
        return self.guest.start(self.script(START.format(address=ADDRESS)))

    def up(self):
        try:
            self.begin().finish()
        except Exception as error:
            raise RuntimeError(f"{error}\n{self.log()}") from error
        return self

    def down(self):
        self.guest.run(self.script(STOP.format(address=ADDRESS)))

    def agent(self, which, action):
        """Its exit status and what it said."""
        job = self.guest.start(self.script(f"agent {which} {action} 2>&1"))
        return job.wait(), job.output()

    def fence(self, action, node="", **more):
        """fence_sealnfs as Pacemaker calls it, with options on stdin."""
        lines = {"action": action, "plug": node, "nodename": node, "devices": DISKS,
                 "config": "/mnt/lab/sealnfs.conf", **more}
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        job = self.guest.start(f"/mnt/lab/bin/fence_sealnfs <<'END' 2>&1\n{text}END")
        return job.wait(), job.output()

    def ctl(self, *arguments):
        return self.guest.run(f"/mnt/lab/bin/sealctl -s /run/control {' '.join(arguments)}")

    def log(self):
        return self.guest.run(f"cat {LOG} 2> /dev/null; true")

    def ends(self, text, timeout=60):
        """Its server is gone, and had said so."""
        self.guest.run(f"for i in $(seq {timeout * 10}); do "
                       f"grep -q '{text}' {LOG} && ! pidof sealnfsd > /dev/null && exit; "
                       f"sleep 0.1; done; cat {LOG}; exit 1", timeout=timeout + 30)


class Pair:
    """A stage's lab: nodes a and b, and clients."""

    def __init__(self, lab, clients=2, node=Node, names="ab", **machine):
        self.lab = lab
        self.san = San(lab, disks=2, size=512 * MIB)
        for disk in range(2):
            self.san.make_fs("xfs", disk)
        guests = [lab.guest(images=[], role=SERVER, **machine) for _ in range(2)]
        self.clients = [lab.guest(images=[], role=CLIENT) for _ in range(clients)]
        self.san.up([*guests, *self.clients])
        self.san.log_in(*guests, *self.clients)
        self.a, self.b = [node(lab, guest, name) for guest, name in zip(guests, names)]

    def mount(self):
        for job in [guest.start(f"mkdir -p /mnt/n; mount -t nfs4 -o vers=4.1 {ADDRESS}:/data "
                                f"/mnt/n") for guest in self.clients]:
            job.finish()


class Writer:
    """tests/lab/steady-writer: what it was told is written must be there in the end."""

    BLOCKS = 1024

    def __init__(self, guest, name):
        self.guest, self.name = guest, name
        shutil.copy(f"{HERE}/steady-writer", guest.directory)
        self.job = guest.start(f"rm -f /tmp/stop-{name}; exec /mnt/lab/steady-writer "
                               f"/mnt/n/{name} {self.BLOCKS} /tmp/stop-{name}")
        self.job.expect("under-way")

    def end(self):
        """The last number that was acknowledged, and the longest wait for one, in seconds."""
        self.guest.run(f"touch /tmp/stop-{self.name}")
        self.job.finish(180)
        said = json.loads(self.job.output().splitlines()[-1])
        self.last, self.longest = said["last"], said["longest"]
        return self

    def lost(self, node):
        """Blocks of the file, as they are on the disk, that are not what was acknowledged."""
        text = node.guest.run(f"""python3 -c '
import mmap, os
file = os.open("/mnt/data/{self.name}", os.O_RDONLY | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
for block in range({self.BLOCKS}):
    os.preadv(file, [page], block * 4096)
    print(page[:12].decode(), page[4084:].decode())'""")
        wrong = []
        for block, line in enumerate(text.splitlines()):
            wanted = f"{self.last - (self.last - block) % self.BLOCKS:012}"
            if line.split() != [wanted, wanted]:
                wrong.append((block, line, wanted))
        return wrong


class Work:
    """What goes on meanwhile: a client writes to a sealed file directly and to a plain one through
    the server, and holds a lock that the other one wants."""

    def __init__(self, scene, sealed="sealed"):
        self.scene, (one, self.two) = scene, scene.clients
        self.one = one
        for name in (sealed, "plain", "locked"):
            scene.a.guest.run(f"dd if=/dev/zero of=/mnt/data/{name} bs=4096 "
                              f"count={Writer.BLOCKS} conv=fsync status=none")
        scene.a.ctl("seal", "--pinned", f"/mnt/data/{sealed}")
        before = one.counters()
        self.sealed = Writer(one, sealed)
        counters = one.counters() - before
        equal((counters.pnfs, counters["WRITE"]), ("LAYOUT_SCSI", 0), "it writes directly")
        self.plain = Writer(one, "plain")
        self.lock = one.start(f"rm -f /tmp/unlock\n{LOCKER}")
        self.lock.expect("locked")

    def check(self, node):
        """After node has taken over."""
        self.two.fails(TRY_LOCK)  # and so it answers, and grace is over
        self.sealed.end()
        self.plain.end()
        equal(self.sealed.lost(node), [], "acknowledged writes that are not in the sealed file")
        equal(self.plain.lost(node), [], "and in the plain one")
        self.two.fails(TRY_LOCK)
        self.one.run("touch /tmp/unlock")
        self.lock.finish()
        self.two.run(TRY_LOCK)


def direct_again(scene, node, guest):
    """A file sealed by the node that has taken over is written to directly."""
    node.guest.run("dd if=/dev/zero of=/mnt/data/later bs=1M count=4 conv=fsync status=none")
    node.ctl("seal", "--pinned", "/mnt/data/later")
    before = guest.counters()
    digest = guest.write("/mnt/n/later", 4)
    counters = guest.counters() - before
    equal((counters.pnfs, counters["WRITE"]), ("LAYOUT_SCSI", 0),
          f"direct under node {node.name}: {counters.show()}")
    equal(node.guest.run("dd if=/mnt/data/later bs=1M iflag=direct status=none | sha256sum"
                         ).split()[0], digest, "what is on the disk")
    node.ctl("unseal", "--wait", "/mnt/data/later")
