"""SCSI layouts on an iSCSI target with real reservations."""
from disk import MIB
from registry import equal, test
from san import SanLab


@test()
def a_server_in_a_guest_serves_a_file_system_on_an_iscsi_disk(lab):
    scene = SanLab(lab)
    digest = scene.write("file", 4 * MIB)
    guest, = scene.clients
    equal(guest.sha256("/mnt/n/file"), digest, "what the client reads")
