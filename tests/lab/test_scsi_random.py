"""The same where disks are reserved, and the server dies by kill -9 now and then: what it does not
know of its clients afterwards it finds out by keys."""
import os
import random
import time

from disk import MIB
from registry import equal, holds, test
from san import SanLab
from test_random import Exerciser, GROWING_AT_REST, all_agree

CRASHES, BETWEEN = 2, 6  # seconds


def crash_and_unseal(scene, dice):
    """The server is gone for a moment, and files are to be released when it is back."""
    scene.server.kill()
    scene.server.start()
    end = time.monotonic() + BETWEEN
    while time.monotonic() < end:
        files = scene.host.run("find /mnt/data -type f").split()
        if files:
            scene.server.sealctl("unseal", dice.choice(files))
        time.sleep(dice.random())


@test(fs=("xfs",), timeout=900, seconds=60)
@test(fs=("ext4",), timeout=900, long=True)
def what_clients_do_at_random_outlives_crashes(lab, fs):
    scene = SanLab(lab, fs=fs, clients=2, lease_time=5, grace_time=2, recall_timeout=4,
                   at_rest_pause=1, export=GROWING_AT_REST)
    for _ in range(lab.times(1, 10)):
        seed = int(os.environ.get("RANDOM_FILE_SEED", random.randrange(10**6)))
        dice = random.Random(seed)
        exercisers = Exerciser.each(scene.clients, seed)
        for _ in range(CRASHES):
            crash_and_unseal(scene, dice)
        all_agree(scene.server, scene, scene.clients, exercisers)
    counters = scene.clients[0].counters()
    equal(counters.pnfs, "LAYOUT_SCSI", counters.show())
    holds(counters["LAYOUTGET"] > 0, counters.show())
