"""sealnfsd in a guest, for what the server must see itself: iSCSI disks, device-mapper.

The binaries of this machine's build run on the guest's root, which is this machine's. What the
server writes is in the guest's memory: its files are read by jobs in the guest.
"""
import json
import os
import shutil
import time

from guest import GuestError
from server import Server, ServerError, as_the_unit, trace_entries

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = "/run/sealnfs"


class GuestServer(Server):
    """As Server, in `guest`; `exports` says what is exported, as paths there. It has the unit's
    capabilities and no others."""

    def __init__(self, guest, build, exports, **options):
        self.guest, self.job, self.kept = guest, None, None
        self.bin = f"{guest.directory}/bin"
        os.mkdir(self.bin)
        for name in ("sealnfsd", "sealctl"):
            shutil.copy(f"{build}/bin/{name}", self.bin)
        shutil.copy(f"{HERE}/guest-run-server", self.bin)
        super().__init__(guest.directory, build, exports=exports, listen=[guest.ip, "127.0.0.1"],
                         **options)
        # The log is written here, the rest where the guest has it in memory.
        self.control, self.trace_file, self.log = f"{RUN}/control", f"{RUN}/trace", f"{RUN}/log"
        self.options.update(control_socket=self.control, trace_file=self.trace_file,
                            state_dir=f"{RUN}/state")

    def _make_state_dir(self):
        self.guest.run(f"mkdir -p {RUN}/state")

    def start(self, timeout=120):
        self.write_config()
        self.job = self.guest.start(f"exec /mnt/lab/bin/guest-run-server {RUN}/pid {self.log} "
                                    f"{' '.join(as_the_unit())} "
                                    "/mnt/lab/bin/sealnfsd -c /mnt/lab/sealnfsd/sealnfs.conf")
        self.job.expect("ready", timeout)
        return self

    def kill(self):
        self.guest.run(f"kill -9 $(cat {RUN}/pid)")
        self.job.wait()

    def stop(self, timeout=90):
        self.guest.run(f"kill $(cat {RUN}/pid)")
        if self.job.wait(timeout) != 0:
            raise ServerError(f"sealnfsd ended with {self.job.code} on SIGTERM:\n{self.log_tail()}")

    def running(self):
        return self.job is not None and not self.job.done()

    def remember(self):
        try:
            self.kept = self.log_text(), self.trace()
        except (OSError, GuestError) as error:  # the guest is gone
            self.kept = f"(no log: {error})", []

    def close(self):
        """The guest ends with the test; a server that ended by itself is a failure all the same."""
        if (self.job and self.guest.process.poll() is None and self.job.done()
            and self.job.code not in (0, 128 + 9)):
            raise ServerError(f"sealnfsd had ended by itself with {self.job.code}")

    def sealctl(self, *arguments, timeout=120):
        words = " ".join("'" + argument.replace("'", "'\\''") + "'" for argument in arguments)
        job = self.guest.start(f"/mnt/lab/bin/sealctl -s {self.control} {words} 2>&1")
        return job.wait(timeout), job.output()

    def start_ctl(self, *arguments):
        """sealctl in the background: a job of the guest."""
        return self.guest.start(f"/mnt/lab/bin/sealctl -s {self.control} {' '.join(arguments)} "
                                f"2>&1")

    def trace(self):
        if self.kept:
            return self.kept[1]
        text = self.guest.run(f"cat {self.trace_file} 2>/dev/null; true")
        return trace_entries(text)

    def wait_trace(self, match, timeout=120):
        deadline = time.monotonic() + timeout
        while True:
            trace = self.trace()
            found = next((entry for entry in trace if match(entry)), None)
            if found:
                return found
            if time.monotonic() > deadline:
                raise ServerError("the trace never showed what was waited for; its end:\n"
                                  + "\n".join(json.dumps(entry) for entry in trace[-15:]))
            time.sleep(0.3)  # the trace is a file, and to look costs the guest two processes

    def log_text(self):
        if self.kept:
            return self.kept[0]
        return self.guest.run(f"cat {self.log} 2>/dev/null; true")

    def log_tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])
