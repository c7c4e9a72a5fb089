"""The layout engine's trace: one JSON object a line, numbered in order, of what came in and
what went out.

The numbers, not clocks or waiting, show what came before what.
"""
from registry import holds


class Trace:
    """The entries of one file, and those of clients as such, which name no file."""

    def __init__(self, server, path):
        entries = server.trace()
        numbers = [entry["seq"] for entry in entries]
        holds(numbers == sorted(set(numbers)), "the trace's numbers do not rise")
        self.entries = [entry for entry in entries if entry["file"] in (path, "")]

    def all(self, what, **fields):
        return [entry for entry in self.entries
                if entry["what"] == what
                and all(entry.get(name) == value for name, value in fields.items())]

    def release(self):
        """The entry at which the flag was ordered to be cleared."""
        found = self.all("step", step="unflag")
        holds(len(found) == 1, f"{len(found)} releases in the trace")
        return found[0]

    def given_back(self, count):
        """So many clients gave their grants back, by LAYOUTRETURN or by saying that they hold none,
        before the release."""
        self.released_after("grant-ended", count)
        ways = {entry["how"] for entry in self.all("grant-ended")}
        holds(ways <= {"returned", "nomatching"}, f"grants ended otherwise: {ways}")

    def released_after(self, what, count):
        """There are `count` entries of that kind before the release, each of another client, and
        none after it."""
        release, found = self.release()["seq"], self.all(what)
        holds(len({entry["client"] for entry in found}) == count,
              f"{what} of {count} clients expected: {found}")
        holds(all(entry["seq"] < release for entry in found),
              f"{what} after the release ({release}): {found}")
