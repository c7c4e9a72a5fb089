"""The promise broken from outside: root clears the flag or moves the blocks of a sealed file while
clients hold layouts."""
import subprocess

from disk import MIB, extents, immutable
from load import reading
from registry import equal, holds, test
from trace import Trace


@test(fs=("xfs", "ext4"))
def a_cleared_flag_recalls_the_holder_and_keeps_the_seal(lab, fs):
    disk = lab.disk(fs=fs)
    digest = disk.write("file", 4 * MIB)
    path = disk.file("file")
    server = lab.server(scrub_interval=1)
    server.ctl("seal", path)
    guest, = lab.clients(1)
    load = reading(guest, "/mnt/n/file", 1,
                   guest.run("head -c 1048576 /mnt/n/file | sha256sum").split()[0])
    load.rounds(1)
    holds(guest.counters()["LAYOUTGET"] > 0, "the client holds a layout")
    disk.run(f"chattr -i {path}")
    server.wait_state(path, "broken")
    ended = Trace(server, path).all("grant-ended")
    equal([entry["how"] in ("returned", "nomatching") for entry in ended], [True],
          f"the client gave it back: {ended}")
    load.rounds(1)
    load.end()
    equal(guest.sha256("/mnt/n/file"), digest, "what the client reads through the server")
    holds("immutable flag was cleared" in server.log_text(), "the log does not say what happened")
    why = server.ctl("explain", path)["explain"]["why"]
    holds("flag" in why and "sealctl unseal" in why, f"explain: {why}")
    guest.fails("echo more >> /mnt/n/file")
    holds(not immutable(path), "the flag was put back without a word")
    server.kill()
    server.start()
    # It is on record that it may have had a layout, not that it gave it back.
    server.ctl("fenced", guest.ip)
    equal(server.wait_state(path, "broken"), None)
    server.ctl("unseal", "--wait", path)
    server.ctl("seal", path)
    equal(server.state(path), "sealed")


def move_blocks(disk, path):
    """What a restore or a defragmenter does: the same bytes at other places, and the flag
    as it was."""
    before = extents(path)
    move = {"xfs": f"xfs_io -c 'swapext {path}.copy' {path}",
            "ext4": f"truncate -s 0 {path}; dd if=/dev/zero of={path}.in-the-way bs=1M count=8 "
            f"conv=fsync status=none; cat {path}.copy > {path}"}
    disk.run(f"chattr -i {path}; cp {path} {path}.copy; sync -f {path}; {move[disk.fs]}; "
             f"sync -f {path}; chattr +i {path}")
    holds(extents(path)[0][1] != before[0][1], "the file's blocks are where they were")


@test(fs=("xfs", "ext4"))
def moved_blocks_are_found_by_the_first_grant_after_a_restart(lab, fs):
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.write("file", 4 * MIB)
    path, url = disk.file("file"), "nfs://127.0.0.1:2049/data/file"
    server = lab.server(scrub_interval=0)
    server.ctl("seal", "--pinned", path)
    cat = [f"{lab.build}/bin/sealio", "cat", "--require-layout", url]
    equal(subprocess.run(cat, stdout=subprocess.DEVNULL).returncode, 0, "a direct read before")
    server.stop()
    old = extents(path)[0]
    move_blocks(disk, path)
    server.start()  # a pinned file is looked at then too: whichever look comes first
    holds(server.state(path) in ("sealed", "broken"), "the seal is kept")
    holds(subprocess.run(cat, capture_output=True).returncode != 0,
          "a layout of a map that is no longer true")
    equal(server.state(path), "broken")
    moved = next(line
                 for line in server.log_text().splitlines() if "clients may have written" in line)
    holds(f"were at byte {old[1]} of the device" in moved,
          f"the old place {old} is not named: {moved}")
    done = subprocess.run([f"{lab.build}/bin/sealio", "cp", "--no-layout", "--in-place",
                           f"{path}.copy", url], capture_output=True, text=True)
    holds(done.returncode != 0, "a write through the server went by the old map")
    equal(disk.sha256("file"), disk.sha256("file.copy"), "the file's data")
    server.ctl("unseal", "--wait", path)
    holds(not immutable(path), "the seal is off")
