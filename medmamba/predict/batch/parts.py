"""One batch done by several processes that know nothing of each other, as nnU-Net's -num_parts and -part_id."""

from collections.abc import Sequence
from typing import TypeVar

from ...errors import ConfigError

T = TypeVar("T")


def part_of(cases: Sequence[T], num_parts: int = 1, part_id: int = 0) -> list[T]:
    """Every `num_parts`-th case from `part_id` on. All parts together have each case once.

    Raises ConfigError when there is no such part.
    """
    if num_parts < 1 or not 0 <= part_id < num_parts:
        raise ConfigError(
            f"There is no part {part_id} of {num_parts}.",
            f"--part-id goes from 0 to {num_parts - 1}." if num_parts > 0 else "--num-parts is at least 1.",
        )
    return list(cases[part_id::num_parts])


def report_name(num_parts: int = 1, part_id: int = 0) -> str:
    """predict_report.json; predict_report_part3of8.json for part 3 of 0 to 7."""
    return "predict_report.json" if num_parts == 1 else f"predict_report_part{part_id}of{num_parts}.json"


REPORTS = "predict_report*.json"
"""What the reports of all parts are called."""
