#!/usr/bin/python3
"""check_prose.py TOP: prose of markdown and man pages ends at column 80, code at column 100 (C,
python, shell; a script is known by its name or its first line).

Not prose: tables, fenced and indented code, a line that is one word or one link, roff requests and
what stands between .nf and .fi. Each line that is too long is named with its file and number.
"""
import os
import re
import sys

PROSE, CODE = 80, 100


def long_prose(lines):
    """Numbers of the lines of a markdown page that are too long."""
    fenced, before = None, ""
    for number, line in enumerate(lines, 1):
        fence = re.match(r"\s*(```+|~~~+)", line)
        if fence and (fenced is None or line.strip() == fenced):
            fenced = fence.group(1) if fenced is None else None
        elif fenced is None and not is_exempt(line, before) and len(line) > PROSE:
            yield number
        before = line


def is_exempt(line, before):
    """A row of a table; a word or link that cannot be broken; code, which is indented below
    an empty line."""
    alone = re.fullmatch(r"\s*([-*>]|\d+\.)?\s*(\S+|\[[^]]*\]\(\S*\))[.,;]?", line)
    indented = line.startswith("    ") and (not before.strip() or before.startswith("    "))
    return bool(line.lstrip().startswith("|") or alone or indented)


def long_roff(lines):
    """Numbers of the lines of a manual page that are too long."""
    verbatim = False
    for number, line in enumerate(lines, 1):
        if re.match(r"\.(nf|EX)\b", line):
            verbatim = True
        elif re.match(r"\.(fi|EE)\b", line):
            verbatim = False
        elif not verbatim and line[:1] not in (".", "'") and len(line) > PROSE:
            yield number


def long_code(lines):
    return (number for number, line in enumerate(lines, 1) if len(line.expandtabs(8)) > CODE)


KINDS = [(r"\.md$", long_prose, PROSE), (r"\.[1-8]$", long_roff, PROSE),
         (r"\.(c|h|py|sh)$|^#!.*\b(python3?|bash|sh)\b", long_code, CODE)]


def own_files(top):
    """Everything below TOP but what was built and what is hidden."""
    for folder, below, names in os.walk(top):
        below[:] = sorted(name for name in below if name[0] != "."
                          and not (folder == top and name.startswith("build")))
        yield from sorted(os.path.relpath(os.path.join(folder, name), top) for name in names)


def main():
    top, wrong, looked = sys.argv[1], [], 0
    for name in own_files(top):
        with open(f"{top}/{name}", encoding="utf-8", errors="replace") as stream:
            first = stream.readline()
            lines = [first.rstrip("\n"), *stream.read().split("\n")]
        for pattern, find_long, limit in KINDS:
            if not re.search(pattern, name) and not re.match(pattern, first):
                continue
            looked += 1
            wrong += [f"{name}:{number}: longer than {limit} columns"
                      for number in find_long(lines)]
    print("\n".join(wrong) if wrong else f"{looked} files keep to their columns")
    return 1 if wrong or looked < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
