"""Disks that are not there at the start. The other exports are served, clients wait, the directory
underneath is never shown, and all goes on by itself when the disk comes."""
import os
import signal

from disk import MIB, immutable
from registry import equal, holds, test
from test_filesystems import OWN_UUID, copy_of


def warning(server):
    return server.sealctl("status")[1]


@test(fs=("xfs", "ext4"), seconds=30)
def one_export_is_held_back_until_its_disk_comes(lab, fs):
    """A client that has the pseudo root mounted uses the other export, and finds this one when its
    disk is mounted."""
    disk, late = lab.disk(fs=fs, size=400 * MIB), lab.disk("late", fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    digest = late.write("file", MIB)
    late.umount()
    with open(late.file("underneath"), "w"):
        pass
    server = lab.server(disk, exports={"/late": {"path": late.path, "mountpoint": True},
                                       "/missing": {"path": f"{late.path}/no/such"}})
    guest, = lab.clients(1, mount="/")
    server.wait_log("serves 1 export (2 more when their disks are there)")
    server.wait_log("export /late is not served")
    holds("/late is not served" in warning(server) and "mount its disk" in warning(server),
          warning(server))
    late_row = server.ctl("exports")["exports"][1]
    holds(late_row["state"] == "away" and "mount its disk" in late_row["why"], late_row)
    for path in late.file("underneath"), late.file("nothing"):
        text = server.refused("explain", path)
        holds("/late, which is not served" in text and "mount its disk" in text, text)
    text = server.refused("seal", late.file("underneath"))
    holds("/late, which is not served" in text, text)
    equal(guest.run("ls /mnt/n").split(), ["data"], "what is shown")
    guest.run("sha256sum /mnt/n/data/file")
    waiting = guest.start("stat -c %n /mnt/n/late/file")
    late.mount()
    server.wait_log("export /late: the disk of")
    waiting.finish()
    equal(guest.sha256("/mnt/n/late/file"), digest, "the file")
    equal(guest.run("ls /mnt/n; ls -d /mnt/n/late/*e*").split(),
          ["data", "late", "/mnt/n/late/file"], "what is shown")
    server.ctl("seal", late.file("file"))
    equal(server.state(late.file("file")), "sealed", "the seal of a file on the disk that came")


def reloaded(server):
    server.write_config()
    server.ctl("reload")


@test(fs=("xfs", "ext4"), seconds=30)
def exports_come_and_go_by_a_reload(lab, fs):
    """A client that has the pseudo root mounted finds one that came, and gets layouts of it; when
    it goes, the seal stays, and its holder gives back when it is recalled: nobody is fenced."""
    disk, more = lab.disk(fs=fs, size=400 * MIB), lab.disk("more", fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    digest = more.write("file", 8 * MIB)
    more.write("other", MIB)
    server = lab.server(disk)
    guest, = lab.clients(1, mount="/")
    equal(guest.run("ls /mnt/n").split(), ["data"], "before")

    export = {**server.exports["/data"], "path": more.path}
    server.exports["/more"] = export
    reloaded(server)
    server.wait_log("export /more: layouts are given again")
    equal([(row["export"], row["state"], row["layouts"], row["path"])
           for row in server.ctl("exports")["exports"]],
          [("/data", "served", ["block"], disk.path), ("/more", "served", ["block"], more.path)],
          "the exports")
    equal(guest.run("ls /mnt/n").split(), ["data", "more"], "after it came")
    server.ctl("seal", "--pinned", more.file("file"))
    guest.run("mkdir /mnt/more && mount -t nfs4 -o vers=4.1 10.99.0.1:/more /mnt/more")
    equal(guest.sha256("/mnt/more/file"), digest, "the file")
    counters = guest.counters("/mnt/more")
    equal((counters.pnfs, counters.data(), counters["LAYOUTGET"]), ("LAYOUT_BLOCK_VOLUME", 0, 1),
          f"layout driver, READ and WRITE, LAYOUTGET ({counters.show()})")

    del server.exports["/more"]
    reloaded(server)
    guest.fails("sleep 3; cat /mnt/more/file > /dev/null")
    equal(guest.run("ls /mnt/n").split(), ["data"], "after it went")
    text = server.refused("seal", more.file("other"))
    holds("exported no more" in text, text)
    text = server.sealctl("exports")[1]
    holds("/more" in text and "withdrawn" in text and "layouts can be given back" in text, text)
    equal(immutable(more.file("file")), True, "the flag")
    server.ctl("unseal", "--wait", "--timeout", "60", more.file("file"))
    equal(immutable(more.file("file")), False, "the flag")
    equal([entry for entry in server.trace() if "fence" in entry["what"]], [], "fences")

    server.exports["/more"] = export
    reloaded(server)
    equal(guest.sha256("/mnt/more/file"), digest, "the file when it is back")


@test()
def a_reload_that_moves_an_export_changes_nothing(lab):
    """All or nothing: what else is new is not served either."""
    disk, more = lab.disk(size=320 * MIB), lab.disk("more", size=320 * MIB)
    server = lab.server(disk)
    server.exports["/data"]["path"] = more.path
    server.exports["/new"] = {**server.exports["/data"], "path": disk.path}
    server.write_config()
    text = server.refused("reload")
    holds("/data" in text and "restart sealnfsd, or give it another id" in text, text)
    more.write("file", MIB)
    text = server.refused("seal", more.file("file"))
    holds("no export" in text or "not in an export" in text, text)


@test(seconds=20)
def not_underneath_after_a_start_without_the_disk(lab):
    """Without a word in the configuration: the server remembers what it served from there."""
    disk = lab.disk(fs="ext4", size=400 * MIB)
    digest = disk.write("file", MIB)
    server = lab.server()
    server.ctl("seal", disk.file("file"))
    server.stop()
    disk.umount()
    with open(disk.file("file"), "w"):
        pass
    server.start()
    server.wait_log("is not served, the others are: the file system that was served from")
    guest, = lab.clients(1, mount="/")
    equal(guest.run("ls /mnt/n").split(), [], "what is shown")
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("the configuration was reloaded")
    holds("/data is not served" in warning(server), warning(server))
    disk.mount()
    server.wait_log("export /data: the disk of")
    equal(guest.sha256("/mnt/n/data/file"), digest, "the file")
    equal(server.state(disk.file("file")), "sealed", "the seal")
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))


@test(fs=("xfs", "ext4"))
def a_copy_is_not_the_original_that_is_away(lab, fs):
    """Its file bears the original's mark; the original's seal is not ended by it, nor its own flag
    cleared, while it is not known that the original is elsewhere."""
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", MIB)
    server = lab.server(disk)
    server.ctl("seal", disk.file("file"))
    server.stop()
    copy = copy_of(lab, disk)
    copy.umount()
    copy.run(OWN_UUID[fs].format(copy.device))
    copy.mount()
    disk.umount()
    server.exports["/copy"] = {**server.exports["/data"], "path": copy.path}
    server.start()
    server.wait_log("export /data is not served")
    code, text = server.sealctl("unseal", "--wait", "--timeout", "2", copy.file("file"))
    holds(code != 0, f"unsealed by its copy: {text}")
    holds(immutable(copy.file("file")), "the flag of the copy")
    disk.mount()
    server.wait_log("export /data: the disk of")
    equal((server.state(disk.file("file")), immutable(disk.file("file"))), ("sealed", True),
          "the original")
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    equal((immutable(disk.file("file")), immutable(copy.file("file"))), (False, True),
          "the flags of the original and the copy")
