"""One run of the container: its options, its log, and what its steps hand on to one another."""

import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..errors import ConfigError, MedMambaError, SetupError
from . import bundles
from .arguments import Options
from .events import Event
from .exits import ExitCode
from .log import Log
from .modes import Mode, detect
from .parameters import with_parameters
from .pseudonyms import Pseudonyms
from .streams import Screen

if TYPE_CHECKING:
    from ..predict.files.cases import Case
    from ..predict.predictor import Predictor
    from ..predict.recipe import LoadedModel, Recipe
    from .record import Record
    from .scoring import Scored

LOG = "log.jsonl"


@dataclass
class Counts:
    """Cases, for the last line of the log."""

    written: int = 0
    failed: int = 0
    left: int = 0


class Session:
    """One run. What several steps need is made once."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self.options, self.screen, self.log = options, screen, Log(screen)
        self.counts: Counts | None = None
        """Of the first step that had any."""
        self.record: Record | None = None
        """Of run.json, once there is one."""
        self.scored: Scored | None = None
        """Once predictions were scored."""
        self.stopped = False
        """Whether a step ended because the process was asked to stop."""
        self._mode: Mode | None = None
        self._model: LoadedModel | None = None
        self._names: Pseudonyms | None = None
        self._cases: list[Case] | None = None
        self._keeps = False

    # ---- what it is

    def begin(self) -> Mode:
        """Say what is going on, the first time. Raises ConfigError for options that do not go together."""
        if self._mode is not None:
            return self._mode
        options = self.options
        self.log.write(Event.STARTED, verb=options.verb, version=__version__)
        self.options, keys = with_parameters(options)
        if keys:
            self.log.write(Event.PARAMETERS_READ, keys=keys)
        mode, how = detect(self.options)
        self.log.write(Event.MODE_CHOSEN, mode=mode.name, how=how)
        self._check(mode)
        self._mode = mode
        return mode

    def _check(self, mode: Mode) -> None:
        options = self.options
        if options.verb not in mode.verbs:
            raise ConfigError("This mode has no such verb.", "Try --mode native.")
        if not mode.records and (options.resume or options.private_list or options.names_in_report):
            raise ConfigError("This mode writes nothing but predictions.", "Leave these options away.")
        if not mode.records and options.output_format != "auto":
            raise ConfigError("This mode has a format of its own.", "Leave --output-format away.")
        if options.resume and options.site_key is None:
            raise ConfigError("Only a site key tells which cases are done.", "Give --site-key with --resume.")

    @property
    def names(self) -> Pseudonyms:
        """What cases are called, the same in all steps."""
        if self._names is None:
            self._names = Pseudonyms.of(self.options.site_key)
        return self._names

    def made(self, case: str) -> bool:
        """Whether a label map in the output is this run's. One that an earlier run left of a case that fails now, or
        is no input any more, is of other images or of another model. Without a step that predicts all of them count."""
        if self.record is None or self.options.predictions is not None:
            return True
        return any(one.name == case and one.status != "failed" for one in self.record.cases)

    def shown(self, case: str) -> str:
        """What a case is called where the site may have asked for its name."""
        return case if self.options.names_in_report else self.names.of_case(case)

    # ---- what it works with

    def bundle(self) -> Path:
        """Where the bundle lies. BundleError when there is none."""
        return bundles.find(self.options.bundle, self.options.root)

    def model(self) -> "LoadedModel":
        """The bundle's model; every byte of the bundle has been checked. Raises BundleError."""
        if self._model is None:
            self._model = bundles.load(self.bundle(), self.options.expect)
            self.log.write(Event.BUNDLE_ACCEPTED, digest=self._model.digest, folds=len(self._model.folds))
        return self._model

    def model_if_any(self) -> "LoadedModel | None":
        """The bundle's model; None where none is mounted. BundleError for one that is refused."""
        if self.options.bundle is None and not bundles.is_there(self.options.root):
            return None
        return self.model()

    def recipe(self) -> "Recipe":
        """How images are to be read: as the bundle's model does, else with the channels that were named.

        Raises BundleError where neither is known.
        """
        from .plain import plain_recipe

        model = self.model_if_any()
        if model is None and self.options.channels:
            return plain_recipe(self.options.channels)
        return (model or self.model()).recipe

    def predictor(self, model: "LoadedModel") -> "Predictor":
        """The model on this machine."""
        from ..predict.predictor import Predictor

        options = self.options
        how = {"device": options.device, "precision": options.precision, "fast": options.fast}
        made = Predictor(model, **how, max_ram=options.max_ram, max_vram=options.max_vram)  # type: ignore[arg-type]
        precision, engine = made.runner.precision.name, made.runner.uses_engine
        self.log.write(Event.DEVICE_READY, device=made.device.type, precision=precision, engine=engine)
        return made

    def cases(self, mode: Mode, recipe: "Recipe", target: Path | None = None) -> list["Case"]:
        """The inputs, none of which an output would replace.

        target: folder of the outputs; None: that of the label maps.
        """
        from ..predict.files.writing import require_apart

        if self._cases is None:
            self._cases = mode.find(recipe)
            self.log.write(Event.CASES_FOUND, cases=len(self._cases))
        require_apart(self._cases, target or mode.target(self._cases[0].name).parent, recipe)
        return self._cases

    # ---- what it leaves behind

    def keep_log(self, mode: Mode) -> None:
        """Have the log in the output, too, where the mode has one. SetupError where nothing can be written."""
        if not mode.records or self._keeps:
            return
        try:
            self.log.keep_in(mode.output / LOG)
        except OSError as error:
            raise SetupError("Nothing can be written to the output.", "Mount a folder of this user.") from error
        self._keeps = True

    def count(self, written: int, failed: int, left: int = 0) -> None:
        """Note what became of the cases; the first step that counts is the one that is told in the end."""
        if self.counts is None:
            self.counts = Counts(written, failed, left)

    def close(self, code: ExitCode, seconds: float) -> None:
        """The last lines of record and log."""
        if self.record is not None and self.record.exit_code != code:
            self.record.exit_code = code
            with suppress(OSError, MedMambaError):  # a full disk, which the exit code tells
                self.record.write()
        counts = self.counts or Counts()
        told: dict[str, Any] = {"written": counts.written, "failed": counts.failed, "left": counts.left}
        self.log.write(Event.FINISHED, exit_code=int(code), **told, seconds=round(seconds, 3))
        self.log.close()

    def debug(self, error: BaseException) -> None:
        """Show where an error comes from, to those who asked for it."""
        if self.options.debug:
            self.screen.complain("".join(traceback.format_exception(error)))
