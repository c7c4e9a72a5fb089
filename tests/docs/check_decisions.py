#!/usr/bin/python3
"""check_decisions.py TOP: each section of docs/decisions.md is a decision, and the table of
contents names them all.

A decision has a date, a question, an answer and what was rejected, in this order, each once and not
empty, and at most 15 lines.
"""
import re
import sys

PARTS, LINES = ["Date", "Question", "Answer", "Rejected"], 15


def anchor(title):
    """The name of a heading in a link, as the usual renderers of markdown make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def faults(title, lines):
    """What is wrong with the section of that title."""
    filled = [line for line in lines if line.strip()]
    parts = re.findall(r"^- \*\*(\w+):\*\* +\S", "\n".join(filled), flags=re.M)
    if parts != PARTS:
        yield f"{title}: its parts are {', '.join(parts) or 'none'}, not {', '.join(PARTS)}"
    elif not re.fullmatch(r"- \*\*Date:\*\* 20\d\d-[01]\d-[0-3]\d", filled[0]):
        yield f"{title}: its date is not YYYY-MM-DD"
    if any(not line.startswith(("- **", "  ")) for line in filled):
        yield f"{title}: has text outside its parts"
    if len(filled) > LINES:
        yield f"{title}: has {len(filled)} lines, more than {LINES}"


def main():
    with open(f"{sys.argv[1]}/docs/decisions.md", encoding="utf-8") as stream:
        contents, *subjects = re.split(r"^## (?=.)", stream.read(), flags=re.M)
    wrong, expected = [], []
    for subject in subjects:
        head, *sections = re.split(r"^### ", subject, flags=re.M)
        expected.append(f"**{head.strip()}**")
        for section in sections:
            title, *lines = section.split("\n")
            wrong += faults(title, lines)
            expected.append(f"- [{title}](#{anchor(title)})")
    listed = re.findall(r"^(?:- \[.*\]\(#.*\)|\*\*.*\*\*)$", contents, flags=re.M)
    wrong += [f"the table of contents lacks {line}" for line in expected if line not in listed]
    wrong += [f"the table of contents has {line}, and there is no such section"
              for line in listed if line not in expected]
    if not wrong and listed != expected:
        wrong.append("the table of contents has another order than the sections")
    print("\n".join(wrong) if wrong else f"{len(expected) - len(subjects)} decisions")
    return 1 if wrong or not expected else 0


if __name__ == "__main__":
    sys.exit(main())
