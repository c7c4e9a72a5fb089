"""Clients that lose their state without draining: the server restarts, or another run takes their
name, while their writes are queued.

They throw their layouts away, say that they have none, and their initiators go on. No byte of
theirs may be in another file.
"""
import os

from disk import MIB, extents, immutable
from holder import Holder, install_hook
from registry import equal, holds, test

SIZE = 8 * MIB
RECALL_TIMEOUT, LEASE = 1, 5


def scene(lab, **options):
    """A pinned file, and a client that holds it and has writes queued that do not
    reach the disk."""
    disk = lab.disk(size=320 * MIB)
    disk.write("file", SIZE)
    server = lab.server(recall_timeout=RECALL_TIMEOUT, lease_time=LEASE, grace_time=1,
                        fence_timeout=15, fence_retry=1, **options)
    client = Holder(disk, "forgetful", lab.directory).connect()
    server.ctl("seal", "--pinned", disk.file("file"))
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    client.path.cut()
    return disk, server, client


def forget(server, client):
    server.kill()
    client.disconnect()
    server.start()
    client.throw_away()
    client.connect()


def stuck(disk, server, before):
    code, text = server.sealctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    holds(code == 1 and "lost its layout" in text, f"unseal: exit {code}: {text}")
    equal((server.state(disk.file("file")), immutable(disk.file("file")),
           extents(disk.file("file"))), ("stuck", True, before), "the seal")


def reused(disk):
    """Another file in its blocks."""
    os.truncate(disk.file("file"), 0)
    os.unlink(disk.file("file"))
    return disk.write("other", SIZE)


@test()
def a_client_that_forgot_is_fenced_before_the_release(lab):
    disk, server, client = scene(lab, fence_hook=install_hook(lab.directory))
    path = client.path
    forget(server, client)
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    holds(path.process.poll() is not None, "released, and the client's queue was not cut off")
    digest = reused(disk)
    client.path.mend()
    equal(disk.sha256("other"), digest, "another file's data")
    client.end()


@test()
def without_a_fence_a_client_that_forgot_keeps_the_seal_until_it_unmounts(lab):
    disk, server, client = scene(lab)
    before = extents(disk.file("file"))
    forget(server, client)
    stuck(disk, server, before)
    client.path.mend()
    client.path.drop()  # an unmount waits for what is queued
    client.leave()
    server.wait_state(disk.file("file"), "open", 60)
    digest = reused(disk)
    equal(disk.sha256("other"), digest, "another file's data")
    client.end()


@test()
def another_run_of_the_same_name_and_address_ends_nothing(lab):
    """Two clients behind one translated address, one of which the server takes for the
    other's next start."""
    disk, server, client = scene(lab)
    before = extents(disk.file("file"))
    client.disconnect()
    old = client.another_run()
    client.connect()
    stuck(disk, server, before)
    old.mend()
    old.drop()
    server.ctl("fenced", "forgetful")  # the operator has looked
    server.wait_state(disk.file("file"), "open", 60)
    digest = reused(disk)
    old.close()
    equal(disk.sha256("other"), digest, "another file's data")
    client.end()
