#!/usr/bin/python3
"""check_conformance.py TOP: docs/conformance.md has every requirement of RFC 8881 once, in order,
each with tests that exist or a reason that the page explains.

How many requirements each section has, as they were counted in the RFC's text, is in
conformance_counts.txt beside this file.
"""
import re
import sys

from named_tests import exists, named_in

top = sys.argv[1]
wrong = []


def read(path):
    with open(f"{top}/{path}", encoding="utf-8") as stream:
        return stream.read()


def rows_of(text):
    """(section, ordinal, what it says, the answer) of each row of a requirement; what begins like
    one and has another form goes to `wrong`."""
    for line in text.splitlines():
        if not re.match(r"\| *\d", line):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        number = re.fullmatch(r"([\d.]+) #(\d+)", cells[0])
        if number and len(cells) == 3:
            yield number[1], int(number[2]), cells[1], cells[2]
        else:
            wrong.append(f"is no row of a requirement: {line}")


def check_answer(where, answer, reasons, decisions):
    """Tests that exist, or a reason; a decision in double quotes is one of decisions.md."""
    tests = named_in(answer)
    given = re.findall(r"\*([\w ]+)\*", answer)
    if not tests and not given:
        wrong.append(f"{where}: names neither test nor reason")
    wrong.extend(f"{where}: there is no {module}: {name}"
                 for module, name in tests if not exists(top, module, name))
    wrong.extend(f"{where}: the page does not explain the reason {reason}"
                 for reason in given if reason not in reasons)
    wrong.extend(f"{where}: decisions.md has no section {title}"
                 for title in re.findall(r'"([^"]+)"', answer) if title not in decisions)
    if re.search(r"\*deviates\*(?!: \S)", answer):
        wrong.append(f"{where}: does not say why it deviates")


def main():
    page = read("docs/conformance.md")
    legend = re.findall(r"^\| (\*[^|]*\*) \| \S", page, flags=re.M)
    reasons = [word for cell in legend for word in re.findall(r"\*([\w ]+)\*", cell)]
    decisions = re.findall(r"^### (.*)", read("docs/decisions.md"), flags=re.M)
    counts = [line.split() for line in read("tests/docs/conformance_counts.txt").splitlines()]
    expected = [(section, ordinal) for section, count in counts
                for ordinal in range(1, int(count) + 1)]
    rows = list(rows_of(page))
    found = [row[:2] for row in rows]
    wrong.extend(f"{section} #{ordinal} is missing"
                 for section, ordinal in expected if (section, ordinal) not in found)
    wrong.extend(f"{section} #{ordinal}: there is no such requirement"
                 for section, ordinal in found if (section, ordinal) not in expected)
    if not wrong and found != expected:
        wrong.append("the rows are in another order than the requirements, or one is there twice")
    for section, ordinal, says, answer in rows:
        where = f"{section} #{ordinal}"
        if not re.search(r"MUST|REQUIRED|SHALL", says):
            wrong.append(f"{where}: quotes no requirement")
        check_answer(where, answer, reasons, decisions)
    print("\n".join(wrong) if wrong else f"{len(rows)} requirements")
    return bool(wrong) or not expected


if __name__ == "__main__":
    sys.exit(main())
