#!/usr/bin/python3
"""check_pitfalls.py TOP: every test that docs/pitfalls.md names exists, and every line of its table names one."""
import os
import re
import sys

top = sys.argv[1]
numbers, wrong = [], []


def exists(module, name):
    if module == "broken":
        return os.path.exists(f"{top}/tests/sim/broken/{name}")
    for path, pattern in ((f"{top}/tests/unit/test_{module}.c", rf"^static void {name}\("), (f"{top}/tests/lab/test_{module}.py", rf"^def {name}\(")):
        if os.path.exists(path):
            with open(path) as f:
                if re.search(pattern, f.read(), flags=re.M):
                    return True
    return False


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
