"""Ordinary use of a mount, unsealed files: what people and programs do all day."""
import os
import subprocess

from disk import MIB
from registry import equal, holds, test
from stage import Stage

EROFS, ENOSPC = "Read-only file system", "No space left on device"


def shared(lab, fs):
    """A stage."""
    return Stage(lab, fs)


def make_tree(directory):
    """A small C program in several files and directories, with things in it that archives have."""
    os.makedirs(f"{directory}/src/deep/er")
    for i in range(40):
        with open(f"{directory}/src/deep/er/data{i}", "w") as f:
            f.write(f"{i}\n" * (i * 50))
    for name, text in {"src/main.c": '#include "part.h"\nint main(void) { return part(41) - 42; '
                       '}\n',
                       "src/part.c": '#include "part.h"\nint part(int n) { return n + 1; }\n',
                       "src/part.h": "int part(int n);\n",
                       "Makefile": "CFLAGS = -Wall -Isrc\nprogram: src/main.o src/part.o\n"
                       "\t$(CC) -o $@ $^\n"}.items():
        with open(f"{directory}/{name}", "w") as f:
            f.write(text)
    os.symlink("src/part.h", f"{directory}/header")
    os.link(f"{directory}/src/main.c", f"{directory}/src/same.c")
    os.chmod(f"{directory}/Makefile", 0o640)


@test(on=shared, fs=("xfs", "ext4"), timeout=300)
def a_source_tree_is_unpacked_built_compared_and_removed(scene):
    _, (guest,) = scene.directory("source")
    make_tree(f"{scene.lab.directory}/tree")
    subprocess.run(["tar", "-C", scene.lab.directory, "-cf", f"{guest.directory}/tree.tar", "tree"],
                   check=True)
    guest.run("cd /mnt/n && tar -xf /mnt/lab/tree.tar && cd tree && make && ./program", timeout=200)
    guest.run("mkdir /tmp/t && tar -C /tmp/t -xf /mnt/lab/tree.tar && cd /mnt/n/tree && rm program "
              "src/*.o && diff -r /tmp/t/tree .")
    equal(guest.run("cd /mnt/n/tree && stat -c %h src/main.c && readlink header && stat -c %a "
                    "Makefile").split(), ["2", "src/part.h", "640"])
    equal(guest.run("rm -r /mnt/n/tree && ls -A /mnt/n | grep -v lost+found || true"), "",
          "what is left")


@test(on=shared, fs=("xfs", "ext4"))
def ten_thousand_files_are_listed_once_each(scene):
    disk, (guest,) = scene.directory("listed")
    os.mkdir(disk.file("many"))
    for i in range(10000):
        os.close(os.open(disk.file(f"many/a-name-of-some-length-{i}"), os.O_CREAT | os.O_WRONLY,
                         0o644))
    equal(guest.run("ls -f /mnt/n/many | grep -v '^\\.' | sort | uniq | wc -l").strip(), "10000",
          "different names")
    equal(guest.run("ls -f /mnt/n/many | wc -l").strip(), "10002", "names")
    equal(guest.run("ls -ln /mnt/n/many | tail -n +2 | awk '{print $1, "
                    "$5}' | sort | uniq -c | tr -s ' '").strip(), "10000 -rw-r--r-- 0")


@test(on=shared, fs=("xfs",))
def an_open_file_survives_rename_over_it_and_removal(scene):
    _, (guest, other) = scene.directory("removed", 2)
    guest.run("""cd /mnt/n; echo old > file; echo new > next; exec 5< file 6< file
                 mv next file; read -u 5 line; [ "$line" = old ]
                 read line < file; [ "$line" = new ]""")
    reader = guest.start("""cd /mnt/n; exec 5< file; say open
                            until [ -e /tmp/go ]; do sleep 0.1; done
                            rm -f seen; cat <&5""")
    reader.expect("open")
    # By the same client: it keeps the file under another name until the close.
    guest.run("rm /mnt/n/file; touch /tmp/go")
    equal(reader.finish(), "new\n")
    equal(other.run("ls -A /mnt/n | grep -v lost+found || true"), "", "what is left")


USER, GROUP, GROUPS = 7001, 37, range(7100, 7140)


def know_user(directory):
    """This machine, for the lab's processes, has one user more, who is in 40 groups besides."""
    for name, lines in {"passwd": [f"member:x:{USER}:{USER}::/:/bin/sh"],
                        "group": [f"g{gid}:x:{gid}:member" for gid in GROUPS]}.items():
        with open(f"/etc/{name}") as before, open(f"{directory}/{name}", "w") as after:
            after.write(before.read() + "\n".join(lines) + "\n")
        subprocess.run(["mount", "--bind", after.name, f"/etc/{name}"], check=True)


@test(on=shared, fs=("xfs",))
def a_user_in_forty_groups_has_them_all_where_the_server_looks(scene):
    directory, (guest,) = scene.directory("groups")
    path, server = directory.file("file"), scene.server
    last = GROUPS[GROUP]
    with open(path, "w") as f:
        f.write("for the group\n")
    os.chown(path, 0, last)
    os.chmod(path, 0o640)
    know_user(scene.lab.directory)
    first_16 = ",".join(str(gid) for gid in GROUPS[:16])
    by = f"setpriv --reuid {USER} --regid {USER} --groups {first_16} cat /mnt/n/file"
    holds("Permission denied" in guest.fails(by), "without the option")
    options = next(iter(server.exports.values()))
    options["manage_gids"] = True
    try:
        server.write_config()
        server.ctl("reload")
        equal(guest.run("echo 3 > /proc/sys/vm/drop_caches; umount /mnt/n"), "")
        guest.mount("/data/groups")
        equal(guest.run(by), "for the group\n", "with the option")
    finally:
        del options["manage_gids"]
        server.write_config()
        server.ctl("reload")
        for name in "passwd", "group":
            subprocess.run(["umount", f"/etc/{name}"], check=False)


@test(on=shared, fs=("xfs",))
def a_machine_mounts_by_its_name(scene):
    _, (guest,) = scene.directory("by-name")
    server, options = scene.server, next(iter(scene.server.exports.values()))
    before = options["clients"]
    with open("/etc/hosts") as f, open(f"{scene.lab.directory}/hosts", "w") as hosts:
        hosts.write(f"{f.read()}\n{guest.ip} one.lab.example\n")
    subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
    guest.umount()
    try:
        for name in "one.lab.example", "*.lab.example":
            options["clients"] = [name]
            server.write_config()
            server.ctl("reload")
            guest.mount("/data/by-name")
            guest.run("echo by name > /mnt/n/file")
            guest.umount()
    finally:
        options["clients"] = before
        server.write_config()
        server.ctl("reload")
        subprocess.run(["umount", "/etc/hosts"], check=False)
        guest.mount("/data/by-name")


LOCKER = """import fcntl, os, struct, sys
def lock(fd, kind, start, length, how=fcntl.F_SETLK):
    return fcntl.fcntl(fd, how, struct.pack("hhqqi", kind, 0, start, length, 0))
fd = os.open(sys.argv[1], os.O_RDWR)
"""


HOLD = """
lock(fd, fcntl.F_WRLCK, 2, 3)
open("/tmp/held", "w")
import time
while not os.path.exists("/tmp/release"):
    time.sleep(0.1)
"""


def locker(guest, script, path="/mnt/n/file"):
    """Start a Python program with lock() and the open file fd at hand."""
    return guest.start(f"python3 - {path} <<'END'\n{LOCKER}{script}\nEND")


def lock_holder(guest, path="/mnt/n/file", then=""):
    """Lock bytes 2 to 4 for writing and keep the lock until /tmp/release is there."""
    job = locker(guest, HOLD + then, path)
    guest.run("until [ -e /tmp/held ]; do sleep 0.1; done")
    return job


@test(on=shared, fs=("xfs", "ext4"))
def locks_are_seen_by_the_other_client(scene):
    _, (one, two) = scene.directory("locks", 2)
    one.run("echo 0123456789 > /mnt/n/file")
    holder = lock_holder(one)
    locker(two, "lock(fd, fcntl.F_WRLCK, 0, 2)\nlock(fd, fcntl.F_RDLCK, 5, 5)").finish()
    denied = locker(two, "lock(fd, fcntl.F_RDLCK, 4, 1)")
    holds(denied.wait() != 0 and "BlockingIOError" in denied.output(),
          f"a lock over a lock: {denied.output()}")
    told = locker(two, "print(struct.unpack('hhqqi', lock(fd, fcntl.F_WRLCK, 0, 10, "
                  "fcntl.F_GETLK))[:4])").finish()
    equal(told, "(1, 0, 2, 3)\n", "what F_GETLK tells (1: a write lock)")
    waiting = locker(two, "lock(fd, fcntl.F_WRLCK, 0, 10, fcntl.F_SETLKW)")
    one.run("touch /tmp/release")
    holder.finish()
    waiting.finish(60)


@test(on=shared, fs=("xfs",))
def open_flags_and_truncation(scene):
    disk, (one, two) = scene.directory("flags", 2)
    one.run("set -C; echo first > /mnt/n/exclusive")  # noclobber: O_EXCL
    holds("exist" in two.fails("set -C; echo second > /mnt/n/exclusive"),
          "O_EXCL on a file that is there")
    one.run("for i in 1 2 3; do echo $i >> /mnt/n/log; done")
    two.run("for i in 4 5 6; do echo $i >> /mnt/n/log; done")
    equal(one.run("cat /mnt/n/log").split(), ["1", "2", "3", "4", "5", "6"], "appended lines")
    one.run("truncate -s 3 /mnt/n/log")
    equal(two.run("wc -c < /mnt/n/log; truncate -s 100000 /mnt/n/log").strip(), "3",
          "size, asked by opening the file")
    equal(os.stat(disk.file("log")).st_size, 100000)
    equal(one.run("head -c 3 /mnt/n/log; tail -c 99997 /mnt/n/log | tr -d '\\0' | wc -c"),
          "1\n20\n")
    one.run("echo shorter > /mnt/n/log")  # O_TRUNC
    equal(disk.run(f"cat {disk.file('log')}"), "shorter\n")


@test(on=shared, fs=("xfs", "ext4"))
def names_links_and_attributes(scene):
    disk, (guest,) = scene.directory("names")
    longest = "ä" * 127 + "x"  # 255 bytes
    guest.run(f"cd /mnt/n; echo here > '{longest}'; [ $(ls | grep -c '{longest}') = 1 ]; "
              f"mv '{longest}' 'sp ace \\\\ \"q\"'; cat 'sp ace \\\\ \"q\"'")
    holds("too long" in guest.fails(f"touch /mnt/n/{longest}y"), "a name of 256 bytes")
    target = "a/" * 400 + "end"
    guest.run(f"cd /mnt/n; ln -s {target} link; [ $(readlink link) = {target} ]; mkfifo fifo; "
              f"mknod node c 1 3; [ -p fifo ]; [ -c node ]")
    guest.run("""cd /mnt/n; touch f; chown 12345:54321 f; chmod 4751 f
                 touch -d @1000000001.123456789 f
                 [ "$(stat -c '%a %u %g %.9Y' f)" = "4751 12345 54321 1000000001.123456789" ]""")
    about = os.stat(disk.file("f"))
    equal((about.st_mode & 0o7777, about.st_uid, about.st_gid, about.st_mtime_ns),
          (0o4751, 12345, 54321, 1000000001123456789))
    guest.run("cd /mnt/n; df . | tail -1; stat -f . >/dev/null; mkdir d; rmdir d")
    holds("not empty" in guest.fails("cd /mnt/n; mkdir e; touch e/x; rmdir e"),
          "rmdir of a directory in use")
    holds("denied" in guest.fails("cd /mnt/n; chmod 600 f; setpriv --reuid=1000 --regid=1000 "
                                  "--clear-groups cat f"), "another user's file")


@test(on=shared, fs=("xfs", "ext4"))
def a_file_past_four_gigabytes(scene):
    disk, (guest,) = scene.directory("large")
    at = 5 << 30
    guest.run(f"cd /mnt/n; echo end | dd of=file bs=1 seek={at} status=none; "
              f"[ $(stat -c %s file) = {at + 4} ]; truncate -s {at + 4096} file")
    equal(guest.run(f"dd if=/mnt/n/file bs=1 skip={at} count=4 status=none; dd if=/mnt/n/file "
                    f"bs=1M skip=4090 count=20 status=none | tr -d '\\0' | wc -c"), "end\n0\n")
    equal(os.stat(disk.file("file")).st_size, at + 4096)


@test()
def a_full_disk_and_a_read_only_export_reach_the_application(lab):
    disk = lab.disk(fs="ext4", size=64 * MIB)
    lab.server(exports={"/ro": {"path": disk.path, "access": "ro"}})
    guest, = lab.clients(1)
    holds(ENOSPC in guest.fails("dd if=/dev/zero of=/mnt/n/big bs=1M conv=fsync"), "a full disk")
    # The space of what was removed is there at once. The client closes behind its failed writes: it
    # says so again and again.
    guest.run("rm /mnt/n/big; for i in 1 2 3 4 5; "
              "do echo fits | dd of=/mnt/n/small conv=fsync && break; done")
    guest.mount("/ro", at="/mnt/ro")
    holds(EROFS in guest.fails("echo x > /mnt/ro/small"), "writing to a read-only export")
    holds(EROFS in guest.fails("rm /mnt/ro/small"), "removing from a read-only export")
    equal(guest.run("cat /mnt/ro/small"), "fits\n")


@test()
def exports_below_one_root(lab):
    """The pseudo root shows the exports and the directories on the way, and nothing else."""
    disk = lab.disk()
    os.mkdir(disk.file("inner"))
    disk.run(f"echo inner > {disk.file('inner')}/file; echo outer > {disk.file('outer')}")
    lab.server(exports={"/deep/er/inner": {"path": disk.file("inner")},
                        "/closed": {"path": disk.file("inner"), "clients": ["10.99.0.200"]}})
    guest = lab.guest().ready().mount("/")
    equal(sorted(set(guest.run("ls /mnt/n").split()) - {"closed"}), ["data", "deep"])
    equal(guest.run("cat /mnt/n/data/outer /mnt/n/deep/er/inner/file"), "outer\ninner\n")
    guest.fails("cat /mnt/n/closed/file")
    guest.fails("touch /mnt/n/x")
    guest.fails("touch /mnt/n/deep/x")
    equal(guest.run("cat /mnt/n/data/inner/../outer"), "outer\n")


@test()
def a_squashed_root_owns_nothing(lab):
    disk = lab.disk()
    disk.run(f"echo secret > {disk.file('secret')}; chmod 600 {disk.file('secret')}; "
             f"chmod 777 {disk.path}")
    lab.server(export={"squash": "root", "anon_uid": 4321, "anon_gid": 1234})
    guest, = lab.clients(1)
    guest.fails("cat /mnt/n/secret")
    guest.run("touch /mnt/n/mine")
    equal((os.stat(disk.file("mine")).st_uid, os.stat(disk.file("mine")).st_gid), (4321, 1234))
