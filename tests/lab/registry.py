"""How test modules announce their tests to `run`, and the stages that several of them share."""
import inspect
import itertools

cases = []


class Case:
    """`stage`: the function that makes what the test is given, or None: a lab with nothing in
    it. Tests of one stage (with the same parameters) are a batch: they run one after another
    in one lab."""

    def __init__(self, function, parameters, stage, timeout, seconds, long):
        self.function, self.parameters, self.timeout, self.seconds, self.long = (
            function, parameters, timeout, seconds, long)
        module = function.__module__.removeprefix("test_")
        values = ",".join(str(value) for value in parameters.values())
        self.group = {"scsi": "scsi", "polite": "strangers"}.get(module.split("_")[0], "block")
        self.name = f"{module}.{function.__name__}" + (f"[{values}]" if values else "")
        self.stage, self.staged = stage, _taken(stage, parameters) if stage else {}
        self.batch = (stage, *self.staged.values()) if stage else self.name

    def scene(self, lab):
        return self.stage(lab, **self.staged) if self.stage else lab

    def run(self, scene):
        self.function(scene, **_taken(self.function, self.parameters))


def _taken(function, parameters):
    """Those of the parameters that the function names."""
    names = inspect.signature(function).parameters
    return {name: value for name, value in parameters.items() if name in names}


def test(on=None, timeout=240, seconds=5, long=False, **parameters):
    """Register a test. `on`: its stage. `timeout`: when it is taken for hung. `seconds`: about what
    it takes; the longest are started first. `long`: it is for long runs only. Each other keyword
    holds the values of a parameter; the test runs once for every combination."""
    def register(function):
        for values in itertools.product(*parameters.values()):
            cases.append(Case(function, dict(zip(parameters, values)), on, timeout, seconds, long))
        return function
    return register


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what or 'value'}: got {got!r}, wanted {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)
