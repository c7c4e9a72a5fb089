#!/usr/bin/python3
"""check_operating.py TOP: docs/operating.md has all that an operator may meet.

Each alarm of config/sealnfs-rules.yml; each command of sealctl, typed at least once; each state of
a seal that needs somebody, by a heading. Blocks of what is typed are marked as tests/package types
them, and what is left to the lab names one of its tests.
"""
import os
import re
import sys


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as stream:
        return stream.read()


def alarms(top, page):
    names = re.findall(r"- alert: (\w+)", read(top, "config/sealnfs-rules.yml"))
    return [f"alarm {name} is not there" for name in names if f"| `{name}` |" not in page]


def commands(top, page):
    """Of the table in main.c: {"seal", NEEDS_FILE, ..."""
    names = re.findall(r'^    \{"([a-z-]+)", [A-Z]+_[A-Z]+,', read(top, "tools/sealctl/main.c"),
                       re.MULTILINE)
    typed = read(top, "docs/failover.md") + page
    left_out = {"help"}
    if len(names) < 15:
        return ["the commands of sealctl are not found in tools/sealctl/main.c"]
    return [f"sealctl {name} is typed nowhere" for name in names
            if f"sealctl {name}" not in typed and name not in left_out]


def states(page):
    return [f"there is no heading for {word}" for word in ("STUCK", "BROKEN", "In doubt")
            if not re.search(rf"^### {word}$", page, re.MULTILINE)]


def marks(top, page):
    wrong = []
    for mark in re.findall(r"^ *```(\S.*)$", page, re.MULTILINE):
        lab = re.fullmatch(r"console lab (\w+)\.(\w+)", mark)
        if lab:
            path = f"tests/lab/test_{lab[1]}.py"
            if not os.path.exists(os.path.join(top, path)):
                wrong.append(f"there is no {path}")
            elif not re.search(rf"^def {lab[2]}\(", read(top, path), re.MULTILINE):
                wrong.append(f"{path} has no test {lab[2]}")
        elif not re.fullmatch(r"console tried|conf /\S+|(example) \w+", mark):
            wrong.append(f"a block is marked \"{mark}\": console tried, console lab GROUP.TEST, "
                         "conf FILE, or not at all")
    return wrong


def links(page):
    """Within the page."""
    heads = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-")
             for head in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    return [f"there is no heading #{name}" for name in re.findall(r"\]\(#([^)]*)\)", page)
            if name not in heads]


def main():
    top = sys.argv[1]
    page, security = read(top, "docs/operating.md"), read(top, "docs/security.md")
    wrong = [*alarms(top, page), *commands(top, page), *states(page), *links(page),
             *marks(top, page), *marks(top, security)]
    print("\n".join(wrong) if wrong else "operating.md has all of it")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
