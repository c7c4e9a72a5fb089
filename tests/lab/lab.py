"""The block lab: a private network, shared disks, a server on this machine and guests beside it.

A lab lives in network, mount and process namespaces of its own (see `run`): when its process ends,
for whatever reason, the guests, the server, the mounts, the loop devices and the network are gone.
"""
import os
import subprocess

from disk import Disk, Unavailable
from guest import Guest, Kernel, MODULES
from server import Server

HERE = os.path.dirname(os.path.abspath(__file__))


class Lab:
    """`turn` is the batch's number in the run: those that run at the same time begin on different
    processors. `long`: every repetition is wanted. `kernel`: where the clients' kernel is, if it is
    not Debian 12's (newer-kernel)."""

    def __init__(self, directory, build, turn=0, long=False, kernel=None):
        self.directory, self.build, self.turn, self.long = directory, build, turn, long
        self.guests, self.disks, self.servers = [], [], []
        self.kernels = {"usual": Kernel(), **({"newer": Kernel.newer(kernel)} if kernel else {})}
        self.storage = False  # a second network, for iSCSI
        self.memory, self.shim = f"{directory}/memory", f"{directory}/xshim.so"
        self._network()

    def times(self, short, full):
        """How often to repeat something: `short` in a run of every day, `full` in a long one."""
        return full if self.long else short

    def _network(self):
        _ip("link set lo up")
        _ip("link add br0 type bridge forward_delay 0 stp_state 0")
        _ip("addr add 10.99.0.1/24 dev br0")
        _ip("link set br0 up")

    def disk(self, name="disk", **options):
        """A new shared disk; options as for Disk."""
        self.disks.append(Disk(self.directory, name, **options))
        return self.disks[-1]

    def server(self, *disks, **options):
        """Start sealnfsd over the disks and wait until it says it is ready; options
        as for Server."""
        self.servers.append(Server(self.directory, self.build, disks or self.disks, **options))
        return self.servers[-1].start()

    def guest(self, *disks, **options):
        """Begin to boot a guest that sees the disks (all of them by default) as ubda, ubdb, ..."""
        _need("/dev/net/tun", "give this machine or container the tun device")
        _need(MODULES, "install user-mode-linux")
        if not self.guests:
            os.mkdir(self.memory)
            subprocess.run(["mount", "-t", "tmpfs", "memory", self.memory], check=True)
            subprocess.run(["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", self.shim,
                            f"{HERE}/xshim.c"], check=True)
        number = len(self.guests) + 1
        _ip(f"tuntap add dev tap{number} mode tap")
        _ip(f"link set tap{number} master br0 up")
        cpus = sorted(os.sched_getaffinity(0))
        storage = {}
        if self.storage:
            _ip(f"tuntap add dev stor{number} mode tap")
            _ip(f"link set stor{number} master br1 up")
            storage = {"storage_tap": f"stor{number}", "storage_ip": f"10.98.0.{10 + number}"}
        machine = {"name": f"guest{number}", "ip": f"10.99.0.{10 + number}", "tap": f"tap{number}",
                   "images": [disk.image for disk in disks or self.disks],
                   "memory_dir": self.memory, "shim": self.shim, "kernels": self.kernels, **storage,
                   "cpu": cpus[(self.turn + number) % len(cpus)], **options}
        self.guests.append(Guest(f"{self.directory}/guest{number}", machine))
        return self.guests[-1]

    def storage_network(self):
        """From now on guests have a second network, 10.98.0.0/24; what they name the disks
        by goes there."""
        _ip("link add br1 type bridge forward_delay 0 stp_state 0")
        _ip("link set br1 up")
        self.storage = True

    def reboot(self, guest):
        """The same machine after a power failure: begin to boot a guest of the same
        name and address."""
        guest.kill()
        self.guests.append(Guest(f"{guest.directory}+", guest.machine))
        return self.guests[-1]

    def clients(self, count, mount="/data", **options):
        """`count` guests, booted side by side, each with `mount` of the server on /mnt/n."""
        guests = [self.guest(**options) for _ in range(count)]
        for guest in guests:
            guest.ready().mount(mount)
        return guests

    def tails(self):
        """The ends of everybody's logs, for a failure report."""
        for server in self.servers:
            yield "sealnfsd's log", server.log_tail()
            yield "the trace", "\n".join(map(str, server.trace()[-30:]))
        for guest in self.guests:
            yield f"{guest.name}'s console", guest.console_tail()

    def close(self):
        for server in self.servers:
            server.remember()
        for guest in self.guests:
            guest.kill()
        for server in self.servers:
            server.close()
        for disk in self.disks:
            disk.close()


def _ip(arguments):
    subprocess.run(["ip", *arguments.split()], check=True)


def _need(path, remedy):
    if not os.path.exists(path):
        raise Unavailable(f"{path} is missing: {remedy}")
