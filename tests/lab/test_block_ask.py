"""More layouts are out than the server likes: clients are asked, not made, to give some back (CB_RECALL_ANY)."""
import subprocess

from disk import MIB
from registry import equal, holds, test


def sealed_files(disk, server, count):
    names = [f"file{number}" for number in range(count)]
    for name in names:
        disk.write(name, MIB)
        server.ctl("seal", disk.file(name))
    return names


@test()
def a_client_that_keeps_its_layouts_when_asked_is_left_alone(lab):
    """The Linux client answers NFS4_OK to a request for block layouts and keeps them; they are as good as before."""
    disk = lab.disk(size=400 * MIB)
    server = lab.server(max_grants=2)
    names = sealed_files(disk, server, 4)
    guest, = lab.clients(1)
    digests = [guest.sha256(f"/mnt/n/{name}") for name in names]
    server.wait_trace(lambda entry: entry["what"] == "ask")
    for name, digest in zip(names, digests):
        equal(guest.sha256(f"/mnt/n/{name}"), digest, name)
    equal(guest.counters()["LAYOUTGET"], 4, "it kept what it held")
    equal(guest.counters().data(), 0, "READ and WRITE")
    for name in names:
        server.ctl("unseal", "--wait", disk.file(name))
    holds(not [entry for entry in server.trace() if entry["what"].startswith("fence")], "nobody was fenced")


@test()
def a_client_gives_back_what_it_does_not_use_when_asked(lab):
    """libsealio: two programs that hold a layout each are one too many, and both are asked."""
    disk = lab.disk(size=400 * MIB)
    server = lab.server(max_grants=1)
    names = sealed_files(disk, server, 2)
    holders = []
    for name in names:
        holders.append(subprocess.Popen([f"{lab.build}/client/sealio", "cat", "--require-layout", "--hold-until-recall",
                                         f"nfs://127.0.0.1:2049/data/{name}"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True))
        server.wait_trace(lambda entry, name=name: entry["what"] == "grant" and entry["file"].endswith(name))
    for holder in holders:
        errors = holder.communicate(timeout=60)[1]
        equal(holder.returncode, 0, errors)
        holds("no layout is held" in errors, f"it was given back without a recall: {errors}")
    ends = [entry["how"] for entry in server.trace() if entry["what"] == "grant-ended"]
    equal(ends, ["returned", "returned"], "how the grants ended")
    equal([entry for entry in server.trace() if entry["what"] == "recall"], [], "recalls")
