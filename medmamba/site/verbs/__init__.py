"""What the container can be asked to do: a file a verb."""

from functools import partial

from .check import check
from .describe import describe
from .evaluate import evaluate
from .infer import infer
from .prepare import prepare
from .report import report
from .run import Verb, run
from .sanity_check import sanity_check
from .selftest import selftest
from .statistics import statistics

BY_NAME: dict[str, Verb] = {
    "infer": infer,
    "check": check,
    "prepare": prepare,
    "sanity_check": sanity_check,
    "statistics": statistics,
    "evaluate": evaluate,
    "report": report,
    "selftest": selftest,
    "describe": describe,
}
BY_NAME["run"] = partial(run, verbs=BY_NAME)
