"""Local programs that hold files: the rule is kept for them as for NFS clients, by the fence
that each declared."""
import json
import os
import re
import select
import signal
import socket
import stat
import subprocess
import time

from disk import MIB, immutable
from registry import equal, holds, test

RECALL_TIMEOUT = 2


class Program:
    """hold_reader, the example program, with a pipe to its ends."""

    def __init__(self, lab, server, fence, *files, name="reader"):
        self.process = subprocess.Popen([f"{lab.build}/tests/lab/hold_reader", server.control, name,
                                         fence, *files], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.said, self.part = [], b""

    def wait(self, wanted, timeout=60):
        """Read what it says until a line begins with `wanted`; that line."""
        deadline = time.monotonic() + timeout
        while True:
            for line in self.said:
                if line.startswith(wanted):
                    self.said.remove(line)
                    return line
            readable = select.select([self.process.stdout], [], [],
                                     max(0, deadline - time.monotonic()))[0]
            more = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            if not more:
                error = self.process.stderr.read().decode() if readable else ""
                raise AssertionError(f"hold_reader never said {wanted!r}, but {self.said}; {error}")
            *lines, self.part = (self.part + more).split(b"\n")
            self.said += [line.decode() for line in lines]

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Wire:
    """A connection of our own to the control socket, which may say anything."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(server.control)
        self.file = self.socket.makefile("rwb")

    def ask(self, line):
        self.file.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        self.file.flush()
        return self.read()

    def read(self):
        return json.loads(self.file.readline())

    def good(self, **fields):
        answer = self.ask(fields)
        holds(answer["ok"], f"{fields}: {answer}")
        return answer

    def bad(self, code, line):
        answer = self.ask(line)
        equal((answer["ok"], answer.get("code")), (False, code), f"answer to {line!r}")
        holds(len(answer["error"]) > 10, f"no sentence: {answer}")
        return answer["error"]

    def close(self):
        self.file.close()
        self.socket.close()


def place(lab, names=("file",), size=4 * MIB, seal=True, **options):
    """A disk with pinned files and a server that does not wait long."""
    disk = lab.disk(fs="ext4")
    for name in names:
        disk.write(name, size)
    options = {"recall_timeout": RECALL_TIMEOUT, "fence_retry": 1, "lease_time": 5, **options}
    server = lab.server(**options)
    for name in names if seal else ():
        server.ctl("seal", "--pinned", disk.file(name))
    return disk, server


def hook(lab):
    path = f"{lab.directory}/fence-hook"
    with open(path, "w") as f:
        f.write(f'#!/bin/sh\necho "$1 $SEALNFS_CLIENT_OWNER" >> {lab.directory}/hook-calls\n')
    os.chmod(path, stat.S_IRWXU)
    return path


def released(server, path):
    code, text = server.sealctl("unseal", "--wait", "--timeout", "60", path)
    equal((code, immutable(path)), (0, False), f"unseal said: {text}")


def stuck(server, path, *words):
    """The seal stays, and the operator is told why and what to do."""
    code, text = server.sealctl("unseal", "--wait", "--timeout", "60", path)
    holds(code in (1, 4), f"unseal: exit {code}: {text}")
    server.wait_state(path, "stuck")
    why = server.ctl("status", path)["status"][0]["why"]
    for word in words:
        holds(word in why, f"{word!r} is not in: {why}")
    holds(immutable(path), "the flag is gone")


@test(fs=("xfs", "ext4"))
def the_extents_hold_the_files_bytes_and_unseal_waits_for_the_return(lab, fs):
    disk = lab.disk(fs=fs)
    disk.write("file", 5 * MIB + 123)
    server = lab.server(recall_timeout=60)
    path = disk.file("file")
    server.ctl("seal", path)
    program = Program(lab, server, "none", path)
    holds(program.wait("same").startswith(f"same {5 * MIB + 123} "),
          "not all of the file was compared")
    program.wait("holding")
    holds("reader" in json.dumps(server.ctl("grants", path)), "the program is not among the grants")
    unseal = server.start_ctl("unseal", "--wait", path)
    program.wait("recalled")
    equal(server.state(path), "recalling")
    equal((unseal.poll(), immutable(path)), (None, True), "unseal before the return")
    program.say("")
    program.wait("returned")
    equal(unseal.wait(60), 0, "unseal after the return")
    holds(not immutable(path), "the flag is still there")


@test()
def a_killed_program_whose_socket_is_its_fence_is_released_at_once(lab):
    disk, server = place(lab, recall_timeout=600)
    path = disk.file("file")
    program = Program(lab, server, "close", path)
    program.wait("holding")
    unseal = server.start_ctl("unseal", "--wait", path)
    program.wait("recalled")
    program.kill()
    equal(unseal.wait(60), 0, "unseal after the kill")


@test()
def a_program_that_only_shuts_down_its_sending_half_has_not_closed(lab):
    disk, server = place(lab)
    path = disk.file("file")
    wire = Wire(server)
    wire.good(op="holder", name="half", fence="close")
    wire.good(op="hold", file=path)
    wire.socket.shutdown(socket.SHUT_WR)
    equal(wire.file.read(), b"", "what the server still says")
    stuck(server, path, "half", f"pid {os.getpid()} ")
    server.ctl("fenced", "half")
    released(server, path)


@test()
def a_killed_program_that_declared_the_hook_is_fenced_by_it(lab):
    disk, server = place(lab, fence_hook=hook(lab))
    path = disk.file("file")
    program = Program(lab, server, "hook", path, name="backup")
    program.wait("holding")
    program.kill()
    equal(server.state(path), "sealed")
    released(server, path)
    with open(f"{lab.directory}/hook-calls") as f:
        equal(f.read(), "fence-local backup\n", "calls of the hook")


@test()
def a_killed_program_without_a_fence_waits_for_the_operators_word(lab):
    disk, server = place(lab, fence_hook=hook(lab))
    path = disk.file("file")
    program = Program(lab, server, "none", path)
    program.wait("holding")
    holds("connected" in server.refused("fenced", "reader"), "a connected program was written off")
    program.kill()
    stuck(server, path, "reader", "sealctl fenced")
    holds("no local program" in server.refused("fenced", "another"), "an unknown name was taken")
    server.ctl("fenced", "reader")
    released(server, path)
    holds(not os.path.exists(f"{lab.directory}/hook-calls"),
          "the hook was called for a program that did not declare it")


@test(how=("kill", "stop"))
def a_program_resumes_after_the_server_restarts(lab, how):
    disk, server = place(lab, names=("one", "two"))
    one, two = disk.file("one"), disk.file("two")
    program = Program(lab, server, "close", one, two)
    program.wait("holding")
    getattr(server, how)()
    program.wait("away")
    server.start()
    program.wait("resumed")
    equal(sum(1 for grant in server.ctl("grants")["grants"] if "maybe" not in grant["state"]), 2,
          "grants after the restart")
    unseal = server.start_ctl("unseal", "--wait", "--timeout", "60", one)
    program.wait(f"recalled {one}")
    program.say("")
    program.wait(f"returned {one}")
    equal(unseal.wait(60), 0, "unseal of one")
    equal(server.state(two), "sealed")
    program.kill()
    released(server, two)


@test()
def a_program_that_died_while_the_server_was_down_is_seen_to_be_gone(lab):
    disk, server = place(lab)
    path = disk.file("file")
    program = Program(lab, server, "close", path)
    program.wait("holding")
    server.kill()
    program.kill()
    server.start()
    released(server, path)


@test()
def a_program_that_lives_and_does_not_come_back_keeps_the_seal(lab):
    disk, server = place(lab)
    path = disk.file("file")
    program = Program(lab, server, "close", path)
    program.wait("holding")
    program.process.send_signal(signal.SIGSTOP)
    server.kill()
    server.start()
    stuck(server, path, "reader", f"pid {program.process.pid} ")
    program.kill()
    server.wait_state(path, "open")


@test()
def a_late_answer_still_releases(lab):
    disk, server = place(lab)
    path = disk.file("file")
    program = Program(lab, server, "none", path)
    program.wait("holding")
    stuck(server, path, "reader", "give the file back")
    program.say("")
    program.wait("returned")
    server.wait_state(path, "open")


@test()
def the_seal_waits_for_each_of_two_programs(lab):
    disk, server = place(lab, recall_timeout=60)
    path = disk.file("file")
    first, second = Program(lab, server, "none", path), Program(lab, server, "close", path)
    first.wait("holding")
    second.wait("holding")
    unseal = server.start_ctl("unseal", "--wait", path)
    first.wait("recalled")
    second.wait("recalled")
    first.say("")
    first.wait("returned")
    equal((server.state(path), unseal.poll()), ("recalling", None), "with one of two returned")
    second.kill()
    equal(unseal.wait(60), 0, "unseal")


@test()
def what_cannot_be_held_is_refused_with_the_reason(lab):
    disk, server = place(lab, names=("frozen", "open"), seal=False)
    server.ctl("seal", disk.file("frozen"))
    wire = Wire(server)
    wire.bad("bad-request", {"op": "hold", "file": disk.file("frozen")})
    wire.good(op="holder", name="a", fence="none")
    holds("reading" in wire.bad("refused", {"op": "hold", "file": disk.file("frozen"),
                                            "write": True}), "frozen and write")
    holds("not sealed" in wire.bad("refused", {"op": "hold", "file": disk.file("open")}),
          "not sealed")
    wire.bad("not-found", {"op": "hold", "file": "/etc/passwd"})
    wire.bad("not-found", {"op": "hold", "file": disk.file("none")})
    held = wire.good(op="hold", file=disk.file("frozen"))
    equal((held["size"], held["write"], held["extents"][0][0]), (4 * MIB, False, 0), "the hold")
    wire.bad("bad-request", {"op": "hold", "file": disk.file("frozen")})
    wire.bad("bad-request", {"op": "wrote", "hold": held["hold"]})
    wire.good(op="return", hold=held["hold"])
    wire.bad("not-found", {"op": "return", "hold": held["hold"]})


@test()
def an_at_rest_file_is_sealed_for_a_program_that_reads_it(lab):
    disk, server = place(lab, seal=False, export={"policy": "at-rest", "at_rest_min_size": 4096})
    path = disk.file("file")
    program = Program(lab, server, "close", path)
    program.wait("holding")
    equal(server.state(path), "sealed")
    program.say("go")
    released(server, path)


@test()
def malformed_messages_are_answered_and_change_nothing(lab):
    disk, server = place(lab)
    wire = Wire(server)
    for line in (b"", b"hello", b"[]", b'{"op":7}', b'{"op":"holder"}',
                 b'{"op":"holder","name":"a"}', b'{"op":"holder","name":"a b","fence":"none"}',
                 b'{"op":"holder","name":"a","fence":"fire"}', b'{"op":"holder","name":"' + b"a"
                 * 65 + b'","fence":"none"}', b'{"op":"fenced","name":""}',
                 b'{"op":"holder","name":"a","fence":"none","token":"12"}',
                 b'{"op":"holder","name":"a","fence":"none","token":7}',
                 b'{"op":"return","hold":1}', b'{"op":"resumed"}', b'{"op":"wrote"}', b"\xff\xfe"):
        wire.bad("bad-request", line)
    wire.bad("not-found",
             {"op": "holder", "name": "a", "fence": "none", "token": "0123456789abcdef"})
    wire.good(op="holder", name="a", fence="none")
    wire.bad("bad-request", {"op": "holder", "name": "b", "fence": "none"})
    for line in (b'{"op":"hold"}', b'{"op":"hold","file":7}'):
        wire.bad("bad-request", line)
    other = Wire(server)  # what is left of a line that is too long is answered as well
    other.good(op="holder", name="b", fence="none")
    other.bad("bad-request", b'{"op":"hold","file":""' + b" " * 70000 + b"}")
    other.close()
    for hold in (0, -1, 1 << 62, "1", None, 1.5):
        wire.bad("not-found", {"op": "return", "hold": hold})
    wire.good(op="hold", file=disk.file("file"))
    equal(server.ctl("status", disk.file("file"))["status"][0]["holders"], 1, "holders")


@test()
def a_connection_holds_so_many_files_and_no_more(lab):
    disk, server = place(lab, seal=False, export={"policy": "at-rest", "at_rest_min_size": 4096},
                         log_level="info")
    for i in range(1025):
        with open(disk.file(f"f{i}"), "wb") as f:
            f.write(bytes(4096))
    os.sync()
    wire = Wire(server)
    wire.good(op="holder", name="greedy", fence="close")
    for i in range(1024):
        wire.good(op="hold", file=disk.file(f"f{i}"))
    holds("1024" in wire.bad("refused", {"op": "hold", "file": disk.file("f1024")}),
          "the bound is not named")
    wire.good(op="return", hold=1)
    wire.good(op="hold", file=disk.file("f1024"))
    wire.close()
    released(server, disk.file("f500"))


@test()
def sealctl_holds_a_file_while_a_command_runs(lab):
    disk, server = place(lab, recall_timeout=60)
    path = disk.file("file")
    code, text = server.sealctl("hold", "--fence", "close", path, "--", "true")
    holds(code == 2 and "outlive" in text, f"close for a command: exit {code}: {text}")
    code, text = server.sealctl("hold", path, "--", "sh", "-c", "exit 3")
    holds(code == 3 and "given back" in text
          and re.search(r"^device /dev/\S+ size 4194304$", text, re.M), f"exit {code}: {text}")
    holding = server.start_ctl("hold", "--write", path, "--", "sleep", "600")
    server.wait_trace(lambda entry: entry["what"] == "grant" and entry["file"] == path
                      and entry["iomode"] == 2)
    equal(server.start_ctl("unseal", "--wait", path).wait(60), 0, "unseal")
    said = holding.communicate(timeout=60)[0]
    equal(holding.returncode, 128 + signal.SIGTERM, "exit status")
    holds("is recalled" in said and "given back" in said, said)
