#!/usr/bin/python3
"""check_agents.py AGENTS FENCE SEALNFSD SEALCTL - the agents for Pacemaker, called as it calls.

No disk and no server is here: what they say of themselves, and how they fail. What they do with
disks is tested in the lab (tests/lab/test_scsi_failover.py).
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

CODES = {"done": 0, "failed": 1, "unknown": 3, "not installed": 5, "not configured": 6,
         "not running": 7}


def call(command, options="", **environment):
    done = subprocess.run(command, input=options, env={**os.environ, **environment}, text=True,
                          capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def check_metadata(text, name, parameters, actions):
    root = tree.fromstring(text)
    assert root.get("name") == name, text
    assert {item.get("name") for item in root.iter("parameter")} == parameters, text
    assert {item.get("name") for item in root.iter("action")} == actions, text


def check_resource(agent, parameters, environment):
    name = os.path.basename(agent)
    code, said, _ = call([agent, "meta-data"])
    assert code == CODES["done"], code
    check_metadata(said, name, parameters,
                   {"start", "stop", "monitor", "meta-data", "validate-all"})
    assert call([agent, "validate-all"], **environment)[0] == CODES["done"], name
    assert call([agent, "monitor"], **environment)[0] == CODES["not running"], name
    assert call([agent, "stop"], **environment)[0] == CODES["done"], f"{name}: stopped twice"
    assert call([agent, "promote"], **environment)[0] == CODES["unknown"], name
    code, _, said = call([agent, "start"], **environment)
    assert code == CODES["failed"] and "ocf-exit-reason:" in said, f"{name}: {code}: {said}"
    assert call([agent, "stop"], **environment)[0] == CODES["done"], f"{name}: after a failed start"


def check_replaced(agent, place, environment):
    """A server whose program an upgrade replaced is running, and is stopped; none is put beside
    one that does not answer."""
    daemon, pidfile = f"{place}/daemon", f"{place}/sealnfs-server.pid"
    shutil.copy("/bin/sleep", daemon)
    environment = {**environment, "OCF_RESKEY_daemon": daemon}
    os.mkfifo(f"{place}/asked")
    asked = os.open(f"{place}/asked", os.O_RDWR)
    with open(f"{place}/asker", "w", encoding="ascii") as stream:
        stream.write(f"#!/bin/sh\necho >> {place}/asked\nexit 1\n")
    os.chmod(f"{place}/asker", 0o755)
    with subprocess.Popen([daemon, "1000"]) as running:
        with open(pidfile, "w", encoding="ascii") as stream:
            print(running.pid, file=stream)
        shutil.copy("/bin/sleep", f"{daemon}.new")
        os.rename(f"{daemon}.new", daemon)
        try:
            code, _, said = call([agent, "monitor"], **environment)
            assert code == CODES["failed"] and "does not answer" in said, f"{code}: {said}"
            environment["OCF_RESKEY_sealctl"] = f"{place}/asker"
            with subprocess.Popen([agent, "start"], env={**os.environ, **environment},
                                  stderr=subprocess.DEVNULL) as start:
                os.read(asked, 1)
                assert call(["cat", pidfile])[1] == f"{running.pid}\n", "another was started"
                assert call([agent, "stop"], **environment)[0] == CODES["done"]
                assert running.wait(60) == -signal.SIGTERM, running.returncode
                assert start.wait(60) == CODES["failed"], start.returncode
        finally:
            running.kill()
            os.close(asked)
    assert not os.path.exists(pidfile)


def check_fence(fence, place):
    code, said, _ = call([fence], "action=metadata\n")
    assert code == 0, code
    check_metadata(said, "fence_sealnfs", {"action", "plug", "devices", "config"},
                   {"on", "off", "status", "monitor", "metadata", "validate-all"})
    with open(f"{place}/conf", "w", encoding="utf-8") as stream:
        stream.write('node = "one"\nmistake = 1\n')
    for options, reason in (
            ("action=off\nplug=two\n", "no devices"),
            (f"action=off\nplug=two\ndevices={place}/none\n", "cannot be opened"),
            (f"action=status\nplug=two\ndevices={place}/conf\n", "Block device required"),
            ("action=off\nplug=t/w\ndevices=/dev/null\n", "cannot be a node"),
            ("action=monitor\nnodename=two\ndelay=0\n", "no devices"),
            (f"action=off\nother={'x' * 5000}\n", "a line of more than")):
        code, _, said = call([fence], f"config={place}/conf\n{options}")
        assert code == 1 and reason in said, f"{options!r}: {code}: {said}"
    code, _, said = call([fence, "-o", "off", "two"])
    assert code == 1 and '"two" is no option' in said, f"{code}: {said}"


def main():
    agents, fence, sealnfsd, sealctl = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        with open(f"{place}/bad.conf", "w", encoding="utf-8") as stream:
            stream.write("mistake = 1\n")
        common = {"OCF_RESKEY_config": f"{place}/bad.conf", "HA_RSCTMP": place}
        disks = {**common, "OCF_RESKEY_fence": fence, "OCF_RESKEY_devices": f"{place}/none",
                 "SEALNFS_TAKEN": f"{place}/taken"}
        check_resource(f"{agents}/server", {"config", "socket", "daemon", "sealctl", "log"},
                       {**common, "OCF_RESKEY_daemon": sealnfsd, "OCF_RESKEY_sealctl": sealctl,
                        "OCF_RESKEY_socket": f"{place}/socket", "OCF_RESKEY_log": f"{place}/log"})
        check_replaced(f"{agents}/server", place,
                       {**common, "OCF_RESKEY_sealctl": sealctl,
                        "OCF_RESKEY_socket": f"{place}/socket", "OCF_RESKEY_log": f"{place}/log"})
        code = call([f"{agents}/server", "validate-all"], **common,
                    OCF_RESKEY_daemon=f"{place}/none")[0]
        assert code == CODES["not installed"], code
        check_resource(f"{agents}/disks", {"devices", "config", "fence", "fenced"}, disks)
        code = call([f"{agents}/disks", "start"], **{**disks, "OCF_RESKEY_devices": ""})[0]
        assert code == CODES["not configured"], code
        code = call([f"{agents}/disks", "start"], **{**disks, "OCF_RESKEY_fenced": "sleep"})[0]
        assert code == CODES["not configured"], code
        check_fence(fence, place)


main()
