"""What the container can be asked to do."""

import json
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..errors import BundleError, ConfigError, SetupError
from . import bundles
from .arguments import Options
from .contract import contract
from .events import Event
from .exits import ExitCode, code_of, code_of_run
from .faults import fault_of, warning_of
from .log import Log
from .modes import Mode, detect
from .pseudonyms import Pseudonyms, write_private_list
from .streams import Screen

if TYPE_CHECKING:
    from ..predict.files.cases import Case
    from ..predict.predictor import Predictor
    from ..predict.recipe import LoadedModel
    from .record import CaseResult, Record

LOG, PRIVATE = "log.jsonl", "private/cases.csv"


class Session:
    """One run: its options, its log and what it has found so far."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self.options, self.screen, self.log = options, screen, Log(screen)
        self.written = self.failed = self.left = 0
        """Cases, for the last line of the log."""

    def begin(self) -> Mode:
        """Say what is going on. Raises ConfigError for options that do not go together."""
        options = self.options
        self.log.write(Event.STARTED, verb=options.verb, version=__version__)
        mode, how = detect(options)
        self.log.write(Event.MODE_CHOSEN, mode=mode.name, how=how)
        if not mode.records and (options.resume or options.private_list or options.names_in_report):
            raise ConfigError("This mode writes nothing but predictions.", "Leave these options away.")
        if options.resume and options.site_key is None:
            raise ConfigError("Only a site key tells which cases are done.", "Give --site-key with --resume.")
        return mode

    def model(self) -> "LoadedModel":
        """The bundle's model; every byte of the bundle has been checked. Raises BundleError."""
        model = bundles.load(bundles.find(self.options.bundle, self.options.root), self.options.expect)
        self.log.write(Event.BUNDLE_ACCEPTED, digest=model.digest, folds=len(model.folds))
        return model

    def predictor(self, model: "LoadedModel") -> "Predictor":
        """The model on this machine."""
        from ..predict.predictor import Predictor

        options = self.options
        how = {"device": options.device, "precision": options.precision, "fast": options.fast}
        made = Predictor(model, **how, max_ram=options.max_ram, max_vram=options.max_vram)  # type: ignore[arg-type]
        precision, engine = made.runner.precision.name, made.runner.uses_engine
        self.log.write(Event.DEVICE_READY, device=made.device.type, precision=precision, engine=engine)
        return made

    def cases(self, mode: Mode, model: "LoadedModel") -> list["Case"]:
        """The inputs, none of which an output would replace."""
        from ..predict.files.writing import require_apart

        found = mode.find(model.recipe)
        self.log.write(Event.CASES_FOUND, cases=len(found))
        require_apart(found, mode.target(found[0].name).parent, model.recipe)
        return found

    def debug(self, error: BaseException) -> None:
        """Show where an error comes from, to those who asked for it."""
        if self.options.debug:
            self.screen.complain("".join(traceback.format_exception(error)))


def describe(session: Session) -> ExitCode:
    """Print the contract."""
    session.screen.say(json.dumps(contract(), indent=2))
    return ExitCode.OK


def selftest(session: Session) -> ExitCode:
    """Have the model predict the bundle's own image, and compare."""
    from ..bundle.verify import verify

    options = session.options
    session.begin()
    model = session.model()
    test = verify(
        bundles.find(options.bundle, options.root),
        model.digest,
        self_test=True,
        device=options.device,
        precision=options.precision,
    ).self_test
    if test is None:
        raise BundleError("The bundle has no self-test.")
    found: dict[str, Any] = {"logits": round(test.logits, 6), "voxels": round(test.voxels, 6)}
    session.log.write(Event.SELF_TEST_PASSED, identical=test.identical, **found)
    return ExitCode.OK


def check(session: Session) -> ExitCode:
    """Read every input to its end and reckon its memory; nothing is written."""
    mode = session.begin()
    model = session.model()
    cases, predictor, names = session.cases(mode, model), session.predictor(model), _names(session)
    failed = []
    for case in cases:
        pseudonym = names.of_case(case.name)
        try:
            shape, spacing, warnings = _looked_at(case, predictor)
        except Exception as error:
            session.debug(error)
            failed.append(code_of(error))
            session.log.write(Event.CASE_FAILED, pseudonym, error=type(error).__name__, fault=fault_of(error))
        else:
            session.log.write(Event.CASE_GOOD, pseudonym, shape=shape, spacing=spacing, warnings=warnings)
    session.failed = len(failed)
    return max(failed, key=lambda code: code == ExitCode.INPUT, default=ExitCode.OK)


def _looked_at(case: "Case", predictor: "Predictor") -> tuple[list[int], list[float], list[str]]:
    """Shape (z, y, x), spacing and codes of warnings of a case that can be segmented here."""
    from ..predict.files import images
    from ..predict.files.headers import probe

    predictor.plan(probe(case, predictor.recipe), case.name)
    image = images.read(case, predictor.recipe)
    told = list(dict.fromkeys(map(warning_of, image.warnings)))
    return list(map(int, image.data.shape[1:])), [round(float(size), 6) for size in image.spacing], told


def infer(session: Session) -> ExitCode:
    """Segment every case."""
    mode = session.begin()
    names = _names(session)
    if mode.records:
        _keep_log(session, mode)
    model = session.model()
    cases, predictor = session.cases(mode, model), session.predictor(model)
    record = _segment(session, mode, cases, predictor, names)
    session.written, session.failed, session.left = record.written, len(record.failed), record.left
    record.exit_code = code_of_run(record.written, [case.code for case in record.failed], record.left)
    missing = [case for case in record.cases if case.status != "failed" and not mode.target(case.name).is_file()]
    if missing and record.exit_code == ExitCode.OK:  # somebody else removed it
        record.exit_code = ExitCode.SOME_FAILED
    record.write()
    return record.exit_code


def _names(session: Session) -> Pseudonyms:
    return Pseudonyms.of(session.options.site_key)


def _keep_log(session: Session, mode: Mode) -> None:
    try:
        session.log.keep_in(mode.output / LOG)
    except OSError as error:
        raise SetupError("Nothing can be written to the output.", "Mount a folder of this user.") from error


def _segment(
    session: Session, mode: Mode, cases: Sequence["Case"], predictor: "Predictor", names: Pseudonyms
) -> "Record":
    """The record of all cases, or of those that were reached before the process was asked to stop."""
    from ..stopping import stop_requests
    from .record import Record, machine, recorded
    from .work import Work

    options, digest = session.options, predictor.model.digest
    done = recorded(mode, digest, options) if options.resume else frozenset()
    files = names.of_files(file for case in cases for file in case.files)
    record = Record(mode, options, digest, machine(predictor), files, len(cases))
    record.write()
    raw = predictor.model.label_map is not None and (mode.raw_labels or options.raw_labels)
    if options.raw_labels and not raw:
        raise ConfigError("The bundle does not know the labels of its dataset.", "Leave --raw-labels away.")
    with stop_requests() as stop:
        work = Work(predictor, mode, names, raw, done, stop, session.debug)
        for result in work.results(cases, lambda case: session.log.write(Event.CASE_STARTED, case)):
            _tell(session.log, result)
            record.cases.append(result)
            record.write()
        if stop:
            session.log.write(Event.STOP_ASKED, signal=stop.name)
    if options.private_list:
        write_private_list(mode.output / PRIVATE, {case.pseudonym: case.name for case in record.cases})
    return record


def _tell(log: Log, result: "CaseResult") -> None:
    if result.status == "failed":
        log.write(Event.CASE_FAILED, result.pseudonym, error=result.error, fault=result.fault)
    elif result.status == "kept":
        log.write(Event.CASE_KEPT, result.pseudonym)
    else:
        log.write(Event.CASE_WRITTEN, result.pseudonym, **result.numbers())


STEPS: tuple[Callable[[Session], ExitCode], ...] = (infer,)
"""What `run` does, in order, as far as each ends well."""


def run(session: Session) -> ExitCode:
    """All that the inputs allow."""
    code = ExitCode.OK
    for step in STEPS:
        code = step(session)
        if code != ExitCode.OK:
            break
    return code


BY_NAME: dict[str, Callable[[Session], ExitCode]] = {
    "describe": describe,
    "check": check,
    "infer": infer,
    "selftest": selftest,
    "run": run,
}
