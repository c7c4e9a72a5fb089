"""sealnfsd on this machine, as an operator runs it: a configuration file, the notify protocol,
sealctl, the log, the trace."""
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_GETFD = 438


class ServerError(Exception):
    pass


def as_the_unit():
    """A command before the server's: leave it the capabilities that the unit does,
    and no others."""
    with open(
            f"{os.path.dirname(os.path.abspath(__file__))}/../../config/sealnfsd.service.in") as f:
        line = next(line for line in f if line.startswith("CapabilityBoundingSet="))
    names = [name.removeprefix("CAP_").lower() for name in line.split("=")[1].split()]
    return ["setpriv", "--bounding-set", "-all," + ",".join("+" + name for name in names)]


def _text(value):
    """A value in the configuration's syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_text(item) for item in value) + "}"
    return json.dumps(value)


def trace_entries(text):
    """What a trace says. A server that is killed may leave the beginning of a line, which the next
    one's first line goes on."""
    *lines, _ = text.split("\n")
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            whole = line[line.rfind('{"seq"'):]
            entries.append(json.loads(whole))
    return entries


class Server:
    """`export` holds options for every export, `exports` more exports by name, the rest
    are top-level options."""

    def __init__(self, directory, build, disks=(), name="sealnfsd", export=None, exports=None,
                 wrapper=(), **options):
        self.directory, self.build = f"{directory}/{name}", build
        os.mkdir(self.directory)
        self.config, self.log = f"{self.directory}/sealnfs.conf", f"{self.directory}/log"
        self.control, self.trace_file = f"{self.directory}/control", f"{self.directory}/trace"
        self.options = {"listen": ["10.99.0.1", "127.0.0.1"], "port": 2049,
                        "state_dir": f"{self.directory}/state", "control_socket": self.control,
                        "trace_file": self.trace_file, "lease_time": 20, "grace_time": 5,
                        "recall_timeout": 10, "log_level": "debug", "rpcbind": False, **options}
        self.exports = {"/data" if i == 0 else f"/data{i}": {"path": disk.path}
                        for i, disk in enumerate(disks)}
        self.exports.update(exports or {})
        defaults = {"clients": ["10.99.0.0/24", "127.0.0.0/8"], "access": "rw", "squash": "none",
                    "layouts": True, "policy": "manual", **(export or {})}
        self.exports = {pseudo: {**defaults, **own} for pseudo, own in self.exports.items()}
        self.process, self.wrapper = None, list(wrapper)  # wrapper: what to run it under
        self._make_state_dir()

    def _make_state_dir(self):
        os.mkdir(self.options["state_dir"])

    def config_text(self):
        lines = [f"{key} = {_text(value)}" for key, value in self.options.items()]
        for pseudo, options in self.exports.items():
            lines += [f"export {_text(pseudo)} {{",
                      *(f"  {key} = {_text(value)}" for key, value in options.items()), "}"]
        return "\n".join(lines) + "\n"

    def write_config(self):
        with open(self.config, "w") as f:
            f.write(self.config_text())

    # Life

    def start(self, timeout=90):
        """Start, and wait for READY=1 on a notify socket of our own."""
        self.write_config()
        path = f"{self.directory}/notify"
        if os.path.exists(path):
            os.unlink(path)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(path)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.wrapper, f"{self.build}/bin/sealnfsd", "-c",
                                             self.config], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=dict(os.environ, NOTIFY_SOCKET=path))
        try:
            self._wait_ready(notify, time.monotonic() + timeout)
        finally:
            notify.close()
        return self

    def _wait_ready(self, notify, deadline):
        end = os.pidfd_open(self.process.pid)
        try:
            while True:
                readable = select.select([notify, end], [], [],
                                         max(0, deadline - time.monotonic()))[0]
                if notify in readable:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return
                elif end in readable:
                    raise ServerError(f"sealnfsd ended with {self.process.wait()} before it was "
                                      f"ready")
                else:
                    raise ServerError("sealnfsd was not ready in time")
        finally:
            os.close(end)

    def kill(self):
        """kill -9: what a crash looks like to everybody else."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout=90):
        """An orderly end, which must be a clean one (a sanitizer's complaint is not)."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        if code != 0:
            raise ServerError(f"sealnfsd ended with {code} on SIGTERM")

    def disconnect(self, address):
        """End the connections of a client here, as a network device on the way does: shutdown() of
        the server's own sockets."""
        process, ended = os.pidfd_open(self.process.pid), 0
        for descriptor in os.listdir(f"/proc/{self.process.pid}/fd"):
            ours = LIBC.syscall(PIDFD_GETFD, process, int(descriptor), 0)
            if ours < 0:
                continue
            try:
                end = socket.socket(fileno=ours)
            except OSError:  # no socket, or one that is only named (O_PATH)
                os.close(ours)
                continue
            with end, contextlib.suppress(OSError):
                if (end.family in (socket.AF_INET, socket.AF_INET6)
                        and end.getpeername()[0] == address):
                    end.shutdown(socket.SHUT_RDWR)
                    ended += 1
        os.close(process)
        return ended

    def running(self):
        return self.process is not None and self.process.poll() is None

    def remember(self):
        """Before the guests go: what a report of a failure needs."""

    def close(self):
        if self.running():
            self.stop()
        elif self.process and self.process.returncode not in (0, -signal.SIGKILL):
            raise ServerError(f"sealnfsd had ended by itself with {self.process.returncode}")

    # The operator's view

    def sealctl(self, *arguments, timeout=120):
        """Run sealctl; (exit code, what it printed on either stream)."""
        done = subprocess.run([f"{self.build}/bin/sealctl", "-s", self.control, *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout)
        return done.returncode, done.stdout

    def ctl(self, *arguments, timeout=120):
        """A sealctl command that must succeed; its JSON answer."""
        code, text = self.sealctl("--json", *arguments, timeout=timeout)
        if code != 0:
            raise ServerError(f"sealctl {' '.join(arguments)}: exit {code}: {text}")
        return json.loads(text) if text.strip() else None

    def refused(self, *arguments, timeout=120):
        """A sealctl command that must fail; what it said."""
        code, text = self.sealctl(*arguments, timeout=timeout)
        if code == 0:
            raise ServerError(f"sealctl {' '.join(arguments)} succeeded, and should not have: "
                              f"{text}")
        return text

    def state(self, path):
        """The state of a file's seal: open, sealed, recalling, ..."""
        seals = self.ctl("status", path)["status"]
        return seals[0]["state"].lower() if seals else "open"

    def wait_state(self, path, wanted, timeout=120):
        """Ask until the file's seal is in the state; nothing on the control socket waits for states
        other than release."""
        deadline = time.monotonic() + timeout
        while (state := self.state(path)) != wanted:
            if time.monotonic() > deadline:
                raise ServerError(f"{path} is {state}, not {wanted}, after {timeout} s")
            time.sleep(0.1)

    def start_ctl(self, *arguments):
        """sealctl in the background."""
        return subprocess.Popen([f"{self.build}/bin/sealctl", "-s", self.control, *arguments],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def trace(self):
        """Every event and effect of the layout engine so far, in order."""
        if not os.path.exists(self.trace_file):
            return []
        with open(self.trace_file, errors="replace") as f:
            return trace_entries(f.read())

    def wait_trace(self, match, timeout=120):
        """Follow the trace until an entry matches; that entry."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for entry in self.trace():
                if match(entry):
                    return entry
            time.sleep(0.05)  # the trace is a file: nothing to wait on
        raise ServerError("the trace never showed what was waited for; its end:\n"
                          + "\n".join(json.dumps(entry) for entry in self.trace()[-15:]))

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def wait_log(self, text, timeout=120):
        deadline = time.monotonic() + timeout
        while text not in self.log_text():
            if time.monotonic() > deadline:
                raise ServerError(f"the log never said {text!r}; its end:\n{self.log_tail(15)}")
            time.sleep(0.05)  # the log is a file: nothing to wait on

    def log_tail(self, lines=40):
        if not os.path.exists(self.log):
            return "(no log)"
        return "\n".join(self.log_text().splitlines()[-lines:])
