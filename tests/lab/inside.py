"""What `run` does inside the namespaces of a batch: run its tests one after another, and tell the
outcome of each."""
import contextlib
import json
import os
import subprocess
import sys
import time
import traceback

from disk import Unavailable
from lab import Lab


def run(cases, arguments):
    """We are alone in our namespaces. After a failure the lab is in no state that one could rely
    on: then no other test is begun."""
    # Nothing here talks to the host's daemons.
    subprocess.run(["mount", "-t", "tmpfs", "run", "/run"], check=True)
    place = Place(arguments)
    with os.fdopen(arguments.report, "w") as report:
        for case in cases:
            begin, cpu = time.monotonic(), cpu_seconds()
            outcome, reason = place.run(case, last=case is cases[-1])
            sys.stdout.flush()
            line = {"seconds": round(time.monotonic() - begin, 1),
                    "cpu": round(cpu_seconds() - cpu, 1), "outcome": outcome}
            report.write(json.dumps({**line, "reason": reason} if reason else line) + "\n")
            report.flush()
            if outcome == "FAIL":
                break


class Place:
    """The lab of a batch, and what its stage made of it."""

    def __init__(self, arguments):
        self.arguments, self.lab, self.scene = arguments, None, None

    def run(self, case, last):
        """(ok, skip or FAIL, the reason). How a lab ends is a part of its last test."""
        try:
            try:
                self._run(case)
            finally:
                if last and self.lab:
                    self.lab.close()
        except Unavailable as reason:
            return "skip", str(reason)
        except BaseException as error:
            traceback.print_exc(file=sys.stdout)
            for name, text in self.lab.tails() if self.lab else ():
                print(f"--- the end of {name} ---\n{text}")
            return "FAIL", (str(error).splitlines() or [repr(error)])[0]
        return "ok", None

    def _run(self, case):
        if not self.lab:
            self.lab = Lab(self.arguments.inside, self.arguments.build, self.arguments.turn,
                           self.arguments.long, self.arguments.kernel)
        if not self.scene:
            self.scene = case.scene(self.lab)
        case.run(self.scene)


def cpu_seconds():
    """Of processor time that this namespace has had: of those who live, and of those whom somebody
    has waited for."""
    tick, total = os.sysconf("SC_CLK_TCK"), 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError,
                                 ProcessLookupError), open(f"/proc/{name}/stat") as f:
            total += sum(map(int, f.read().rpartition(")")[2].split()[11:15])) / tick
    return total
