"""One node of two is lost under Corosync and Pacemaker themselves (docs/failover.md)."""
from cluster import Cluster, FullWork, Marks, TAKEOVER, UP
from pair import direct_again
from registry import equal, holds, test


def cluster(lab):
    """A stage."""
    scene = Cluster(lab)
    scene.mount()
    return scene


def killed(scene, marks):
    scene.a.guest.kill()


def paused(scene, marks):
    """Stopped with writes of its own under way, and woken when the other one serves."""
    scene.a.guest.start("while dd if=/dev/zero of=/mnt/data/own bs=64K count=16 conv=fsync "
                        "status=none; do :; done")
    scene.a.guest.stop()
    marks.says(UP)
    scene.a.guest.cont()
    scene.a.panics()
    said = scene.a.guest.console_tail(200)
    holds("reservation conflict" in said and "XFS (sda): log I/O error -52" in said,
          f"the disk refuses what it still writes: {said}")
    equal(sorted(scene.san.keys()).count(scene.a.guest.name), 0, "its registrations")


def parted(scene, marks):
    """Both reach the clients and the disks, but not each other: the one that stood by fences."""
    scene.part()
    scene.a.panics()


def without_disks(scene, marks):
    """It reaches the clients and the other one, and its disks do not answer."""
    scene.a.guest.cut_storage()
    scene.a.panics()


def moved(scene, marks):
    """Stopped in order: standby."""
    scene.a.guest.run(f"crm_attribute -t nodes -N {scene.a.name} -n standby -v on")
    marks.says(UP)
    scene.a.guest.run(f"crm_attribute -t nodes -N {scene.a.name} -n standby -D")


def loses(scene, way):
    """The node that serves is lost that way, under load; in the end it is back, and stands by."""
    work, marks = FullWork(scene), Marks(scene.b)
    way(scene, marks)
    work.check(scene.b)
    marks.says(UP)
    marks.tell(way.__name__, work)
    direct_again(scene, scene.b, scene.clients[0])
    scene.mend()


@test(on=cluster, seconds=100, timeout=900)
def a_paused_node_that_wakes_up_is_refused_by_the_disk_and_restarts(scene):
    loses(scene, paused)


@test(on=cluster, seconds=60, timeout=900)
def a_killed_nodes_files_locks_and_clients_go_on_at_the_other_one(scene):
    loses(scene, killed)


@test(on=cluster, seconds=100, timeout=900, long=True)
def a_node_that_is_cut_from_the_other_one_only_loses_the_disks_and_restarts(scene):
    loses(scene, parted)


@test(on=cluster, seconds=100, timeout=900, long=True)
def a_node_that_is_cut_from_the_disks_only_is_fenced_and_restarts(scene):
    loses(scene, without_disks)


@test(on=cluster, seconds=100, timeout=900, long=True)
def a_move_in_order_there_and_back(scene):
    loses(scene, moved)
    loses(scene, moved)


@test(on=cluster, seconds=1500, timeout=3600, long=True)
def twenty_losses_one_after_another(scene):
    for way in [killed, paused, parted, without_disks, moved] * 4:
        loses(scene, way)


@test(on=cluster, seconds=60, timeout=900, long=True)
def without_a_fence_the_second_node_does_not_start_and_says_why(scene):
    """The fence device was removed, and the node that served is lost."""
    scene.a.guest.run("cibadmin --delete --xpath '//primitive[@id=\"fence\"]'")
    marks = Marks(scene.b)
    scene.a.guest.kill()
    marks.says(r"no STONITH resources have been defined")
    marks.says(r"State transition S_TRANSITION_ENGINE -> S_IDLE")
    said = scene.b.guest.run("crm_mon -1")
    holds("UNCLEAN (offline)" in said, f"what an operator sees: {said}")
    equal(marks.node.line(TAKEOVER[3][2], after=marks.at["pacemaker"]), None, "disks started")
    equal(scene.b.guest.run("grep -c /srv/ /proc/mounts; true").strip(), "0", "mounts")
