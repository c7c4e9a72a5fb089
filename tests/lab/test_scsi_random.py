"""The same where disks are reserved, and the server dies by kill -9 now and then: what it does not
know of its clients afterwards it finds out by keys."""
import os
import random
import time

from guest import GuestError
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


def agree_or_stuck(scene, exercisers):
    """False: a program waits for a client that has unregistered by itself after a crash, so that no
    fence of it can be proven (beliefs.md): that is told, and nothing wrong was read meanwhile."""
    try:
        all_agree(scene.server, scene, scene.clients, exercisers)
        return True
    except GuestError:
        told = "is gone, and not because the server preempted it"
        holds(told in scene.server.log_text(), "a program does not end, and nobody says why")
        for exerciser in exercisers:
            holds(exerciser.reader.code in (None, 0), exerciser.reader.output())
        print("stuck, by a key that went by itself")
        return False


@test(fs=("xfs", "ext4"), timeout=1800, long=True)
def what_clients_do_at_random_outlives_crashes(lab, fs):
    scene = SanLab(lab, fs=fs, clients=2, lease_time=5, grace_time=2, recall_timeout=4,
                   at_rest_pause=1, export=GROWING_AT_REST)
    for _ in range(5):
        seed = int(os.environ.get("RANDOM_FILE_SEED", random.randrange(10**6)))
        dice = random.Random(seed)
        exercisers = Exerciser.each(scene.clients, seed)
        for _ in range(CRASHES):
            crash_and_unseal(scene, dice)
        if not agree_or_stuck(scene, exercisers):
            return
    counters = scene.clients[0].counters()
    equal(counters.pnfs, "LAYOUT_SCSI", counters.show())
    holds(counters["LAYOUTGET"] > 0, counters.show())
