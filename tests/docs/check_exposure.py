#!/usr/bin/python3
"""check_exposure.py UNIT PAGE - what systemd-analyze makes of the unit's sandbox is not worse than
the figure that the page states: "exposure 3.8"."""
import json
import re
import subprocess
import sys


def main():
    unit, page = sys.argv[1:]
    with open(page, encoding="utf-8") as stream:
        stated = re.search(r"exposure\s+(\d+\.\d)\b", stream.read())
    if not stated:
        print(f"{page} does not state the unit's exposure")
        return 1
    # The threshold is in tenths; the status says whether the figure is over it.
    threshold = int(stated.group(1).replace(".", ""))
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           "--json=short", f"--threshold={threshold}", unit],
                          capture_output=True, text=True)
    if done.returncode == 0:
        print(f"the unit's exposure is not over {stated.group(1)}")
        return 0
    print(f"the unit's exposure is over {stated.group(1)}, or could not be had; what adds to it:")
    try:
        for each in json.loads(done.stdout):
            if each.get("exposure"):
                print(f"  {each['exposure']} {each.get('json_field', '')} {each.get('name', '')}")
    except ValueError:
        print(done.stdout + done.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
