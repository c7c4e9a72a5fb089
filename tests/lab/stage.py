"""A disk, a server and guests that the tests of a stage share, because a guest costs more
than most tests.

Each test has a directory of its own, which its clients mount anew: their counters begin at nothing,
and so do their layouts.
"""
from disk import Disk


class Directory:
    """A test's part of the disk; what tests want of a Disk."""

    def __init__(self, disk, name):
        self.fs, self.path, self.name = disk.fs, f"{disk.path}/{name}", name
        self.run(f"mkdir {self.path}; sync -f {disk.path}")

    def file(self, name):
        return f"{self.path}/{name}"

    run, write, sha256 = Disk.run, Disk.write, Disk.sha256


class Stage:
    """`clients`: how many guests there are; `plain`: how many more, that know no layouts. They boot
    side by side."""

    def __init__(self, lab, fs="xfs", clients=2, plain=0, disk=None, **options):
        self.lab, self.disk = lab, lab.disk(fs=fs, **(disk or {}))
        self.clients = [lab.guest() for _ in range(clients)]
        self.plain = [lab.guest() for _ in range(plain)]
        self.server = lab.server(**options)
        self.mounted = []
        for guest in self.plain:
            guest.without_layouts()

    def directory(self, name, clients=1, plain=0):
        """A test's own directory, and so many guests that have it on /mnt/n; the others
        have nothing mounted."""
        directory = Directory(self.disk, name)
        for guest in self.mounted:
            guest.umount()
        self.mounted = self.clients[:clients] + self.plain[:plain]
        for guest in self.mounted:
            guest.ready().mount(f"/data/{name}")
        return directory, self.mounted
