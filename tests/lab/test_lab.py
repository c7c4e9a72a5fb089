"""The lab itself: what the other tests stand on."""
import glob
import json
import os
import shutil
import subprocess
import sys
import time

from disk import extents, fragment, immutable
from registry import equal, holds, test

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20


@test(fs=("xfs", "ext4"), partition=(False, True))
def guest_and_server_see_each_others_writes(lab, fs, partition):
    """The server's file system and a guest's direct I/O meet on the image with no stale
    cache in between."""
    disk = lab.disk(fs=fs, partition=partition, size=1024 * MIB)
    guest = lab.guest().ready()
    node = "/dev/ubda1" if partition else "/dev/ubda"
    for turn in range(3):
        digest = disk.write("file", MIB)
        (_, physical, _, _), *rest = extents(disk.file("file"))
        equal(rest, [], "further extents")
        at = f"bs=1M count=1 iflag=direct,skip_bytes status=none skip={physical}"
        seen = guest.run(f"dd if={node} {at} | sha256sum").split()[0]
        equal(seen, digest, f"turn {turn}: what the guest reads")
        written = guest.run(f"dd if=/dev/urandom of=/tmp/x bs=1M count=1 status=none; "
                            f"sha256sum < /tmp/x;"
                            f"dd if=/tmp/x of={node} bs=1M oflag=direct,seek_bytes status=none "
                            f"conv=notrunc seek={physical}").split()[0]
        equal(disk.sha256("file"), written, f"turn {turn}: what the server reads")
        os.unlink(disk.file("file"))


@test()
def a_stopped_guest_answers_after_it_goes_on(lab):
    lab.disk(size=512 * MIB)
    guest = lab.guest().ready()
    guest.run("true")
    guest.stop()
    job = guest.start("echo back")
    begin = time.monotonic()
    guest.poll(1)
    holds(not job.done() and time.monotonic() - begin > 0.9, "a stopped guest did something")
    guest.cont()
    equal(job.finish(60), "back\n")
    guest.kill()
    equal(guest.processes(traced=True), [], "processes of a killed guest")


@test()
def a_cut_guest_is_silent_until_mended(lab):
    lab.disk(size=512 * MIB)
    guest = lab.guest().ready()
    knock = "timeout 2 bash -c '</dev/tcp/10.99.0.1/9'"  # nobody is there: the answer is a refusal
    refused, silence = 1, 124
    equal(guest.start(knock).wait(), refused)
    guest.cut()
    equal(guest.start(knock).wait(), silence)
    guest.mend()
    equal(guest.start(knock).wait(), refused)


@test(fs=("xfs", "ext4"))
def a_fragmented_file_has_as_many_extents_as_asked(lab, fs):
    disk = lab.disk(fs=fs)
    fragment(disk.file("file"), 1000)
    equal(len(extents(disk.file("file"))), 1000)
    equal(immutable(disk.file("file")), False)


SAMPLE = """\
import os
import time
from disk import Unavailable
from registry import holds, test

def stage(lab, kind):
    return [kind]

@test(on=stage, kind=("a",))
def a_passes(scene):
    scene.append("passed")

@test(on=stage, kind=("a",))
def b_fails(scene):
    holds(scene != ["a", "passed"], "both had one stage")

@test(on=stage, kind=("a",))
def c_is_skipped(scene):
    holds(scene == ["a"], "a stage that failed was used again")
    raise Unavailable("this is missing: install it")

@test(on=stage, kind=("a",), timeout=1)
def d_hangs(scene):
    time.sleep(60)

@test(on=stage, kind=("a",))
def e_dies(scene):
    os._exit(0)

@test(on=stage, kind=("a",), way=("x", "y"))
def f_passes(scene, way):
    scene.append(way)

@test()
def g_ends_badly(lab):
    def close():
        raise RuntimeError("what was left is not right")
    lab.close = close

@test(long=True)
def h_is_for_long_runs(lab):
    holds(lab.times(2, 20) == 20, "not a long run")
"""


@test()
def each_test_of_a_stage_has_its_own_outcome(lab):
    """A failure, a hang, a death: those that are left are run all the same, and from
    a new stage."""
    place, times = f"{lab.directory}/sample", f"{lab.directory}/times"
    os.mkdir(place)
    for path in [f"{HERE}/run", *glob.glob(f"{HERE}/*.py")]:
        if not os.path.basename(path).startswith("test_"):
            shutil.copy(path, place)
    with open(f"{place}/test_sample.py", "w") as f:
        f.write(SAMPLE)
    run = [sys.executable, f"{place}/run", "--build", lab.build, "--scratch", lab.directory]
    environment = {name: value for name, value in os.environ.items() if name != "SEAL_LONG"}
    done = subprocess.run([*run, "--times", times], capture_output=True, text=True, env=environment)
    equal(done.returncode, 1, f"exit status; {done.stdout}{done.stderr}")
    *_, skipped, last = done.stdout.splitlines()
    equal(last, "3 passed, 4 failed, 1 skipped", done.stdout)
    equal(skipped, "skip sample.c_is_skipped[a]: this is missing: install it")
    with open(times) as f:
        told = {line["test"]: (line["outcome"], line.get("reason")) for line in map(json.loads, f)}
    equal(told,
          {"sample.a_passes[a]": ("ok", None), "sample.b_fails[a]": ("FAIL", "both had one stage"),
           "sample.c_is_skipped[a]": ("skip", "this is missing: install it"),
           "sample.d_hangs[a]": ("FAIL", "no end after 1 s"),
           "sample.e_dies[a]": ("FAIL", "its process ended"), "sample.f_passes[a,x]": ("ok", None),
           "sample.f_passes[a,y]": ("ok", None),
           "sample.g_ends_badly": ("FAIL", "what was left is not right")}, "what --times has")
    done = subprocess.run([*run, "long_runs"], capture_output=True, text=True,
                          env={**environment, "SEAL_LONG": "1"})
    equal((done.returncode, done.stdout.splitlines()[-1]), (0, "1 passed, 0 failed, 0 skipped"),
          done.stdout)
