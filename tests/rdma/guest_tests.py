"""What the python programs that run in a guest of tests/rdma/run share: the client's network
namespace, files of random bytes, and how tests are named, run and reported.
"""
import hashlib
import os
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from registry import holds  # noqa: E402

SERVER, CLIENT, NAMESPACE = "10.99.0.1", "10.99.0.11", "client"
CLIENT_RUN = ["ip", "netns", "exec", NAMESPACE]
MIB = 1 << 20
tests = []


def test(function):
    tests.append(function)
    return function


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def network():
    """One veth pair, an end in each namespace. Packets of 4096 bytes need room. Of a program that
    ran before in this guest it may be there."""
    if os.path.exists(f"/run/netns/{NAMESPACE}"):
        return
    run("ip", "netns", "add", NAMESPACE)
    run("ip", "link", "add", "sv", "type", "veth", "peer", "name", "cv")
    run("ip", "link", "set", "cv", "netns", NAMESPACE)
    run(*CLIENT_RUN, "ip", "link", "set", "lo", "up")
    for prefix, name, address in ((), "sv", SERVER), (CLIENT_RUN, "cv", CLIENT):
        run(*prefix, "ip", "addr", "add", f"{address}/24", "dev", name)
        run(*prefix, "ip", "link", "set", name, "mtu", "9000", "up")


def make_file(path, size):
    """Random bytes; their digest."""
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        for _ in range(size // MIB):
            piece = os.urandom(MIB)
            digest.update(piece)
            f.write(piece)
        f.flush()
        os.fsync(f.fileno())
    return digest.hexdigest()


def digest_of(path):
    return run("sha256sum", path).split()[0]


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        holds(time.monotonic() < deadline, f"{what} within {seconds} s")
        time.sleep(0.1)


def run_tests(names, server, make_scene, clean_up):
    """All tests, or those with these names, one after another; how many failed. Each has a scene
    of make_scene(its name), which ends with it; after a failure clean_up makes what the next test
    needs."""
    failed = 0
    for function in [each for each in tests if not names or each.__name__ in names]:
        print(f"[ RUN      ] {function.__name__}", flush=True)
        scene, started = None, time.monotonic()
        try:
            scene = make_scene(function.__name__)
            function(scene)
            scene.end()
            print(f"[       OK ] {function.__name__} ({time.monotonic() - started:.0f} s)",
                  flush=True)
        except BaseException:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(server.log_tail(40))
            if scene:
                try:
                    clean_up(scene)
                except Exception:
                    traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {function.__name__}", flush=True)
    return failed
