"""Who is not the client: another machine, another user, another port. They end nobody's state, and
stock clients notice nothing of it."""
import signal

from disk import MIB
from holder import (BLOCK_VOLUME, DESTROY_CLIENTID, DESTROY_SESSION, Holder, LAYOUTRETURN, PUTFH,
                    RETURN_ALL)
from load import reading, writing
from nfs4 import (Connection, Denied, PUTROOTFH, create_session, exchange_id, getattr, opaque,
                  sequence, u32, u64)
from registry import equal, holds, test

BIND_CONN_TO_SESSION, GETDEVICEINFO, ANY, NOENT, ACCESS = 41, 47, 3, 2, 13
CLID_INUSE, BADSESSION, STALE_CLIENTID, DELAY = 10017, 10052, 10022, 10008
OUTSIDE = "127.0.0.9"


def held_file(lab, **options):
    """A pinned file, a client with a layout of it that obeys, and no way to fence it."""
    disk = lab.disk(size=320 * MIB)
    disk.write("file", MIB)
    server = lab.server(**{"recall_timeout": 60, "lease_time": 60, **options})
    server.ctl("seal", "--pinned", disk.file("file"))
    client = Holder(disk, "holder", lab.directory).connect()
    equal(client.get_soon("file"), 0, "LAYOUTGET")
    return disk, server, client


def released_by_its_return(disk, server, client):
    """Nobody has ended the grant before: it is recalled, and its return releases the seal."""
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    holds(client.recalls >= 1 and not client.held,
          f"recalled {client.recalls} times, holds {client.held}")


@test()
def a_stranger_is_told_nothing_and_ends_nothing(lab):
    """From an address in no export, and with the right session id: as if there were
    no such session."""
    disk, server, client = held_file(lab, export={"clients": ["127.0.0.1"]})
    with Connection(source=OUTSIDE) as stranger:
        for operation in (u32(LAYOUTRETURN, 0, BLOCK_VOLUME, ANY, RETURN_ALL),
                          u32(GETDEVICEINFO) + client.device_id + u32(BLOCK_VOLUME, 4096, 0),
                          PUTROOTFH):
            status, result = stranger.compound(sequence(client.session, 1, slot=9, highest=9),
                                               operation)
            equal((status, len(result)), (BADSESSION, 8), "a SEQUENCE from elsewhere")
        for operation in (u32(BIND_CONN_TO_SESSION) + client.session + u32(3, 0),
                          u32(DESTROY_SESSION) + client.session):
            equal(stranger.compound(operation)[0], BADSESSION, operation[:4].hex())
        for operation in (create_session(client.client_id, 2),
                          u32(DESTROY_CLIENTID) + u64(client.client_id)):
            equal(stranger.compound(operation)[0], STALE_CLIENTID, operation[:4].hex())
        for owner in (b"stranger", b"holder"):
            try:
                holds(False, f"EXCHANGE_ID from outside: {stranger.compound(exchange_id(owner))}")
            except Denied:
                pass
    released_by_its_return(disk, server, client)
    client.end()


@test()
def a_name_is_in_use_as_long_as_a_layout_is_held_under_it(lab):
    """A client without sessions and opens, within its lease; another user sends its owner (RFC 8881
    section 18.35.4, case 3)."""
    disk, server, client = held_file(lab)
    client.close_file()
    equal(client._call(u32(DESTROY_SESSION) + client.session)[0], 0, "DESTROY_SESSION")
    with Connection() as another:
        equal(another.compound(exchange_id(b"holder"), uid=77)[0], CLID_INUSE,
              "EXCHANGE_ID of another principal")
    status, result = client._call(create_session(client.client_id, 2, callbacks=True))
    equal(status, 0, "CREATE_SESSION of the client itself")
    client.session, client.sequence_id = result[8:24], 0
    client.open("file")
    released_by_its_return(disk, server, client)
    client.end()


@test(allowed=("refuse", "allow"))
def a_user_of_the_clients_machine_ends_nothing(lab, allowed):
    """From the client's own address and as root, but from a port that any user may have; also where
    such ports are allowed."""
    disk, server, client = held_file(lab, export={"unprivileged_ports": allowed})
    with Connection(reserved=False) as user:
        for verifier in (client.verifier, b"another!"):
            try:
                status = user.compound(exchange_id(b"holder", verifier))[0]
                holds(status in (CLID_INUSE, DELAY) and allowed == "allow",
                      f"EXCHANGE_ID with the client's owner: {status}")
            except Denied:
                equal(allowed, "refuse")
        equal(user.compound(u32(BIND_CONN_TO_SESSION) + client.session + u32(3, 0))[0], BADSESSION,
              "BIND_CONN_TO_SESSION")
    released_by_its_return(disk, server, client)
    client.end()


@test()
def a_client_that_is_taken_out_of_the_clients_gives_its_layout_back(lab):
    """It holds a layout, and a reload names others: it is recalled, obeys, and nobody has
    to be fenced."""
    disk, server, client = held_file(lab)
    server.exports["/data"]["clients"] = ["10.99.0.250"]
    server.write_config()
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("the configuration was reloaded")
    equal(client.compound(u32(GETDEVICEINFO) + client.device_id + u32(BLOCK_VOLUME, 4096, 0))[0],
          NOENT, "GETDEVICEINFO")
    equal(client.compound(u32(PUTFH) + opaque(client.handle), getattr(1 << 1))[0], ACCESS,
          "GETATTR")
    released_by_its_return(disk, server, client)
    client.leave()
    client.end()


@test(timeout=400, seconds=25)
def a_mount_of_many_connections_lives_through_a_restart(lab):
    """nconnect=4: requests come by four connections, of all users, and the session is one; after
    the last unmount no client is left."""
    disk = lab.disk()
    digest = disk.write("frozen", 4 * MIB)
    disk.write("pinned", 4 * MIB)
    server = lab.server(lease_time=20, grace_time=20)
    server.ctl("seal", disk.file("frozen"))
    server.ctl("seal", "--pinned", disk.file("pinned"))
    guest = lab.guest().ready().mount(options="vers=4.1,nconnect=4")
    guest.run("for i in 1 2 3 4 5 6 7 8; do su -s /bin/sh nobody -c 'ls -l /mnt/n/data' > "
              "/dev/null && ls -l /mnt/n/data > /dev/null || exit 1; done")
    loads = [reading(guest, "/mnt/n/data/frozen", 4, digest),
             writing(guest, "/mnt/n/data/pinned", 2)]
    for load in loads:
        load.rounds(2)
    server.kill()
    server.start()
    for load in loads:
        load.rounds(2, timeout=150)
        load.end()
    guest.umount()
    equal(server.ctl("clients")["clients"], [], "clients after the unmount")


@test()
def a_machine_that_is_no_client_is_refused_its_mount_at_once(lab):
    server = lab.server(exports={"/data": {"path": lab.disk().path, "clients": ["10.99.0.250"]}})
    guest = lab.guest().ready()
    text = guest.run("mkdir -p /mnt/n; "
                     "mount -t nfs4 -o vers=4.1 10.99.0.1:/ /mnt/n 2>&1 && echo mounted; true", 60)
    holds("access denied" in text.lower() or "not permitted" in text.lower(),
          f"mount said {text!r}")
    holds("denied" in server.log_text(), "the log does not say why")
