"""What one peer can cost: by hundreds of connections, from addresses in the exports and in none, a
peer takes what it can get. A polite client beside it goes on in its usual time, and memory and log
stay within the table of sealnfs.conf(5)."""
import contextlib
import resource
import socket
import threading
import time

from hostile import stands, unread
from nfs4 import (Closed, Connection, Denied, PUTROOTFH, Session, compound, create_session,
                  exchange_id, lookup, opaque, read, record, rpc, sequence, u32, u64, ANONYMOUS)
from registry import equal, holds, test
from test_hostile import MIB, Watched

INSIDE = [f"127.0.0.{i}" for i in range(10, 16)]
OUTSIDE = [f"127.0.1.{i}" for i in range(10, 16)]
EXPORT = {"clients": ["127.0.0.0/24", "10.99.0.0/24"], "unprivileged_ports": "allow"}
OWN = "127.0.0.77"  # the polite client's


class Polite:
    """A client that asks all the time, from an address of its own; how long it waits for answers
    alone and with others there."""

    def __init__(self):
        self.session = Session(source=OWN)
        self.times, self.ended, self.error = [], threading.Event(), None
        self.thread = threading.Thread(target=self._ask)

    def _ask(self):
        try:
            while not self.ended.is_set():
                begin = time.monotonic()
                self.session.getattr()
                self.times.append(time.monotonic() - begin)
                self.ended.wait(0.01)
        except (Closed, OSError, ValueError) as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def went_on(self, seconds=20):
        """Soon for a busy machine."""
        holds(self.error is None, f"the polite client got {self.error!r}")
        holds(self.times and max(self.times) < seconds,
              f"it was answered {len(self.times)} times, the slowest after {max(self.times)} s")


@contextlib.contextmanager
def crowd(addresses, count, least):
    """So many connections of each that only stand there, as far as they come; `least` of them in
    all, or nobody is crowded."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    with contextlib.ExitStack() as stack:
        connections, error = [], None
        for source in addresses:
            for _ in range(count):
                try:
                    connections.append(stack.enter_context(Connection(source=source,
                                                                      reserved=False)))
                except OSError as refused:
                    error = refused
        holds(len(connections) >= least,
              f"{len(connections)} connections were had, {least} wanted; the last error: {error!r}")
        yield connections


def lines(server, text):
    return sum(text in line for line in server.log_text().splitlines())


@test(addresses=("inside", "outside"))
def hundreds_of_connections_keep_nobody_out(lab, addresses):
    """Twelve hundred for four hundred places. Whose connection was cut gets in again, by his
    session; so does a client that never was there."""
    watched = Watched(lab, max_connections=400, log_level="info", export=EXPORT)
    cut = Session(source="127.0.0.78")
    with Polite() as polite, crowd(INSIDE if addresses == "inside" else OUTSIDE, 200, 1200):
        before = watched.server.descriptors()
        holds(1 <= before < 600, f"{before} descriptors")
        cut.close()
        for _ in range(3):
            cut.connection = Connection(source="127.0.0.78")
            cut.getattr()
            cut.close()
        new = Session(source="127.0.0.79")
        new.getattr()
        new.close()
        watched.unaffected()
        watched.bounded(24 * MIB)
    polite.went_on()
    told = lines(watched.server, "its place is wanted")
    holds(1 <= told < 60, f"{told} lines say that a connection gave way")


@test()
def replies_that_hundreds_do_not_read_stop_nobody_else(lab):
    """Nine hundred READs of a megabyte by sixty sessions of six addresses, none of which reads;
    memory for requests is 64 MiB."""
    watched = Watched(lab, max_request_memory=64 * MIB, export=EXPORT)
    with Polite() as polite, contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(contextlib.closing(Session(source=source, reserved=False)))
                  for source in INSIDE for _ in range(10)]
        for session in greedy:
            session.connection.send(b"".join(
                record(compound(sequence(session.id, 1, slot=slot, highest=15), PUTROOTFH,
                                lookup(b"data"), lookup(b"file"), read(ANONYMOUS, 0, MIB - 4096)))
                for slot in range(1, 16)))
        time.sleep(3)  # what the polite client notices in this time is the subject
        waiting = [size for session in greedy if (size := unread(session.connection.socket)) > 0]
        held = (watched.server.rss() - watched.before) / MIB
        holds(len(waiting) >= 19 and sum(waiting) >= MIB and held >= 8,
              f"replies wait at {len(waiting)} connections only, {sum(waiting)} bytes; the server "
              f"holds {held:.0f} MiB")
        watched.unaffected()
        watched.bounded(96 * MIB)
    polite.went_on()


@test()
def requests_begun_by_hundreds_stop_nobody_else(lab):
    """Each half a megabyte of one, and no more ever: more than there is memory for."""
    watched = Watched(lab, max_request_memory=32 * MIB, export=EXPORT)
    begun = (record(rpc(b"x" * MIB)))[:MIB // 2]
    with Polite() as polite, crowd(INSIDE + OUTSIDE, 20, 240) as connections:
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.send(begun)
        time.sleep(3)  # as above
        standing = sum(map(stands, (connection.socket for connection in connections)))
        holds(standing >= 80, f"only {standing} requests are begun and not ended")
        watched.unaffected()
        watched.bounded(64 * MIB)
    polite.went_on()


@test()
def client_ids_that_nobody_confirms_keep_nobody_out(lab):
    """Twenty thousand owners from two addresses, where a thousand client ids are had."""
    watched = Watched(lab, max_clients=1000, log_level="info", export=EXPORT)
    with Polite() as polite:
        with Connection(source=OWN) as waiting:
            status, result = waiting.compound(exchange_id(b"waits to confirm"))
            equal(status, 0)
            for source in INSIDE[:2]:
                with Connection(source=source, reserved=False) as flooding:
                    for i in range(0, 10000, 50):
                        flooding.send(b"".join(record(compound(exchange_id(b"%s %d" % (
                            source.encode(), i + k)))) for k in range(50)))
                        for _ in range(50):
                            flooding.receive()
            client_id, first = int.from_bytes(result[8:16], "big"), int.from_bytes(
                result[16:20], "big")
            equal(waiting.compound(create_session(client_id, first))[0], 0,
                  "what waited at another address is confirmed")
        for _ in range(5):
            new = Session(source="127.0.0.79")
            new.getattr()
            new.close()
    polite.went_on()
    watched.bounded(24 * MIB)


@test()
def floods_leave_the_log_a_line_a_second(lab):
    """Denied calls and garbage, from an address in no export; what the operator must know is
    among them."""
    watched = Watched(lab, log_level="info", export=EXPORT)
    before, begin = len(watched.server.log_text().splitlines()), time.monotonic()
    with Polite() as polite:
        with Connection(source=OUTSIDE[0]) as stranger:
            for i in range(4000):
                try:
                    stranger.compound(exchange_id(b"stranger %d" % i))
                except Denied:
                    continue
                holds(False, "a stranger was let in")
        for _ in range(1000):
            with Connection(source=OUTSIDE[1], reserved=False) as garbage:
                garbage.send(b"\0" * 4 + record(b"garbage!"))
        watched.unaffected()
    polite.went_on()
    watched.server.wait_log("lines were left out within a second, such as")
    wrote = len(watched.server.log_text().splitlines()) - before
    most = 8 * (20 + time.monotonic() - begin)  # eight kinds of lines, each with its store
    holds(wrote < most, f"{wrote} lines, at most {most:.0f} wanted")


@test(timeout=300, seconds=60)
def a_slow_but_steady_write_is_served(lab):
    """1 MiB at 20 KiB a second is longer under way than a request that stands still may be."""
    watched = Watched(lab)
    slow = Session()
    call = record(compound(sequence(slow.id, slow.sequence_id + 1), PUTROOTFH, lookup(b"data"),
                           lookup(b"file"), u32(38) + ANONYMOUS + u64(0) + u32(2)
                           + opaque(b"w" * (MIB - 1024))))
    slow.connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(call), 20 << 10):
        slow.connection.send(call[at:at + (20 << 10)])
        time.sleep(1)  # it is what this test is about
    status = int.from_bytes(slow.connection.receive()[24:28], "big")
    equal(status, 0, "the WRITE")
    watched.unaffected()
