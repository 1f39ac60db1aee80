"""Starting a command once for each GPU of this machine."""

import logging
import os
import sys
from collections.abc import Sequence

import torch

from ...errors import ConfigError, MedMambaError
from ...stopping import StoppedError
from . import ranks


def several(count: int) -> bool:
    """Whether `launch` still has to be called for `count` processes: not when this is one of them already."""
    return count > 1 and not ranks.wanted()


def launch(arguments: Sequence[str], count: int, device: torch.device) -> None:
    """Run `medmamba ARGUMENTS` in `count` processes that know each other, as torchrun does, and wait for their end.

    ConfigError when this machine has fewer GPUs; MedMambaError, with the exit code of the first process that failed,
    when one fails (the others are ended then); StoppedError when asked to stop, which the processes are asked as well.
    """
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise ConfigError(
            f"--gpus {count}: this machine has {torch.cuda.device_count()}.", "Use as many as there are, or fewer."
        )
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // count)))
    options = ["--standalone", f"--nproc-per-node={count}", "-m", "medmamba.cli", *arguments]
    logging.disable(logging.CRITICAL)  # the processes' own words say more than torchrun's
    try:
        run(get_args_parser().parse_args(options))
    except SignalException as error:
        raise StoppedError("Stopped; the processes were told so too.", "Go on with --resume.", error.sigval) from None
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        ended = MedMambaError(f"Process {failure.local_rank} of {count} failed; its own words are above.")
        ended.exit_code = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        raise ended from error
    finally:
        logging.disable(logging.NOTSET)


def own_arguments() -> list[str]:
    """The arguments with which this command was called."""
    return sys.argv[1:]
