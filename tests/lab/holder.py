"""A scripted client that holds a layout: it says and does what a test wants, also what no
good client would.

Its NFSv4.1 is right: a session with a backchannel, OPEN, LAYOUTGET, recalls, LAYOUTRETURN. It
writes to the disk by its layout all the while, through a process of its own (disk-path), which can
be cut off, mended and fenced apart from its connection. `held` is the truth: the extents that it
may still write to, from the reply to LAYOUTGET to just before LAYOUTRETURN is sent.
"""
import contextlib
import os
import queue
import signal
import socket
import struct
import subprocess
import threading
import time

from nfs4 import (Closed, Connection, PUTROOTFH, GETFH, NO_SECURITY, RECLAIM_COMPLETE, compound,
                  create_session, exchange_id, expect, lookup, opaque, record, sequence, u32, u64)

HERE = os.path.dirname(os.path.abspath(__file__))
EVERYTHING = 0xFFFFFFFFFFFFFFFF
OPEN, CLOSE, PUTFH, LAYOUTGET, LAYOUTRETURN, DESTROY_SESSION, DESTROY_CLIENTID = (18, 4, 22, 50, 51,
                                                                                  44, 57)
CB_LAYOUTRECALL, CB_SEQUENCE = 5, 11
BLOCK_VOLUME, READ_WRITE, ANY = 3, 2, 3
RETURN_FILE, RETURN_ALL = 1, 3
OK, DELAY, OLD_STATEID, NOMATCHING_LAYOUT, LAYOUTTRYLATER, GRACE = (0, 10008, 10024, 10060, 10058,
                                                                    10013)


# The fence hook for such clients: it ends the process that does their I/O, and looks.
HOOK = """\
#!/bin/bash
echo "$SEALNFS_CLIENT_OWNER" >> {directory}/hook-calls
pid=$(cat "{directory}/path-$SEALNFS_CLIENT_OWNER") || exit 1
kill -9 "$pid" 2> /dev/null
for ((i = 0; i < 100; i++)); do
    case $(ps -o stat= -p "$pid") in Z* | "") exit 0 ;; esac
    sleep 0.05
done
exit 1
"""


def install_hook(directory):
    path = f"{directory}/holder-hook"
    with open(path, "w") as f:
        f.write(HOOK.format(directory=directory))
    os.chmod(path, 0o700)
    return path


class Cursor:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def u32(self):
        self.at += 4
        return struct.unpack_from(">I", self.data, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from(">Q", self.data, self.at - 8)[0]

    def fixed(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def opaque(self):
        count = self.u32()
        data = self.fixed(count)
        self.at += -count % 4
        return data


class DiskPath:
    """The process that does a client's direct I/O."""

    def __init__(self, device, tag):
        self.process = subprocess.Popen([f"{HERE}/disk-path", device, tag], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def _say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise BrokenPipeError("the path to the disk was fenced")
        return int(answer.split()[1])

    def use(self, extents):
        return self._say("use " + " ".join(f"{offset},{length}" for offset, length in extents))

    def drop(self):
        return self._say("drop")

    def cut(self):
        self.process.send_signal(signal.SIGSTOP)

    def mend(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Holder:
    """`deaf`: it hears no calls. `swallows`: it hears them, and its answers are lost. `answer`:
    what it says to a recall that it knows
    (a status). `obeys`: it returns what is recalled. `recalls` counts them, `answers` are
    what it said."""

    def __init__(self, disk, owner, directory):
        self.disk, self.owner, self.directory = disk, owner, directory
        self._boot()
        self.deaf, self.swallows, self.obeys, self.answer = False, False, True, None
        self.held, self.layout, self.open_stateid, self.handle = [], None, None, None
        self.recalls, self.answers, self.recalled = 0, [], threading.Event()
        self.lock, self.returning = threading.Lock(), None
        self.connection, self.security, self.back, self.program, self.status_flags = (None,
                                                                                      NO_SECURITY,
                                                                                      None, None, 0)

    def _boot(self):
        self.verifier, self.path = os.urandom(8), DiskPath(self.disk.loop, self.owner)
        with open(f"{self.directory}/path-{self.owner}", "w") as f:  # for the fence hook
            f.write(str(self.path.process.pid))

    # The connection

    def connect(self):
        """Connect, make a client id and a session, say that nothing is reclaimed."""
        self.begin_session()
        expect(self.compound(RECLAIM_COMPLETE)[0])
        return self

    def begin_session(self):
        self.connection, self.replies, self.xid = Connection(), queue.Queue(), 100
        self.reader = threading.Thread(target=self._read, args=(self.connection, self.replies),
                                       daemon=True)
        self.reader.start()
        status, result = self._call(exchange_id(self.owner.encode(), self.verifier))
        expect(status)
        self.client_id, first = struct.unpack_from(">QI", result, 8)
        status, result = self._call(create_session(self.client_id, first, callbacks=True,
                                                   security=self.security, back=self.back))
        expect(status)
        self.session, self.sequence_id, self.handle, self.open_stateid = result[8:24], 0, None, None

    def disconnect(self):
        """Close the connection; the session stays. A return that was under way has ended, one way
        or the other."""
        with contextlib.suppress(OSError):  # the server may have done so before
            self.connection.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join(60)
        if self.returning and self.returning is not threading.current_thread():
            self.returning.join(60)
        self.connection.close()

    def rebind(self):
        """A new connection for the same session, both ways."""
        self.connection, self.replies = Connection(), queue.Queue()
        self.reader = threading.Thread(target=self._read, args=(self.connection, self.replies),
                                       daemon=True)
        self.reader.start()
        # BIND_CONN_TO_SESSION, fore or both.
        status, _ = self._call(u32(41) + self.session + u32(3, 0))
        expect(status)

    def _read(self, connection, replies):
        try:
            while True:
                message = connection.receive()
                xid, kind = struct.unpack_from(">II", message)
                if kind == 1:
                    replies.put(message[4:])
                elif not self.deaf:
                    self._called(connection, xid, Cursor(message, 8))
        except (Closed, OSError):
            replies.put(None)

    def _call(self, *operations):
        """One compound; (status, results)."""
        self.xid += 1
        try:
            self.connection.send(record(compound(*operations)))
        except OSError:
            raise Closed() from None
        reply = self.replies.get(timeout=30)
        if reply is None:
            self.replies.put(None)
            raise Closed()
        cursor = Cursor(reply)
        expect(struct.unpack(">5I", cursor.fixed(20)), (1, 0, 0, 0, 0))
        status = cursor.u32()
        cursor.opaque()
        cursor.u32()
        return status, reply[cursor.at:]

    def compound(self, *operations):
        """A compound in the session; one at a time."""
        with self.lock:
            self.sequence_id += 1
            status, result = self._call(sequence(self.session, self.sequence_id), *operations)
            if len(result) >= 44 and result[:8] == u32(53, OK):
                self.status_flags, = struct.unpack_from(">I", result, 40)
            return status, result

    def renew(self):
        expect(self.compound()[0])

    # Callbacks

    def _called(self, connection, xid, call):
        call.fixed(4)
        self.program = call.u32()
        call.fixed(4)
        procedure = call.u32()
        for _ in range(2):
            call.u32()
            call.opaque()
        results, status, then = [], OK, None
        if procedure == 1:
            call.opaque()
            call.fixed(8)
            for _ in range(call.u32()):
                operation = call.u32()
                if operation == CB_SEQUENCE:
                    session, sequence_id, slot = call.fixed(16), call.u32(), call.u32()
                    call.fixed(8)
                    for _ in range(call.u32()):
                        call.fixed(16)
                        call.fixed(8 * call.u32())
                    results.append(u32(CB_SEQUENCE, OK) + session
                                   + u32(sequence_id, slot, slot, slot))
                    continue
                status, then = self._recall(call) if operation == CB_LAYOUTRECALL else (OK, None)
                results.append(u32(operation, status))
        body = (u32(status) + opaque(b"") + u32(len(results)) + b"".join(results) if procedure == 1
                else b"")
        if not self.swallows:
            connection.send(record(u32(xid, 1, 0, 0, 0, 0) + body))
        if then:
            returning = threading.Thread(target=self._quietly, args=(then,), daemon=True)
            returning.start()
            self.returning = returning

    @staticmethod
    def _quietly(then):
        try:
            then()
        except (Closed, OSError, queue.Empty):
            pass  # the server has died in the middle of it, which is what some tests are about

    def _recall(self, call):
        """The answer to CB_LAYOUTRECALL, and what to do after it was sent."""
        call.fixed(12)
        one_file = call.u32() == RETURN_FILE
        obeys = self.obeys  # who waits for `recalled` may change it
        self.recalls += 1
        known = self.recalls > 1 and self.recalled.is_set()
        if not self.held and self.answer is None:
            self.answers.append(NOMATCHING_LAYOUT)
            return NOMATCHING_LAYOUT, None
        status = self.answer if known and self.answer is not None else OK
        self.answers.append(status)
        self.recalled.set()
        return status, (self.give_back if one_file else self.give_all_back) if obeys else None

    # Layouts

    def open(self, name):
        """OPEN for reading and writing."""
        status, result = self.compound(PUTROOTFH, lookup(b"data"), u32(OPEN, 0, 3, 0)
                                       + u64(self.client_id) + opaque(self.owner.encode())
                                       + u32(0, 0) + opaque(name.encode()), GETFH)
        if status != OK:
            return status
        at = result.index(u32(OPEN, OK), 40) + 8
        self.open_stateid = result[at:at + 16]
        self.handle = Cursor(result, result.rindex(u32(10, OK)) + 8).opaque()
        return OK

    def get(self, name):
        """A layout of the whole file, for reading and writing; from now on it is
        used. The status."""
        if not self.open_stateid:
            status = self.open(name)
            if status != OK:
                return status
        status, result = self.compound(u32(PUTFH) + opaque(self.handle),
                                       u32(LAYOUTGET, 0, BLOCK_VOLUME, READ_WRITE) + u64(0)
                                       + u64(EVERYTHING) + u64(4096) + self.open_stateid
                                       + u32(1 << 16))
        if status != OK:
            return status
        cursor = Cursor(result, result.index(u32(LAYOUTGET, OK), 40) + 8)
        cursor.u32()
        self.layout = cursor.fixed(16)
        expect(cursor.u32(), 1)
        cursor.fixed(24)
        body = Cursor(cursor.opaque())
        extents = []
        for _ in range(body.u32()):
            self.device_id = body.fixed(16)
            extents.append((body.u64(), body.u64(), body.u64(), body.u32()))
        self.recalled.clear()
        self.held = [(storage, length) for _, length, storage, _ in extents]
        self.path.use(self.held)
        return OK

    def get_soon(self, name, timeout=30):
        """The same, again while the server says later."""
        deadline = time.monotonic() + timeout
        while ((status := self.get(name)) in (DELAY, GRACE, LAYOUTTRYLATER)
               and time.monotonic() < deadline):
            time.sleep(0.005)
        return status

    def usable(self):
        """The extents that it can still write to."""
        return self.held if self.path.process.poll() is None else []

    def stop_using(self):
        """Nothing is queued any more when it returns."""
        if self.held:
            self.path.drop()
            self.held = []

    def wait_answers(self, count, timeout=60):
        """Wait until so many recalls were answered."""
        deadline = time.monotonic() + timeout
        while len(self.answers) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.owner} was recalled {len(self.answers)} times, "
                                   f"not {count}")
            time.sleep(0.01)

    def forget(self):
        """The next recall is the first again."""
        self.recalls, self.answers = 0, []
        self.recalled.clear()

    def give_back(self):
        self.stop_using()
        status, _ = self.compound(u32(PUTFH) + opaque(self.handle),
                                  u32(LAYOUTRETURN, 0, BLOCK_VOLUME, ANY, RETURN_FILE) + u64(0)
                                  + u64(EVERYTHING) + self.layout + opaque(b""))
        expect(status)

    def give_all_back(self):
        self.stop_using()
        expect(self.compound(u32(LAYOUTRETURN, 0, BLOCK_VOLUME, ANY, RETURN_ALL))[0])

    def close_file(self):
        if self.open_stateid:
            stateid, self.open_stateid = self.open_stateid, None
            expect(self.compound(u32(PUTFH) + opaque(self.handle), u32(CLOSE, 0) + stateid)[0])

    def restart(self):
        """A new run of the same machine: what it was going to write is gone, and its
        verifier is new."""
        self.path.close()
        self.held = []
        self._boot()
        self.deaf, self.swallows, self.obeys, self.answer, self.recalls, self.answers = (False,
                                                                                         False,
                                                                                         True, None,
                                                                                         0, [])
        self.recalled.clear()

    def throw_away(self):
        """What Linux does when its server comes back: the layouts are gone at once, what is
        queued is not."""
        self.held, self.open_stateid = [], None

    def another_run(self):
        """Another verifier of the same owner; the old run lives on. Its path to the disk, which is
        the caller's to close."""
        old = self.path
        self.held, self.open_stateid = [], None
        self._boot()
        return old

    def leave(self):
        """End the session and the client id; nothing may be held."""
        self.close_file()
        for operation in (u32(DESTROY_SESSION) + self.session,
                          u32(DESTROY_CLIENTID) + u64(self.client_id)):
            expect(self._call(operation)[0])

    def end(self):
        if self.connection:
            self.disconnect()
        self.path.close()
