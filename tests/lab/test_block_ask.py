"""More layouts are out than the server likes: clients are asked, not made, to give
some back (CB_RECALL_ANY)."""
import hashlib
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
    """The Linux client answers NFS4_OK to a request for block layouts and keeps them; they are as
    good as before."""
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
    holds(not [entry for entry in server.trace() if entry["what"].startswith("fence")],
          "nobody was fenced")


@test()
def a_client_gives_back_what_it_does_not_use_when_asked(lab):
    """libsealio: a copy waits for its reader, and its layout with it; when another client takes
    one, the first is asked."""
    disk = lab.disk(size=400 * MIB)
    server = lab.server(max_grants=1)
    digest = disk.write("waiting", 128 * MIB)
    disk.write("other", MIB)
    for name in ("waiting", "other"):
        server.ctl("seal", disk.file(name))
    url, tool = "nfs://127.0.0.1:2049/data", f"{lab.build}/bin/sealio"
    waiting = subprocess.Popen([tool, "cat", "--quiet", f"{url}/waiting"], stdout=subprocess.PIPE)
    copied = hashlib.sha256(waiting.stdout.read(MIB))
    other = subprocess.Popen([tool, "cat", "--hold-until-recall", f"{url}/other"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended = server.wait_trace(lambda entry: entry["what"] == "grant-ended"
                              and entry["file"] == disk.file("waiting"))
    equal(ended["how"], "returned", "how its grant ended")
    equal([entry for entry in server.trace() if entry["what"] == "recall"], [], "recalls")
    while piece := waiting.stdout.read(MIB):
        copied.update(piece)
    equal(waiting.wait(60), 0, "the copy's exit code")
    equal(copied.hexdigest(), digest, "what was copied")
    server.ctl("unseal", "--wait", disk.file("other"))
    equal(other.wait(60), 0, "the other's exit code")
