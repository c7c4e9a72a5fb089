"""Pulling the plug at a chosen effect: sealnfsd under cut.so (cut.c), which kills it before the
call whose turn it is."""
import mmap
import os
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class Plug:
    """`wrapper` is what to run the server under."""

    def __init__(self, directory):
        library, path = f"{directory}/cut.so", f"{directory}/cut-control"
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
                        library, f"{HERE}/cut.c"], check=True)
        with open(path, "wb") as f:
            f.truncate(4096)
        self.file = os.open(path, os.O_RDWR)
        self.page = mmap.mmap(self.file, 4096)
        self.wrapper = ("env", f"LD_PRELOAD={library}", f"CUT_CONTROL={path}")

    def arm(self, number, only=""):
        """Kill before the effect of this number, counted from now; 0: never. `only`: effects of
        this kind are counted."""
        struct.pack_into("=5Q64s64s", self.page, 0, number, 0, 0, 0, 0, b"", only.encode())

    def disarm(self):
        """Did its turn come before?"""
        left, = struct.unpack_from("=Q", self.page)
        struct.pack_into("=Q", self.page, 0, 0)
        return left == 0

    def read(self):
        """(effects so far, where and how much the journal wrote last, what it was killed
        at or None)"""
        _, calls, offset, length, killed, what = struct.unpack_from("=5Q64s", self.page)
        return calls, (offset, length), what.rstrip(b"\0").decode() if killed else None
