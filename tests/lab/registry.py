"""How test modules announce their tests to `run`."""
import itertools

cases = []


class Case:
    def __init__(self, function, parameters, timeout):
        self.function, self.parameters, self.timeout = function, parameters, timeout
        module = function.__module__.removeprefix("test_")
        values = ",".join(str(value) for value in parameters.values())
        self.group = "scsi" if module.startswith("scsi") else "block"
        self.name = f"{module}.{function.__name__}" + (f"[{values}]" if values else "")

    def run(self, lab):
        self.function(lab, **self.parameters)


def test(timeout=240, **parameters):
    """Register a test. Each keyword holds the values of a parameter; the test runs once for every combination."""
    def register(function):
        for values in itertools.product(*parameters.values()):
            cases.append(Case(function, dict(zip(parameters, values)), timeout))
        return function
    return register


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what or 'value'}: got {got!r}, wanted {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)
