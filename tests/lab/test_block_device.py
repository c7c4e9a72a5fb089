"""Devices that change while they are in use."""
import fcntl
import os

from disk import MIB
from registry import equal, test

LOOP_SET_CAPACITY = 0x4C07


@test()
def a_client_hears_that_a_device_has_grown(lab):
    """The LUN is made larger under a mounted file system. The id stays, the client asks for the
    description again before its next layout, and the layout it holds goes on."""
    disk = lab.disk(size=1024 * MIB)
    first, second = disk.write("first", 8 * MIB), disk.write("second", 8 * MIB)
    server = lab.server(device_interval=1)
    server.ctl("seal", disk.file("first"))
    server.ctl("seal", disk.file("second"))
    guest, = lab.clients(1)
    equal(guest.sha256("/mnt/n/first"), first, "read before")
    equal(guest.counters()["GETDEVICEINFO"], 1, "GETDEVICEINFO before")
    os.truncate(disk.image, 1536 * MIB)
    fcntl.ioctl(disk.descriptor, LOOP_SET_CAPACITY)
    server.wait_log("has heard that a device changed")
    equal(guest.sha256("/mnt/n/second"), second, "another file after")
    equal(guest.sha256("/mnt/n/first"), first, "the same file after")
    counters = guest.counters()
    equal((counters["GETDEVICEINFO"], counters["LAYOUTGET"], counters.data()), (2, 2, 0),
          f"after ({counters.show()})")
