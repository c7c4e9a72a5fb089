"""Policy at-rest: quiet files are sealed when a client asks for a layout, and the seal gives way to
whoever changes the file."""
from disk import MIB, immutable
from load import reading
from registry import equal, holds, test
from stage import Stage
from trace import Trace

AT_REST = {"policy": "at-rest"}


def shared(lab, fs):
    """A stage."""
    return Stage(lab, fs, export=AT_REST)


@test(on=shared, fs=("xfs", "ext4"))
def a_closed_file_is_read_directly_without_an_administrator(scene):
    disk, (writer, reader) = scene.directory("closed", 2)
    server, path = scene.server, disk.file("file")
    digest = writer.run("dd if=/dev/urandom of=/tmp/x bs=1M count=8 status=none; "
                        "cp /tmp/x /mnt/n/file; sha256sum < /tmp/x").split()[0]
    equal(reader.sha256("/mnt/n/file"), digest, "what another client reads")
    counters = reader.counters()
    equal((counters.pnfs, counters["READ"]), ("LAYOUT_BLOCK_VOLUME", 0), counters.show())
    holds(counters["LAYOUTGET"] >= 1, counters.show())
    holds(immutable(path), "the file is sealed")
    equal(server.ctl("status", path)["status"][0]["policy"], "at-rest")

    writer.run("echo more >> /mnt/n/file")
    holds(not immutable(path), "the seal gave way")
    trace = Trace(server, path)
    trace.released_after("recall", count=1)
    trace.given_back(count=1)
    equal(reader.sha256("/mnt/n/file", direct=False), disk.run(f"sha256sum < {path}").split()[0],
          "what the reader reads after the change")


CHANGES = {"truncate": "truncate -s 1M /mnt/n/file", "remove": "rm /mnt/n/file",
           "rename": "mv /mnt/n/file /mnt/n/new", "chmod": "chmod 600 /mnt/n/file",
           "link": "ln /mnt/n/file /mnt/n/new", "replace": "mv /mnt/n/small /mnt/n/file"}


@test(on=shared, fs=("xfs",), change=tuple(CHANGES))
def the_seal_gives_way_to(scene, change):
    disk, (reader, other) = scene.directory(change, 2)
    server = scene.server
    disk.write("file", 4 * MIB)
    disk.write("small", 4096)
    load = reading(reader, "/mnt/n/file", 1,
                   reader.run("head -c 1048576 /mnt/n/file | sha256sum").split()[0])
    load.rounds(1)
    equal(server.state(disk.file("file")), "sealed")
    other.run(CHANGES[change])
    if change in ("truncate", "chmod", "link"):  # the reader's file is still there
        load.rounds(1)
        load.end()
    else:
        reader.run(f"touch {load.flag}")
        load.job.wait()


@test(on=shared, fs=("xfs", "ext4"))
def readers_are_not_disturbed_by_readers(scene):
    disk, guests = scene.directory("readers", 2)
    digest = disk.write("file", 16 * MIB)
    for job in [guest.start("dd if=/mnt/n/file bs=1M count=16 iflag=direct status=none | sha256sum")
                for guest in guests]:
        equal(job.finish().split()[0], digest, "what a client reads")
    for guest in guests:
        guest.sha256("/mnt/n/file")
    equal(Trace(scene.server, disk.file("file")).all("recall"), [], "recalls")
    equal(guests[1].counters()["LAYOUTRETURN"], 0)


@test()
def readers_and_writers_in_turns_do_not_thrash(lab):
    """A seal for each reader and a release for each writer would cost both. After it gave way once,
    the next seal waits."""
    disk = lab.disk()
    disk.write("file", 2 * MIB)
    path = disk.file("file")
    server = lab.server(export=AT_REST, at_rest_pause=3600)
    reader, writer = lab.clients(2)
    reader.run("head -c 1048576 /mnt/n/file | sha256sum")
    equal(server.state(path), "sealed")
    for number in range(8):
        writer.run(f"printf '\\n{number}\\n' >> /mnt/n/file")
        equal(reader.run("tail -n 1 /mnt/n/file").strip(), str(number),
              "the last line, read after it was written")
    trace = Trace(server, path)
    equal(len([e for e in trace.all("step") if e["step"] == "flag"]), 1,
          "times the file was sealed")
    explain = server.ctl("explain", path)["explain"]
    holds("alternate" in explain["why"] and "sealctl seal" in explain["advice"],
          f"explain: {explain}")
    server.ctl("seal", path)  # the operator's word is not held up
    equal(server.state(path), "sealed")


@test()
def only_what_the_patterns_take_is_sealed(lab):
    disk = lab.disk()
    disk.run(f"mkdir {disk.file('media')}")
    for name in ("media/film", "media/draft", "other"):
        disk.write(name, 2 * MIB)
    server = lab.server(export={**AT_REST, "at_rest_include": ["media/*"],
                                "at_rest_exclude": ["*/draft"]})
    guest, = lab.clients(1)
    for name in ("media/film", "media/draft", "other"):
        guest.sha256(f"/mnt/n/{name}")
    equal([server.state(disk.file(name)) for name in ("media/film", "media/draft", "other")],
          ["sealed", "open", "open"])
    why = server.ctl("explain", disk.file("other"))["explain"]["why"]
    holds("at_rest_include" in why, f"explain: {why}")


@test(on=shared, fs=("xfs",))
def small_files_are_left_alone(scene):
    """Clients are told by mdsthreshold, and do not even ask."""
    disk, (guest,) = scene.directory("small")
    digest = disk.write("file", MIB - 4096)
    equal(guest.sha256("/mnt/n/file"), digest)
    equal(scene.server.state(disk.file("file")), "open")
    counters = guest.counters()
    equal(counters["LAYOUTGET"], 0, f"LAYOUTGET for a small file ({counters.show()})")


@test()
def the_size_is_configurable(lab):
    disk = lab.disk()
    disk.write("small", MIB)
    disk.write("large", 4 * MIB)
    server = lab.server(export={**AT_REST, "at_rest_min_size": 4 * MIB})
    guest, = lab.clients(1)
    guest.sha256("/mnt/n/small")
    guest.sha256("/mnt/n/large")
    equal((server.state(disk.file("small")), server.state(disk.file("large"))), ("open", "sealed"))
