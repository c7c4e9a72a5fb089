#!/usr/bin/python3
"""check_picture.py TOP: the picture of the rooms in docs/how-it-works.md is that of the tree.

It names each folder with sources once, in the order of tests/docs/rooms.txt, with the number of
its source files.
"""
import os
import re
import sys

import check_rooms

TOPS = ["client", "layout", "proto", "rdma", "server", "tools"]


def rooms_of_tree(top):
    """Folder -> its number of sources, for each that has any."""
    rooms = {}
    for name in TOPS:
        for folder, _, files in os.walk(f"{top}/{name}"):
            count = sum(file.endswith((".c", ".h")) for file in files)
            if count:
                rooms[os.path.relpath(folder, top)] = count
    return rooms


def rooms_of_picture(top):
    """The same as the page draws it, in its order."""
    with open(f"{top}/docs/how-it-works.md", encoding="utf-8") as stream:
        section = re.search(r"^## The rooms\n(.*?)^## ", stream.read(), flags=re.M | re.S)
    rows = re.findall(r"^ [|v]  (\S+)/ +(\d+)  \S", section.group(1) if section else "", flags=re.M)
    return [(room, int(count)) for room, count in rows]


def order_of_rooms(top):
    return list(check_rooms.read_rooms(f"{top}/tests/docs/rooms.txt"))


def main():
    top = sys.argv[1]
    tree, picture = rooms_of_tree(top), rooms_of_picture(top)
    drawn = [room for room, _ in picture]
    wrong = [f"{room}: has sources and is not in the picture"
             for room in sorted(tree) if room not in drawn]
    for room, count in picture:
        if count != tree.get(room):
            wrong.append(f"{room}: the picture says {count} files, "
                         f"the tree has {tree.get(room, 0)}")
    order = [room for room in order_of_rooms(top) if room in tree]
    if drawn != order:
        wrong.append(f"the picture's order is not that of tests/docs/rooms.txt:\n  {drawn}\n"
                     f"  {order}")
    print("\n".join(wrong) if wrong else f"{len(picture)} rooms are as drawn")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
