"""What the operator sees, without a guest: readiness, configuration mistakes, sealctl,
reload, orderly stop."""
import hashlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
import urllib.request

import nfs4
from disk import immutable
from registry import equal, holds, test
from server import as_the_unit

NULL_CALL = struct.pack(">10I", 0x5EA1, 0, 2, 100003, 4, 0, 0, 0, 0, 0)


def null_answered(address, port=2049):
    """Does a NULL call get its answer?"""
    with socket.create_connection((address, port), 5) as connection:
        connection.settimeout(60)
        connection.sendall(struct.pack(">I", 0x80000000 | len(NULL_CALL)) + NULL_CALL)
        reply = connection.recv(4096)
    return struct.unpack(">3I", reply[4:16]) == (0x5EA1, 1, 0)


@test()
def ready_only_when_clients_can_mount(lab):
    lab.disk(size=400 << 20)
    lab.server(listen=["127.0.0.1", "::1"])
    holds(null_answered("127.0.0.1"), "no answer on IPv4 right after READY=1")
    holds(null_answered("::1"), "no answer on IPv6 right after READY=1")


@test()
def the_watchdog_is_fed(lab):
    disk = lab.disk(size=400 << 20)
    del disk
    server = lab.server()
    server.stop()
    path = f"{lab.directory}/notify"
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(path)
    notify.settimeout(60)
    process = subprocess.Popen([f"{lab.build}/bin/sealnfsd", "--config", server.config],
                               stderr=subprocess.DEVNULL,
                               env=dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="1000000"))
    seen = []
    while seen.count("WATCHDOG=1") < 3:
        seen += notify.recv(4096).decode().split("\n")
    holds("READY=1" in seen, f"no READY=1 in {seen}")
    process.send_signal(signal.SIGTERM)
    while "STOPPING=1" not in seen:
        seen += notify.recv(4096).decode().split("\n")
    equal(process.wait(60), 0, "exit status")


@test()
def a_mistake_is_one_line_with_file_line_and_remedy_and_no_start(lab):
    lab.disk(size=400 << 20)
    server = lab.server()
    server.stop()
    with open(server.config) as f:
        good = f.read()
    for wrong, words in (("lease_tme = 20\n", "did you mean"),
                         ("workers = 99999\n", "give 0 to 256"),
                         ('fence_hook = "/not/there"\n', "install it or correct the path")):
        with open(server.config, "w") as f:
            f.write(wrong + good)
        for arguments in (["--check", server.config], ["--config", server.config]):
            done = subprocess.run([f"{lab.build}/bin/sealnfsd", *arguments], capture_output=True,
                                  text=True, timeout=60)
            equal(done.returncode, 2, f"exit status of {arguments[0]}")
            lines = (done.stdout + done.stderr).splitlines()
            equal(len(lines), 1, f"lines said: {lines}")
            holds(lines[0].startswith(f"{server.config}:1: ") and words in lines[0], lines[0])
    with open(server.config, "w") as f:
        f.write(good)
    equal(subprocess.run([f"{lab.build}/bin/sealnfsd", "--check", server.config],
                         timeout=60).returncode, 0, "good check")


@test()
def doctor_says_what_is_wrong_and_what_to_type(lab):
    """A good server, then one whose disk did not come and whose file does not check, then none."""
    disk = lab.disk(size=400 << 20)
    server = lab.server()
    code, text = server.sealctl("doctor")
    holds("capabilities" in text and "schema 6" in text and disk.path in text, text)
    report = json.loads(server.sealctl("--json", "doctor")[1])
    holds(not any("served" in problem["what"] for problem in report["problems"]), report)
    server.stop()
    server.exports["/gone"] = dict(server.exports["/data"], path=f"{lab.directory}/not-there")
    server.start()
    code, text = server.sealctl("doctor")
    holds(code == 1 and "export /gone is not served" in text and "type: findmnt" in text, text)
    server.stop()
    with open(server.config, "a") as f:
        f.write("nonsense = 1\n")
    code, text = server.sealctl("doctor", "--config", server.config)
    holds(code == 3 and "does not answer" in text and "systemctl start sealnfsd" in text and
          "nonsense" in text and "sealnfsd --check" in text and os.uname().release in text, text)


@test()
def doctor_looks_at_the_configuration_that_the_server_runs_with(lab):
    """Not at one that is somewhere by default; that only where the server does not answer."""
    lab.disk(size=400 << 20)
    server = lab.server()
    other = f"{lab.directory}/other.conf"
    with open(other, "w") as f:
        f.write("nonsense = 1\n")

    def examined(*arguments):
        done = subprocess.run([f"{lab.build}/bin/sealctl", "-s", server.control, "doctor",
                               *arguments], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, SEALNFS_CONFIG=other))
        return done.stdout + done.stderr

    text = examined()
    holds(f"{server.config}: ok" in text and "nonsense" not in text, text)
    holds("nonsense" in examined("--config", other), "a configuration that is named")
    server.stop()
    text = examined()
    holds("nonsense" in text and server.config not in text, text)
    text = examined("--config", "/not/there")
    holds("/not/there: No such file" in text and "doctor --config FILE" in text, text)


@test()
def doctor_waits_for_nobody_for_long(lab):
    """A server that hangs, one that closes at once, one that does not know the question."""
    path = f"{lab.directory}/silent"

    def examined(answer):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(1)
            doctor = subprocess.Popen([f"{lab.build}/bin/sealctl", "-s", path, "doctor",
                                       "--timeout", "1", "--config", "/not/there"],
                                      stdout=subprocess.PIPE, text=True)
            if answer is not None:
                connection, _ = listener.accept()
                if answer:
                    connection.recv(4096)
                    connection.sendall(answer)
                connection.close()
            text = doctor.communicate(timeout=60)[0]
        os.unlink(path)
        equal(doctor.returncode, 3, f"exit status, with {text}")
        return text

    holds("has not answered" in examined(None) and "within 1 s" in examined(None), "silent")
    holds("it closed the connection" in examined(b""), "closed")
    text = examined(b'{"ok":false,"code":"bad-request","error":"no\\u001b[2J request"}\n')
    holds("does not report: no?[2J request" in text and "restart sealnfsd" in text, text)


@test()
def every_answer_is_json_where_that_was_asked_for(lab):
    disk = lab.disk(fs="ext4", size=400 << 20)
    disk.write("file", 1 << 20)
    server = lab.server()

    def said(status, *arguments):
        done = subprocess.run([f"{lab.build}/bin/sealctl", "-s", server.control, "--json",
                               *arguments], capture_output=True, text=True, timeout=60)
        equal(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    gone = disk.file("gone")
    equal([(row["file"], row["ok"]) for row in said(1, "seal", gone, disk.file("file"))],
          [(gone, False), (disk.file("file"), True)], "one that is not there")
    equal(said(1, "seal", gone)["ok"], False, "it alone")
    equal([row["ok"] for row in said(1, "seal", "--sparse", disk.file("file"), "/etc/passwd")],
          [True, False], "one that is not exported")
    held = said(0, "hold", disk.file("file"), "--", "true")
    equal((held["size"], sum(length for _, length, _ in held["extents"])), (1 << 20, 1 << 20),
          "what is held")
    equal(server.sealctl("--json", "node-fenced", "--yes", "x")[0], 2, "what has no JSON")
    equal(said(0, "unseal", "--all", "--wait")[0]["ok"], True, "all")


@test()
def a_refusal_names_the_file(lab):
    """And what is in a name steers no terminal."""
    disk = lab.disk(size=400 << 20)
    server = lab.server()
    for name, shown in (("hollow", "hollow"), ("e\x1b[2J\u202e", "e?[2J?")):
        with open(disk.file(name), "w"):
            pass
        text = server.refused("seal", disk.file(name))
        holds(text.startswith(f"sealctl: {disk.file(shown)}: ") and text.count(shown) == 1, text)
        text = server.refused("seal", disk.file(name), disk.file("not-there"))
        holds(f"sealctl: {disk.file(shown)}: " in text and "\x1b" not in text, text)
        text = server.sealctl("explain", disk.file(name))[1]
        holds(text.startswith(f"{disk.file(shown)}: "), text)


@test()
def whatever_its_name_a_file_can_be_unsealed(lab):
    """One that is no UTF-8, one with a line's end in it, one longer than what is on record."""
    disk = lab.disk(fs="ext4", size=400 << 20)
    server = lab.server()
    deep = "/".join(["d" * 200] * 7)
    os.makedirs(os.path.join(disk.path, os.path.dirname(deep)))
    names = [b"caf\xe9", b"two\nlines", deep.encode()]
    for name in names:
        with open(os.path.join(disk.path.encode(), name), "wb") as f:
            f.write(bytes(1 << 20))
    os.sync()
    paths = [os.path.join(disk.path.encode(), name) for name in names]
    equal(server.sealctl("seal", paths[0])[0], 0, "seal, alone")
    equal(server.sealctl("seal", *paths)[0], 0, "seal, together")
    holds("caf?" in server.sealctl("status", paths[0])[1], "its name for people")
    equal(server.sealctl("unseal", "--wait", paths[0])[0], 0, "unseal, by its name")
    equal(server.sealctl("seal", paths[0])[0], 0, "seal again")
    code, text = server.sealctl("unseal", "--all", "--wait")
    equal((code, text.count(": unsealed")), (0, 3), text)
    equal([immutable(path) for path in paths], [False] * 3, "flags")


@test()
def a_second_server_on_the_same_state_does_not_start(lab):
    lab.disk(size=400 << 20)
    server = lab.server()
    second = subprocess.run([f"{lab.build}/bin/sealnfsd", "--config", server.config],
                            capture_output=True, text=True, timeout=60)
    equal(second.returncode, 1, "exit status of the second")
    holds("other sealnfsd" in second.stderr, second.stderr)
    equal(server.sealctl("status")[0], 0, "the first one still answers")


@test()
def a_control_socket_that_cannot_be_made_says_why(lab):
    """Another server has it; it listens and hears nobody; its path is too long."""
    lab.disk(size=400 << 20)
    server = lab.server()
    other = f"{lab.directory}/other"
    os.mkdir(other, 0o700)
    with open(server.config) as f:
        lines = [line for line in f if not line.startswith(("state_dir", "control_socket",
                                                                "port"))]
    words = "another sealnfsd answers there"

    def expect(path, words):
        with open(f"{other}/conf", "w") as f:
            f.writelines([f'state_dir = "{other}"\n', f'control_socket = "{path}"\n',
                          "port = 20491\n", *lines])
        done = subprocess.run([f"{lab.build}/bin/sealnfsd", "--config", f"{other}/conf"],
                              capture_output=True, text=True, timeout=60)
        holds(done.returncode == 1 and words in done.stderr, done.stderr)

    expect(server.control, words)
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deaf.bind(f"{other}/deaf")
    deaf.listen(0)
    calling = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    calling.connect(f"{other}/deaf")
    expect(f"{other}/deaf", words)
    expect(f"{other}/{'x' * 120}", "a shorter control_socket")
    equal(server.sealctl("status")[0], 0, "the first one still answers")


@test()
def sealctl_tells_by_its_exit_status(lab):
    disk = lab.disk(size=400 << 20)
    disk.write("file", 1 << 20)
    os.mkdir(disk.file("directory"))
    server = lab.server()
    equal(server.sealctl("seal", disk.file("file"))[0], 0, "seal")
    holds(immutable(disk.file("file")), "a sealed file carries the flag")
    code, text = server.sealctl("status")
    holds(code == 0 and "SEALED" in text.upper() and "frozen" in text, text)
    code, text = server.sealctl("seal", disk.file("directory"))
    holds(code == 1 and "directory: name the files in it" in text, text)
    code, text = server.sealctl("seal", disk.file("not-there"))
    holds(code == 1 and "No such file" in text, text)
    code, text = server.sealctl("seal", "/etc/passwd")
    holds(code == 1 and "no export" in text, text)
    equal(server.sealctl("seal")[0], 2, "usage")
    equal(server.sealctl("sael", "x")[0], 2, "unknown command")
    holds("JSON" not in server.sealctl("status", "--json")[1]
          and json.loads(server.sealctl("status", "--json")[1])["ok"], "json")
    equal(server.sealctl("unseal", "--wait", disk.file("file"))[0], 0, "unseal")
    holds(not immutable(disk.file("file")), "an unsealed file does not carry the flag")
    holds("not sealed" in server.sealctl("status", disk.file("file"))[1],
          "status of an unsealed file")
    server.stop()
    equal(server.sealctl("status")[0], 3, "server gone")


@test()
def a_dry_run_says_what_sealing_would_and_changes_nothing(lab):
    disk = lab.disk(size=400 << 20)
    for name in ("good", "written", "twice"):
        disk.write(name, 1 << 20)
    with open(disk.file("sparse"), "wb") as f:
        f.truncate(1 << 20)
    os.sync()
    server = lab.server()

    def tried(*arguments):
        return server.sealctl("seal", "--dry-run", *arguments)

    code, text = tried(disk.file("good"))
    holds(code == 0 and "would be sealed" in text, text)
    code, text = tried(disk.file("sparse"))
    holds(code == 1 and "hole" in text and "--fill" in text, text)
    equal([tried(how, disk.file("sparse"))[0] for how in ("--sparse", "--fill")], [0, 0],
          "remedies")
    with open(disk.file("written"), "r+b"):
        code, text = tried(disk.file("written"))
        holds(code == 1 and "open for writing" in text, text)
    code, text = tried(disk.file("good"), disk.file("sparse"))
    holds(code == 1 and "good: would be sealed" in text and "sparse" in text, text)
    equal([name for name in os.listdir(disk.path) if immutable(disk.file(name))], [], "flags")
    equal(server.ctl("status")["status"], [], "seals")
    server.ctl("seal", disk.file("twice"))
    code, text = tried("--pinned", disk.file("twice"))
    holds(code == 0 and "has a frozen seal already" in text, text)


@test()
def what_changes_can_be_watched(lab):
    """As often as is said, in a pipe too; rates are of what is done meanwhile."""
    lab.disk(size=400 << 20)
    server = lab.server()
    session = nfs4.Session(b"busy owner")
    code, text = server.sealctl("clients", "--watch", "--interval", "1", "--count", "2")
    equal((code, text.count("OWNER"), text.count("busy owner")), (0, 2, 2), text)
    equal(server.sealctl("unseal", "--watch", "x")[0], 2, "what cannot be watched")
    top = subprocess.Popen([f"{lab.build}/bin/sealctl", "-s", server.control, "--json", "top",
                            "--interval", "1", "--count", "3"], stdout=subprocess.PIPE, text=True)
    while top.poll() is None:
        session.getattr()
        session.compound(nfs4.PUTROOTFH)
    rates = [json.loads(line) for line in top.stdout]
    equal((top.returncode, len(rates)), (0, 3), f"looks: {rates}")
    for rate in rates:
        equal(rate["operations"][0]["per_second"],
              max(row["per_second"] for row in rate["operations"]), "the busiest comes first")
        holds({"SEQUENCE", "GETATTR"} <= {row["operation"] for row in rate["operations"]}, rate)
        equal([row["owner"] for row in rate["clients"]], ["busy owner"], "who did it")
    code, text = server.sealctl("top", "--interval", "1", "--count", "1")
    holds(code == 0 and "no operations" in text and "no client did anything" in text, text)
    session.close()


@test()
def dashboard_and_alarms_name_what_the_server_says(lab):
    """Each metric of config/ is in a scrape, and promtool finds nothing wrong with any of them."""
    lab.disk(size=400 << 20)
    server = lab.server(metrics_listen="127.0.0.1:9820", metrics_rows=5)
    session = nfs4.Session(b'a "quoted\\owner')
    with urllib.request.urlopen("http://127.0.0.1:9820/metrics", timeout=60) as answer:
        scrape = answer.read().decode()
    session.close()
    checked = subprocess.run(["promtool", "check", "metrics"], input=scrape, text=True,
                             capture_output=True, timeout=60)
    # 3: advice on names, such as the milliseconds of one; 1: what is no metrics at all.
    holds(checked.returncode in (0, 3), f"{checked.stdout}{checked.stderr}")
    config = os.path.join(os.path.dirname(__file__), "../../config")
    rules = os.path.join(config, "sealnfs-rules.yml")
    checked = subprocess.run(["promtool", "check", "rules", rules], text=True,
                             capture_output=True, timeout=60)
    equal(checked.returncode, 0, f"{checked.stdout}{checked.stderr}")
    said = set(re.findall(r"^(sealnfs_\w+)", scrape, re.MULTILINE))
    for name in "sealnfs-rules.yml", "sealnfs-dashboard.json":
        with open(os.path.join(config, name)) as f:
            text = f.read()
        if name.endswith("json"):
            json.loads(text)
        named = set(re.findall(r"\bsealnfs_\w+", text))
        holds(len(named) > 5, f"{name} names {named}")
        equal(named - said, set(), f"{name} names what the server does not say")
    holds(f'version="{server.sealctl("--version")[1].split()[1]}"' in scrape, "build_info")
    holds('owner="a ?quoted?owner"' in scrape, "the client's row")


@test()
def words_are_completed_as_sealctl_has_them(lab):
    lab.disk(size=400 << 20)
    server = lab.server()
    session = nfs4.Session(b"completed")
    script = os.path.join(os.path.dirname(__file__), "../../config/sealctl.bash")

    def completed(*words):
        """Of the last word, after the others."""
        done = subprocess.run(
            ["bash", "-euc", 'source "$1"; shift; program=$1; COMP_WORDS=("$@"); '
             'COMP_CWORD=$(($# - 1)); _sealctl "$program"; printf "%s\\n" "${COMPREPLY[@]-}"',
             "bash", script, f"{lab.build}/bin/sealctl", *words], capture_output=True, text=True,
            timeout=60, env=dict(os.environ, SEALNFS_SOCKET=server.control))
        equal((done.returncode, done.stderr), (0, ""), f"completing {words}")
        return done.stdout.split()

    helped = {line.split()[0] for line in server.sealctl("help")[1].splitlines()
              if re.match("  [a-z]", line)}
    equal(set(completed("")), helped, "the commands")
    equal(completed("ex"), ["expel", "explain", "exports"], "those that begin so")
    holds({"--dry-run", "--pinned", "--fill"} <= set(completed("seal", "--")), "seal's options")
    equal(completed("unseal", "--wa"), ["--wait"], "unseal's")
    equal(completed("hold", "--fence", "h"), ["hook"], "kinds of fence")
    holds("/etc/passwd" in completed("status", "/etc/passw"), "files")
    equal(completed("expel", ""), [server.ctl("clients")["clients"][0]["client_id"]], "clients")
    session.close()


@test()
def help_is_there_for_each_command(lab):
    lab.disk(size=400 << 20)
    server = lab.server()
    text = server.sealctl("--help")[1]
    commands = {line.split()[0] for line in text.splitlines() if line[:3].strip() and
                line.startswith("  ") and not line.startswith("  -")}
    holds({"seal", "top", "doctor", "expel", "help"} <= commands, commands)
    for command in commands:
        code, said = server.sealctl("help", command)
        holds(code == 0 and said.startswith(f"  {command}") and said in text, f"{command}: {said}")
    equal(server.sealctl("help", "sael")[0], 2, "a command that is none")
    equal(server.sealctl("help")[1], text, "help alone")


@test()
def the_control_socket_is_for_root_and_the_group(lab):
    lab.disk(size=400 << 20)
    os.chmod(lab.directory, 0o755)
    server = lab.server(control_group="games")
    os.chmod(server.directory, 0o755)
    command = [f"{lab.build}/bin/sealctl", "-s", server.control, "status"]
    as_user = ["setpriv", "--reuid=65534", "--clear-groups"]
    equal(subprocess.run([*as_user, "--regid=games", *command]).returncode, 0,
          "a member of the group")
    equal(subprocess.run([*as_user, "--regid=65534", *command], capture_output=True).returncode, 3,
          "anybody else")


@test()
def garbage_on_the_control_socket_gets_an_answer_and_harms_nobody(lab):
    lab.disk(size=400 << 20)
    server = lab.server()
    for line in (b"\n", b"{}\n", b"[1]\n", b'{"op":"seal"}\n', b'{"op":7,"file":[]}\n',
                 b"\xff\xfe\x00\n", b"x" * 200000 + b"\n",
                 b'{"op":"unseal","file":"/","timeout_ms":-5}\n', b"[" * 60000 + b"\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60)
            connection.connect(server.control)
            connection.sendall(line)
            answer = json.loads(connection.makefile().readline())
            equal(answer["ok"], False, f"answer to {line[:40]!r}")
    idle = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(40)]
    for connection in idle:
        connection.connect(server.control)
    equal(server.sealctl("status")[0], 0, "status beside 40 idle connections")
    for connection in idle:
        connection.close()


@test()
def a_seal_outlives_an_orderly_stop_and_the_socket_does_not(lab):
    disk = lab.disk(size=400 << 20)
    disk.write("file", 1 << 20)
    server = lab.server()
    server.ctl("seal", disk.file("file"))
    server.stop()
    holds(not os.path.exists(server.control), "the control socket is removed")
    holds(immutable(disk.file("file")), "the seal stays")
    server.start()
    holds("SEALED" in server.sealctl("status", disk.file("file"))[1].upper(),
          "known again after the restart")


@test()
def reload_changes_who_is_admitted(lab):
    disk = lab.disk(size=400 << 20)
    digest = disk.write("file", 1 << 20)
    server = lab.server()
    url = "nfs://127.0.0.1:2049/data/file"
    cat = [f"{lab.build}/bin/sealio", "cat", "--no-layout", url]
    done = subprocess.run(f"{' '.join(cat)} | sha256sum", shell=True, capture_output=True,
                          text=True)
    equal(done.stdout.split()[0], digest, "read before")
    server.exports["/data"]["clients"] = ["10.99.0.77"]
    server.write_config()
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while subprocess.run(cat, capture_output=True).returncode == 0:
        holds(time.monotonic() < deadline, "still admitted 20 s after the reload")
        select.select([], [], [], 0.1)


@test()
def a_reload_says_what_became_of_it(lab):
    disk = lab.disk(size=320 << 20)
    disk.write("file", 1 << 20)
    server = lab.server()
    equal(server.sealctl("reload"), (0, "the configuration was reloaded\n"), "nothing new")
    server.options["lease_time"] = server.options.get("lease_time", 90) + 7
    server.write_config()
    status, text = server.sealctl("reload")
    holds(status == 0 and "restart only: lease_time" in text, f"a fixed option is named: {text!r}")
    server.exports["/data"]["no_such_option"] = 1
    server.exports["/data"]["squash"] = "nobody at all"
    server.write_config()
    status, text = server.sealctl("reload")
    lines = [line for line in text.splitlines() if f"{server.config}:" in line]
    holds(status == 1 and len(lines) == 2 and "is as it was" in text,
          f"both mistakes are named, with their lines: {text!r}")
    os.rename(server.config, server.config + ".away")
    os.mkdir(server.config)
    status, text = server.sealctl("reload")
    holds(status == 1 and server.config in text, f"a directory is no configuration: {text!r}")
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("the configuration was not reloaded")
    equal(server.sealctl("status")[0], 0, "the server goes on")


@test()
def what_a_client_calls_itself_steers_no_terminal(lab):
    """An owner of escape sequences, C1, a line of its own and letters that turn the text around:
    not in the log, nor from sealctl."""
    disk = lab.disk(size=320 << 20)
    disk.write("file", 1 << 20)
    server = lab.server()
    server.ctl("seal", disk.file("file"))
    owner = b"evil\x1b[2J\n<3>forged\x7f\xc2\x9b1m\xe2\x80\xaetxt\xff \xc3\xbcber"
    client = nfs4.Session(owner)
    for text in (server.sealctl("clients")[1], server.sealctl("--json", "clients")[1],
                 server.log_text()):
        holds("evil?[2J?<3>forged" in text, f"the client is not there: {text!r}")
        holds(not any(c in text.replace("\n", "") for c in "\x1b\x7f\x9b\u202e"),
              f"it is there as it is: {text!r}")
    client.close()


@test(fs=("xfs", "ext4"))
def the_units_capabilities_suffice(lab, fs):
    """Sealing, layouts, acting as the client, writing to a pinned file, a restart over seals: with
    the unit's capabilities only."""
    disk = lab.disk(fs=fs, size=400 << 20)
    digest = disk.write("frozen", 4 << 20)
    disk.write("pinned", 4 << 20)
    # Another user's files, so that nothing works by being their owner.
    for name in ("frozen", "pinned"):
        os.chown(disk.file(name), 1000, 1000)
        os.chmod(disk.file(name), 0o600)
    server = lab.server(wrapper=as_the_unit())
    url, tool = "nfs://127.0.0.1:2049/data", f"{lab.build}/bin/sealio"
    server.ctl("seal", disk.file("frozen"))
    server.ctl("seal", "--pinned", disk.file("pinned"))
    for _ in range(2):
        done = subprocess.run(f"{tool} cat --require-layout {url}/frozen | sha256sum", shell=True,
                              capture_output=True, text=True)
        equal(done.stdout.split()[0], digest, f"read directly; {done.stderr}")
        subprocess.run([tool, "cp", "--no-layout", "--in-place", disk.file("frozen"),
                        f"{url}/pinned"], check=True)
        equal(disk.sha256("pinned"), digest, "written through the server to a pinned file")
        subprocess.run([tool, "cp", "--no-layout", disk.file("frozen"), f"{url}/new"], check=True)
        server.stop()
        server.start()
    server.ctl("unseal", "--wait", disk.file("frozen"))
    server.ctl("unseal", "--wait", disk.file("pinned"))
    holds(not immutable(disk.file("frozen")) and not immutable(disk.file("pinned")),
          "the flags are cleared")


@test()
def an_orderly_end_answers_what_it_has_begun(lab):
    """Every directory that was made has been answered for, though the server was told to end with
    many of them under way."""
    disk = lab.disk(size=400 << 20)
    os.mkdir(disk.file("made"))
    server = lab.server()
    session, slots, answered = nfs4.Session(), 16, set()
    session.connection.socket.settimeout(60)

    def ask(number, slot):
        # RECLAIM_COMPLETE was slot 0's first.
        sequence_id = number // slots + (2 if slot == 0 else 1)
        make = nfs4.u32(6, 2) + nfs4.opaque(b"d%d" % number) + nfs4.u32(0, 0)
        body = nfs4.opaque(b"") + nfs4.u32(1, 5) + b"".join([
            nfs4.sequence(session.id, sequence_id, slot, slots - 1), nfs4.PUTROOTFH,
            nfs4.lookup(b"data"), nfs4.lookup(b"made"), make])
        session.connection.send(nfs4.record(nfs4.rpc(body, nfs4.COMPOUND, xid=number)))

    def hear():
        reply = struct.unpack_from(">7I", session.connection.receive())
        equal(reply[6], nfs4.OK, f"status of directory {reply[0]}")
        answered.add(f"d{reply[0]}")

    for turn in range(20):
        for slot in range(slots):
            ask(turn * slots + slot, slot)
        if turn < 19:
            for _ in range(slots):
                hear()
    hear()  # the last turn has begun
    server.process.send_signal(signal.SIGTERM)
    try:
        while True:
            hear()
    except nfs4.Closed:
        pass
    equal(server.process.wait(60), 0, "exit code")
    equal(set(os.listdir(disk.file("made"))), answered,
          "the directories that were made, and those that were answered for")


@test()
def libsealio_works_over_ipv6(lab):
    """Calls, a layout, its recall by a callback over the same connection, and the way back
    to the server."""
    disk = lab.disk(size=400 << 20)
    digest = disk.write("file", 1 << 20)
    server = lab.server(listen=["::1"], export={"clients": ["::1/128"]})
    server.ctl("seal", disk.file("file"))
    url, tool = "nfs://[::1]:2049/data/file", f"{lab.build}/bin/sealio"
    with open(f"{lab.directory}/copy", "wb") as copy:
        holder = subprocess.Popen([tool, "cat", "--require-layout", "--hold-until-recall", url],
                                  stdout=copy, stderr=subprocess.PIPE, text=True)
    holds("holding the layout" in holder.stderr.readline(), "it holds a layout")
    server.ctl("unseal", "--wait", disk.file("file"))
    errors = holder.communicate(timeout=60)[1]
    holds("recalled" in errors and "returned" in errors, f"it was recalled and returned: {errors}")
    with open(f"{lab.directory}/copy", "rb") as copy:
        equal(hashlib.sha256(copy.read()).hexdigest(), digest, "what was read directly")
    done = subprocess.run(f"{tool} cat --no-layout '{url}' | sha256sum", shell=True,
                          capture_output=True, text=True)
    equal(done.stdout.split()[0], digest, f"read through the server; {done.stderr}")


@test()
def a_new_machine_needs_no_directory_made(lab):
    """The README's configuration: an export and nothing else, where nobody has made
    /var/lib/sealnfs and /run/sealnfs."""
    disk = lab.disk(size=400 << 20)
    # The test's own namespace, like /run.
    subprocess.run(["mount", "-t", "tmpfs", "none", "/var/lib"], check=True)
    config, log = f"{lab.directory}/sealnfs.conf", f"{lab.directory}/log"
    with open(config, "w") as f:
        f.write(f'export "/data" {{\n    path = "{disk.path}"\n    clients = {{"192.0.2.0/24"}}\n'
                f'}}\n')
    program = f"{lab.build}/bin/sealnfsd"
    done = subprocess.run([program, "--check", config], capture_output=True, text=True)
    equal((done.returncode, done.stderr), (0, ""), "the check")
    holds(not os.path.exists("/var/lib/sealnfs"), "a check makes nothing")
    with open(log, "w") as stream:
        process = subprocess.Popen([program, "--config", config], stderr=stream)
    deadline = time.monotonic() + 20
    while subprocess.run([f"{lab.build}/bin/sealctl", "status"],
                         capture_output=True).returncode != 0:
        holds(time.monotonic() < deadline and process.poll() is None, open(log).read())
        select.select([], [], [], 0.1)
    holds(null_answered("127.0.0.1"), "it serves")
    equal(oct(os.stat("/var/lib/sealnfs").st_mode & 0o777), oct(0o700), "who may see the journal")
    process.send_signal(signal.SIGTERM)
    equal(process.wait(60), 0, "exit status")
