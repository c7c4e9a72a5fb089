#!/usr/bin/python3
"""check_pitfalls.py TOP: every test that docs/pitfalls.md names exists, and every row of its
table names one.

Rows below "Not shown yet" may name none. Each number up to the last is in one of the two,
once, in order.
"""
import os
import re
import sys

top = sys.argv[1]
wrong = []


def text_of(module, folder, ending):
    """The module's tests, in whichever room."""
    for path, _, names in os.walk(f"{top}/tests/{folder}"):
        if f"test_{module}.{ending}" in names:
            with open(f"{path}/test_{module}.{ending}", encoding="utf-8") as stream:
                return stream.read()
    return ""


def exists(module, name):
    """The test is there and is run: in the list of its file's unit tests, or registered
    with the lab."""
    if module == "broken":
        return os.path.exists(f"{top}/tests/sim/broken/{name}")
    unit, lab = text_of(module, "unit", "c"), text_of(module, "lab", "py")
    listed = (re.search(rf"^static void\s+{name}\(", unit, flags=re.M)
              and len(re.findall(rf"\b{name}\b", unit)) > 1)
    return bool(listed or re.search(rf"^@test\([^@]*\)\ndef {name}\(", lab, flags=re.M))


def check_rows(text, must_name):
    """The numbers of the rows; what is wrong with their last cells goes to `wrong`."""
    numbers = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.sub(r"^\||\|$", "", line.strip()).split("|")]
        if not cells[0].isdigit():
            continue
        numbers.append(int(cells[0]))
        tests = [(module, name)
                 for module, names in re.findall(r"(\w+): ((?:`[\w-]+`(?:, )?)+)", cells[-1])
                 for name in re.findall(r"`([\w-]+)`", names)]
        if not tests and (must_name or cells[-1]):
            wrong.append(f"{cells[0]}: names no test")
        wrong.extend(f"{cells[0]}: there is no {module}: {name}"
                     for module, name in tests if not exists(module, name))
    if numbers != sorted(numbers):
        wrong.append(f"the numbers are {numbers}")
    return numbers


def main():
    with open(f"{top}/docs/pitfalls.md", encoding="utf-8") as stream:
        shown, _, not_yet = stream.read().partition("\n## Not shown yet\n")
    numbers = sorted(check_rows(shown, True) + check_rows(not_yet, False))
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        wrong.append(f"all numbers are {numbers}")
    print("\n".join(wrong) if wrong else f"{len(numbers)} pitfalls")
    return bool(wrong)


sys.exit(main())
