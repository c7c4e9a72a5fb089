"""SCSI layouts on an iSCSI target with real reservations: RFC 8154."""
from disk import MIB
from registry import equal, holds, test
from san import SanLab


@test()
def two_clients_read_and_write_one_pinned_file_directly(lab):
    """READ 0, WRITE 0, and the target has a key for the server and one for each client."""
    scene = SanLab(lab, clients=2)
    one, two = scene.clients
    digest = scene.write("file", 8 * MIB)
    scene.server.ctl("seal", "--pinned", scene.file("file"))
    for job in [guest.start("dd if=/mnt/n/file bs=512K count=16 iflag=direct status=none | sha256sum") for guest in (one, two)]:
        equal(job.finish().split()[0], digest, "what a client reads")
    one.write("/mnt/n/file", 4)
    two.write("/mnt/n/file", 4, at_mib=4)
    digest = one.sha256("/mnt/n/file")
    equal(two.sha256("/mnt/n/file"), digest, "what both read in the end")
    equal(scene.sha256("file"), digest, "what is on the disk")
    for guest in (one, two):
        counters = guest.counters()
        equal((counters.pnfs, counters.data()), ("LAYOUT_SCSI", 0), f"{guest.name}: {counters.show()}")
    keys = scene.san.keys()
    equal(sorted(keys), sorted(guest.name for guest in (scene.host, one, two)), f"who has registered ({keys})")
    holds(len({key for name in keys for key in keys[name]}) == 3, f"one key each: {keys}")
    holds("Exclusive Access, Registrants Only" in scene.san.reservation(), scene.san.reservation())
