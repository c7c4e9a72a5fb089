#!/usr/bin/python3
"""check_man.py PROGRAM=PAGE... - page and --help name the same long options, and are well formed.

The page formats without a warning, and the help keeps to 80 columns.
"""
import re
import subprocess
import sys


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))


def check(program, page):
    usage = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    with open(page, encoding="utf-8") as stream:
        source = stream.read().replace("\\-", "-")
    wrong = [f"{program} --help: past 80 columns: {line}"
             for line in usage.splitlines() if len(line) > 80]
    in_help, in_page = options_in(usage), options_in(source)
    for option in sorted(in_help - in_page):
        wrong.append(f"{page}: lacks {option}, which {program} --help names")
    for option in sorted(in_page - in_help):
        wrong.append(f"{page}: describes {option}, which {program} --help does not name")
    formatted = subprocess.run(["groff", "-man", "-mdoc" if ".Dd" in source else "-man", "-Tutf8",
                                "-ww", "-z", page], capture_output=True, text=True)
    if formatted.stderr.strip():
        wrong.append(f"{page}: {formatted.stderr.strip()}")
    return wrong


def main():
    wrong = [line for pair in sys.argv[1:] for line in check(*pair.split("=", 1))]
    print("\n".join(wrong) if wrong
          else f"{len(sys.argv) - 1} manual pages agree with their programs")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
