"""Quotas: what a reserve takes of its owner's, and who is told that there is no more.

The server runs in a guest: this machine's kernel need not know quotas.
"""
import errno

from disk import MIB
from registry import equal, holds, test
from san import SanLab

OWNER, NAMER, PROJECT = 4242, 4243, 77
RESERVE, MIN_SIZE, LIMIT = 32 * MIB, 8 * MIB, 72 * MIB
MAKE = {"xfs": (), "ext4": ("-O", "quota")}
MOUNT = {"xfs": "uquota,pquota", "ext4": "usrquota"}
FEW = 12  # WRITEs of 1 MiB, beside those of what is not long enough yet


def quotas(lab, fs):
    """A stage: quotas are counted and enforced, and nobody has one."""
    return SanLab(lab, fs=fs, make=MAKE[fs], mount=MOUNT[fs],
                  export={"direct_writes": True, "direct_writes_reserve": RESERVE,
                          "direct_writes_min_size": MIN_SIZE})


def quota(scene, command):
    """What xfs_quota prints, which also knows ext4."""
    foreign = "-f" if scene.fs == "ext4" else ""
    return scene.host.run(f"xfs_quota {foreign} -x -c '{command}' /mnt/data")


def used(scene, kind="u", who=OWNER):
    """Bytes that count as his, when nothing of it waits in the page cache."""
    scene.host.run("sync -f /mnt/data")
    said = quota(scene, f"quota -N -v -b -{kind} {who}").split()  # nothing of who never had any
    return int(said[1]) * 1024 if said else 0


def directory(scene, name):
    """Of root's, where everybody may make files."""
    scene.host.run(f"mkdir -m 777 {scene.file(name)}")
    return f"/mnt/n/{name}"


def as_owner(program, who=OWNER):
    return (f"setpriv --reuid={who} --regid={who} --clear-groups python3 - <<'END'\n"
            f"{program}\nEND")


FILL = """
import mmap, os
fd = os.open("{path}", os.O_WRONLY | os.O_CREAT | {flags}, 0o644)
page, number, kept = mmap.mmap(-1, 1 << 20), 0, 0
try:
    while True:
        page[:] = b"%015d\\n" % number * 65536
        length = os.write(fd, page)
        os.fsync(fd)
        kept += length
        number += 1
        if length < len(page):
            os.write(fd, page)
            os.fsync(fd)
except OSError as error:
    print(error.errno, kept)
"""

WRITE = """
import os
fd = os.open("{path}", os.O_WRONLY | os.O_CREAT, 0o644)
os.write(fd, bytes(3 << 20))
os.fsync(fd)
"""

RIGHT = """python3 - <<'END'
with open("{path}", "rb") as f:
    print(all(f.read(1 << 20) == b"%015d\\n" % number * 65536 for number in range({count})))
END"""


def fill(scene, name, flags):
    """The owner writes until that fails: the error, and what was synced before, which is there."""
    said = scene.clients[0].run(as_owner(FILL.format(path=f"/mnt/n/{name}", flags=flags)), 300)
    error, kept = map(int, said.split())
    path = scene.file(name)
    scene.server.wait_state(path, "open", 90)
    size = int(scene.host.run(f"stat -c %s {path}"))
    holds(kept <= size < kept + 2 * MIB, f"{size} bytes are left of {kept} that were synced")
    equal(scene.host.run(RIGHT.format(path=path, count=kept // MIB)).strip(), "True", "the data")
    return error, kept, size


@test(on=quotas, fs=("xfs", "ext4"), timeout=300, seconds=40)
def a_growing_file_ends_where_its_owners_quota_does(scene, fs):
    """The reserve that does not fit is made smaller; then the program is told. What is removed
    counts no more, at once."""
    guest, = scene.clients
    mine = directory(scene, "growing")
    quota(scene, f"limit -u bhard={LIMIT // MIB}m {OWNER}")
    for name, flags in (("direct", "os.O_DIRECT"), ("buffered", "0")):
        before = guest.counters()
        error, kept, size = fill(scene, f"growing/{name}", flags)
        counters = guest.counters() - before
        equal(error, errno.EDQUOT, f"{name}: errno at the end")
        holds(kept >= LIMIT - 2 * MIB, f"{name}: {kept} bytes fitted")
        holds(size <= used(scene) <= LIMIT, f"{name}: {used(scene)} bytes are counted of {size}")
        holds(counters["WRITE"] <= MIN_SIZE // MIB + FEW and counters["LAYOUTCOMMIT"] > 0,
              f"{name}: {counters.show()}")
        guest.run(f"dd if=/dev/zero of={mine}/of-root bs=1M count=4 conv=fsync status=none")
        guest.run(f"rm {mine}/{name}")
    quota(scene, f"limit -u bhard=0 {OWNER}")


@test(on=quotas, fs=("xfs", "ext4"), seconds=15)
def what_is_written_through_the_server_ends_there_too(scene, fs):
    """And goes on when the quota is a larger one."""
    guest, = scene.clients
    directory(scene, "plain")
    quota(scene, f"limit -u bhard=4m {OWNER}")
    for name, flags in (("direct", "os.O_DIRECT"), ("buffered", "0")):
        before = guest.counters()
        error, kept, _ = fill(scene, f"plain/{name}", flags)
        counters = guest.counters() - before
        equal(error, errno.EDQUOT, f"{name}: errno at the end")
        holds(2 * MIB <= kept <= 4 * MIB, f"{name}: {kept} bytes fitted")
        equal(counters["LAYOUTCOMMIT"], 0, "no layout was asked for")
        quota(scene, f"limit -u bhard=8m {OWNER}")
    quota(scene, f"limit -u bhard=0 {OWNER}")
    guest.run(as_owner(WRITE.format(path="/mnt/n/plain/more")))


@test(on=quotas, fs=("xfs", "ext4"), seconds=10)
def what_a_local_program_removed_counts_no_more(scene, fs):
    """Though the server still had it open."""
    guest, = scene.clients
    directory(scene, "removed")
    quota(scene, f"limit -u bhard={used(scene) // 1024 + 4096}k {OWNER}")
    for name in ("first", "second", "third"):
        guest.run(as_owner(WRITE.format(path=f"/mnt/n/removed/{name}")))
        scene.host.run(f"rm {scene.file('removed')}/{name}")
    quota(scene, f"limit -u bhard=0 {OWNER}")


@test(on=quotas, fs=("xfs",), seconds=20)
def a_growing_file_ends_where_its_projects_quota_does(scene):
    """Which XFS calls a full disk."""
    guest, = scene.clients
    directory(scene, "project")
    quota(scene, f"project -s -p {scene.file('project')} {PROJECT}")
    quota(scene, f"limit -p bhard={LIMIT // MIB}m {PROJECT}")
    before = guest.counters()
    error, kept, size = fill(scene, "project/file", "os.O_DIRECT")
    counters = guest.counters() - before
    equal(error, errno.ENOSPC, "errno at the end")
    holds(kept >= LIMIT - 2 * MIB, f"{kept} bytes fitted")
    counted = used(scene, "p", PROJECT)
    holds(size <= counted <= LIMIT, f"{counted} bytes are counted of {size}")
    holds(counters["WRITE"] <= MIN_SIZE // MIB + FEW and counters["LAYOUTCOMMIT"] > 0,
          counters.show())


SAID = """
import os
def said(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0
os.chdir("/mnt/n/names")
"""
MAKE_FIRST = SAID + """
os.mkdir("mine")
with open("one", "wb") as f:
    f.write(bytes(4096))
"""
MAKE_MORE = SAID + """
print(said(os.mkdir, "d"), said(os.mkfifo, "f"), said(os.symlink, "to", "s"),
      said(os.open, "o", os.O_CREAT | os.O_WRONLY))
"""
NAME_MORE = SAID + """
name = "mine/%02d-" + "x" * 200
print(next(filter(None, (said(os.link, "one", name % i) for i in range(40))), 0),
      said(os.rename, "two", name % 50), said(os.open, name % 60, os.O_CREAT | os.O_WRONLY))
"""


@test(on=quotas, fs=("xfs", "ext4"), seconds=10)
def who_makes_or_names_files_is_told_of_his_quota(scene, fs):
    """CREATE, OPEN, LINK, RENAME and, where the file system binds root by it, SETATTR: a number of
    files that is used up, or a directory that has no room for a name."""
    guest, = scene.clients
    directory(scene, "names")
    guest.run(as_owner(MAKE_FIRST, NAMER))
    # He has removed nothing that may still be open.
    files = int(quota(scene, f"quota -N -v -i -u {NAMER}").split()[1])
    quota(scene, f"limit -u ihard={files} {NAMER}")
    refused = {str(errno.EDQUOT)}
    equal(set(guest.run(as_owner(MAKE_MORE, NAMER)).split()), refused, "who makes a file")
    quota(scene, f"limit -u ihard=0 bhard={used(scene, who=NAMER) // 1024}k {NAMER}")
    guest.run("ln /mnt/n/names/one /mnt/n/names/two")
    equal(set(guest.run(as_owner(NAME_MORE, NAMER)).split()), refused, "who names one")
    guest.run("dd if=/dev/zero of=/mnt/n/names/given bs=1M count=1 conv=fsync status=none")
    if fs == "ext4":
        said = guest.fails(f"chown {NAMER} /mnt/n/names/given")
        holds("Disk quota exceeded" in said, said)
    quota(scene, f"limit -u bhard=0 {NAMER}")
    equal(set(guest.run(as_owner(MAKE_MORE, NAMER)).split()), {"0"}, "who makes a file now")
