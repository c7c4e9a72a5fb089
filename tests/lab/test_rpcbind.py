"""Registration with rpcbind: rpcinfo shows it, and an rpcbind that hangs delays nothing."""
import os
import select
import signal
import subprocess
import time

from registry import equal, holds, test


def start_rpcbind():
    """A real one, of this lab's own network and /run; ready when its socket answers."""
    process = subprocess.Popen(["rpcbind", "-f", "-w"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: subprocess.run(["rpcinfo", "-p"], capture_output=True).returncode == 0,
             "rpcbind does not answer")
    return process


def wait_for(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        holds(time.monotonic() < deadline, what)
        select.select([], [], [], 0.1)


def registered():
    """(version, netid) of program 100003, as rpcinfo lists them."""
    listed = subprocess.run(["rpcinfo"], capture_output=True, text=True).stdout
    return {(words[1], words[2]) for words in map(str.split, listed.splitlines()) if words
            and words[0] == "100003"}


@test()
def rpcinfo_lists_the_server_while_it_runs(lab):
    lab.disk(size=400 << 20)
    rpcbind = start_rpcbind()
    server = lab.server(rpcbind=True)
    wait_for(lambda: {("4", "tcp"), ("4", "tcp6")} <= registered(), "not registered")
    listed = subprocess.run(["rpcinfo", "-p"], capture_output=True, text=True, check=True).stdout
    holds(any(line.split()[:4] == ["100003", "4", "tcp", "2049"] for line in listed.splitlines()),
          listed)
    server.stop()
    equal(registered(), set(), "registered after the end")
    rpcbind.terminate()
    rpcbind.wait()


@test()
def an_rpcbind_that_hangs_delays_neither_start_nor_end(lab):
    """libtirpc waits a minute for an answer; both are over long before."""
    lab.disk(size=400 << 20)
    rpcbind = start_rpcbind()
    os.kill(rpcbind.pid, signal.SIGSTOP)
    server = lab.server(rpcbind=True)
    server.stop()
    holds("registered with rpcbind" not in server.log_text(), "a stopped rpcbind registers nothing")
    rpcbind.kill()
    rpcbind.wait()
