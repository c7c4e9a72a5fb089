"""Stock clients that do at random what programs do to files, and an operator who unseals them
meanwhile: each client reads what it wrote, and in the end so do the others and the server."""
import json
import os
import random
import signal
import time

from disk import MIB
from registry import equal, holds, test

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS, ROUNDS = 8, 2
GROWING_AT_REST = {"direct_writes": True, "direct_writes_reserve": 4 * MIB,
                   "direct_writes_min_size": 64 << 10, "policy": "at-rest",
                   "at_rest_min_size": 64 << 10}
COMMANDS = ["unseal"], ["unseal", "--wait", "--timeout", "5"], ["explain"]


class Exerciser:
    """On one client, and a reader of its files on another."""

    def __init__(self, guest, other, number, seed):
        self.guest, self.other, self.seed = guest, other, seed
        self.directory = f"of-{guest.name}-{seed}"
        guest.run(f"mkdir /mnt/n/{self.directory}; rm -f /tmp/stop")
        other.run("rm -f /tmp/stop")
        self.job = guest.start(f"exec {HERE}/random-file /mnt/n/{self.directory} {number} {seed} "
                               "/tmp/stop")
        self.reader = other.start(f"exec {HERE}/random-file --read /mnt/n/{self.directory} "
                                  "/tmp/stop")

    @classmethod
    def each(cls, clients, seed):
        """Each client reads what the one before it writes."""
        made = [cls(client, clients[i - 1], 3 * i, seed + i) for i, client in enumerate(clients)]
        for exerciser in made:
            exerciser.job.expect("under-way", 120)
        return made

    def end(self):
        """name -> digest."""
        for guest in self.guest, self.other:
            guest.run("touch /tmp/stop")
        code = self.job.wait(180)
        equal(code, 0, f"{self.guest.name}, seed {self.seed}:\n{self.job.output()}")
        equal(self.reader.wait(60), 0, f"{self.other.name} reads:\n{self.reader.output()}")
        said = json.loads(self.job.output().splitlines()[-1])
        print(f"{self.guest.name}, seed {self.seed}: {said['rounds']} rounds; {self.other.name}: "
              f"{self.reader.output().strip()}")
        return said["digests"]


class Operator:
    """Unseals and looks at what is there, whatever comes of it. Seals come by policy: a manual one
    would forbid to remove the file, or to cut it."""

    def __init__(self, server, disk, seed):
        self.server, self.disk, self.dice = server, disk, random.Random(seed)

    def files(self):
        return [f"{path}/{name}" for path, _, names in os.walk(self.disk.path) for name in names]

    def meddle(self):
        files = self.files()
        if not files:
            return
        path = self.dice.choice(files)
        self.server.sealctl(*self.dice.choice(COMMANDS), path, timeout=60)
        if self.dice.random() < 0.1:
            self.server.process.send_signal(signal.SIGHUP)

    def meddle_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.meddle()
            time.sleep(self.dice.random() / 2)


def all_agree(server, disk, clients, exercisers):
    """What each wrote is what the other and the server read."""
    for exerciser in exercisers:
        digests = exerciser.end()
        for name, digest in digests.items():
            path = f"{exerciser.directory}/{name}"
            for client in clients:
                equal(client.sha256(f"/mnt/n/{path}", direct=False), digest,
                      f"{path}, seed {exerciser.seed}: read by {client.name}")
            server.ctl("unseal", "--wait", "--timeout", "60", disk.file(path), timeout=90)
            equal(disk.sha256(path), digest, f"{path}, seed {exerciser.seed}: on the server's disk")


@test(fs=("mkfs.xfs", "ext4"), timeout=900, seconds=40)
def what_clients_do_at_random_is_what_everybody_reads(lab, fs):
    disk = lab.disk(size=512 * MIB, **({"fs": "xfs", "reflink": None} if fs == "mkfs.xfs"
                                       else {"fs": fs}))
    server = lab.server(at_rest_pause=1, export=GROWING_AT_REST)
    clients = lab.clients(2)
    for _ in range(lab.times(ROUNDS, 20)):
        seed = int(os.environ.get("RANDOM_FILE_SEED", random.randrange(10**6)))
        exercisers = Exerciser.each(clients, seed)
        Operator(server, disk, seed).meddle_for(lab.times(SECONDS, 20))
        all_agree(server, disk, clients, exercisers)
    counters = clients[0].counters()
    holds(counters["LAYOUTGET"] > 0 and counters["LAYOUTCOMMIT"] > 0, counters.show())
