#!/usr/bin/python3
"""check_pitfalls.py TOP: every test that docs/pitfalls.md names exists, and every line of its table names one."""
import os
import re
import sys

top = sys.argv[1]
numbers, wrong = [], []


def text_of(path):
    try:
        with open(path) as f:
            return f.read()
    except FileNotFoundError:
        return ""


def exists(module, name):
    """The test is there and is run: in the list of its file's unit tests, or registered with the lab."""
    if module == "broken":
        return os.path.exists(f"{top}/tests/sim/broken/{name}")
    unit, lab = text_of(f"{top}/tests/unit/test_{module}.c"), text_of(f"{top}/tests/lab/test_{module}.py")
    listed = re.search(rf"^static void\s+{name}\(", unit, flags=re.M) and len(re.findall(rf"\b{name}\b", unit)) > 1
    return bool(listed or re.search(rf"^@test\(.*\)\ndef {name}\(", lab, flags=re.M))


with open(f"{top}/docs/pitfalls.md") as f:
    for line in f:
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not cells[0].isdigit():
            continue
        numbers.append(int(cells[0]))
        tests = [(module, name) for module, names in re.findall(r"(\w+): ((?:`[\w-]+`(?:, )?)+)", cells[-1]) for name in re.findall(r"`([\w-]+)`", names)]
        wrong += [] if tests else [f"{cells[0]}: names no test"]
        wrong += [f"{cells[0]}: there is no {module}: {name}" for module, name in tests if not exists(module, name)]
if numbers != list(range(1, len(numbers) + 1)) or not numbers:
    wrong.append(f"the numbers are {numbers}")
print("\n".join(wrong))
sys.exit(bool(wrong))
