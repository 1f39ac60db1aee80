"""Errors for people: one sentence that says what is wrong, one that says what to do."""


class MedMambaError(Exception):
    """Base of every error that medmamba raises on purpose.

    Parameters
    ----------
    problem: what is wrong, naming the file, value or option.
    remedy: what to do about it; may be empty where the problem says it all.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}".strip())


class SetupError(MedMambaError):
    """The machine or the installation lacks something (a package, disk space, a device)."""

    exit_code = 3


class ConfigError(MedMambaError, ValueError):
    """An option, plan, preset or network argument that cannot be used."""

    exit_code = 2


class DataError(MedMambaError):
    """An image, label, dataset or model file that cannot be used."""

    exit_code = 4


class BundleError(MedMambaError):
    """A bundle that is refused: damaged, altered, unsigned where a signature is asked for, or not a bundle at all."""

    exit_code = 5
