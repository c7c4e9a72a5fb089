#!/usr/bin/python3
"""check_unit.py UNIT SEALNFSD - systemd-analyze verifies the unit, with the program's path replaced
by one that is there."""
import os
import re
import subprocess
import sys
import tempfile


def main():
    unit, program = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        # a path without blanks, whatever the program's is
        stand_in = os.path.join(directory, "program")
        os.symlink(os.path.abspath(program), stand_in)
        with open(unit, encoding="utf-8") as stream:
            text = re.sub(r"(?m)^(Exec\w+=)\S*/seal(?:nfsd|ctl)",
                          lambda match: match.group(1) + stand_in, stream.read())
        path = os.path.join(directory, "sealnfsd.service")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        verify = subprocess.run(["systemd-analyze", "verify", "--man=no", path],
                                capture_output=True, text=True)
    # Units of the machine itself may draw remarks; only ours count.
    ours = [line for line in verify.stderr.splitlines() if "sealnfsd" in line]
    print("\n".join(ours) if ours else "the unit is well-formed")
    return 1 if ours or verify.returncode not in (0, 1) else 0


if __name__ == "__main__":
    sys.exit(main())
