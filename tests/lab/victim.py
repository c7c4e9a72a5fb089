"""Another file in the blocks of one that was released: what its last writer still writes there is
counted as foreign bytes.

`scene`: what has `host`, the guest that runs the server, and `file()`, its path of a file (san.py).
"""
from registry import equal, holds


def extents(scene, name):
    """The blocks of a file, by FIEMAP."""
    found = set()
    for line in scene.host.run(f"filefrag -v -b4096 {scene.file(name)}").splitlines():
        parts = line.replace("..", " ").replace(":", " ").split()
        if parts and parts[0].isdigit() and len(parts) >= 6:
            found |= set(range(int(parts[3]), int(parts[4]) + 1))
    return found


def remove(scene, *names):
    """Their blocks are free at once, whoever has the files open."""
    for name in names:
        scene.host.run(f"truncate -s 0 {scene.file(name)}; rm {scene.file(name)}; sync")


class Victim:
    """Takes the blocks of `name`, which must be released. It is made of the letter v, which no
    writer here writes."""

    def __init__(self, scene, name):
        self.scene, self.of, self.name = scene, name, f"{name}-victim"
        released = extents(scene, name)
        size = len(released) * 4096
        scene.host.run(f"truncate -s 0 {scene.file(name)}; sync\nset -o pipefail\n"
                       f"head -c {size} /dev/zero | tr '\\0' v | "
                       f"dd of={scene.file(self.name)} bs=1M iflag=fullblock conv=fsync "
                       f"status=none")
        self.shared = len(released & extents(scene, self.name))
        holds(self.shared > len(released) // 2,
              f"the victim has {self.shared} of the {len(released)} blocks that were released")

    def foreign(self):
        """How many bytes on the disk are not its own."""
        return int(self.scene.host.run(f"dd if={self.scene.file(self.name)} bs=1M iflag=direct "
                                       f"status=none | tr -d v | wc -c"))

    def expect_untouched(self):
        """And remove both files."""
        foreign = self.foreign()
        print(f"{foreign} foreign bytes in {self.name}, "
              f"{self.shared * 4096} bytes of it in the blocks of {self.of}")
        equal(foreign, 0, f"foreign bytes in {self.name}")
        remove(self.scene, self.of, self.name)
