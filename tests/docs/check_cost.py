#!/usr/bin/python3
"""check_cost.py TOP: in sealnfs.conf(5), WHAT ONE PEER CAN COST, each row has a test.

Before a row of the table stand comments that name its tests: \\" test: FILE:FUNCTION.
"""
import glob
import re
import sys

from named_tests import exists


def rows_of(page):
    """The tests named before each row, and the row's cells."""
    table = re.search(r"^\.SH WHAT ONE PEER CAN COST$.*?^\.TS$\n(.*?)^\.TE$", page,
                      flags=re.M | re.S)
    tests, cells, row = [], [], ""
    for line in (table.group(1) if table else "").splitlines()[4:]:
        named = re.fullmatch(r'\.\\" test: (\S+):(\w+)', line)
        if named:
            tests.append(named.groups())
            continue
        row += line + "\n"
        if line == "T}":
            cells = re.findall(r"T\{\n(.*?)T\}", row, flags=re.S)
            yield tests, cells
            tests, row = [], ""


def main():
    top = sys.argv[1]
    with open(f"{top}/docs/man/sealnfs.conf.5", encoding="utf-8") as stream:
        rows = list(rows_of(stream.read()))
    wrong = [] if rows else ["the table of what one peer can cost is not there"]
    for tests, cells in rows:
        name = " ".join(cells[0].split())
        if len(cells) != 5 or not all(cells[i].strip() for i in (0, 3, 4)):
            wrong.append(f"{name}: resource, source and what happens are to be said")
        if not tests:
            wrong.append(f"{name}: has no test")
        for file, function in tests:
            found = glob.glob(f"{top}/tests/**/{file}", recursive=True)
            if len(found) != 1:
                wrong.append(f"{name}: there is no one {file}")
                continue
            if not exists(top, file[len("test_"):].rsplit(".", 1)[0], function):
                wrong.append(f"{name}: {file} has no test {function}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
