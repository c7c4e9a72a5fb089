#!/usr/bin/python3
"""check_rooms.py TOP - includes go down only, by the list in rooms.txt, and no room has more
   than 40 files.
   check_rooms.py --circle BUILD_DIR - the largest circle of calls between files of server/, by
   the built objects.

What is not so yet stands in rooms_known.txt, each line with its reason; a line that no longer
holds fails too.
"""
import glob
import os
import re
import subprocess
import sys
from collections import defaultdict

HERE = os.path.dirname(os.path.abspath(__file__))
FILES_MAX = 40


def lines_of(path):
    with open(path) as f:
        return [line.strip() for line in f if line.strip() and not line.startswith("#")]


def read_rooms(path):
    """{room: what it may include beside itself}"""
    rows = []
    for line in lines_of(path):
        names, _, allowed = line.partition(":")
        rows.append((names.split(), allowed.split()))
    below = [[room for names, _ in rows[at + 1:] for room in names] for at in range(len(rows))]
    return {room: below[at] if allowed == ["below"] else allowed
            for at, (names, allowed) in enumerate(rows) for room in names}


def read_known(path):
    """{(file or room, what is wrong with it)}; the rest of a line is its reason, and every
    line has one."""
    known = set()
    for line in lines_of(path):
        words = line.split(maxsplit=2)
        if len(words) < 3:
            sys.exit(f"{path}: no reason in \"{line}\"")
        known.add((words[0], words[1]))
    return known


def room_of(path, rooms):
    return path if path in rooms else os.path.dirname(path)


def check_includes(top, path, rooms):
    """(what a file includes and may not, the line to print)"""
    room = room_of(path, rooms)
    with open(f"{top}/{path}") as f:
        for number, line in enumerate(f, 1):
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not match or not os.path.exists(f"{top}/{match[1]}"):
                continue
            target = room_of(match[1], rooms)
            if target != room and target not in rooms[room] and match[1] not in rooms[room]:
                yield match[1], f"{path}:{number}: {room} may not include {match[1]}"


def check_tree(top):
    rooms = read_rooms(f"{HERE}/rooms.txt")
    known = read_known(f"{HERE}/rooms_known.txt")
    folders = {room.split("/")[0] for room in rooms}
    files = sorted(os.path.relpath(path, top) for folder in folders
                   for path in glob.glob(f"{top}/{folder}/**/*.[ch]", recursive=True))
    counts, wrong, seen = defaultdict(int), [], set()
    for path in files:
        room = room_of(path, rooms)
        counts[room] += 1
        if room not in rooms:
            wrong.append(f"{path}:1: stands in no room; add {room} to tests/docs/rooms.txt")
            continue
        for target, text in check_includes(top, path, rooms):
            seen.add((path, target))
            wrong += [] if (path, target) in known else [text]
    for room in rooms:
        print(f"{room:20} {counts[room]:3} files")
        if counts[room] > FILES_MAX:
            seen.add((room, "files"))
            wrong += [] if (room, "files") in known else [f"{room}: {counts[room]} files, "
                                                          f"more than {FILES_MAX}"]
        if counts[room] == 0:
            wrong.append(f"{room}: no such room; take it out of tests/docs/rooms.txt")
    wrong += [f"tests/docs/rooms_known.txt: no longer so, take it out: {a} {b}"
              for a, b in sorted(known - seen)]
    print("\n".join(wrong))
    return bool(wrong)


def calls_between_objects(folder):
    """{file: files that define functions it names}"""
    defined, wanted = {}, defaultdict(set)
    for path in glob.glob(f"{folder}/**/*.o", recursive=True):
        source = os.path.relpath(path, folder)[:-2]
        for line in subprocess.run(["nm", path], capture_output=True, text=True,
                                   check=True).stdout.splitlines():
            kind, name = line.split()[-2:]
            if kind == "T":
                defined[name] = source
            elif kind == "U":
                wanted[source].add(name)
    if not defined:
        sys.exit(f"no objects in {folder}: build sealserver first")
    return {source: {defined[name] for name in names & defined.keys()}
            for source, names in wanted.items()}


def reachable(graph, start):
    found, left = set(), [start]
    while left:
        for target in graph.get(left.pop(), ()):
            if target not in found:
                found.add(target)
                left.append(target)
    return found


def print_circles(build):
    graph = calls_between_objects(f"{build}/server/CMakeFiles/sealserver.dir")
    paths = {source: reachable(graph, source) for source in graph}
    circles = {frozenset(other for other in paths[source] if source in paths.get(other, ()))
               for source in graph if source in paths[source]}
    for circle in sorted(circles, key=len, reverse=True):
        print(f"{len(circle)} files: {' '.join(sorted(circle))}")
    print(f"largest circle of calls: {max(map(len, circles), default=0)} files")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--circle":
        print_circles(sys.argv[2])
    elif len(sys.argv) == 2:
        sys.exit(check_tree(sys.argv[1]))
    else:
        sys.exit(__doc__)
