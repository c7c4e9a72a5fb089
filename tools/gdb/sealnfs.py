"""sealnfs.py - gdb commands for sealnfsd: print a seal with its holders and grants, a
compound, a client.

    (gdb) source tools/gdb/sealnfs.py
    (gdb) sealnfs seals engine          every seal of an engine (struct engine *)
    (gdb) sealnfs seal seal             one of them (struct seal *)
    (gdb) sealnfs compound c            a COMPOUND on its way (struct compound *)
    (gdb) sealnfs client c->client      a client: its sessions, slots, opens and locks
                                        (struct client *)

The argument is any expression of the frame that is selected. Nothing is called in the program
and nothing in it changes, so a core file will do. Names of open files come from /proc while
the process lives.
"""
import os
import re

import gdb

NO_END = 2**64 - 1


def chain(head, link):
    """A list: head, head->link and so on."""
    while head:
        yield head.dereference()
        head = head.dereference()[link]


def hashed(head, handle="hh"):
    """The entries of a uthash table, in the order in which they came."""
    while head:
        yield head.dereference()
        head = head.dereference()[handle]["next"].cast(head.type)


def data(pointer, length):
    """Bytes of the program."""
    return bytes(gdb.selected_inferior().read_memory(int(pointer), int(length))) if length else b""


def array(value):
    """The bytes of an array, whatever its name of type."""
    last = value.type.strip_typedefs().range()[1]
    return bytes(int(value[i]) & 255 for i in range(last + 1))


def text(raw):
    """What a peer chose, printable: it goes to a terminal."""
    return '"' + "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}"
                         for byte in raw) + '"'


def string(pointer, otherwise="-"):
    return (text(pointer.string(errors="replace").encode("latin-1", "replace")) if pointer
            else otherwise)


def word(value, prefix):
    """An enumerator without its prefix, in small letters."""
    name = str(value)
    return (re.sub(rf"^{prefix}_?", "", name).removesuffix("_STATE").lower() if not name.isdigit()
            else name)


def flags(value, *names):
    return "".join(f" {name}" for name in names if value[name])


def key_of(key):
    return array(key["data"])[:int(key["len"])].hex()


def plural(count, what):
    return f"{int(count)} {what}{'' if int(count) == 1 else 's'}"


# A seal

def grant_lines(grant):
    ranges = grant["ranges"]
    pieces = []
    for i in range(int(ranges["count"])):
        piece = ranges["items"][i]
        end = "end" if int(piece["end"]) == NO_END else int(piece["end"])
        pieces.append(f"{word(piece['iomode'], 'LAYOUTIOMODE4')} {int(piece['start'])}-{end}")
    yield (f"    grant {int(grant['serial'])}, type {int(grant['key']['type'])}, "
           f"seqid {int(grant['seqid'])}"
           f"{flags(grant, 'stale')}: {', '.join(pieces) or 'nothing'}; "
           f"recall {word(grant['recall']['phase'], 'RECALL')}")


def holder_line(holder):
    owner = holder["owner"].dereference()
    return (f"  holder {int(holder['serial'])} {text(data(owner['bytes'], owner['len']))}"
            f" ({word(owner['kind'], 'JOURNAL_HOLDER')}), "
            f"client id {int(holder['client_id']):016x},"
            f" at {string(holder['address'][0].address)}"
            f"{flags(holder, 'callable', 'lapsed', 'fenced')}")


def seal_lines(seal):
    told = flags(seal, "at_rest", "release_wanted", "by_operator", "broken", "held_back", "undo")
    yield (f"seal {int(seal['serial'])} {string(seal['path'])}: {word(seal['kind'], 'SEAL_KIND')},"
           f" {word(seal['state'], 'ENGINE')}, {plural(seal['grant_count'], 'grant')}{told}")
    yield f"  key {key_of(seal['key'])}"
    if str(seal["wait"]) != "SEAL_WAIT_NONE":
        yield (f"  waits for the journal: {word(seal['wait'], 'SEAL_WAIT')}, "
               f"ticket {int(seal['wait_ticket'])}")
    if seal["deadline"]:
        yield f"  deadline of the recall {int(seal['deadline'])} ns"
    by_holder = {}
    for grant in chain(seal["grants"], "seal_next"):
        by_holder.setdefault(int(grant["holder"]), []).append(grant)
    for grants in by_holder.values():
        yield holder_line(grants[0]["holder"].dereference())
        reach = grants[0]["reach"].dereference()
        yield (f"    by {word(reach['way'], 'JOURNAL_WAY')}, "
               f"fence {word(reach['fence'], 'FENCE')}{flags(reach, 'maybe')}")
        for grant in grants:
            yield from grant_lines(grant)
    if seal["volume"]:
        for reach in chain(seal["volume"]["maybe"], "maybe_next"):
            yield (f"{holder_line(reach['holder'].dereference())}, of before a restart: "
                   f"may hold grants here")


def engine_lines(engine):
    yield (f"engine: {plural(engine['holder_count'], 'holder')}, "
           f"{plural(engine['grant_count'], 'grant')}"
           f"{flags(engine, 'grace')}")
    for seal in hashed(engine["seals"]):
        yield from seal_lines(seal)


# A compound

def file_text(file):
    """A file's path while the process lives, and its key."""
    if not file:
        return "none"
    if file["pseudo"]:
        return "a directory of the pseudo root"
    try:
        path = os.readlink(f"/proc/{gdb.selected_inferior().pid}/fd/"
                           f"{int(file['path_fd'])}").encode()
    except OSError:
        path = b"?"
    return f"{text(path)}, key {key_of(file['key'])}"


def stateid_text(has, stateid):
    return (f"seqid {int(stateid['seqid'])}, other {array(stateid['other']).hex()}" if has
            else "none")


def op_name(number):
    """As the server's own table names it."""
    try:
        return gdb.parse_and_eval(f"op_table[{int(number)}].name").string()
    except (gdb.error, gdb.MemoryError):
        return f"operation {int(number)}"


def compound_lines(compound):
    cred = compound["cred"]
    client = compound["client"]
    yield (f"compound xid {int(compound['xid']):08x}, minor version {int(compound['minor'])},"
           f" uid {int(cred['uid'])} gid {int(cred['gid'])}")
    where = "a worker" if compound["on_worker"] else "the loop"
    yield (f"  at operation {int(compound['op_index']) + 1} of {int(compound['numops'])}, "
           f"{op_name(compound['op'])},"
           f" on {where}, stage {int(compound['stage'])}; "
           f"{plural(compound['op_count'], 'result')} in the reply")
    yield f"  current file {file_text(compound['current']['file'])}"
    yield f"  saved file {file_text(compound['saved']['file'])}"
    yield (f"  current stateid "
           f"{stateid_text(compound['has_current_stateid'], compound['current_stateid'])}")
    if client:
        session = compound["session"]
        yield (f"  client {int(compound['client_id']):016x} "
               f"{text(data(client['owner'], client['owner_len']))}")
        if session and compound["slot"]:
            slots = session["slots"]
            number = (int(compound["slot"]) - int(slots)) // slots.dereference().type.sizeof
            yield f"  session {array(session['id']).hex()}, slot {number}"


# A client

def session_lines(session):
    yield (f"  session {array(session['id']).hex()}: {plural(session['slot_count'], 'slot')},"
           f" backchannel {'usable' if session['cb_usable'] else 'not usable'}"
           f"{flags(session, 'cb_fault')},"
           f" {plural(sum(1 for _ in chain(session['binds'], 'next')), 'connection')} bound")
    for i in range(int(session["slot_count"])):
        slot = session["slots"][i]
        if slot["used"]:
            kept = f", {int(slot['reply_len'])} bytes of reply kept" if slot["cached"] else ""
            yield f"    slot {i}: sequence {int(slot['seq'])}{flags(slot, 'busy')}{kept}"
    for i in range(int(session["cb_slot_count"])):
        slot = session["cb_slots"][i]
        if slot["seq"] or slot["flight"]:
            state = " with a call under way" if slot["flight"] else ""
            yield (f"    backchannel slot {i}: "
                   f"sequence {int(slot['seq'])}{flags(slot, 'unsure')}{state}")


def open_lines(held):
    access, deny = int(held["share"]["access"]), int(held["share"]["deny"])
    owner = held["owner"].dereference()
    yield (f"  open by {text(data(owner['name'][0].address, owner['len']))}: access {access}, "
           f"deny {deny},"
           f" seqid {int(held['state']['seqid'])}, other {array(held['state']['other']).hex()}")
    yield f"    file {file_text(held['state']['file'])}"
    for lock in hashed(held["locks"], "by_key"):
        locker = lock["owner"].dereference()
        yield (f"    locks of {text(data(locker['name'][0].address, locker['len']))}, "
               f"seqid {int(lock['state']['seqid'])}")


CLIENT_FLAGS = ("confirmed", "lapsed", "gone", "expiring", "may_reclaim", "reclaim_complete",
                "cb_down")


def client_lines(client):
    yield (f"client {int(client['id']):016x} {text(data(client['owner'], client['owner_len']))}"
           f" at {string(client['address'][0].address)}:{flags(client, *CLIENT_FLAGS)}")
    yield (f"  uid {int(client['principal']['uid'])}, {plural(client['pins'], 'pin')}, "
           f"{plural(client['flights'], 'callback')} under way")
    for session in chain(client["sessions"], "next"):
        yield from session_lines(session)
    if client["state"]:
        state = client["state"].dereference()
        yield f"  {plural(state['count'], 'stateid')}, {plural(state['open_count'], 'open')}"
        for held in hashed(state["opens"], "by_key"):
            yield from open_lines(held)


class Sealnfs(gdb.Command):
    """Print a seal, all seals of an engine, a compound, or a client."""

    def __init__(self):
        super().__init__("sealnfs", gdb.COMMAND_DATA, prefix=True)


class Show(gdb.Command):
    """One of the subcommands: what it prints, of what type its argument points to, and how."""

    def __init__(self, name, type_name, lines):
        self.__doc__ = (f"sealnfs {name} EXPRESSION: "
                        f"print the {name} that EXPRESSION ({type_name} *) points to.")
        super().__init__(f"sealnfs {name}", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)
        self.type_name, self.lines = type_name, lines

    def invoke(self, argument, _from_tty):
        if not argument:
            raise gdb.GdbError(self.__doc__)
        pointer = gdb.parse_and_eval(argument)
        found = pointer.type.strip_typedefs()
        if found.code != gdb.TYPE_CODE_PTR or str(found.target().unqualified()) != self.type_name:
            raise gdb.GdbError(f"{argument} is a {found}, not a {self.type_name} *")
        if not pointer:
            raise gdb.GdbError(f"{argument} is NULL")
        for line in self.lines(pointer.dereference()):
            gdb.write(line + "\n")


Sealnfs()
Show("seals", "struct engine", engine_lines)
Show("seal", "struct seal", seal_lines)
Show("compound", "struct compound", compound_lines)
Show("client", "struct client", client_lines)
