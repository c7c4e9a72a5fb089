"""docs/operating.md and docs/security.md, word by word, on a machine that systemd boots: for run.

Its fenced blocks say by the word behind the fence what they are:

    console tried     typed, here too: lines that begin with "# " are commands, those below each are
                      what it says, which is compared; "..." stands for any lines. A command that
                      shows nothing has to succeed
    console lab NAME  not typed here, for it takes a kernel's NFS client or a real SAN: the lab's
                      test of this name does it (tests/docs/check_operating.py looks for it)
    conf FILE         goes into this file, behind what is there

A comment "scene" before a block is what others do meanwhile, in the words of the shell functions
below: sealio plays the clients. Of output, numbers, ids, names of devices and of clients are not
compared, nor how wide a column is.
"""
import os
import re
import shutil
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{TOP}/tests")

from machine import Machine  # noqa: E402

SCENES = r"""
SERVER=nfs://192.0.2.1/data
# said FILE WORDS: waits until they are there.
said() { timeout 60 tail -n +1 -F "$1" 2>/dev/null | grep -q -m1 "$2"; }
# holds FILE: a client reads it, keeps the layout, and gives it back when it is recalled.
holds() {
    rm -f "/run/client.$1"
    sealio cat --require-layout --hold-until-recall "$SERVER/$1" >/dev/null 2>"/run/client.$1" &
    echo $! >"/run/client.$1.pid"
    said "/run/client.$1" holding
}
# falls_silent FILE: that client answers nobody any more. is_off FILE: nor ever will.
falls_silent() { kill -STOP "$(cat "/run/client.$1.pid")"; }
is_off() { kill -KILL "$(cat "/run/client.$1.pid")"; }
# until COMMAND...: it succeeds.
until_it() { for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; false; }
"""

BEFORE_BOOT = r"""
root=$1
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/root"
rm -rf "$root/root/etc/systemd/system/"*.wants "$root/root/packages"
rm -f "$root/root/usr/sbin/policy-rc.d"
: >"$root/root/etc/fstab"
cp -r "$root.packages" "$root/root/packages"
set -- "$root/root" "${@:2}"
"""


def read_pages():
    """What security.md shows is typed where operating.md's machine has been through everything, and
    before it is left."""
    with open(f"{TOP}/docs/operating.md", encoding="utf-8") as stream:
        before, heading, after = stream.read().partition("\n## Leave\n")
    with open(f"{TOP}/docs/security.md", encoding="utf-8") as stream:
        return blocks_of(f"{before}\n{stream.read()}\n{heading}{after}")


def blocks_of(text):
    """[(scene, "", lines)], [(console or conf, the rest of its fence's line, lines)], in order."""
    found = re.findall(r"^<!-- (scene)()\n((?:(?!-->).)*)-->$|"
                       r"^```(console|conf) ([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(one[0] or one[3], one[1] or one[4], (one[2] or one[5]).splitlines())
            for one in found]


def steps_of(lines):
    """[(command, what it says)]"""
    steps = []
    for line in lines:
        if line.startswith("# "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def shape(line):
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    line = re.sub(r"/dev/(loop\d+|sd[a-z]\d*)", "DISK", line)
    line = re.sub(r"\d+\.\d+\.\d+\.\d+ +(Linux NFSv4\.1 \S+|sealio \S+ \d+ [0-9a-f]+)", "CLIENT",
                  line)
    line = re.sub(r'"(Linux NFSv4\.1 [^" ]+|sealio [^"]*)"', "OWNER", line)
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b", "N", line)
    return " ".join(re.sub(r"\d+", "N", line).split())


def matches(said, shown):
    """Are these lines those, where "..." stands for any?"""
    if not shown:
        return not said
    if shown[0] == "...":
        return any(matches(said[at:], shown[1:]) for at in range(len(said) + 1))
    return bool(said) and shape(said[0]) == shape(shown[0]) and matches(said[1:], shown[1:])


def ids_in(lines):
    """Of clients, and the names of programs that hold files."""
    return list(dict.fromkeys(re.findall(r"\b[0-9a-f]{16}\b|\bsealctl-\d+\b", "\n".join(lines))))


def may_fail(shown):
    """A refusal is shown, or a report of problems."""
    return any(re.match(r"sealctl: (?!warning)|Problems", line) for line in shown)


def type_in(machine, command, shown, ids, tell):
    """ids: what stands here for an id that operating.md shows; more are found in the output."""
    for one, other in ids.items():
        command = command.replace(one, other)
    status, said = machine.enter(f"cd /packages; {command}", 240)
    lines = [line for line in said.splitlines() if line.strip()]
    shown = [line for line in shown if line.strip()]
    if tell:
        print(f"# {command}   [{status}]\n{said}", end="", flush=True)
    elif (status != 0 and not may_fail(shown)) or (shown and not matches(lines, shown)):
        raise AssertionError(f"# {command}   [exit status {status}]\n{said}\n"
                             "is what was said, and the page shows:\n" + "\n".join(shown) +
                             f"\n{machine.journal()}")
    ids.update(zip(ids_in(shown), ids_in(lines)))


def walk(machine, blocks, tell=False):
    machine.start()
    machine.run("ip link set lo up; ip address add 192.0.2.1/24 dev lo")
    machine.run(f"cat >/run/scenes <<'END'\n{SCENES}\nEND")
    ids = {}
    for kind, rest, lines in blocks:
        if kind == "scene":
            machine.run("set -e; source /run/scenes; { " + "\n".join(lines) + "\n} </dev/null")
        elif kind == "conf":
            machine.run(f"mkdir -p $(dirname {rest}); cat >>{rest} <<'END'\n" + "\n".join(lines) +
                        "\nEND")
        elif rest == "tried":
            for command, shown in steps_of(lines):
                type_in(machine, command, shown, ids, tell)


def operating_md_works_word_by_word(work, tell=False):
    root = f"{work}/machine"
    os.makedirs(root)
    shutil.copytree(f"{work}/packages", f"{root}.packages")
    machine = Machine(root, root, before=BEFORE_BOOT, disk_size=1 << 30, disk_name="/dev/sdb")
    machine.work = work
    try:
        walk(machine, read_pages(), tell)
    finally:
        machine.stop()


if __name__ == "__main__":  # operating.py DIRECTORY: says what is said; its packages/ are installed
    operating_md_works_word_by_word(sys.argv[1], tell=True)
