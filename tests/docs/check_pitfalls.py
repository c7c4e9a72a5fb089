#!/usr/bin/python3
"""check_pitfalls.py TOP: every test that docs/pitfalls.md names exists, and every row of its
table names one.

Rows below "Not shown yet" may name none. Each number up to the last is in one of the two,
once, in order.
"""
import re
import sys

from named_tests import exists, named_in

top = sys.argv[1]
wrong = []


def check_rows(text, must_name):
    """The numbers of the rows; what is wrong with their last cells goes to `wrong`."""
    numbers = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.sub(r"^\||\|$", "", line.strip()).split("|")]
        if not cells[0].isdigit():
            continue
        numbers.append(int(cells[0]))
        tests = named_in(cells[-1])
        if not tests and (must_name or cells[-1]):
            wrong.append(f"{cells[0]}: names no test")
        wrong.extend(f"{cells[0]}: there is no {module}: {name}"
                     for module, name in tests if not exists(top, module, name))
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
