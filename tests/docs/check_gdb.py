#!/usr/bin/python3
"""check_gdb.py TOP TEST_ENGINE_GRANT TEST_COMPOUND: the commands of tools/gdb/sealnfs.py print what
the tests have made.

gdb stops each program inside a test whose objects are known, runs the commands there and lets
the program go on, which must then pass: looking changes nothing. Exit 77: gdb is missing or
may not trace.
"""
import os
import re
import shutil
import subprocess
import sys

HEX = "[0-9a-f]"
SEAL = [
    r'seal \d+ "/file0": pinned, sealed, 2 grants$',
    rf"  key {HEX}+$",
    rf'  holder \d+ "owner0" \(nfs\), client id {HEX}{{16}}, at "10\.0\.0\.0" callable$',
    r"    by disk, fence none$",
    r"    grant \d+, type 3, seqid 2: rw 0-1048576, read 0-1048576; recall none$",
    rf'  holder \d+ "owner1" \(nfs\), client id {HEX}{{16}}, at "10\.0\.0\.1" callable$',
    r"    by disk, fence none$",
    r"    grant \d+, type 3, seqid 1: rw 0-1048576; recall none$",
]
COMPOUND = [
    rf"compound xid {HEX}{{8}}, minor version 1, uid 0 gid 0$",
    r"  at operation 5 of 6, OP_READ, on the loop, stage 0; 4 results in the reply$",
    rf'  current file "/.*/open me", key {HEX}+$',
    r"  saved file none$",
    rf"  current stateid seqid 1, other {HEX}{{24}}$",
    rf'  client {HEX}{{16}} "compound"$',
    rf"  session {HEX}{{32}}, slot 0$",
]
CLIENT = [
    rf'client {HEX}{{16}} "compound" at "::1": confirmed reclaim_complete$',
    r"  uid 0, \d+ pins?, 0 callbacks under way$",
    rf"  session {HEX}{{32}}: 8 slots, backchannel usable, \d+ connections? bound$",
    r"    slot 0: sequence \d+ busy$",
    r"  1 stateid, 1 open$",
    rf'  open by "o": access 1, deny 0, seqid 1, other {HEX}{{24}}$',
    rf'    file "/.*/open me", key {HEX}+$',
]


def run_gdb(program, steps):
    """What gdb prints that takes these steps with the program."""
    # The leak checker traces the program itself, which gdb does already.
    environment = dict(os.environ, DEBUGINFOD_URLS="",
                       ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    arguments = [word for step in ("set breakpoint pending off", "set pagination off", *steps)
                 for word in ("-ex", step)]
    ran = subprocess.run(["gdb", "-nx", "-batch", *arguments, "--args", program], env=environment,
                         text=True, timeout=100, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    if re.search("ptrace: Operation not permitted|Couldn't get registers", ran.stdout):
        print("gdb may not trace here")
        sys.exit(77)
    return ran.stdout


def gdb(top, program, test, inside, commands):
    """What the commands print where `test` calls the function `inside`."""
    return run_gdb(program, [f"source {top}/tools/gdb/sealnfs.py", f"tbreak {test}", "run",
                             f"tbreak {inside}", "continue", *commands, "delete", "continue"])


def faults(output, expected):
    """The expected lines are there, one right after the other."""
    lines = output.splitlines()
    starts = [i for i, line in enumerate(lines) if re.match(expected[0], line)]
    if not starts:
        return [f"no line matches {expected[0]}"]
    found = lines[starts[0]:starts[0] + len(expected)]
    return [f"expected {want}\n     got {got}"
            for want, got in zip(expected, found) if not re.match(want, got)]


def main():
    top, engine, compound = sys.argv[1:]
    if not shutil.which("gdb"):
        print("gdb is not installed")
        return 77
    of_engine = gdb(top, engine, "readers_and_writers_hold_a_pinned_file_at_once_without_recalls",
                    "world_grants",
                    ["up", "sealnfs seals w->engine", "echo ----\\n",
                     "sealnfs seal w->engine->seals", "sealnfs seal w->engine"])
    of_server = gdb(top, compound,
                    "the_current_stateid_is_what_open_made_and_goes_with_the_file_handle",
                    "op_read",
                    ["sealnfs compound c", "sealnfs client c->client"])
    seals, _, seal = of_engine.partition("----\n")
    wrong = [*faults(seals, ["engine: 2 holders, 2 grants", *SEAL]), *faults(seal, SEAL),
             *faults(of_server, COMPOUND), *faults(of_server, CLIENT),
             *faults(seal, [r"w->engine is a struct engine \*, not a struct seal \*$"])]
    for output in (of_engine, of_server):
        wrong += ([] if "exited normally" in output
                  else ["the program did not end well after it was looked at"])
    print("\n".join([*wrong, of_engine, of_server] if wrong
                    else ["gdb prints what the tests have made"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
