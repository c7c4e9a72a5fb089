"""Many files sealed and unsealed by one command."""
from disk import MIB, immutable
from registry import equal, holds, test


@test(fs=("xfs", "ext4"))
def many_files_by_one_command(lab, fs):
    disk = lab.disk(fs=fs, size=400 * MIB)
    disk.run(f"mkdir {disk.file('many')}; for i in $(seq 300); do echo $i > "
             f"{disk.file('many')}/$i; done; : > {disk.file('many')}/empty; sync -f {disk.path}")
    server = lab.server()
    files = [disk.file(f"many/{i}") for i in range(1, 301)]
    code, text = server.sealctl("seal", *files, disk.file("many/empty"), disk.file("many/missing"))
    equal(code, 1, "some were refused")
    lines = text.splitlines()
    equal(len([line for line in lines if line.endswith(": sealed")]), 300, "sealed")
    holds(any("many/empty" in line and "empty" in line for line in lines)
          and any("many/missing" in line for line in lines), text[-500:])
    holds(all(immutable(path) for path in files), "every one carries the flag")
    equal(len(server.ctl("status")["status"]), 300, "seals")
    results = server.ctl("unseal", "--wait", *files)
    equal(([r["file"] for r in results], {r["ok"] for r in results}), (files, {True}))
    holds(not any(immutable(path) for path in files), "a flag was left behind")
    equal(server.ctl("status")["status"], [])
