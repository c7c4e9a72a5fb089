"""Work that goes on in a guest while a test does something to the server: rounds of I/O until
told to stop.

Each round checks what it read; a round that fails ends the job with an error, which the test sees
when it ends the work.
"""


class Load:
    def __init__(self, guest, name, round_script):
        self.guest, self.flag = guest, f"/tmp/stop-{name}"
        self.job = guest.start(f"set -o pipefail; rm -f {self.flag}\n"
                               f"until [ -e {self.flag} ]; do\n{round_script}\nsay round\ndone")

    def rounds(self, count, timeout=90):
        """Wait for `count` more rounds than there have been."""
        self.guest.poll(0)
        self.job.expect("round", timeout, times=self.job.said.count("round") + count)
        return self

    def end(self, timeout=120):
        """Stop after the round that is under way; what the job printed. It must not have failed."""
        self.guest.run(f"touch {self.flag}", timeout)
        return self.job.finish(timeout)


def reading(guest, path, mib, digest, skip=0, name="reading"):
    """Read a part of a file whose data does not change, O_DIRECT."""
    return Load(guest, name, f'[ "$(dd if={path} bs=1M skip={skip} count={mib} iflag=direct '
                f'status=none | sha256sum)" = "{digest}  -" ] || exit 1')


def writing(guest, path, mib, at=0, name="writing", flags="oflag=direct"):
    """Overwrite a part of a file in place, and read it back; `guest.sha256(f"/tmp/{name}")` is the
    digest of the last round."""
    return Load(guest, name,
                f"dd if=/dev/urandom of=/tmp/{name} bs=1M count={mib} status=none || exit 1\n"
                f"dd if=/tmp/{name} of={path} bs=1M seek={at} {flags} conv=notrunc status=none || "
                f"exit 2\n"
                f"dd if={path} bs=1M skip={at} count={mib} iflag=direct status=none | cmp - "
                f"/tmp/{name} || exit 3")
