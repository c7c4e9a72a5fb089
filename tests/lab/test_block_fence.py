"""Holders that do not answer. The rule: a seal is released only when each holder returned its
layout or was seen fenced."""
import os
import stat

from disk import MIB, extents, immutable
from load import writing
from registry import equal, holds, test
from trace import Trace

RECALL_TIMEOUT = 2
SECOND = 10**9


def install_hook(lab, action):
    """A fence hook that writes down what it was called with, then does `action`."""
    path = f"{lab.directory}/fence-hook"
    with open(path, "w") as f:
        f.write(f'#!/bin/sh\n{{ echo "argument=$*"; env | grep ^SEALNFS_; echo; '
                f'}} >> {lab.directory}/hook-calls\n{action}\n')
    os.chmod(path, stat.S_IRWXU)
    return path


def hook_calls(lab):
    """What the hook was called with, a dictionary a call."""
    try:
        with open(f"{lab.directory}/hook-calls") as f:
            calls = f.read().split("\n\n")
    except FileNotFoundError:
        return []
    return [dict(line.split("=", 1) for line in call.splitlines() if "=" in line)
            for call in calls if call.strip()]


def holder(lab, fs, hook=None, lease_time=60):
    """A disk with a pinned file, its server, and a guest that holds a read-write layout
    of the file."""
    disk = lab.disk(fs=fs)
    disk.write("file", 16 * MIB)
    options = {"fence_hook": install_hook(lab, hook)} if hook else {}
    server = lab.server(recall_timeout=RECALL_TIMEOUT, fence_timeout=2, fence_retry=2,
                        lease_time=lease_time, **options)
    server.ctl("seal", "--pinned", disk.file("file"))
    guest, = lab.clients(1)
    guest.write("/mnt/n/file", 1)
    equal(guest.counters()["LAYOUTGET"], 1, "layouts held")
    return disk, server, guest


def expect_stuck(disk, server, before, guest):
    """The seal stays, nothing is freed, and the operator is told who and what to do."""
    path = disk.file("file")
    code, text = server.sealctl("unseal", "--wait", "--timeout", "60", path)
    holds(code in (1, 4), f"unseal: exit {code}: {text}")
    holds(guest.ip in text, f"unseal does not name the holder: {text}")
    server.wait_state(path, "stuck")
    status = server.ctl("status", path)["status"][0]
    holds(guest.ip in status["why"] and len(status["why"]) > 40,
          f"status does not say why and what to do: {status}")
    holds(immutable(path), "the flag is gone")
    equal(extents(path), before, "the file's blocks")
    equal(Trace(server, path).all("step", step="unflag"), [], "releases")


@test(fs=("xfs", "ext4"))
def a_stopped_holder_is_fenced_and_then_the_seal_released(lab, fs):
    """The hook is a power switch: it ends the guest, sees that it is gone, and only
    then says so."""
    disk, server, guest = holder(lab, fs,
                                 hook='kill -9 $(cat "$(dirname "$0")/processes") && exit 0')
    path = disk.file("file")
    guest.stop()
    with open(f"{lab.directory}/processes", "w") as f:
        f.write(" ".join(map(str, guest.processes(traced=True))))
    server.ctl("unseal", "--wait", "--timeout", "60", path)
    holds(not immutable(path), "a released file carries no flag")

    call, = hook_calls(lab)
    equal(call["argument"], "fence")
    equal((call["SEALNFS_CLIENT_ADDRESS"], call["SEALNFS_DEVICE"], call["SEALNFS_FILE"]),
          (guest.ip, disk.device, path))
    holds(guest.name in call["SEALNFS_CLIENT_OWNER"], f"owner: {call['SEALNFS_CLIENT_OWNER']}")
    equal(len(call["SEALNFS_DEVICE_ID"]), 32, "digits of the device id")
    trace = Trace(server, path)
    recall, fence = trace.all("recall")[0], trace.all("fence")[0]
    holds(fence["time_ns"] - recall["time_ns"] >= RECALL_TIMEOUT * SECOND,
          "fenced before the deadline")
    trace.released_after("fenced", count=1)
    equal({entry["how"] for entry in trace.all("grant-ended")}, {"fenced"}, "how grants ended")


@test(hook=("fails", "hangs", "absent"), fs=("xfs", "ext4"), timeout=300)
def without_a_fence_that_works_the_seal_stays_until_the_holder_returns(lab, hook, fs):
    disk, server, guest = holder(lab, fs, {"fails": "echo the switch does not answer; exit 1",
                                           "hangs": "sleep 1000", "absent": None}[hook])
    path, before = disk.file("file"), extents(disk.file("file"))
    guest.stop()
    other, = lab.clients(1)
    expect_stuck(disk, server, before, guest)
    other.fails("timeout 20 truncate -s 0 /mnt/n/file")
    other.fails("timeout 20 rm /mnt/n/file")
    equal(extents(path), before, "the file's blocks after truncate and rm")
    holds(hook == "absent" or len(hook_calls(lab)) >= 1, "the hook was not called")
    guest.cont()
    server.wait_state(path, "open", 90)
    holds(not immutable(path), "a released file carries no flag")
    Trace(server, path).given_back(count=1)
    digest = guest.write("/mnt/n/file", 16)
    equal(disk.sha256("file"), digest, "the guest writes on, through the server")
    holds(guest.counters()["WRITE"] > 0, "WRITE calls")


@test(hook=("hangs", "absent"), timeout=300)
def a_writer_goes_on_through_the_server_while_a_seal_is_stuck(lab, hook):
    """It is told once that there is no layout, not again and again that there is a recall: nothing
    ends that but that somebody acts."""
    disk, server, guest = holder(lab, "xfs", {"hangs": "sleep 1000", "absent": None}[hook])
    other, = lab.clients(1)
    other.run("ls -l /mnt/n/file")
    guest.stop()
    expect_stuck(disk, server, extents(disk.file("file")), guest)
    for at in 4, 8:  # the second time it remembers
        before = other.counters()
        digest = other.write("/mnt/n/file", 1, at_mib=at)
        used = other.counters() - before
        equal(other.run(f"dd if=/mnt/n/file bs=1M skip={at} count=1 iflag=direct status=none | "
                        f"sha256sum").split()[0], digest, "what was written")
        holds(used["WRITE"] > 0, f"written through the server: {used.show()}")
        equal(used["LAYOUTGET"], 1 if at == 4 else 0, f"LAYOUTGETs of one write: {used.show()}")
    guest.cont()
    server.wait_state(disk.file("file"), "open", 90)


@test(fs=("xfs",), timeout=300)
def a_lapsed_lease_releases_nothing(lab, fs):
    """A client that is silent for longer than its lease still has its layout: STUCK until it is
    heard of again."""
    disk, server, guest = holder(lab, fs, hook="exit 1", lease_time=5)
    before = extents(disk.file("file"))
    guest.stop()
    expect_stuck(disk, server, before, guest)
    server.wait_trace(lambda entry: entry["what"] == "client-lapsed")
    equal((server.state(disk.file("file")), extents(disk.file("file"))), ("stuck", before),
          "after the end of the lease")
    guest.cont()
    server.wait_state(disk.file("file"), "open", 90)
    digest = guest.write("/mnt/n/file", 16)
    equal(disk.sha256("file"), digest, "the guest writes on")


@test(fs=("xfs",), timeout=300)
def the_operator_answers_for_a_holder_that_is_dead(lab, fs):
    """There is no hook: who looked says so, twice, once the client's lease is over."""
    disk, server, guest = holder(lab, fs, lease_time=5)
    before = extents(disk.file("file"))
    client = server.ctl("clients")["clients"][0]["client_id"]
    guest.kill()
    expect_stuck(disk, server, before, guest)
    server.wait_trace(lambda entry: entry["what"] == "client-lapsed")
    why = server.ctl("status", disk.file("file"))["status"][0]["why"]
    holds(f"sealctl fenced --yes {client}" in why, f"what to type is not said: {why}")
    code, text = server.sealctl("fenced", client)
    holds(code == 1 and "--yes" in text, f"one word is not enough: {text}")
    equal(server.state(disk.file("file")), "stuck", "after one word")
    server.ctl("fenced", "--yes", client)
    server.wait_state(disk.file("file"), "open", 30)
    Trace(server, disk.file("file")).released_after("fenced", count=1)
    server.wait_log("the operator (pid ")


@test(fs=("xfs",), timeout=300)
def an_expelled_client_is_fenced_first(lab, fs):
    """Where the hook fails nothing of the client's is over; where it works its layout is, then the
    rest, and the file stays sealed."""
    disk, server, guest = holder(lab, fs, hook=f"exit $(cat {lab.directory}/hook-exit)")
    path, row = disk.file("file"), server.ctl("clients")["clients"][0]
    equal((row["layouts"], row["state"], row["address"]), (1, "active", guest.ip), "as shown")
    with open(f"{lab.directory}/hook-exit", "w") as f:
        f.write("1")
    code, text = server.sealctl("expel", row["client_id"])
    holds(code == 1 and "STUCK" in text and f"sealctl expel {row['client_id']}" in text,
          f"exit {code}: {text}")
    equal(server.ctl("clients")["clients"][0]["layouts"], 1, "layouts after a fence that failed")
    equal(len(server.ctl("grants", path)["grants"]), 1, "grants after a fence that failed")
    with open(f"{lab.directory}/hook-exit", "w") as f:
        f.write("0")
    code, text = server.sealctl("expel", guest.ip)
    holds(code == 0 and "fenced" in text, f"exit {code}: {text}")
    equal(server.ctl("grants", path)["grants"], [], "grants after a fence that worked")
    equal(server.state(path), "sealed", "the seal")
    holds(row["client_id"] not in server.sealctl("clients")[1], "the client id is there still")
    server.wait_trace(lambda entry: entry["what"] == "fenced")
    server.wait_log("the operator (pid ")


@test(fs=("xfs",), timeout=300)
def nobody_answers_for_a_client_that_is_there(lab, fs):
    disk, server, guest = holder(lab, fs)
    client = server.ctl("clients")["clients"][0]["client_id"]
    code, text = server.sealctl("fenced", "--yes", client)
    holds(code == 1 and "renews its lease" in text, f"exit {code}: {text}")
    equal(server.sealctl("fenced", "--yes", "0123456789abcdef")[0], 1, "a client nobody knows")
    server.ctl("unseal", "--wait", disk.file("file"))
    guest.run("ls /mnt/n")


@test(fs=("xfs", "ext4"), timeout=300)
def a_cut_off_writer_never_reaches_another_files_blocks(lab, fs):
    """Its network is gone, its disk is not: it goes on writing by its layout, so its blocks must
    stay the file's."""
    disk, server, guest = holder(lab, fs)
    path, before = disk.file("file"), extents(disk.file("file"))
    load = writing(guest, "/mnt/n/file", 4)
    load.rounds(1)
    guest.cut()
    expect_stuck(disk, server, before, guest)
    others = [disk.write(f"other{i}", 16 * MIB) for i in range(4)]
    guest.mend()
    server.wait_state(path, "open", 120)
    load.rounds(1, timeout=120)
    load.end()
    for i, digest in enumerate(others):
        equal(disk.sha256(f"other{i}"), digest, "another file's data")


@test(fs=("xfs",), timeout=300)
def a_holder_with_another_verifier_need_not_be_gone(lab, fs):
    """A power failure took the client; the same client with a new verifier does not prove it: the
    operator says so."""
    disk, server, guest = holder(lab, fs)
    before = extents(disk.file("file"))
    guest.kill()
    expect_stuck(disk, server, before, guest)
    again = lab.reboot(guest).ready().mount("/data")
    again.run("ls /mnt/n")
    equal((server.state(disk.file("file")), extents(disk.file("file"))), ("stuck", before),
          "after the client came back")
    server.ctl("fenced", guest.ip)
    server.wait_state(disk.file("file"), "open", 60)
    again.run("ls /mnt/n")


@test(fs=("xfs",))
def a_dead_holder_waits_with_quiesce_only_if_the_operator_says_so(lab, fs):
    """quiesce_is_safe: the end of the lease plus the quiesce time counts as a fence, and not
    a moment before."""
    disk = lab.disk(fs=fs)
    disk.write("file", MIB)
    lease, quiesce = 5, 3
    server = lab.server(recall_timeout=1, lease_time=lease, quiesce_is_safe=True,
                        quiesce_time=quiesce, fence_retry=2)
    server.ctl("seal", disk.file("file"))
    guest, = lab.clients(1)
    guest.sha256("/mnt/n/file")
    guest.stop()
    equal(server.sealctl("unseal", "--wait", disk.file("file"))[0], 1,
          "unseal: the lease is not over")
    server.wait_state(disk.file("file"), "open", 60)
    trace = Trace(server, disk.file("file"))
    waited = trace.release()["time_ns"] - trace.all("recall")[0]["time_ns"]
    holds(waited >= quiesce * SECOND, f"released {waited / SECOND:.1f} s after the recall")


@test(fs=("xfs",))
def healthy_holders_are_not_fenced(lab, fs):
    """One of two holders is stopped: the fence is for that one, the other returns and goes on."""
    disk, server, guest = holder(lab, fs, hook="exit 0")
    healthy, = lab.clients(1)
    healthy.sha256("/mnt/n/file")
    guest.stop()
    server.ctl("unseal", "--wait", "--timeout", "60", disk.file("file"))
    equal([call["SEALNFS_CLIENT_ADDRESS"] for call in hook_calls(lab)], [guest.ip],
          "who was fenced")
    guest.kill()
    healthy.sha256("/mnt/n/file")
    ended = Trace(server, disk.file("file")).all("grant-ended")
    equal(sorted(entry["how"] == "fenced" for entry in ended), [False, True],
          f"one fenced, one given back: {ended}")
