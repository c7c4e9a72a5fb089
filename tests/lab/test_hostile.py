"""Hostile input: an error or a closed connection, bounded memory, other clients unaffected."""
import contextlib
import random
import resource
import select
import socket
import struct
import time

from nfs4 import (ANONYMOUS, Closed, Connection, GarbageArguments, GETFH, LAST_FRAGMENT, PUTROOTFH,
                  Session, auth_sys, compound, create_session, exchange_id, getattr, lookup, opaque,
                  read, readdir, record, rpc, sequence, u32, u64)
from registry import equal, holds, test

MIB = 1 << 20
MINOR_VERS_MISMATCH, BADSESSION, SEQ_MISORDERED, OP_ILLEGAL, BADSLOT = (10021, 10052, 10063, 10044,
                                                                        10053)
BADXDR, INVAL, BADNAME, BADCHAR, NAMETOOLONG = 10036, 22, 10041, 10040, 63


class Watched:
    """A server with a good client on it that is asked every now and then."""

    def __init__(self, lab, **options):
        disk = lab.disk(size=400 * MIB)
        disk.write("file", MIB)
        self.server = lab.server(**options)
        self.good = Session()
        self.before = self.server.rss()

    def unaffected(self, seconds=30):
        """The server lives, an old client and a new one get right answers, and soon for
        a busy machine."""
        holds(self.server.running(), "the server ended")
        begin = time.monotonic()
        self.good.getattr()
        new = Session()
        new.getattr()
        new.close()
        holds(time.monotonic() - begin < seconds,
              f"other clients waited {time.monotonic() - begin:.1f} s")

    def let_go(self, descriptors, seconds=60):
        """What was closed on the server is closed by it: the descriptors fall to so many,
        in a while."""
        end = time.monotonic() + seconds
        while self.server.descriptors() > descriptors and time.monotonic() < end:
            self.good.getattr()  # each answer comes after what its loop had to do before
        holds(self.server.descriptors() <= descriptors,
              f"{self.server.descriptors()} descriptors, wanted {descriptors}")

    def bounded(self, growth, before=None):
        """Resident memory grew by no more than this since the start or `before`; under a sanitizer
        it says nothing."""
        with open(f"/proc/{self.server.process.pid}/maps") as f:
            if "libasan" in f.read():
                return
        grown = self.server.rss() - (self.before if before is None else before)
        holds(grown <= growth, f"memory grew by {grown / MIB:.1f} MiB, allowed {growth / MIB:.1f}")


def outcome(data, half_close=True):
    """Send bytes on a connection of their own: "reply" or "closed", or an error when neither
    comes in time."""
    with Connection(reserved=False) as connection:
        with contextlib.suppress(OSError):  # already closed on us
            connection.send(data)
            if half_close:
                connection.socket.shutdown(socket.SHUT_WR)
        try:
            connection.receive()
            return "reply"
        except Closed:
            return "closed"


@test()
def malformed_records(lab):
    watched = Watched(lab)
    null = rpc()
    for data in (b"", b"\0", u32(0), u32(LAST_FRAGMENT), u32(0) * 100000, u32(0x7FFFFFFF) + b"x"
                 * 100, u32(0xFFFFFFFF) + b"x" * 100, record(b""), record(b"\0\0\0\1"), b"GET / "
                 b"HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                 u32(LAST_FRAGMENT | 16 * MIB) + b"x" * 1000, bytes(range(256)) * 300):
        outcome(data)
    for cut in range(len(null)):
        outcome(record(null[:cut]))
        outcome(record(null)[:cut])
    watched.unaffected()
    watched.bounded(16 * MIB)


@test()
def a_call_in_many_fragments_is_a_call(lab):
    """Fragments of one byte, several calls in one segment: legal, if unusual."""
    watched = Watched(lab)
    null = rpc()
    pieces = b"".join(record(null[i:i + 1], last=i + 1 == len(null)) for i in range(len(null)))
    equal(outcome(pieces, half_close=False), "reply")
    with Connection() as connection:
        connection.send(b"".join(record(rpc(xid=i)) for i in range(100)))
        equal(sorted(struct.unpack(">I", connection.receive()[:4])[0] for _ in range(100)),
              list(range(100)), "xids")
    watched.unaffected()


@test()
def wrong_programs_and_versions(lab):
    watched = Watched(lab)
    with Connection() as connection:
        def words(message, count):
            return struct.unpack_from(f">{count}I", connection.ask(message))
        equal(words(rpc(program=100005), 5), (1, 0, 0, 0, 1), "another program: PROG_UNAVAIL")
        equal(words(rpc(version=3), 7), (1, 0, 0, 0, 2, 4, 4), "NFSv3: PROG_MISMATCH, 4 to 4")
        equal(words(rpc(procedure=99), 5), (1, 0, 0, 0, 3), "another procedure: PROC_UNAVAIL")
        equal(words(rpc(rpc_version=3), 5), (1, 1, 0, 2, 2),
              "another RPC version: RPC_MISMATCH, 2 to 2")
        for minor in (0, 2, 3, 0xFFFFFFFF):
            equal(connection.compound(PUTROOTFH, minor=minor)[0], MINOR_VERS_MISMATCH,
                  f"minor version {minor}")
        equal(words(rpc(), 5), (1, 0, 0, 0, 0), "and a right one")
    for message in (rpc(auth=u32(99) + opaque(b"")), rpc(auth=u32(1) + opaque(b"short")),
                    rpc(auth=u32(1) + opaque(b"x" * 401)),
                    rpc(auth=u32(1) + opaque(b"x" * 20, length=0xFFFFFFFF)),
                    rpc(auth=auth_sys(machine=b"m" * 300)),
                    rpc(auth=u32(1) + opaque(u32(0) + opaque(b"") + u32(0, 0, 0xFFFFFFFF))),
                    rpc(kind=1), rpc(kind=9)):
        outcome(record(message))
    watched.unaffected()


@test()
def absurd_lengths_and_counts(lab):
    """Lengths that promise far more than the message holds; none of them may cost
    memory or time."""
    watched = Watched(lab)
    session = Session()
    begin = time.monotonic()
    huge = (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 1 << 30, 1 << 24)
    for length in huge:
        for operation in (u32(9, length), u32(9, length, 1), lookup(b"")[:4] + u32(length)
                          + b"name", u32(38) + ANONYMOUS + u64(0) + u32(2, length),
                          u32(17, length), u32(34) + ANONYMOUS + u32(length), u32(49) + u64(0) * 2
                          + u32(0) + ANONYMOUS + u32(0, 0, 3, length), u32(44) + u32(length),
                          u32(55, length) + ANONYMOUS, u32(42) + bytes(8) + u32(length),
                          u32(6, 5, length), u32(18, 0, 1, 0) + u64(1) + u32(length)):
            try:
                status = session.compound(PUTROOTFH, operation)[0]
            except GarbageArguments:
                session.sequence_id -= 1  # refused before SEQUENCE
                continue
            holds(status != 0, f"{operation[:12].hex()} with length {length:#x} was accepted")
        equal(outcome(record(rpc(u32(length, 0, 0), 1))) in ("reply", "closed"), True)
        equal(outcome(record(compound(PUTROOTFH, count=length))) in ("reply", "closed"), True)
    holds(time.monotonic() - begin < 60, "absurd lengths cost time")
    session.getattr()
    watched.unaffected()
    watched.bounded(16 * MIB)


@test()
def illegal_operations_and_names(lab):
    watched = Watched(lab)
    session = Session()
    for number in (0, 1, 2, 59, 99, 9999, 0xFFFFFFFF):
        holds(session.compound(u32(number))[0] in (OP_ILLEGAL, 10004), f"operation {number}")
    session.compound(PUTROOTFH, lookup(b"data"))
    for name, wanted in ((b"", (INVAL,)), (b".", (BADNAME,)), (b"..", (BADNAME,)),
                         (b"a/b", (BADNAME, BADCHAR)), (b"a\0b", (BADNAME, BADCHAR)),
                         (b"\xff\xfe", (INVAL, BADCHAR, 2)), (b"x" * 256, (NAMETOOLONG,)),
                         (b"x" * 60000, (NAMETOOLONG, BADXDR))):
        status = session.compound(PUTROOTFH, lookup(b"data"), lookup(name))[0]
        holds(status in wanted, f"LOOKUP of {name[:8]!r}: status {status}, wanted one of {wanted}")
    for handle in (b"", b"x", b"x" * 64, b"x" * 128, b"x" * 129, bytes(40)):
        holds(session.compound(u32(22) + opaque(handle), getattr(2))[0] != 0,
              f"a made-up file handle of {len(handle)} bytes")
    status, result = session.compound(PUTROOTFH, lookup(b"data"), lookup(b"file"), GETFH)
    equal(status, 0)
    length_at = result.rindex(GETFH + u32(0)) + 8
    handle = result[length_at + 4:][:struct.unpack_from(">I", result, length_at)[0]]
    for i in range(len(handle)):  # a file handle with one bit changed opens nothing
        changed = handle[:i] + bytes([handle[i] ^ 1]) + handle[i + 1:]
        holds(session.compound(u32(22) + opaque(changed), getattr(2))[0] != 0,
              f"a file handle changed at byte {i}")
    for count in (0, 1, 8, 0xFFFFFFFF):
        session.compound(PUTROOTFH, readdir(0, count))
        session.compound(PUTROOTFH, readdir(0xFFFFFFFFFFFFFFFF, count))
        session.compound(PUTROOTFH, lookup(b"data"), lookup(b"file"), read(ANONYMOUS, 0, count))
        session.compound(PUTROOTFH, lookup(b"data"), lookup(b"file"),
                         read(ANONYMOUS, 0xFFFFFFFFFFFFFFFF, count))
    session.getattr()
    watched.unaffected()
    watched.bounded(16 * MIB)


@test()
def sessions_used_wrongly(lab):
    watched = Watched(lab)
    session = Session()
    with Connection() as other:
        equal(other.compound(sequence(b"s" * 16, 1), PUTROOTFH)[0], BADSESSION)
        equal(other.compound(sequence(session.id, session.sequence_id + 7), PUTROOTFH)[0],
              SEQ_MISORDERED)
        equal(other.compound(sequence(session.id, 1, slot=100000), PUTROOTFH)[0], BADSLOT)
        for operation in (create_session(0xDEAD, 1), create_session(session.client_id, 99),
                          u32(44) + b"s" * 16, u32(57) + u64(0xDEAD)):
            holds(other.compound(operation)[0] != 0,
                  f"operation {operation[:4].hex()} was accepted")
        holds(other.compound(PUTROOTFH)[0] != 0, "an operation without a session")
        holds(other.compound(exchange_id(b"x"), exchange_id(b"y"))[0] != 0,
              "two EXCHANGE_IDs in one COMPOUND")
        for i in range(3000):
            other.compound(exchange_id(b"owner %d" % i, u64(i)))
        for size in (0, 1, 100, 0xFFFFFFFF):
            status, result = other.compound(exchange_id(b"sizes %d" % size))
            equal(status, 0)
            client_id, first = struct.unpack_from(">QI", result, 8)
            other.compound(create_session(client_id, first, max_size=size, slots=size))
    session.getattr()
    watched.unaffected()
    watched.bounded(24 * MIB)


@test(seed=(1, 2, 3))
def mutated_requests(lab, seed):
    """Right requests with a few bytes changed, thousands of them, from a seed so that a failure
    can be repeated."""
    chance = random.Random(seed)
    watched = Watched(lab)
    session = Session()
    seeds = [[PUTROOTFH, getattr(0xFFFFFFFF, 0xFFFFFFFF, 0xFF)],
             [PUTROOTFH, lookup(b"data"), lookup(b"file"), GETFH, read(ANONYMOUS, 0, 4096)],
             [PUTROOTFH, lookup(b"data"), readdir(0, 4096)],
             [PUTROOTFH, lookup(b"data"), u32(18, 0, 3, 0) + u64(session.client_id)
              + opaque(b"owner") + u32(0, 0) + opaque(b"file")],
             [PUTROOTFH, lookup(b"data"), lookup(b"file"),
              u32(50, 0, 3, 1) + u64(0) + u64(1 << 40) + u64(0) + ANONYMOUS + u32(65536)],
             [PUTROOTFH, lookup(b"data"), u32(34) + ANONYMOUS + u32(2, 0, 2) + opaque(u32(0o644))],
             [exchange_id(b"someone", b"12345678")],
             [u32(47) + bytes(16) + u32(3) + u32(65536) + u32(0)],
             [create_session(session.client_id, 1)]]
    connection = Connection(timeout=30)
    for _ in range(2000):
        operations = chance.choice(seeds)
        if operations[0] == PUTROOTFH:
            session.sequence_id += 1
            operations = [sequence(session.id, session.sequence_id), *operations]
        message = bytearray(compound(*operations))
        for _ in range(chance.choice((1, 1, 2, 8))):
            message[chance.randrange(len(message))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF,
                                                                     chance.randrange(256)))
        if chance.random() < 0.1:
            del message[chance.randrange(len(message)):]
        try:
            connection.ask(bytes(message))
        except (Closed, ConnectionError):
            connection.close()
            connection = Connection(timeout=30)
        session.sequence_id = resync(session)
    watched.unaffected()
    watched.bounded(32 * MIB)


def resync(session):
    """The number of the slot's last request: a mutated SEQUENCE may have been refused and then
    does not count."""
    with contextlib.suppress(Closed, ConnectionError):
        for number in (session.sequence_id, session.sequence_id + 1):
            if session.connection.compound(sequence(session.id, number), PUTROOTFH)[0] == 0:
                return number
    fresh = Session()
    session.connection.close()
    session.connection, session.id, session.client_id = fresh.connection, fresh.id, fresh.client_id
    return fresh.sequence_id


@test()
def fifteen_hundred_idle_connections(lab):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    watched = Watched(lab)
    # connections have a quarter of the descriptors, an address a quarter of these
    idle = [Connection(source=f"127.0.0.{2 + i % 4}", reserved=False) for i in range(1500)]
    watched.unaffected()
    watched.bounded(32 * MIB)
    for connection in idle[::100]:
        equal(connection.ask(rpc())[:4], u32(1), "an idle connection is asked at last")
    for connection in idle:
        connection.close()
    watched.unaffected()


@test()
def more_connections_than_allowed(lab):
    watched = Watched(lab, max_connections=50)
    idle, before = [], watched.server.descriptors()
    for _ in range(80):
        with contextlib.suppress(ConnectionError):
            idle.append(Connection(reserved=False))
    watched.good.getattr()
    crowded = watched.server.descriptors()
    holds(crowded < 150, f"{crowded} descriptors")
    for connection in idle:
        connection.close()
    watched.let_go(before + 10)  # else a new one may still be one too many
    watched.unaffected()


def flood(connection, data, seconds=3):
    """Send without ever reading, until nothing more is taken for a second or the time is over;
    the bytes taken."""
    connection.socket.setblocking(False)
    taken, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([], [connection.socket], [], 1)[1]:
            break
        try:
            taken += connection.socket.send(data)
        except (BlockingIOError, ConnectionError):
            break
    return taken


@test()
def a_client_that_reads_nothing(lab):
    """Calls flow in, replies do not flow out: the server stops taking more instead
    of storing them."""
    watched = Watched(lab)
    nulls, reads = Connection(reserved=False), Session()
    flood(nulls, b"".join(record(rpc(xid=i)) for i in range(2000)))
    watched.unaffected()
    one = record(compound(sequence(reads.id, reads.sequence_id + 1), PUTROOTFH, lookup(b"data"),
                          lookup(b"file"), read(ANONYMOUS, 0, MIB)))
    flood(reads.connection, one * 200)
    watched.unaffected()
    watched.bounded(64 * MIB)
    nulls.close()
    reads.close()
    watched.unaffected()


@test()
def a_client_that_sends_a_byte_a_second(lab):
    watched = Watched(lab)
    slow = [Connection(reserved=False) for _ in range(20)]
    data = record(rpc())
    for i in range(8):
        for connection in slow:
            connection.send(data[i:i + 1])
        watched.unaffected()
        time.sleep(1)  # it is what this test is about
    for connection in slow:
        connection.send(data[8:])
        equal(connection.receive()[4:8], u32(1), "a slow call is a call")
    watched.bounded(16 * MIB)


@test()
def large_requests_that_never_end(lab):
    """A promise of a megabyte holds no megabyte."""
    watched = Watched(lab)
    stalled = [Connection(reserved=False) for _ in range(300)]
    for connection in stalled:
        connection.send(u32(LAST_FRAGMENT | MIB) + rpc(procedure=1)[:40])
    watched.unaffected()
    watched.bounded(64 * MIB)
    for connection in stalled:
        connection.close()


@test()
def connections_that_come_and_go(lab):
    """Two thousand connections, each left in the middle of something; nothing of them stays."""
    watched = Watched(lab)
    descriptors = watched.server.descriptors()
    for _ in range(2):  # the first round fills pools, the second must not add to them
        memory = watched.server.rss()
        for i in range(1000):
            with Connection(reserved=False) as connection:
                connection.send((record(rpc()) * 3)[:i % 150])
                if i % 3 == 0:
                    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                 struct.pack("ii", 1, 0))
        watched.unaffected()
    watched.let_go(descriptors + 5)
    watched.bounded(4 * MIB, before=memory)
