"""Peers that do their worst, each a process: hostile.py NAME ADDRESS DIRECTORY MORE.

It says "ready" when its worst is reached, goes on until its input is closed, and then says in a
line of JSON what it counted, and what the least of it is that makes it hostile: a peer that does
nothing must not pass for a server that bears everything.

They take what a limit leaves them and come back for more: whoever is refused tries again.
"""
import collections
import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import random
import selectors
import socket
import struct
import sys
import termios
import time
import traceback

from nfs4 import (Closed, Connection, PUTROOTFH, GETFH, RECLAIM_COMPLETE, bind_connection, compound,
                  create_session, exchange_id, getattr, latest, lock_first, lock_more, lookup,
                  opaque, open_file, put_handle, read, readdir, record, result_of, rpc, sequence,
                  u32, u64, write)

OK, BLOCK_VOLUME, READ_MODE = 0, 3, 1
LAST_FRAGMENT, ESTABLISHED = 0x80000000, 1
EVERY_ATTRIBUTE = getattr(0x7FF9FFFB, 0x00B8BE3E)
LAYOUTGET, BACKCHANNEL_CTL, DESTROY_SESSION = 50, 40, 44
LATER = 10008, 10013, 10058  # DELAY, GRACE, LAYOUTTRYLATER
HOLDERS = 40
SERVER = ("127.0.0.1", 2049)
PATIENCE = 40  # seconds in which its worst is reached, or it is none
MORE = 20  # seconds in which a slow machine makes up what is missing, once the end was said
worst = {}


def hostile(first, then):
    """`first`: what must have been counted before the peer is at its worst; `then`: what it must
    count from there on. A status is counted as itself, OK as "granted". All is waited for but what
    can only be seen in the end: that is a third of what a busy machine reached, or less."""
    def register(function):
        worst[function.__name__] = function, first, then
        return function
    return register


class Peer:
    """Whose process this is."""

    def __init__(self, first, then, source, directory, more):
        self.first, self.then, self.source, self.directory, self.more = (first, then, source,
                                                                         directory, more)
        self.answers, self.before, self.seconds = collections.Counter(), None, None
        self.selector, self.said, self.owner = selectors.DefaultSelector(), False, os.urandom(4)
        self.begin, self.end = time.monotonic(), None
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)

    def ready(self):
        if not self.said:
            self.seconds = round(time.monotonic() - self.begin, 2)
            self.before = self.answers.copy()
            print("ready", flush=True)
        self.said = True

    def reached(self):
        """Ready, if the worst is reached, or does not come: then the report says so."""
        if all(self.answers[what] >= least for what, least in self.first.items()):
            self.ready()
        self.bear()

    def bear(self):
        """No longer than there is patience: then the report says what is missing."""
        if time.monotonic() - self.begin > PATIENCE:
            self.ready()

    def did_enough(self):
        """How soon depends on the machine's speed, what is counted does not."""
        before = self.before or collections.Counter()
        return all(self.answers[what] - before[what] >= least
                   for what, least in self.then.items() if not str(what).endswith("in the end"))

    def report(self):
        before = self.before or collections.Counter()
        return {"first": [[what, before[what], least] for what, least in self.first.items()],
                "then": [[what, self.answers[what] - before[what], least]
                         for what, least in self.then.items()],
                "seconds": self.seconds, "before": dict(before.most_common(8)),
                "answers": dict(self.answers.most_common(8))}

    def answered(self, status):
        self.answers["granted" if status == OK else status] += 1

    def wait(self, timeout=0.0):
        """What is readable or writable; None when the end has come."""
        found = self.selector.select(timeout)
        if any(key.fileobj is sys.stdin for key, _ in found):
            self.selector.unregister(sys.stdin)
            self.end = time.monotonic() + MORE
        if self.end and (self.did_enough() or time.monotonic() > self.end):
            return None
        return [(key.data, events) for key, events in found if key.fileobj is not sys.stdin]

    def connect(self, small=False, source=None):
        """A connection that does not wait; None when there is none to be had."""
        end = socket.socket()
        if small:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            end.settimeout(2)
            end.bind((source or self.source, 0))
            end.connect(SERVER)
        except OSError as error:
            self.answers[f"connect: {error.errno}"] += 1
            end.close()
            return None
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
        self.answers["connected"] += 1
        return end

    def name(self):
        """An owner that nobody had."""
        return b"hostile" + self.owner + os.urandom(8)

    def session(self, client_id=None, first=1, callbacks=False, small=False, kind=Connection):
        """A session of a new client, or one more of one; None when there is none to be had."""
        made = Session()
        if self.said and self.wait() is None:
            raise EOFError
        self.bear()
        try:
            end = self.connect(small)
            if not end:
                return None
            end.settimeout(2)
            made.connection = kind(over=end)
            if client_id is None:
                status, result = self.call(made, exchange_id(self.name(), os.urandom(8)))
                if status != OK:
                    return made.close()
                client_id, first = struct.unpack_from(">QI", result, 8)
            made.client_id, made.next = client_id, first + 1
            status, result = self.call(made, create_session(
                client_id, first, slots=64, operations=64, max_size=2 << 20, callbacks=callbacks))
            if status != OK:
                return made.close()
            made.id = result[8:24]
            made.slots = struct.unpack_from(">7I", result, 32)[5]
            made.sequences = [0] * made.slots
            self.in_turn(made, RECLAIM_COMPLETE)
            self.answers["sessions"] += 1
            return made
        except (Closed, OSError, ValueError, struct.error) as error:
            self.answers[type(error).__name__] += 1
            return made.close()

    def sessions(self, count, **options):
        """As many as there are to be had, `count` at most, and one at least."""
        found = [made for made in (self.session(**options) for _ in range(count)) if made]
        if not found:
            raise RuntimeError(f"no session is to be had: {dict(self.answers)}")
        return found

    def call(self, session, *operations):
        status, result = session.connection.compound(*operations)
        self.answered(status)
        return status, result

    def in_turn(self, session, *operations):
        """One compound in the first slot, and its answer."""
        session.sequences[0] += 1
        return self.call(session, sequence(session.id, session.sequences[0]), *operations)

    def handle(self, session, *names):
        _, result = self.in_turn(session, PUTROOTFH, *map(lookup, names), GETFH)
        return result_of(result, 10)[4:][:int.from_bytes(result_of(result, 10)[:4], "big")]


class Obliging(Connection):
    """Says that it is there when it is asked: who does not gets no layout."""

    def receive(self):
        while (message := super().receive())[4:8] == u32(0):
            if message[20:24] == u32(0):  # CB_NULL
                self.send(record(message[:4] + u32(1, 0, 0, 0, 0)))
        return message


class Session:
    connection = None

    def close(self):
        if self.connection:
            self.connection.close()


class Pipe:
    """A connection with many calls under way: `refill(tag)` gives the next call for a place whose
    answer has come, None: no more. `again` makes another connection when this one is closed."""

    def __init__(self, peer, end, refill, places=1, again=None):
        self.peer, self.refill, self.again, self.places = peer, refill, again, places
        self.answer = b""
        self.open(end)

    def open(self, end):
        self.end, self.out, self.input = end, bytearray(), bytearray()
        self.skip = 0
        if not end:
            return
        end.setblocking(False)
        self.peer.selector.register(end, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        for place in range(self.places):
            self.put(place)

    def put(self, place):
        call = self.refill(place)
        if call is not None:
            self.out += record(u32(place) + call[4:])

    def work(self, events):
        try:
            if events & selectors.EVENT_READ:
                self.take(self.end.recv(1 << 18))
            if self.out:
                del self.out[:self.end.send(memoryview(self.out)[:1 << 18].tobytes())]
            self.peer.selector.modify(self.end, selectors.EVENT_READ
                                      | (selectors.EVENT_WRITE if self.out else 0), self)
        except BlockingIOError:
            pass
        except (Closed, OSError) as error:
            self.peer.answers[type(error).__name__] += 1
            self.close()
            if self.again:
                self.open(self.again())

    def close(self):
        self.peer.selector.unregister(self.end)
        self.end.close()

    def take(self, data):
        """Answers: of each no more is looked at than its status."""
        if not data:
            raise Closed()
        self.input += data
        at = 0
        while len(self.input) - at >= 4:
            size = int.from_bytes(self.input[at:at + 4], "big") & ~LAST_FRAGMENT
            if len(self.input) - at < 4 + size:
                break
            place, kind = struct.unpack_from(">II", self.input, at + 4)
            if kind != 1:  # a call to us, which nobody answers
                self.peer.answers["called"] += 1
            else:
                self.answer = bytes(self.input[at + 4:at + 4 + min(size, 200)])
                self.peer.answered(*(struct.unpack_from(">I", self.input, at + 28) if size >= 28
                                     else ("denied",)))
                self.put(place)
            at += 4 + size
        del self.input[:at]


def slots_full(peer, session, operations, cache=False):
    """Every slot of the session has a call under way, always; `operations(slot)` are the next."""
    def refill(slot):
        session.sequences[slot] += 1
        return compound(sequence(session.id, session.sequences[slot], slot, slot, cache),
                        *operations(slot))
    return Pipe(peer, session.connection.socket, refill, session.slots)


def run(peer, pipes, timeout=0.05, each_turn=None):
    """Until the end; the peer is ready when its worst is reached."""
    while (found := peer.wait(timeout)) is not None:
        peer.reached()
        for pipe, events in found:
            pipe.work(events)
        if each_turn:
            each_turn()
    return pipes


class PumpPipe(ctypes.Structure):
    """As in pump.c."""
    _fields_ = [("fd", ctypes.c_int), ("slots", ctypes.c_uint32), ("call_len", ctypes.c_uint32),
                ("sequence_at", ctypes.c_uint32), ("call", ctypes.c_char_p),
                ("sequences", ctypes.POINTER(ctypes.c_uint32)), ("ours", ctypes.c_uint64 * 8)]


def keep_full(peer, sessions, operations):
    """Every slot of the sessions has `operations(session)` under way, always."""
    rows = []
    for made in sessions:
        calls = operations(made)
        try:
            if peer.in_turn(made, *calls)[0] == OK:
                peer.answers["granted once"] += 1
        except (Closed, OSError, ValueError) as error:
            peer.answers[type(error).__name__] += 1
        head = compound(sequence(b"here is sequence", 0), *calls)
        rows.append((made.connection.socket, record(head.replace(b"here is sequence", made.id)),
                     head.index(b"here is sequence") + 20, made.slots, made.sequences))
    pump(peer, rows)


def pump(peer, rows):
    """Rows of (socket, record, where its sequence id is, slots, sequence ids)."""
    pipes, counts = (PumpPipe * len(rows))(), (ctypes.c_uint64 * 2)()
    for pipe, (end, call, at, slots, sequences) in zip(pipes, rows):
        pipe.fd, pipe.slots, pipe.call, pipe.call_len, pipe.sequence_at = (end.fileno(), slots,
                                                                          call, len(call), at)
        pipe.sequences = (ctypes.c_uint32 * slots)(*sequences)
    peer.ready()
    library = ctypes.CDLL(f"{peer.directory}/pump.so")
    if ctypes.sizeof(PumpPipe) != library.pump_pipe_size():
        raise ValueError("pump.c has another struct pump_pipe")
    closed = library.pump(pipes, len(rows), 0, counts)
    if closed < 0:
        raise MemoryError
    answered, granted = counts
    peer.answers.update({"answered": answered, "granted": granted, "closed": closed})


# ---- Memory ----

def ask_for_much(peer, count):
    """Connections with a small window on which 64 MiB each are asked for."""
    def one():
        made = peer.session(small=True)
        if not made:
            return None
        handle = peer.handle(made, b"data", b"big")
        data = b"".join(record(compound(sequence(made.id, 1 + (slot == 0) * made.sequences[0], slot,
                                                 slot), put_handle(handle),
                                        read(bytes(16), 0, 1 << 20)))
                        for slot in range(made.slots))
        made.connection.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            peer.answers["bytes sent"] += made.connection.socket.send(data)
        return made.connection.socket
    return [one() for _ in range(count)], one


def stands(end):
    """Whether it is a connection that nobody has closed."""
    with contextlib.suppress(OSError):
        return (end and not end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                and end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED)
    return False


def replace_closed(peer, ends, one):
    """Those that the server has closed give way to new ones. Reads nothing."""
    for i, end in enumerate(ends):
        if stands(end):
            continue
        if end:
            peer.answers["closed"] += 1
            end.close()
        ends[i] = one()


def unread(end):
    """The bytes that have come and were not taken."""
    found = bytearray(4)
    fcntl.ioctl(end, termios.FIONREAD, found)
    return int.from_bytes(found, sys.byteorder)


def with_unread(ends):
    """How many of them have replies waiting."""
    return sum(unread(end) > 0 for end in ends if end)


@hostile(first={"sessions": 20, "bytes sent": 240000}, then={"unread at once": 20})
def unread_replies(peer):
    """Much is asked for, and not one reply is read."""
    ends, one = ask_for_much(peer, 64)
    peer.ready()
    while peer.wait(0.1) is not None:
        replace_closed(peer, ends, one)
        peer.answers["unread at once"] = max(peer.answers["unread at once"], with_unread(ends))


@hostile(first={"sessions": 20, "bytes sent": 240000},
         then={"bytes read": 5000, "unread in the end": 20})
def slow_readers(peer):
    """Much is asked for, and read a few bytes at a time."""
    ends, one = ask_for_much(peer, 64)
    peer.ready()
    while peer.wait(0.01) is not None:
        for end in filter(None, ends):
            with contextlib.suppress(OSError):
                peer.answers["bytes read"] += len(end.recv(16))
        replace_closed(peer, ends, one)
    peer.answers["unread in the end"] = with_unread(ends)


@hostile(first={"connected": 130, "bytes sent": 64 << 20}, then={"standing in the end": 130})
def promised_requests(peer):
    """Megabytes are announced and sent up to the last byte."""
    body = u32(LAST_FRAGMENT | 1 << 20) + rpc(procedure=1) + bytes((1 << 20) - 200)

    def one():
        end = peer.connect()
        if end:
            left[end] = memoryview(body)
        return end
    left = {}
    ends = [one() for _ in range(400)]
    begin = time.monotonic()
    while peer.wait(0.005) is not None:
        peer.reached()
        for end in filter(None, ends):
            with contextlib.suppress(OSError):
                if left[end]:
                    sent = end.send(left[end])
                    left[end] = left[end][sent:]
                    peer.answers["bytes sent"] += sent
        if not any(left[end] for end in filter(None, ends)) or time.monotonic() - begin > 1:
            replace_closed(peer, ends, one)
            begin = time.monotonic()
    peer.answers["standing in the end"] = sum(map(stands, ends))


@hostile(first={"sessions": 8, "granted": 100}, then={"sessions": 5, "granted": 150})
def reply_cache(peer):
    """Sessions whose every slot keeps a reply of the greatest size."""
    pipes = []

    def fill():
        """All sessions that a client may have."""
        made = first = peer.session()
        while made:
            handle = peer.handle(made, b"data", b"small")
            pipes.append(once_each_slot(peer, made, [put_handle(handle), readdir(0, 8000)]))
            first.next += 1
            made = peer.session(first.client_id, first.next - 1)
    while peer.wait() is not None:
        fill()
        for _ in range(20):
            if (found := peer.wait(0.01)) is None:
                return
            peer.reached()
            for pipe, events in found:
                pipe.work(events)


def once_each_slot(peer, session, operations):
    calls = {slot: compound(sequence(session.id, 1 + (slot == 0) * session.sequences[0], slot, slot,
                                     cache=True), *operations) for slot in range(session.slots)}
    return Pipe(peer, session.connection.socket, lambda slot: calls.pop(slot, None), session.slots)


# ---- Places in tables ----

@hostile(first={"connected": 2000}, then={"connected": 300, "closed": 300})
def idle_connections(peer):
    """Thousands that say nothing."""
    hold_idle(peer, 6000, lambda: None)


@hostile(first={"connected": 2000}, then={"connected": 300, "closed": 300})
def idle_connections_of_many_outsiders(peer):
    """The same, each from another address outside the exports."""
    numbers = itertools.count(1)

    def source():
        number = next(numbers)
        return f"127.9.{number // 250 % 250}.{number % 250 + 1}"
    hold_idle(peer, 6000, source)


def hold_idle(peer, count, source):
    ends = []
    while len(ends) < count:
        end = peer.connect(source=source())
        if end:
            ends.append(end)
            peer.selector.register(end, selectors.EVENT_READ, end)
        else:
            break
    peer.ready()
    while (found := peer.wait(0.02)) is not None:
        for end, _ in found[:100]:  # closed by the server
            peer.selector.unregister(end)
            end.close()
            peer.answers["closed"] += 1
            end = peer.connect(source=source())
            if end:
                peer.selector.register(end, selectors.EVENT_READ, end)


@hostile(first={"connected": 200}, then={"connected": 700})
def connections_that_come_and_go(peer):
    """As many as can be, ended at once and hard."""
    reset = struct.pack("ii", 1, 0)
    while peer.wait() is not None:
        peer.reached()
        for _ in range(20):
            end = peer.connect()
            if end:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                end.close()


@hostile(first={"connected": 4, "granted": 3000}, then={"granted": 2000})
def ids_never_confirmed(peer):
    """EXCHANGE_IDs by the ten thousand, no CREATE_SESSION."""
    def refill(_):
        return compound(exchange_id(peer.name(), os.urandom(8)))
    run(peer, [Pipe(peer, peer.connect(), refill, 16, peer.connect) for _ in range(4)])


@hostile(first={"sessions": 10, "called": 30}, then={"granted": 500})
def sessions_made_and_destroyed(peer):
    """With a back channel each, whose first call is never answered; of a client's the server has 16
    under way, however many it makes."""
    run(peer, [Churner(peer, made) for made in peer.sessions(32)])


class Churner(Pipe):
    """CREATE_SESSION and DESTROY_SESSION in turn."""

    def __init__(self, peer, made):
        self.made = made
        super().__init__(peer, made.connection.socket, self.next)

    def next(self, _):
        if len(self.answer) > 100:  # of a CREATE_SESSION that was done
            self.made.next += 1
            return compound(u32(DESTROY_SESSION) + self.answer[44:60])
        return compound(create_session(self.made.client_id, self.made.next, callbacks=True))


@hostile(first={"sessions": 5, "granted": 500}, then={"granted": 2000})
def sessions_renegotiated(peer):
    """Connections are bound to sessions and the back channel is told anew, without end."""
    pipes, made = [], peer.sessions(16, callbacks=True)
    for session in made:
        def operations(slot, session=session):
            return [u32(BACKCHANNEL_CTL, 0x40000000 + slot) + u32(1, 0)]
        pipes.append(slots_full(peer, session, operations))
        bind = compound(bind_connection(session.id, 3))
        pipes += [Pipe(peer, peer.connect(), lambda _, bind=bind: bind, 8, peer.connect)
                  for _ in range(4)]
    run(peer, pipes)


# ---- Work ----

@hostile(first={"sessions": 60, "granted once": 60}, then={"granted": 8000})
def requests_without_end(peer):
    """Hundreds of connections with every slot in use."""
    keep_full(peer, peer.sessions(200), lambda _: [PUTROOTFH, lookup(b"data"), EVERY_ATTRIBUTE])


@hostile(first={"sessions": 20, "granted once": 20}, then={"answered": 1000, "granted": 1})
def compounds_of_greatest_length(peer):
    """Every operation that a session allows, each of them much work."""
    def operations(made):
        listing = readdir(0, 32768, attributes=EVERY_ATTRIBUTE[4:])
        return [put_handle(peer.handle(made, b"data", b"small")), *[EVERY_ATTRIBUTE, listing] * 31]
    keep_full(peer, peer.sessions(64), operations)


@hostile(first={"sessions": 20, "granted once": 20}, then={"granted": 800})
def compounds_of_many_attributes(peer):
    """The same without what a worker does."""
    keep_full(peer, peer.sessions(64), lambda _: [PUTROOTFH, *[lookup(b"data"), EVERY_ATTRIBUTE,
                                                               PUTROOTFH] * 20])


@hostile(first={"connected": 60}, then={"bytes sent": 2500, "connected": 180})
def bytes_one_at_a_time(peer):
    """Two hundred connections that send a byte a segment: every other one calls that are right,
    the rest from somewhere in the middle, which is garbage and gets them closed."""
    body = itertools.cycle(record(compound(exchange_id(b"x" * 900))))
    data = bytes(itertools.islice(body, 1 << 20))
    ends = [[peer.connect(), i % 2 * random.randrange(4, 900)] for i in range(200)]
    peer.ready()
    while peer.wait() is not None:
        for i, place in enumerate(ends):
            end, at = place
            try:
                peer.answers["bytes sent"] += end.send(data[at:at + 1])
                place[1] = (at + 1) % len(data)
            except BlockingIOError:
                pass
            except OSError:
                end.close()
                place[:] = peer.connect() or end, i % 2 * random.randrange(4, 900)


@hostile(first={"connected": 130, "denied": 100}, then={"denied": 1000, 10052: 1000})
def outside_the_exports(peer):
    """Hundreds of connections from an address that nobody exports to."""
    calls = [compound(exchange_id(b"stranger" * 100)),
             compound(sequence(os.urandom(16), 1), PUTROOTFH),
             compound(PUTROOTFH, EVERY_ATTRIBUTE), rpc(),
             compound(bind_connection(os.urandom(16), 3)),
             compound(create_session(random.getrandbits(64), 1)),
             compound(*[PUTROOTFH] * 1000)]
    pipes = [Pipe(peer, peer.connect(), lambda place: calls[place % len(calls)], 35, peer.connect)
             for _ in range(400)]
    run(peer, pipes)


@hostile(first={"sessions": 5, "granted once": 5}, then={"answered": 3000, "granted": 20})
def huge_directory(peer):
    """READDIR of tens of thousands of names with all their attributes, by every slot."""
    def operations(made):
        return [put_handle(peer.handle(made, b"data", b"many")),
                readdir(0, 1 << 20, attributes=EVERY_ATTRIBUTE[4:])]
    keep_full(peer, peer.sessions(16), operations)


@hostile(first={"sessions": 3, "granted once": 3}, then={"granted": 3})
def big_writes(peer):
    """Megabytes to be made durable, by every slot of many sessions."""
    data = os.urandom(1 << 20)

    def operations(made):
        made.slots, made.sequences = 16, made.sequences[:16]  # what is sent is what loads
        return [put_handle(peer.handle(made, b"data", b"shared")),
                write(bytes(16), 16 << 20, data, stable=2)]
    keep_full(peer, peer.sessions(8), operations)


@hostile(first={"sessions": 5, "granted once": 5}, then={"granted": 150})
def big_reads(peer):
    """Megabytes, read at full speed, by every slot of many sessions."""
    keep_full(peer, peer.sessions(16), lambda made: [put_handle(peer.handle(made, b"data", b"big")),
                                                     read(bytes(16), 0, 1 << 20)])


# ---- State ----

@hostile(first={"sessions": 1, "granted": 30}, then={"granted": 200})
def lock_storm(peer):
    """Tens of thousands of ranges in one file, that others have open too."""
    pipes = []
    for made in peer.sessions(2):
        handle = peer.handle(made, b"data", b"shared")
        owner = peer.name()
        status, result = peer.in_turn(made, PUTROOTFH, lookup(b"data"),
                                      open_file(made.client_id, owner, b"shared"))
        if status != OK:
            continue
        status, result = peer.in_turn(made, put_handle(handle),
                                      lock_first(latest(result_of(result, 18)[:16]), made.client_id,
                                                 owner, random.getrandbits(40) << 8, 1))
        if status != OK:
            continue
        lock = latest(result_of(result, 12)[:16])
        ranges = itertools.count((1 << 30) + (random.getrandbits(20) << 40), 2)

        def operations(_, handle=handle, lock=lock, ranges=ranges):
            return [put_handle(handle), *(lock_more(lock, next(ranges), 1)
                                          for _ in range(62))]
        pipes.append(slots_full(peer, made, operations))
    run(peer, pipes)


@hostile(first={"sessions": 2, "granted": 30}, then={"granted": 40})
def hundred_thousand_opens(peer):
    """Of as many files, and of one by as many owners."""
    files, owners, pipes = itertools.cycle(range(int(peer.more))), itertools.count(), []
    for i, made in enumerate(peer.sessions(4)):
        many, data = peer.handle(made, b"data", b"many"), peer.handle(made, b"data")

        def of_many(_, made=made, many=many):
            return [part for _ in range(31) for part in (
                put_handle(many), open_file(made.client_id, b"one", b"f%06d" % next(files), 1))]

        def by_many(_, made=made, data=data):
            return [part for _ in range(31) for part in (
                put_handle(data), open_file(made.client_id, u64(next(owners)), b"shared", 1))]
        pipes.append(slots_full(peer, made, by_many if i == 0 else of_many))
    run(peer, pipes)


@hostile(first={"sessions": 2, 10008: 10}, then={10008: 500, 10039: 1})
def new_owner_names(peer):
    """Each of which the directory server is asked for."""
    pipes, numbers = [], itertools.count()
    for made in peer.sessions(4):
        handle = peer.handle(made, b"data", b"shared")

        def operations(_, handle=handle):
            name = b"user%d-%s@localdomain" % (next(numbers), peer.owner.hex().encode())
            set_owner = u32(34) + bytes(16) + u32(2, 0, 1 << 4) + opaque(opaque(name))
            return [put_handle(handle), set_owner]
        pipes.append(slots_full(peer, made, operations))
    run(peer, pipes)


# ---- Logs ----

@hostile(first={"sessions": 2, 1: 20, "thrown": 50}, then={1: 50, "thrown": 60})
def refusals_and_garbage(peer):
    """Opens that are refused, connections that begin with garbage."""
    pipes = []
    for made in peer.sessions(4):
        handle = peer.handle(made, b"data")
        pipes.append(slots_full(peer, made, lambda _, made=made, handle=handle: [
            put_handle(handle), open_file(made.client_id, b"x", b"frozen")]))
    garbage = itertools.cycle((b"GET / HTTP/1.1\r\n\r\n", record(bytes(40)), record(rpc(kind=1)),
                               u32(0xFFFFFFFF), record(u32(1)), os.urandom(100)))

    def throw():
        for _ in range(5):
            end = peer.connect()
            if end:
                with contextlib.suppress(OSError):
                    end.send(next(garbage))
                    peer.answers["thrown"] += 1
                end.close()
    run(peer, pipes, timeout=0, each_turn=throw)


# ---- Callbacks ----

def layouts_of_hostage(peer, pipe_of):
    """Forty clients that have a layout of the file that `more` names."""
    pipes = []
    for made in peer.sessions(HOLDERS, callbacks=True, kind=Obliging):
        end = time.monotonic() + PATIENCE
        while (status := layout_to_read(peer, made)) != OK:
            if status not in LATER or time.monotonic() > end:
                raise RuntimeError(f"a layout of {peer.more} is refused: {dict(peer.answers)}")
            time.sleep(0.01)
        peer.answers["layouts"] += 1
        pipes.append(pipe_of(peer, made.connection.socket, lambda _: None, 0))
    if len(pipes) < HOLDERS:
        raise RuntimeError(f"only {len(pipes)} of {HOLDERS} hold a layout: {dict(peer.answers)}")
    run(peer, pipes)


def layout_to_read(peer, made):
    """The status of the OPEN or LAYOUTGET: a frozen file is read, and nothing else."""
    status, result = peer.in_turn(made, PUTROOTFH, lookup(b"data"),
                                  open_file(made.client_id, b"x", peer.more.encode(), READ_MODE),
                                  GETFH)
    if status != OK:
        return status
    stateid = result_of(result, 18)[:16]
    handle = result_of(result, 10)[4:][:int.from_bytes(result_of(result, 10)[:4], "big")]
    layoutget = (u32(LAYOUTGET, 0, BLOCK_VOLUME, READ_MODE) + u64(0) + u64(0xFFFFFFFFFFFFFFFF)
                 + u64(4096) + stateid + u32(1 << 16))
    return peer.in_turn(made, put_handle(handle), layoutget)[0]


@hostile(first={"layouts": HOLDERS}, then={"called": HOLDERS // 3})
def callbacks_unanswered(peer):
    """Layouts are recalled, and nobody answers."""
    layouts_of_hostage(peer, Pipe)


class Babbler(Pipe):
    """Every call is answered with something that is no answer to it."""

    def take(self, data):
        if not data:
            raise Closed()
        self.peer.answers["called"] += 1
        xid = data[4:8]
        for answer in (xid + u32(1, 0, 0, 0, 0, 0xFFFFFFFF, 0x7FFFFFFF) + os.urandom(40),
                       os.urandom(4) + u32(1) + os.urandom(100), xid + u32(1, 1, 0, 9, 9),
                       xid + u32(1, 0), xid + u32(1, 0, 0, 0, 0, 10008) + opaque(b"") + u32(0)):
            self.out += record(answer)


@hostile(first={"layouts": HOLDERS}, then={"called": HOLDERS // 3})
def callbacks_answered_with_garbage(peer):
    """Layouts are recalled, and the answers make no sense."""
    layouts_of_hostage(peer, Babbler)


# ---- No peer at all ----

@hostile(first={}, then={})
def control(peer):
    """The same processor time, without a word to the server: what the machine does."""
    peer.ready()
    while peer.wait() is not None:
        for _ in range(10000):
            pass


def main():
    name, *arguments = sys.argv[1:]
    function, first, then = worst[name]
    peer = Peer(first, then, *arguments)
    try:
        with contextlib.suppress(BrokenPipeError, EOFError, KeyboardInterrupt):
            function(peer)
        print(json.dumps(peer.report()), flush=True)
    except Exception:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # thousands of connections end with it


if __name__ == "__main__":
    main()
