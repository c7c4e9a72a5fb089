"""Pinned and growing files on XFS as mkfs makes it, where files can be cloned: programs of the
server's machine are kept from them, and a clone that was made meanwhile is found."""
import contextlib
import os
import subprocess

from disk import MIB
from registry import equal, holds, test

NEVER = 1000  # seconds: no fence in the time that a test takes


def scene(lab, size=4 * MIB, **options):
    disk = lab.disk(fs="xfs", reflink=None)
    disk.write("file", size)
    return disk, lab.server(**options), disk.file("file")


def locally(*arguments):
    """Its exit status, and what it said."""
    ended = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           text=True, check=False, timeout=60)
    return ended.returncode, ended.stderr


@contextlib.contextmanager
def running(*arguments, **options):
    process = subprocess.Popen(arguments, text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def reading(path):
    """A program has it open, and could clone it by that at any time."""
    with running("sh", "-c", 'exec < "$1"; echo open; exec sleep 1000', "reader", path,
                 stdout=subprocess.PIPE) as reader:
        equal(reader.stdout.readline(), "open\n")
        yield


def clones(disk, name="clone"):
    return locally("cp", "--reflink=always", disk.file("file"), disk.file(name))


@test()
def local_programs_are_kept_from_a_pinned_file(lab):
    disk, server, path = scene(lab)
    server.ctl("seal", "--dry-run", "--pinned", path)
    server.ctl("seal", "--pinned", path)
    guest, = lab.clients(1)
    digest = guest.write("/mnt/n/file", 4)
    for code, text in clones(disk), locally("cat", path), locally("lsattr", path):
        holds(code != 0 and "Operation not permitted" in text, f"opened it: {code} {text}")
    equal(os.stat(path).st_size, 4 * MIB, "what needs no open")
    server.wait_log("was refused to open it")
    equal(guest.sha256("/mnt/n/file"), digest, "read by the client")
    counters = guest.counters()
    equal((counters.pnfs, counters.data()), ("LAYOUT_BLOCK_VOLUME", 0), counters.show())
    equal(guest.run("tail -c 4096 /mnt/n/file | wc -c").strip(), "4096", "through the server")
    server.ctl("unseal", "--wait", path)
    equal(disk.sha256("file"), digest, "on the disk")
    equal(clones(disk), (0, ""), "a clone of what is not sealed")
    text = server.refused("seal", "--pinned", path)
    holds("SHARED" in text, f"the clone is not named: {text}")
    os.unlink(disk.file("clone"))
    server.ctl("seal", "--pinned", path)


@test()
def a_reader_of_before_keeps_the_seal_away(lab):
    disk, server, path = scene(lab)
    with reading(path):
        before = os.stat(path).st_ctime_ns
        for more in (), ("--dry-run",), ("--reserve", "4M"):
            text = server.refused("seal", *more, "--pinned", path)
            holds("could clone it" in text, f"why: {text}")
            holds(more != ("--reserve", "4M") or os.stat(path).st_ctime_ns == before,
                  "blocks were made ready for nothing")
            before = os.stat(path).st_ctime_ns
        equal(locally("cat", path), (0, ""), "it is open to everybody as before")
    server.ctl("seal", "--pinned", path)


@test()
def a_local_program_may_wait_for_the_release(lab):
    disk, server, path = scene(lab, export={"local_opens_wait": True})
    server.ctl("seal", "--pinned", path)
    guest, = lab.clients(1)
    digest = guest.write("/mnt/n/file", 4)
    with running("sha256sum", path, stdout=subprocess.PIPE) as waiting:
        server.wait_log("waits for the end of its seal")
        equal(guest.sha256("/mnt/n/file"), digest, "the client goes on")
        equal(waiting.poll(), None, "it waits")
        server.ctl("unseal", "--wait", path)
        equal(waiting.communicate(timeout=60)[0].split()[0], digest, "what it reads then")
    server.ctl("seal", "--pinned", path)
    with running("cat", path, stdout=subprocess.DEVNULL) as waiting:
        server.wait_log(f"process {waiting.pid} (cat) wants to open it")
        server.kill()  # lets it in
        equal(waiting.wait(60), 0, "what waits for a server that is dead")
    server.start()
    server.ctl("fenced", guest.ip)  # what it had was not given back
    server.ctl("unseal", "--wait", path)


@test(timeout=300)
def a_clone_made_while_the_server_was_dead_breaks_the_seal(lab):
    disk, server, path = scene(lab, recall_timeout=NEVER, lease_time=10, grace_time=5)
    server.ctl("seal", "--pinned", path)
    guest, = lab.clients(1)
    digest = guest.write("/mnt/n/file", 4)
    server.kill()
    equal(clones(disk), (0, ""), "a clone while nobody keeps it away")
    server.start()
    server.wait_log("THE PROMISE OF ITS SEAL WAS BROKEN FROM OUTSIDE: its blocks are a clone's too")
    server.wait_log(f"{path}: a clone shares its blocks")
    code, text = clones(disk, "another")
    holds(code != 0 and "Operation not permitted" in text, f"cloned again: {code} {text}")
    why = server.ctl("explain", path)["explain"]["why"]
    holds("a clone's too" in why and "filefrag" in why, f"explain: {why}")
    equal(guest.sha256("/mnt/n/file"), digest, "read through the server")
    holds(guest.counters()["READ"] > 0, f"by a layout: {guest.counters().show()}")
    server.ctl("fenced", guest.ip)  # it may have had a layout
    server.wait_state(path, "broken")
    why = server.ctl("explain", path)["explain"]["why"]
    holds("sealctl unseal" in why, f"what to type next: {why}")
    server.ctl("unseal", "--wait", path)
    os.unlink(disk.file("clone"))
    server.ctl("seal", "--pinned", path)
    equal(server.state(path), "sealed")


@test(timeout=300)
def nothing_is_granted_while_who_came_meanwhile_has_it_open(lab):
    disk, server, path = scene(lab)
    server.ctl("seal", "--pinned", path)
    server.kill()
    with reading(path):
        server.start()
        server.wait_log("no layouts of it are given yet: ")
        guest, = lab.clients(1)
        guest.write("/mnt/n/file", 1)
        holds(guest.counters()["WRITE"] > 0, f"by a layout: {guest.counters().show()}")
    digest = guest.write("/mnt/n/file", 4)
    equal(guest.sha256("/mnt/n/file"), digest, "read by the client")
    server.ctl("unseal", "--wait", path)
    equal(disk.sha256("file"), digest, "on the disk")


@test()
def such_seals_can_be_refused(lab):
    _, server, path = scene(lab, export={"pinned_on_reflink": "refuse"})
    text = server.refused("seal", "--pinned", path)
    holds("pinned_on_reflink" in text and "reflink=0" in text, f"the remedy is not named: {text}")
    equal(locally("cat", path), (0, ""), "open to everybody")
    server.ctl("seal", path)
