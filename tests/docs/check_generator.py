#!/usr/bin/python3
"""check_generator.py GENERATOR UNIT SEALNFSD - what the generator writes for a configuration.

Systemd must understand it, too.
"""
import os
import re
import subprocess
import sys
import tempfile

CONFIG = r'''
state_dir = "/srv/the \"100%\" state"
lease_time = wrong
export "/data" { path = "/srv/my-disk/data" clients = {"::/0"} }
export "/" { path = "/" clients = {"::/0"} }
# export "/no" { path = "/no/comment" }
'''
INCLUDED = """export "/more" { path = "/mnt/more" clients = {"::/0"} }
"""
WANTED = r'''[Unit]
RequiresMountsFor="/srv/the \"100%%\" state"
Wants=srv-my\x2ddisk-data.mount srv-my\x2ddisk.mount srv.mount
After=srv-my\x2ddisk-data.mount srv-my\x2ddisk.mount srv.mount
Wants=mnt-more.mount mnt.mount
After=mnt-more.mount mnt.mount
'''


def generate(generator, directory, program, config=None):
    environment = {**os.environ, "SEALNFS_CONF": f"{directory}/sealnfs.conf", "SEALNFSD": program}
    if config is not None:
        with open(f"{directory}/sealnfs.conf", "w", encoding="utf-8") as stream:
            stream.write(config)
        os.mkdir(f"{directory}/sealnfs.d")
        with open(f"{directory}/sealnfs.d/more.conf", "w", encoding="utf-8") as stream:
            stream.write(INCLUDED)
    subprocess.run(["sh", generator, directory, directory, directory], check=True, env=environment)
    path = f"{directory}/sealnfsd.service.d/50-exports.conf"
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as stream:
        return stream.read().partition("\n")[2]


def verified(directory, unit, program):
    """What systemd says about our unit with what was generated."""
    with open(unit, encoding="utf-8") as stream:
        text = re.sub(r"(?m)^(Exec\w+=)\S*/seal(?:nfsd|ctl)",
                      lambda match: match.group(1) + program, stream.read())
    with open(f"{directory}/sealnfsd.service", "w", encoding="utf-8") as stream:
        stream.write(text)
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"{directory}/sealnfsd.service"],
        capture_output=True, text=True)
    return [line for line in verify.stderr.splitlines()
            if "sealnfsd" in line or "50-exports" in line]


def main():
    generator, unit, sealnfsd = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/program"  # a path without blanks, whatever the program's is
        os.symlink(os.path.abspath(sealnfsd), program)
        got = [generate(generator, directory, program),
               generate(generator, directory, program, CONFIG)]
        said = verified(directory, unit, program)
    if got == [None, WANTED] and not said:
        return 0
    print(f"without a configuration and with one:\n{got[0]}\n{got[1]}wanted:\n{WANTED}",
          "\n".join(said))
    return 1


if __name__ == "__main__":
    sys.exit(main())
