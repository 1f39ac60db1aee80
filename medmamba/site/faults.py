"""What can be wrong, as a closed list: a code, a sentence and a remedy, without any name or value.

An error's own text names files. It is looked through for words that are ours, and what is told is the entry of this
list that they belong to.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from ..data.check.findings import KINDS
from ..errors import BundleError, ConfigError, DataError, SetupError
from .exits import ExitCode, code_of


@dataclass(frozen=True)
class Fault:
    """One thing that can be wrong."""

    sentence: str
    remedy: str
    phrase: str = ""
    """Words of ours by which an error or a warning is known; empty: by its type."""

    def __str__(self) -> str:
        """For people."""
        return f"{self.sentence} {self.remedy}"


_AGAIN = "Copy the series again."
_CONVERT = "Convert the series to NIfTI, or export it again."
_BUNDLE = "Get the bundle again from where it was made."
_IMAGES = {
    "channel-missing": Fault("A channel is missing.", "Add its file; `describe` tells the names.", "lacks channel"),
    "channel-too-many": Fault("There are too many channels.", "Remove what is not of this case.", "too many"),
    "no-images": Fault("There is no image.", "Look whether the right folder is mounted.", "No image to predict"),
    "same-case": Fault("Two inputs are the same case.", "Rename one of them.", "are both c"),
    "name-not-utf8": Fault("A file's name is not UTF-8.", "Rename the file.", "is not UTF-8"),
    "sockets": Fault("The sockets do not fit the model.", "Name them with --socket CHANNEL=SLUG.", "The sockets"),
    "dicom-missing-slices": Fault("DICOM slices are missing.", _AGAIN, "slices missing or unevenly apart"),
    "dicom-double-slices": Fault("Two DICOM slices lie at one place.", "Split the series.", "two slices at one place"),
    "dicom-sizes": Fault("DICOM slices are of several sizes.", _CONVERT, "slices of several sizes"),
    "dicom-turned": Fault("DICOM slices are turned.", "Take localisers out.", "slices of several orientations"),
    "dicom-tilted": Fault("The gantry was tilted.", _CONVERT, "with a tilted gantry"),
    "dicom-frames": Fault("A DICOM file has many frames.", _CONVERT, "is a multi-frame DICOM file"),
    "dicom-colour": Fault("A DICOM file is a colour picture.", "Give another series.", "is a DICOM picture in colour"),
    "dicom-several": Fault("A folder holds several series.", "Give each its own folder.", "DICOM series:"),
    "dicom-none": Fault("There is no DICOM image that can be read.", _AGAIN, "no DICOM image that can be read"),
    "dicom-slice": Fault("A DICOM slice cannot be read.", _AGAIN, "slice of the series that cannot be read"),
    "dicom-pixels": Fault("DICOM pixels cannot be decoded.", _AGAIN, "whose pixels cannot be decoded"),
    "dicom-spacing": Fault("DICOM pixels have no size.", _CONVERT, "has a pixel spacing of zero"),
    "dicom-headers": Fault("DICOM headers lack a place.", _CONVERT, "Is it a volume's slice"),
    "too-small": Fault("The image is too small for the network.", "Is it a whole scan?", "along one axis that is less"),
    "not-finite-output": Fault("The network's output is not finite.", "Try --precision fp32.", "output for"),
    "unusable": Fault("The image cannot be used.", "Look at it with a viewer, and export it again."),
}
_PAIRS = {
    "no-references": Fault("There are no reference labels.", "See `describe`.", "no reference labels"),
    "same-reference": Fault("Two label files are of one case.", "Keep one.", "are both of one case"),
    "no-prediction": Fault("There is no prediction.", "Predict the case first.", "There is no prediction"),
    "no-predictions": Fault("Nothing could be scored.", "Look at the cases' own faults.", "could be scored"),
    "pair-shape": Fault("Prediction and reference differ in size.", "Predict from the reference's image.", " voxels, "),
    "pair-grid": Fault("The labels do not lie on one grid.", "Find out which header is right.", "do not lie on one"),
    "pair-values": Fault("There are undeclared label values.", "Is --raw-labels right?", "does not declare"),
    "label-image": Fault("Labels and image do not lie on one grid.", "Draw them on this image.", "another grid than"),
    "label-fractions": Fault("Labels are no whole numbers.", "Give a label map.", "no label map"),
    "not-a-series": Fault("The case is no DICOM series.", "Leave --output-format away.", "is no DICOM series"),
    "dicom-source": Fault("No segmentation can refer to this series.", "Write NIfTI.", "can refer to"),
    "dicom-segmentation": Fault(
        "The segmentation cannot be read.", "Write it again.", "no DICOM segmentation that can"
    ),
}
_MACHINE = {
    "memory": Fault("The memory does not suffice.", "Give the container more, or raise --max-ram.", "of memory and"),
    "gpu-memory": Fault("The GPU's memory does not suffice.", "Try --device cpu.", "does not fit on"),
    "disk-full": Fault("The disk is full.", "Make room where the output goes.", "The disk of"),
    "output-not-writable": Fault("Nothing can be written.", "Mount a folder of this user.", "can be written to"),
    "device-unknown": Fault("There is no such device.", "Try --device cpu.", "There is no device"),
    "device-missing": Fault("The device is not there.", "Give the container the GPU.", "is not available here"),
    "dicom-packages": Fault("The extra `dicom` is missing.", "Take an image that has it.", "DICOM segmentations need"),
    "resources": Fault("The machine lacks something.", "`--debug` shows what."),
}
_BUNDLES = {
    "bundle-missing": Fault("There is no bundle.", "Mount one at /model, or give --bundle.", "There is no bundle"),
    "bundle-altered": Fault("The bundle was altered.", _BUNDLE, "was altered"),
    "bundle-extra": Fault("The bundle holds a foreign file.", _BUNDLE, "that no bundle has"),
    "bundle-unlisted": Fault("The bundle holds an unlisted file.", _BUNDLE, "its manifest does not list"),
    "bundle-truncated": Fault("The bundle is cut off.", _BUNDLE, "its manifest says"),
    "bundle-incomplete": Fault("The bundle is incomplete.", _BUNDLE, "which its manifest lists"),
    "bundle-digest": Fault("The bundle is not the expected one.", "Ask its maker.", "is not the expected one"),
    "bundle-channels": Fault("The bundle is for other images.", "Give another bundle.", "The bundle's channels"),
    "bundle-computes": Fault("The self-test fails.", "Try --device cpu --precision fp32.", "computes something else"),
    "bundle-refused": Fault("The bundle is refused.", _BUNDLE),
}
_WARNINGS = {
    "no-hounsfield": Fault("A CT without air: is the intercept applied?", "Look at it.", "where air is -1000 HU"),
    "one-value": Fault("Every voxel has one value.", "Look whether it is the right file.", "every voxel is"),
    "one-slice": Fault("The series has one slice.", "Look whether it is whole.", "holds one slice"),
    "rounded-positions": Fault("Slice positions are rounded.", "They are taken for even.", "positions are rounded"),
    "passed-over": Fault("DICOM files without image were passed over.", "", "were passed over"),
    "spacing-differs": Fault("Header fields differ in the voxel size.", "Look at its header.", "pixdim"),
    "channels-rounding": Fault("Channels differ by rounding.", "", "voxel edges"),
    "gpu-fell-back": Fault("The GPU's memory was not enough; slower ways were taken.", "", "GPU's memory was not"),
    "precision-fell-back": Fault("float16 was not enough; fp32 was taken.", "", "float16 output is not finite"),
    "engine-unknown": Fault("Plain torch runs this network.", "", "CPU engine does not know"),
    "other-warning": Fault("There is a warning.", "`medmamba predict` shows its words."),
}
_PROGRAM = {
    "arguments": Fault("The arguments cannot be used.", "See `describe` and `--help`."),
    "parameters": Fault("The parameters file cannot be used.", "`describe` lists its keys.", "The parameters file"),
    "mode-verb": Fault("This mode has no such verb.", "`describe` lists them.", "has no such verb"),
    "no-scores": Fault("These labels are objects and cannot be scored.", "Leave --raw-labels away.", "are objects"),
    "site-key": Fault("The site's key cannot be used.", "Give a file of 16 bytes or more.", "site key"),
    "internal": Fault("The program failed.", "`--debug` shows where."),
}


def _of_files() -> dict[str, Fault]:
    """What the check of datasets can find in a file, in its words."""
    return {
        kind: Fault(
            f"{entry.title}.",
            entry.remedy if "nnU-Net" not in entry.remedy and "json" not in entry.remedy else "Export the image again.",
            f"cannot be used: {entry.title}",
        )
        for kind, entry in KINDS.items()
        if not kind.startswith(("json", "label"))
    }


FAULTS: dict[str, Fault] = {**_of_files(), **_IMAGES, **_PAIRS, **_MACHINE, **_BUNDLES, **_PROGRAM, **_WARNINGS}
"""All that can be told, by code."""
_DEFAULTS = ((BundleError, "bundle-refused"), (DataError, "unusable"), (ConfigError, "arguments"))
_SPACE = (errno.ENOSPC, errno.EDQUOT)


def fault_of(error: BaseException) -> str:
    """The code of what an error says."""
    if any(getattr(one, "errno", None) in _SPACE for one in _chain(error)):
        return "disk-full"
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, PermissionError):
        return "permission"
    text = str(getattr(error, "problem", ""))
    tables = {
        ExitCode.BUNDLE: (_BUNDLES,),
        ExitCode.INPUT: (_of_files(), _IMAGES, _PAIRS),
        ExitCode.RESOURCES: (_MACHINE,),
        ExitCode.USAGE: (_PROGRAM,),
    }.get(code_of(error), ())
    for table in tables:
        if found := _in(table, text):
            return found
    if isinstance(error, SetupError):
        return "resources"
    if isinstance(error, OSError):
        return "unreadable"
    return next((code for kind, code in _DEFAULTS if isinstance(error, kind)), "internal")


def warning_of(text: str) -> str:
    """The code of a warning's sentence."""
    return _in(_WARNINGS, text) or "other-warning"


def _in(table: dict[str, Fault], text: str) -> str:
    text = text.casefold()
    return next((code for code, one in table.items() if one.phrase and one.phrase.casefold() in text), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
