"""Where every call of the container begins."""

from collections.abc import Sequence

from .environment import prepare


def main(arguments: Sequence[str]) -> int:
    """Do what the container is called for; returns the exit code of `exits.ExitCode`.

    Caches get their places before anything is imported that looks for them.
    """
    prepare()
    from .call import call

    return call(arguments)
