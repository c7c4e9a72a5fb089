"""named_tests.py: tests as documents name them, `module: a_test, another`, and whether they
exist."""
import functools
import os
import re


def named_in(text):
    """(module, name) of each."""
    return [(module, name)
            for module, names in re.findall(r"(\w+): ((?:`[\w-]+`(?:, )?)+)", text)
            for name in re.findall(r"`([\w-]+)`", names)]


@functools.lru_cache(maxsize=None)
def text_of(top, module, folder, ending):
    """The module's tests, in whichever room."""
    for path, _, names in os.walk(f"{top}/tests/{folder}"):
        if f"test_{module}.{ending}" in names:
            with open(f"{path}/test_{module}.{ending}", encoding="utf-8") as stream:
                return stream.read()
    return ""


def exists(top, module, name):
    """The test is there and is run: in the list of its file's unit tests, or registered
    with the lab."""
    if module == "broken":
        return os.path.exists(f"{top}/tests/sim/broken/{name}")
    unit, lab = text_of(top, module, "unit", "c"), text_of(top, module, "lab", "py")
    listed = (re.search(rf"^static void\s+{name}\(", unit, flags=re.M)
              and len(re.findall(rf"\b{name}\b", unit)) > 1)
    return bool(listed or re.search(rf"^@test\([^@]*\)\ndef {name}\(", lab, flags=re.M))
