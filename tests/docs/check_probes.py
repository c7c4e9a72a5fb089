#!/usr/bin/python3
"""check_probes.py TOP SEALNFSD TEST_KEEPER TEST_COMPOUND: the daemon has the USDT probes that
docs/metrics.md names, with so many arguments, and they fire with what it says.

gdb stops at each probe of two unit tests, in one of which a holder that cannot be called is fenced
and its file released. Exit 77: what it takes is missing, or gdb may not trace.
"""
import re
import shutil
import sys
import subprocess

from check_gdb import run_gdb

FENCED = "holder_that_cannot_be_called_is_fenced_by_the_hook"
# What is seen there, in this order: the probe and its arguments.
SEEN = [r"recall (\d+) 0x[0-9a-f]+ [1-9]\d*", r"recall_answered \1 \d+ \d+", r"fence \1 \S*/\S+",
        r"fence_done \1 1", r"release 0x[0-9a-f]+ [1-9]\d*"]
FORMATS = {"recall": "%lu %p %d", "recall_answered": "%lu %d %d", "fence": "%lu %s",
           "fence_done": "%lu %d", "release": "%p %d", "operation": "%d %d %lu %lu"}
SEQUENCE = 53


def in_program(program):
    """name -> number of arguments."""
    notes = subprocess.run(["readelf", "-n", program], check=True, capture_output=True,
                           text=True).stdout
    return {name: len(arguments.split()) for name, arguments in re.findall(
        r"Provider: sealnfs\n +Name: (\w+)\n.*\n +Arguments: (.*)", notes)}


def in_page(top):
    with open(f"{top}/docs/metrics.md", encoding="utf-8") as page:
        rows = re.findall(r"^\| `sealnfs:(\w+)` \| ([^|]*) \|", page.read(), flags=re.M)
    return {name: len(arguments.split(",")) for name, arguments in rows}


def stop_at(probes):
    """Commands that print each probe's arguments and go on."""
    steps = []
    for name in probes:
        pattern = FORMATS[name]
        values = ", ".join(f"$_probe_arg{i}" for i in range(pattern.count("%")))
        steps += [f"python gdb.execute('break -probe-stap sealnfs:{name}')",
                  "python gdb.breakpoints()[-1].commands = "
                  f"'silent\\nprintf \"{name} {pattern}\\\\n\", {values}\\ncontinue'"]
    return steps


def main():
    top, daemon, keeper, compound = sys.argv[1:]
    there, said = in_program(daemon), in_page(top)
    if not there:
        print("the daemon was built without sys/sdt.h (systemtap-sdt-dev): it has no probes")
        return 77
    if not shutil.which("gdb"):
        print("gdb is not installed")
        return 77
    wrong = [] if there == said else [f"the daemon has {there}, docs/metrics.md names {said}"]
    fenced = run_gdb(keeper, ["tbreak " + FENCED, "run",
                              *stop_at(name for name in FORMATS if name != "operation"),
                              "continue"])
    seen = "\n".join(line for line in fenced.splitlines() if line.split(" ")[0] in FORMATS)
    if not re.search("\n".join(SEEN), seen):
        wrong.append(f"probes of {FENCED}: expected {SEEN}, seen\n{seen}")
    asked = run_gdb(compound, [*stop_at(["operation"]), "run"])
    if not re.search(rf"^operation {SEQUENCE} 0 \d+ [1-9]\d*$", asked, flags=re.M):
        wrong.append("no SEQUENCE that ended well is seen")
    for output in (fenced, asked):
        if "exited normally" not in output:
            wrong.append(f"the program did not end well after it was looked at:\n{output}")
    print("\n".join(wrong or [f"seen: {seen}"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
