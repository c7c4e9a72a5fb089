"""A polite client that measures what it gets while others do their worst: a process of its own.

One session, one request at a time, a little of everything that clients do. It is asked over its
standard input and answers with a line of JSON. `Polite` is how a test asks.
"""
import contextlib
import gc
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

from nfs4 import (Closed, Denied, PUTROOTFH, GETFH, RECLAIM_COMPLETE, Connection, bind_connection,
                  close, create_session, exchange_id, expect, getattr, latest, lock_first,
                  lock_more, lock_test, lookup, open_file, put_handle, read, readdir, result_of,
                  sequence, test_stateids, u32, unlock, write)

OK, DELAY, DENIED, GRACE = 0, 10008, 10010, 10013
PATIENCE = 5  # seconds for one request; what takes longer has taken so long
ATTRIBUTES = (0x0010011A, 0x00B0A23A)  # what a Linux client asks for
FEWEST = 100  # samples that a p99 is made of, if they come in three times the time


class Client:
    """What runs in the process."""

    def __init__(self, source):
        self.source, self.owner = source, b"polite " + source.encode()
        self.connect()
        status, result = self.connection.compound(exchange_id(self.owner, os.urandom(8)))
        expect(status)
        self.client_id, first = struct.unpack_from(">QI", result, 8)
        status, result = self.connection.compound(create_session(self.client_id, first))
        expect(status)
        self.session, self.sequence_id = result[8:24], 0
        self.served(RECLAIM_COMPLETE)
        self.root = self.handle_of(PUTROOTFH, lookup(b"data"))
        self.other, self.small = (self.handle_of(put_handle(self.root), lookup(name))
                                  for name in (b"other", b"small"))
        self.own, self.own_open = self.open(b"polite")
        self.shared, self.shared_open = self.open(b"shared")
        result = self.served(put_handle(self.own), lock_first(self.own_open, self.client_id,
                                                              self.owner, 0, 100))
        self.lock = latest(result_of(result, 12)[:16])
        self.kinds = {"getattr": self.getattr, "lookup": self.lookup, "read": self.read,
                      "write": self.write, "open": self.open_and_close, "lock": self.lock_in_turn,
                      "lock test": self.lock_test, "readdir": self.readdir}

    def connect(self):
        self.connection = Connection(source=self.source, timeout=PATIENCE, reserved=False)
        self.connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def served(self, *operations):
        """The results. DELAY is no service: it is asked again until the patience is over."""
        end = time.monotonic() + PATIENCE
        while True:
            self.sequence_id += 1
            status, result = self.connection.compound(sequence(self.session, self.sequence_id),
                                                      *operations)
            if result[:4] == u32(53) and result[4:8] != u32(OK):
                self.sequence_id -= 1  # a SEQUENCE that fails has not been
            if status not in (DELAY, GRACE) or time.monotonic() > end:
                expect(status)
                return result
            time.sleep(0.005)

    def handle_of(self, *way):
        result = result_of(self.served(*way, GETFH), 10)
        return result[4:4 + int.from_bytes(result[:4], "big")]

    def open(self, name):
        handle = self.handle_of(put_handle(self.root), lookup(name))
        result = self.served(put_handle(self.root), open_file(self.client_id, self.owner, name))
        return handle, latest(result_of(result, 18)[:16])

    # What it does

    def getattr(self):
        self.served(put_handle(self.root), getattr(*ATTRIBUTES))

    def lookup(self):
        self.served(put_handle(self.root), lookup(b"polite"), GETFH, getattr(*ATTRIBUTES))

    def read(self):
        self.served(put_handle(self.shared), read(self.shared_open, 8192, 4096))

    def write(self):
        self.served(put_handle(self.own), write(self.own_open, 4096, bytes(4096)))

    def open_and_close(self):
        result = self.served(put_handle(self.root),
                             open_file(self.client_id, b"for a moment", b"other", access=1))
        self.served(put_handle(self.other), close(latest(result_of(result, 18)[:16])))

    def lock_in_turn(self):
        self.served(put_handle(self.own), lock_more(self.lock, 200, 10))
        self.served(put_handle(self.own), unlock(self.lock, 200, 10))

    def lock_test(self):
        self.served(put_handle(self.shared),
                    lock_test(self.client_id, self.owner, 0xFFFFFFFF00000000, 1))

    def readdir(self):
        self.served(put_handle(self.small), readdir(0, 8192))

    # What it is asked for

    def window(self, seconds):
        """Work for so long; the seconds that requests took."""
        took, failed = {name: [] for name in self.kinds}, []
        gc.collect()
        gc.disable()
        begin = time.monotonic()
        count = 0
        while (passed := time.monotonic() - begin) < seconds or (count < FEWEST
                                                                 and passed < 3 * seconds):
            for name, work in self.kinds.items():
                start = time.monotonic()
                try:
                    work()
                except (Closed, Denied, OSError, ValueError) as error:
                    failed.append(f"{name}: {error!r}")
                    took[name].append(max(time.monotonic() - start, PATIENCE))
                    self.again()
                    break
                took[name].append(time.monotonic() - start)
                count += 1
        gc.enable()
        every = [value for values in took.values() for value in values]
        return {"count": len(every), "p50": part(every, 0.5), "p99": part(every, 0.99),
                "most": max(every), "failed": failed[:5],
                "kinds": {name: part(values, 0.99) for name, values in took.items() if values}}

    def again(self):
        """After a request that was not answered its slot is no good; the state is."""
        with contextlib.suppress(Closed, Denied, OSError, ValueError):
            self.cut(1)

    def cut(self, patience=30):
        """The connection is lost and comes back; the seconds until it serves again."""
        self.connection.close()
        begin = time.monotonic()
        while True:
            try:
                self.connect()
                expect(self.connection.compound(bind_connection(self.session))[0])
                for step in (0, 1):  # whether the last request was seen is not known
                    status, _ = self.connection.compound(sequence(self.session,
                                                                  self.sequence_id + step),
                                                         PUTROOTFH)
                    if status == OK:
                        self.sequence_id += step
                        break
                self.getattr()
                return {"seconds": time.monotonic() - begin}
            except (Closed, Denied, OSError, ValueError) as error:
                self.connection.close()
                if time.monotonic() - begin > patience:
                    return {"error": f"not served again in {patience} s: {error!r}"}
                time.sleep(0.02)

    def check(self):
        """What of its state is lost."""
        try:
            result = self.served(test_stateids(self.own_open, self.shared_open, self.lock))
            statuses = struct.unpack(">3I", result_of(result, 55)[4:16])
            lost = [name for name, status in zip(("open", "open of shared", "lock"), statuses)
                    if status != OK]
            self.sequence_id += 1
            status, _ = self.connection.compound(
                sequence(self.session, self.sequence_id), put_handle(self.own),
                lock_test(self.client_id, b"somebody else", 0, 1))
            return {"lost": lost + ([f"range (LOCKT says {status})"] if status != DENIED else [])}
        except (Closed, Denied, OSError, ValueError) as error:
            return {"lost": [f"session: {error!r}"]}


def part(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Polite:
    """The process, as a test sees it."""

    def __init__(self, source, command=()):
        self.process = subprocess.Popen([*command, sys.executable, __file__, source],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer(60)

    def _answer(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise TimeoutError("the polite client does not answer")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the polite client has ended")
        return json.loads(line)

    def ask(self, *words, timeout=120):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self._answer(timeout)

    def window(self, seconds):
        return self.ask("window", seconds)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def main():
    client = Client(sys.argv[1])
    print("{}", flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        print(json.dumps({"window": client.window, "cut": client.cut,
                          "check": client.check}[what](*map(float, numbers))), flush=True)


if __name__ == "__main__":
    main()
