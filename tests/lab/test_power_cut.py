"""kill -9 of sealnfsd before every effect it has on the world, with clients that write to the disk
all the while.

cut.c kills the server before its effect number 1, 2, 3, ... until a seal's whole life passes
without a cut; in a run that is not a long one before every third, and before one of each kind that
was not among them. Each time: whoever may still write has the flag and its blocks; after a restart
all ends in a release; and what the next file gets is clean.
"""
import collections
import os
import random
import shutil
import subprocess
import time

from cut import Plug
from disk import MIB, extents, immutable
from holder import DELAY, GRACE, LAYOUTTRYLATER, Holder, install_hook
from nfs4 import Closed
from registry import equal, holds, test
from server import ServerError

# SPARE: what is free beside the file, so that the next one gets its blocks.
SIZE, SPARE = 4 * MIB, 2 * MIB
TRIES = 3
LIFE = {"write journal.db-wal", "flush journal.db-wal", "set trusted.sealnfs.journal",
        "set trusted.sealnfs.seal", "flag set", "flag cleared", "remove trusted.sealnfs.seal",
        "flush", "send"}


HERE = os.path.dirname(os.path.abspath(__file__))


class Died(Exception):
    """The server was killed in the middle of what was asked."""


class Scene:
    """A nearly full disk with a file, a server that can be cut, clients."""

    def __init__(self, lab, fs, clients=2, **options):
        self.disk = lab.disk(fs=fs, size=320 * MIB)
        self.path, self.other = self.disk.file("file"), self.disk.file("other")
        self.write(self.path)
        self.disk.run(f"fallocate -l $(($(stat -f -c '%a * %S' {self.disk.path}) - {SPARE})) "
                      f"{self.disk.file('filler')}; sync -f {self.disk.path}")
        self.plug, self.kills, self.reused = Plug(lab.directory), collections.Counter(), 0
        self.guests = []  # clients with kernels of their own, by address
        self.hook, self.haunted = "fence_hook" in options, False
        self.step, self.first = lab.times(3, 1), 1 if fs == "xfs" else 2
        self.server = lab.server(wrapper=self.plug.wrapper, log_level="info",
                                 **{"lease_time": 20, "recall_timeout": 30, "grace_time": 20,
                                    **options})
        self.clients = [Holder(self.disk, f"holder{i}", lab.directory).connect()
                        for i in range(clients)]

    @staticmethod
    def write(path):
        data = os.urandom(SIZE)
        with open(path, "wb") as f:
            f.write(data)
            os.fsync(f.fileno())

    # Steps, each of which may be the server's last

    def died(self):
        """Was it killed? Then it is dead when this returns."""
        if self.plug.read()[2] is None:
            return False
        self.server.process.wait(60)
        return True

    def passed(self):
        """What was to be cut has ended; it may have been killed in its last moment."""
        if self.plug.disarm():
            self.server.process.wait(60)
            raise Died()

    def ctl(self, *arguments):
        code, text = self.server.sealctl(*arguments)
        if self.died():
            raise Died()
        equal(code, 0, f"{arguments}: {text}")

    def call(self, function, *arguments):
        """A client's request, again while the server says later."""
        deadline = time.monotonic() + 60
        while True:
            try:
                status = function(*arguments)
            except (Closed, ConnectionError):
                holds(self.died(), "a connection was closed by a server that lives")
                raise Died() from None
            if status not in (DELAY, GRACE, LAYOUTTRYLATER):
                break
            holds(time.monotonic() < deadline, f"still {status} after 60 s")
            time.sleep(0.005)
        holds(status in (0, None) or isinstance(status, Holder), f"status {status}")

    def use(self):
        """Seal the file, and have the clients write to it directly."""
        self.ctl("seal", "--pinned", self.path)
        for client in self.clients:
            self.call(client.get, "file")

    # What must hold

    def check_rule(self, when):
        """Whoever may still write has its blocks, and they are the file's."""
        for client in self.clients:
            if held := client.usable():
                holds(immutable(self.path), f"{when}: no flag while {client.owner} can write")
                where = [(physical, length) for _, physical, length, _ in extents(self.path)]
                equal(where, held, f"{when}: the blocks of {client.owner}")

    def was_cut(self, when):
        what = self.plug.read()[2]
        self.kills[what] += 1
        self.check_rule(f"{when}, killed before {what}")

    def come_back(self, cut=(0,)):
        """The server again, and the clients; what they hold stays in use until they are
        asked for it."""
        self.plug.arm(*cut)
        self.haunted = not self.hook
        try:
            self.server.start()
        except ServerError:
            if not self.died():
                raise
            raise Died() from None
        self.check_rule("after the restart")
        for client in self.clients:
            if not client.deaf:
                client.disconnect()
                self.call(client.connect)

    def unseal(self):
        unseal = self.server.start_ctl("unseal", "--wait", "--timeout", "60", self.path)
        while True:
            try:
                text = unseal.communicate(timeout=1)[0]
                break
            except subprocess.TimeoutExpired:
                self.renew(unseal)
        if self.died():
            raise Died()
        return unseal.returncode, text

    def speak_for_the_lost(self):
        """What was granted before a kill is haunted, and there is no fence here: the operator cuts
        everybody off, and says so. (That nothing is released before is block_haunt's to show.)"""
        self.check_rule("haunted")
        for client in self.clients:
            client.stop_using()
        for name in [client.owner for client in self.clients] + self.guests:
            self.server.sealctl("fenced", name)
        if self.died():
            raise Died()
        self.haunted = False

    def release(self):
        """In the end the file is released, whoever asked for it, and nobody can write to
        it any more."""
        if self.haunted:
            self.speak_for_the_lost()
        code, text = self.unseal()
        holds(code == 0 or "not sealed" in text, f"unseal: exit {code}: {text}")
        try:
            self.server.wait_state(self.path, "open", 60)
        except ServerError:
            if not self.died():
                raise
            raise Died() from None
        holds(not immutable(self.path), "a released file carries no flag")
        equal([client.owner for client in self.clients if client.usable()], [],
              "clients that can write to what was released")

    def renew(self, unseal):
        """On a slow machine a release takes its time, and the server may be killed while its
        clients say that they are there."""
        try:
            for client in self.clients:
                if not client.deaf:
                    self.call(client.renew)
        except Died:
            unseal.communicate(timeout=60)
            raise

    def reuse(self):
        """Give the file's blocks to another one, and look whether anybody writes to them."""
        before = extents(self.path)
        os.truncate(self.path, 0)
        self.disk.run(f"sync -f {self.disk.path}")
        self.write(self.other)
        reused = sum(max(0, min(start + size, old + length) - max(start, old))
                     for _, old, length, _ in before for _, start, size, _ in extents(self.other))
        holds(reused >= SIZE - SPARE - MIB,
              f"only {reused} bytes of the blocks were given to the other file: this shows nothing")
        # Late writes have time.
        self.disk.run(f"sleep 0.02; "
                      f"dd if={self.other} bs={SIZE} iflag=direct status=none | cmp - {self.other}")
        os.unlink(self.other)
        self.disk.run(f"sync -f {self.disk.path}")
        self.write(self.path)

    def reuse_beside(self, end_writer, wait_writer):
        """The same beside a client that does not know yet that the file is short: what it writes
        now comes through the server."""
        before = extents(self.path)
        os.truncate(self.path, 0)
        self.disk.run(f"sync -f {self.disk.path}")
        self.write(self.other)
        mine = [(start, start + size) for _, start, size, _ in extents(self.other)]
        self.reused += any(begin < old + length and old < end for _, old, length, _ in before
                           for begin, end in mine)
        end_writer()
        wait_writer()
        self.disk.run(f"dd if={self.other} bs={SIZE} iflag=direct status=none | cmp - {self.other}")
        for path in (self.other, self.path):
            os.unlink(path)
        self.disk.run(f"sync -f {self.disk.path}")

    def end_round(self):
        for client in self.clients:
            if client.deaf:
                client.restart()
                client.connect()
            client.close_file()
        self.plug.arm(0)

    def end(self, at_least, kinds, fenced=()):
        for client in self.clients:
            client.end()
        total = self.kills.total()
        print(f"{total} kills: {dict(self.kills)}")
        holds(total >= at_least // self.step - 2, f"only {total} kills")
        equal(kinds - set(self.kills), set(), "effects that it was never killed before")
        equal({entry["client"] for entry in self.server.trace() if entry["what"] == "fence"
               and not fenced}, set(), "clients that were fenced")


def life(scene):
    """From the seal to the release, with clients that behave."""
    scene.use()
    scene.ctl("unseal", "--wait", "--timeout", "60", scene.path)


def cuts(scene, kinds):
    """Before which effect to cut, as arm() takes it: the first, the second, ... until there is none
    left; or with a step between them. Then before the first of each kind that was leapt over: they
    do not come in the same order each time."""
    number, before = scene.first, -1
    while scene.kills.total() > before:
        before = scene.kills.total()
        yield number, ""
        number += scene.step
    for kind in sorted(kinds):
        for _ in range(TRIES):
            if kind not in scene.kills:
                yield 1, kind


def every_effect(scene, what, kinds, after=None):
    """`what` is cut before each thing it does."""
    for cut in cuts(scene, kinds):
        scene.plug.arm(*cut)
        try:
            what(scene)
            scene.passed()
        except Died:
            scene.was_cut("at work")
            if after:
                after(cut[0])
            else:
                scene.come_back()
        scene.release()
        scene.reuse()
        scene.end_round()


@test(fs=("xfs", "ext4"), timeout=300)
def killed_before_every_effect_of_a_seals_life(lab, fs):
    scene = Scene(lab, fs)
    every_effect(scene, life, LIFE)
    scene.end(50, LIFE)


def tear(scene, number):
    """The journal's last pages, as a disk may leave them that lost power while it wrote."""
    path = f"{scene.server.options['state_dir']}/journal.db"
    offset, length = scene.plug.read()[1]
    size = os.path.getsize(path + "-wal")
    way = number % 4
    with open(path if way == 3 else path + "-wal", "r+b") as f:
        if way == 0:  # half a page
            f.seek(max(0, offset + length - 2048))
            f.write(random.Random(number).randbytes(2048))
        elif way == 1:  # the end is missing
            f.truncate(max(0, min(size, offset + length // 2)))
        elif way == 2:  # three pages of zeros
            f.seek(max(0, offset + length - 3 * 4096))
            f.write(bytes(min(offset + length, 3 * 4096)))
        elif os.path.getsize(path):  # not the log but what it is written back to
            f.seek(-2048, os.SEEK_END)
            f.write(random.Random(number).randbytes(2048))


class Torn:
    """What happens after a kill: the journal is damaged, the server comes up and either knows all
    or knows that it does not."""

    def __init__(self, scene):
        self.scene, self.doubts, self.sound = scene, 0, 0

    def __call__(self, number):
        scene = self.scene
        tear(scene, number)
        scene.come_back()
        # a flag that the journal does not know is found when the file is named
        scene.server.sealctl("explain", scene.path)
        if "forget-holders" not in scene.server.sealctl("status")[1]:
            self.sound += 1
            return
        self.doubts += 1
        flagged = immutable(scene.path)
        # Else it was killed before anything was sealed.
        if flagged or scene.server.state(scene.path) != "open":
            scene.server.refused("unseal", "--wait", "--timeout", "5", scene.path)
        scene.server.refused("seal", "--pinned", scene.path)
        equal(immutable(scene.path), flagged, "the flag, in doubt")
        scene.check_rule("in doubt")
        for client in scene.clients:  # the operator cuts everybody off, and says so
            client.stop_using()
        scene.server.ctl("forget-holders", "--yes", scene.path)


@test(fs=("xfs", "ext4"), timeout=400)
def killed_before_every_effect_and_the_journals_last_pages_torn(lab, fs):
    scene = Scene(lab, fs)
    torn = Torn(scene)
    every_effect(scene, life, LIFE, torn)
    print(f"in doubt {torn.doubts} times, right {torn.sound} times")
    enough = lab.times(1, 5)
    holds(torn.doubts >= enough and torn.sound >= enough,
          f"in doubt {torn.doubts} times, right {torn.sound} times: not both were seen")
    scene.end(50, LIFE)


@test(timeout=300)
def killed_before_every_effect_of_a_restart(lab):
    """A release is under way when the server is killed; the next one is killed too, before each
    thing it does."""
    scene = Scene(lab, "xfs")
    kinds = {"write journal.db-wal", "flush journal.db-wal", "flag cleared",
             "remove trusted.sealnfs.seal", "send"}
    for cut in cuts(scene, kinds):
        for client in scene.clients:
            client.obeys = False
        scene.use()
        scene.server.sealctl("unseal", scene.path)
        for client in scene.clients:
            holds(client.recalled.wait(60), "no recall")
            client.obeys = True
        scene.server.kill()
        scene.check_rule("killed while it recalled")
        try:
            scene.come_back(cut)
            scene.release()
            scene.passed()
        except Died:
            scene.was_cut("starting")
            scene.come_back()
            scene.release()
        scene.reuse()
        scene.end_round()
    scene.end(30, kinds)


@test(timeout=300)
def killed_before_every_effect_of_a_fence(lab):
    """One of two clients is silent and goes on writing; its path to the disk ends only by the
    hook. After a kill the other one is as good as lost too: what it had before is haunted until
    its record goes."""
    scene = Scene(lab, "ext4", lease_time=5, recall_timeout=1, grace_time=1, fence_timeout=5,
                  fence_retry=1, fence_hook=install_hook(lab.directory))
    good, lost = scene.clients

    def fence(cut):
        scene.plug.arm(0)
        scene.use()
        lost.deaf = True
        seen = scene.server.trace()[-1]["seq"]
        unseal = scene.server.start_ctl("unseal", "--wait", "--timeout", "60", scene.path)
        scene.server.wait_trace(lambda entry: entry["what"] == "grant-ended"
                                and entry["how"] == "returned" and entry["seq"] > seen)
        scene.plug.arm(*cut)
        unseal.communicate(timeout=60)
        if scene.died():
            raise Died()
        equal(unseal.returncode, 0, "unseal")

    def hook_calls():
        if not os.path.exists(f"{lab.directory}/hook-calls"):
            return []
        with open(f"{lab.directory}/hook-calls") as f:
            return f.read().split()

    kinds = {"write journal.db-wal", "flush journal.db-wal", "hook", "flag cleared"}
    for cut in cuts(scene, kinds):
        called, killed = len(hook_calls()), False
        try:
            fence(cut)
            scene.passed()
        except Died:
            killed = True
            scene.was_cut("fencing")
            scene.come_back()
        scene.release()
        scene.reuse()
        good.deaf = good.owner in hook_calls()[called:]  # then it needs a restart
        holds(killed or not good.deaf, "a healthy client was fenced by a server that lived")
        scene.end_round()
    holds(lost.owner in hook_calls(), "nobody was fenced")
    scene.end(10, kinds, fenced=(lost.owner,))


def under_a_stock_client(scene, guest, number, granting):
    """A new file (a client that was told of no layout does not ask for two minutes) is sealed,
    written directly and unsealed, with the writer going on; its blocks are another file's then.
    The server is killed before this effect, counted from the first request of the writer or
    from the wish to release. Whether it was; whether the client wrote to the disk and not
    through the server before."""
    name = f"file-{'grant' if granting else 'release'}-{number}"
    stop, scene.path = f"/tmp/stop-{name}", scene.disk.file(name)
    scene.write(scene.path)
    scene.ctl("seal", "--pinned", scene.path)
    scene.plug.arm(number if granting else 0)
    before = guest.counters()
    writer = guest.start(f"export PAUSE={0.02 if granting else 0.5}; "
                         f"exec /mnt/lab/direct-visitor write /mnt/n/{name} 0 {SIZE} {stop}")
    while not (scene.died() or "visited" in writer.said):
        guest.poll(0.1)
    direct = False
    if not granting:
        direct = (guest.counters() - before)["WRITE"] == 0
        scene.plug.arm(number)
        scene.server.sealctl("unseal", "--wait", "--timeout", "60", scene.path)
    killed = scene.died()
    if killed:
        scene.kills[scene.plug.read()[2]] += 1
        holds(immutable(scene.path) or not granting, "no flag while a client has a layout")
        scene.come_back()
        # a release that is wanted waits for it, and the writer for the release
        scene.speak_for_the_lost()
        writer.expect("visited", 120, times=writer.said.count("visited") + 1)
    scene.plug.arm(0)
    scene.release()
    scene.reuse_beside(lambda: guest.run(f"touch {stop}"), writer.finish)
    return killed, direct


@test(timeout=500)
def killed_before_every_effect_under_a_stock_client(lab):
    """As above, but who holds the layout is Debian's own client. A reply is an effect too, and it
    asks on and on: so the first effects are cut of a grant and of a release."""
    scene = Scene(lab, "ext4", clients=0, grace_time=10)
    os.unlink(scene.path)
    guest, = lab.clients(1)
    scene.guests = [guest.ip]
    shutil.copy(f"{HERE}/direct-visitor", guest.directory)
    kinds = {"write journal.db-wal", "flush journal.db-wal", "flag cleared", "send"}
    rounds = [(granting, number) for granting, most in ((True, 8), (False, 14))
              for number in range(1, most + 1)]
    enough = len(rounds) // scene.step
    # In a short run every third, and of the others those that are needed.
    rounds.sort(key=lambda one: one[1] % scene.step != 1 % scene.step)
    directly, releases, done = 0, 0, 0
    for granting, number in rounds:
        if done >= enough and kinds <= set(scene.kills):
            break
        killed, direct = under_a_stock_client(scene, guest, number, granting)
        holds(killed or not granting, f"not killed at effect {number} of a grant")
        directly, releases, done = directly + direct, releases + (not granting), done + 1
    print(f"{done} rounds; the client wrote directly before {directly} of {releases} releases; "
          f"blocks given to another file in {scene.reused}")
    holds(directly >= releases * 3 // 4, "the client wrote through the server")
    holds(scene.reused >= done // 2,
          "the blocks were hardly ever given to another file: this shows nothing")
    scene.end(16, kinds)
