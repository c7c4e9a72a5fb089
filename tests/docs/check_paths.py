#!/usr/bin/python3
"""check_paths.py TOP: the files and folders of this tree that the markdown pages name are there.

A path begins with a top folder; * stands for any part of a name, MODULE and ROOM for a name of
the reader's choice.
"""
import glob
import os
import re
import sys

TOPS = "client|config|docs|layout|proto|rdma|server|tests|tools"
PATH = re.compile(rf"(?<![\w/.-])(?:{TOPS})/[\w./*-]*")


def pages(top):
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if name[0] != "."
                    and not (folder == top and name.startswith("build"))]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".md"))


def main():
    top, wrong, looked = sys.argv[1], [], 0
    for page in sorted(pages(top)):
        with open(page, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                for path in PATH.findall(line):
                    looked += 1
                    pattern = re.sub("MODULE|ROOM", "*", path.rstrip("."))
                    if not glob.glob(os.path.join(glob.escape(top), pattern.replace("/*/", "/**/")),
                                     recursive=True):
                        wrong.append(f"{os.path.relpath(page, top)}:{number}: there is no {path}")
    print("\n".join(wrong) if wrong else f"{looked} paths are there")
    return 1 if wrong or not looked else 0


if __name__ == "__main__":
    sys.exit(main())
