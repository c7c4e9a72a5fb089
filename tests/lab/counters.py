"""What an NFS client counted: /proc/self/mountstats of one mount.

Data that arrived proves nothing about the way it came: without a device or a callback channel the
client falls back to READ and WRITE and says nothing. So every test of the data path looks here.
"""
import re


class Counters(dict):
    """Operation name -> number of calls since the mount; `pnfs` is the layout driver's name,
    or "not configured"."""

    def __missing__(self, key):
        raise KeyError(f"{key} is not among the client's counters")

    def __sub__(self, before):
        rest = Counters({name: count - before[name] for name, count in self.items()})
        rest.pnfs = self.pnfs
        return rest

    def data(self):
        """READ and WRITE calls that went to the server."""
        return self["READ"] + self["WRITE"]

    def show(self):
        names = ("READ", "WRITE", "COMMIT", "OPEN", "CLOSE", "LAYOUTGET", "LAYOUTCOMMIT",
                 "LAYOUTRETURN", "GETDEVICEINFO")
        return " ".join(f"{name}={self[name]}" for name in names)

    @classmethod
    def parse(cls, text, mountpoint):
        sections = re.split(r"^(?=device )", text, flags=re.M)
        section = next((s for s in sections
                        if re.match(rf"device \S+ mounted on {re.escape(mountpoint)} ", s)), None)
        if section is None:
            raise KeyError(f"{mountpoint} is not in mountstats")
        counters = cls({m[1]: int(m[2])
                        for m in re.finditer(r"^\s+([A-Z_]+): (\d+) ", section, flags=re.M)})
        driver = re.search(r"pnfs=([^,\n]*)", section)
        counters.pnfs = driver[1].strip() if driver else "not configured"
        return counters
