"""Just enough of ONC RPC and NFSv4.1 to speak to a server badly on purpose, and well to see that
others are unaffected.

Requests are bytes; nothing here stops a test from sending nonsense.
"""
import errno
import os
import random
import re
import socket
import struct

PROGRAM, NULL, COMPOUND = 100003, 0, 1
OK = 0
LAST_FRAGMENT = 0x80000000


def u32(*values):
    return struct.pack(f">{len(values)}I", *values)


def u64(value):
    return struct.pack(">Q", value)


def opaque(data, length=None):
    """A variable-length opaque; `length` is a lie about how long it is."""
    return u32(len(data) if length is None else length) + data + bytes(-len(data) % 4)


def auth_sys(uid=0, gid=0, machine=b"hostile"):
    body = u32(0) + opaque(machine) + u32(uid, gid, 0)
    return u32(1) + opaque(body)


def rpc(body=b"", procedure=NULL, xid=7, program=PROGRAM, version=4, rpc_version=2, kind=0,
        auth=None):
    return u32(xid, kind, rpc_version, program, version,
               procedure) + (auth or auth_sys()) + u32(0, 0) + body


def compound(*operations, minor=1, tag=b"", count=None, uid=0):
    body = opaque(tag) + u32(minor,
                             len(operations) if count is None else count) + b"".join(operations)
    return rpc(body, COMPOUND, auth=auth_sys(uid))


def record(message, last=True):
    return u32((LAST_FRAGMENT if last else 0) | len(message)) + message


# Operations

def exchange_id(owner, verifier=b"verifier"):
    return u32(42) + verifier + opaque(owner) + u32(0, 0, 0)


NO_SECURITY = u32(1, 0)  # callback_sec_parms4: AUTH_NONE and nothing else


def create_session(client_id, sequence, max_size=1 << 20, slots=16, callbacks=False,
                   security=NO_SECURITY, back=None, operations=16):
    """`back`: of the backchannel the size of requests and of replies, operations and slots, if not
    as of the other."""
    channel = u32(0, max_size, max_size, 4096, operations, slots, 0)
    back = u32(0, back[0], back[1], 0, back[2], back[3], 0) if back else channel
    return (u32(43) + u64(client_id) + u32(sequence, 2 if callbacks else 0) + channel + back
            + u32(0x40000000) + security)


def sequence(session, sequence_id, slot=0, highest=0, cache=False):
    return u32(53) + session + u32(sequence_id, slot, highest, int(cache))


def lookup(name):
    return u32(15) + opaque(name)


def read(stateid, offset, count):
    return u32(25) + stateid + u64(offset) + u32(count)


def readdir(cookie, count, verifier=bytes(8), attributes=u32(1, 1 << 1)):
    return u32(26) + u64(cookie) + verifier + u32(count, count) + attributes


def getattr(*words):
    return u32(9, len(words), *words)


def write(stateid, offset, data, stable=0):
    return u32(38) + stateid + u64(offset) + u32(stable) + opaque(data)


def open_file(client_id, owner, name, access=3):
    """OPEN of a name that is there."""
    return (u32(18, 0, access, 0) + u64(client_id) + opaque(owner) + u32(0, 0) + opaque(name))


def close(stateid):
    return u32(4, 0) + stateid


WRITE_LOCK = 2


def lock_first(open_stateid, client_id, owner, offset, length):
    """LOCK by an owner that has none in the file yet."""
    return (u32(12, WRITE_LOCK, 0) + u64(offset) + u64(length) + u32(1, 0) + open_stateid + u32(0)
            + u64(client_id) + opaque(owner))


def lock_more(lock_stateid, offset, length):
    return (u32(12, WRITE_LOCK, 0) + u64(offset) + u64(length) + u32(0) + lock_stateid + u32(0))


def lock_test(client_id, owner, offset, length):
    return (u32(13, WRITE_LOCK) + u64(offset) + u64(length) + u64(client_id) + opaque(owner))


def unlock(lock_stateid, offset, length):
    return u32(14, WRITE_LOCK, 0) + lock_stateid + u64(offset) + u64(length)


def put_handle(handle):
    return u32(22) + opaque(handle)


def test_stateids(*stateids):
    return u32(55, len(stateids)) + b"".join(stateids)


def bind_connection(session, direction=1):
    """BIND_CONN_TO_SESSION: 1 the fore channel, 3 that or both."""
    return u32(41) + session + u32(direction, 0)


def latest(stateid):
    """The same state whatever was done to it since (RFC 8881 section 8.2.2)."""
    return bytes(4) + stateid[4:]


def result_of(results, operation):
    """What is behind `operation` and its status OK in a COMPOUND's results, the last of them."""
    return results[results.rindex(u32(operation, OK)) + 8:]


PUTROOTFH, GETFH = u32(24), u32(10)
RECLAIM_COMPLETE = u32(58, 0)
ANONYMOUS = bytes(16)


def errors_allowed():
    """RFC 8881 section 15.2 and what other chapters add, from the unit tests' table: {operation:
    its errors}; 0 are any operation's."""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(f"{top}/proto/nfs4/nfs4.h", encoding="utf-8") as stream:
        numbers = {name: int(value)
                   for name, value in re.findall(r"^ *((?:NFS4ERR|OP)_\w+) = (\d+),", stream.read(),
                                                 flags=re.M)}
    with open(f"{top}/tests/unit/server/errors_allowed.c", encoding="utf-8") as stream:
        text = stream.read()
    allowed = {0: set()}
    for operation, errors in re.findall(r"^ *ROW\((OP_\w+),([^)]*)\)", text, flags=re.M):
        allowed[numbers[operation]] = {numbers[error]
                                       for error in re.findall(r"NFS4ERR_\w+", errors)}
    for operation, error in re.findall(r"^ *\{(0|OP_\w+), (NFS4ERR_\w+)\}", text, flags=re.M):
        allowed[numbers.get(operation, 0)].add(numbers[error])
    return allowed


ALLOWED = errors_allowed()


class Closed(Exception):
    """The server closed the connection."""


class Denied(Exception):
    """The call was denied: RPC's AUTH_ERROR, AUTH_TOOWEAK."""


class GarbageArguments(Exception):
    """The call was refused as a whole: RPC's GARBAGE_ARGS."""


class Connection:
    """`source`: the address of this machine to speak from. `reserved`: from a port below 1024, as
    the server wants it of clients. `over`: a socket that is connected."""

    def __init__(self, address="127.0.0.1", port=2049, timeout=60, source="", reserved=True,
                 over=None):
        self.socket = over
        if over:
            return
        for number in random.sample(range(512, 1024), 512) if reserved else [0]:
            try:
                self.socket = socket.create_connection((address, port), timeout, (source, number))
                return
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                    raise
        raise OSError(errno.EADDRINUSE, "every reserved port is taken")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionError:
                part = b""
            if not part:
                raise Closed()
            data += part
        return data

    def receive(self):
        """One record."""
        data = b""
        while True:
            header, = struct.unpack(">I", self._exactly(4))
            data += self._exactly(header & ~LAST_FRAGMENT)
            if header & LAST_FRAGMENT:
                return data

    def ask(self, message):
        """Send one call, take one record; its bytes after the xid. A call to us is no answer."""
        self.send(record(message))
        while (answer := self.receive())[4:8] == u32(0):
            pass
        return answer[4:]

    def compound(self, *operations, **options):
        """The compound's status and the bytes of its results (after tag and count)."""
        reply = self.ask(compound(*operations, **options))
        accepted = struct.unpack_from(">5I", reply + bytes(4))
        if accepted == (1, 0, 0, 0, 4):
            raise GarbageArguments()
        if accepted[:4] == (1, 1, 1, 5):
            raise Denied()
        if accepted != (1, 0, 0, 0, 0):
            raise ValueError(f"RPC reply {accepted}")
        status, tag_length = struct.unpack_from(">II", reply, 20)
        at = 28 + (tag_length + 3) // 4 * 4
        count, = struct.unpack_from(">I", reply, at)
        if status != OK and 0 < count <= len(operations):
            expect_allowed(operations[count - 1], status)
        return status, reply[at + 4:]


class Session:
    """A well-behaved client: one session, one slot."""

    def __init__(self, owner=None, **connection):
        self.connection = Connection(**connection)
        owner = owner or b"good client %d" % int.from_bytes(os.urandom(4), "big")
        status, result = self.connection.compound(exchange_id(owner, os.urandom(8)))
        expect(status)
        self.client_id, first = struct.unpack_from(">QI", result, 8)
        status, result = self.connection.compound(create_session(self.client_id, first))
        expect(status)
        self.id, self.sequence_id = result[8:24], 0
        expect(self.compound(RECLAIM_COMPLETE)[0])

    def compound(self, *operations):
        self.sequence_id += 1
        status, result = self.connection.compound(sequence(self.id, self.sequence_id), *operations)
        return status, result

    def getattr(self):
        """Ask something ordinary; the answer must be right."""
        expect(self.compound(PUTROOTFH, getattr(1 << 1))[0])

    def close(self):
        self.connection.close()


def expect_allowed(operation, status):
    """The answer of a whole operation that was sent; of a piece of one, or of none that there is,
    nothing is said."""
    number = int.from_bytes(operation[:4], "big")
    if number and number in ALLOWED and status not in ALLOWED[number] | ALLOWED[0]:
        raise ValueError(f"operation {number} answered with {status}, "
                         f"which RFC 8881 section 15.2 does not give it")


def expect(status, wanted=OK):
    if status != wanted:
        raise ValueError(f"NFS status {status}, wanted {wanted}")
