"""What a check of a dataset can find: every kind with its weight and its remedy, and the report of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...errors import DataError
from .geometry import TOLERANCE

Severity = Literal["error", "warning"]
"""error: nnU-Net stops on it, or learns something wrong from it. warning: may be meant so; a person should look."""


@dataclass(frozen=True)
class Kind:
    """One kind of problem."""

    title: str
    severity: Severity
    remedy: str


def _errors(table: Mapping[str, tuple[str, str]]) -> dict[str, Kind]:
    return {kind: Kind(title, "error", remedy) for kind, (title, remedy) in table.items()}


def _warnings(table: Mapping[str, tuple[str, str]]) -> dict[str, Kind]:
    return {kind: Kind(title, "warning", remedy) for kind, (title, remedy) in table.items()}


_AGAIN = "Copy or download the file again."
_FIX = "See the difference; `medmamba datasets check ... --fix-affine` writes channel 0's geometry into the file."
_SAME_GRID = "Find out which of the two is right; resample or re-export the other. This is not repaired for you."

KINDS: dict[str, Kind] = {
    **_errors(
        {
            "json-missing": ("dataset.json is missing", "Write it; see nnU-Net's raw dataset format."),
            "json-invalid": ("dataset.json cannot be read", "Write it again as one JSON object."),
            "json-key": ("dataset.json lacks a key", "Add the key; see nnU-Net's raw dataset format."),
            "json-channels": ("channel_names in dataset.json", 'Name the channels "0", "1", ... without a gap.'),
            "json-labels": (
                "labels in dataset.json",
                "Use name -> value: background 0, then 1, 2, ... without a gap.",
            ),
            "json-regions": ("regions in dataset.json", "Give regions_class_order one label value for each region."),
            "json-count": ("numTraining in dataset.json", "Set it to the number of training cases, or add the cases."),
            "json-ending": ("file_ending in dataset.json", "Set it to the ending that the files have, with its dot."),
            "json-table": ("the dataset table in dataset.json", 'Each case needs "images": [...] and "label": "...".'),
            "no-cases": (
                "No training cases",
                "Put images into imagesTr as CASE_0000, labels into labelsTr as CASE.",
            ),
            "image-name": ("Image without channel number", "Rename it to CASE_0000, CASE_0001, ... and its ending."),
            "hidden-file": ("Hidden file among the images", "Delete it: nnU-Net would take it for a case."),
            "missing-file": ("File is missing", "Add the file or remove the case."),
            "missing-channel": ("Channel is missing", "Add the channel or remove the case."),
            "extra-channel": ("Channel too many", "Remove the file, or name the channel in dataset.json."),
            "no-label": ("Case without label", "Add the label or move the case to imagesTs."),
            "broken-link": ("Link to nowhere", "Bring back what it points to, or remove the link."),
            "not-a-file": ("Not a file", "Remove it, or put the file in its place."),
            "permission": ("Permission denied", "Let your user read the file (chmod, chown)."),
            "unreadable": ("Cannot be read from the disk", "Check the disk; copy the file again."),
            "empty-file": ("Empty file (0 bytes)", _AGAIN),
            "truncated": ("Truncated file", _AGAIN),
            "damaged": ("Damaged file", _AGAIN),
            "not-gzip": ("Named .gz but not gzip", "Compress it with gzip, or rename it."),
            "dicom": ("DICOM under another name", "Convert the whole series to NIfTI, for example with dcm2niix."),
            "web-page": ("A web page instead of an image", "Log in where it came from and download it again."),
            "pointer": ("A pointer instead of an image", "Fetch the content: git lfs pull, or git annex get."),
            "not-an-image": ("Not an image of its ending", "Replace it by the image, or rename it to what it is."),
            "reader-refuses": (
                "nnU-Net's image reader refuses it",
                'Write it as NIfTI-1 with three axes; or set "overwrite_image_reader_writer": "NibabelIO" (or '
                '"SimpleITKIO") in dataset.json.',
            ),
            "crash": ("Crash or too little memory", "See whether the memory suffices; write the file again."),
            "data-type": ("Voxel type that cannot be used", "Write the image with one real number a voxel."),
            "four-axes": ("Four axes", "Write one 3-D file a channel: CASE_0000, CASE_0001, ..."),
            "dimensions": ("Wrong number of dimensions", "Write the image with two or three dimensions."),
            "mixed-dimensions": ("Dimensions unlike the other cases", "Make all cases 2-D or all 3-D."),
            "spacing-invalid": ("Spacing that cannot be", "Find the true voxel size and write it into the header."),
            "spacing-disagrees": (
                "Two spacings in one header",
                "Write pixdim and sform again from the true voxel size.",
            ),
            "not-orthogonal": (
                "Sheared or degenerate axes",
                "Resample onto an orthogonal grid; a shear alone is read under "
                '"overwrite_image_reader_writer": "NibabelIO" in dataset.json.',
            ),
            "not-finite": ("NaN or infinity", "Replace them, by 0 for example, or export the image again."),
            "label-fraction": (
                "Label values with fractions",
                "Resample labels with nearest neighbour, not linearly.",
            ),
            "label-unknown": ("Label values unknown to dataset.json", "Declare the values, or renumber the label."),
            "channel-shape": ("Channels of different shape", "Resample the channels onto one grid."),
            "label-shape": ("Label and image of different shape", "Pair the right files, or resample the label."),
            "channel-geometry": ("Channels at different places", _SAME_GRID),
            "label-geometry": ("Label and image at different places", _SAME_GRID),
            "channel-spacing": ("Channel spacings that nnU-Net refuses", _FIX),
            "leak": ("Test image among the training images", "Remove one of the two: scores on it mean nothing."),
        }
    ),
    **_warnings(
        {
            "label-without-image": ("Label without image", "Add the image, or remove the label; nnU-Net skips it."),
            "other-ending": ("Image with another ending", "Convert it: nnU-Net skips it."),
            "case-names": ("Names that differ by upper and lower case only", "Rename one: on some disks they collide."),
            "fourth-axis": ("A fourth axis of length one", "Write it as a 3-D image; some readers refuse it."),
            "wide-type": ("64-bit integers", "Write it as 16 or 32 bit; many readers refuse it."),
            "sheared": ("Sheared axes", "A gantry tilt? nnU-Net takes the grid for orthogonal. Better resample it."),
            "spacing-odd": ("Implausible spacing", "Look whether the header's voxel size is in millimetres and true."),
            "forms-disagree": ("sform and qform disagree", "Readers differ in which they take. Write both the same."),
            "identity-affine": (
                "CT without a voxel size of its own",
                "The header seems lost: find the true voxel size.",
            ),
            "channel-rounding": ("Channels differ by rounding", _FIX),
            "label-rounding": ("Label and image differ by rounding", _FIX),
            "constant": ("Constant image", "Look whether the file is right."),
            "not-hounsfield": ("CT that is not in Hounsfield units", "Export it with the rescale intercept applied."),
            "label-empty": ("Label with background only", "Fine when meant so; look whether the file is right."),
            "label-never": ("Label that occurs in no case", "Remove it from dataset.json, or look for its cases."),
            "duplicate": ("Same image twice", "Keep one; else one copy may validate what the other taught."),
            "same-channels": ("Channels with the same pixels", "Look whether one was copied over the other."),
            "orientation": (
                "Orientation unlike the other cases",
                'nnU-Net ignores orientation. Reorient the files, or set "overwrite_image_reader_writer": '
                '"NibabelIOWithReorient" in dataset.json.',
            ),
            "intensity": ("Intensities unlike the other cases", "Look whether the unit or the sequence is another."),
        }
    ),
}
"""Every kind of finding, in the order in which reports list them."""


@dataclass(frozen=True)
class Finding:
    """One problem of one file, case or dataset."""

    kind: str
    """A key of KINDS."""
    case: str
    """The case's name; empty where the whole dataset is meant."""
    file: Path | None
    text: str
    """What was found, with its values. A sentence."""
    severity: Severity = field(init=False)
    remedy: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "severity", KINDS[self.kind].severity)
        object.__setattr__(self, "remedy", KINDS[self.kind].remedy)

    def as_json(self) -> dict[str, str | None]:
        """For other programs."""
        file = None if self.file is None else str(self.file)
        return {
            "kind": self.kind, "severity": self.severity, "case": self.case, "file": file,
            "text": self.text, "remedy": self.remedy,
        }  # fmt: skip


@dataclass(frozen=True)
class Rounding:
    """A file whose geometry differs from channel 0 by less than the tolerance: what may be repaired."""

    case: str
    file: Path
    reference: Path
    """Channel 0 of the case."""
    voxels: float
    """The largest distance between the places that both headers give to one voxel, in voxel edges."""
    millimetres: float
    """The same in millimetres."""


@dataclass(frozen=True)
class CheckReport:
    """All that a check found."""

    folder: Path
    training: int
    """Training cases looked at."""
    test: int
    """Test cases looked at."""
    files: int
    findings: tuple[Finding, ...]
    roundings: tuple[Rounding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that have to be mended."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that somebody should look at."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @property
    def exit_code(self) -> int:
        """0 without errors, else that of DataError."""
        return DataError.exit_code if self.errors else 0

    def by_kind(self) -> dict[str, tuple[Finding, ...]]:
        """Kind -> its findings, for those that occur."""
        return {kind: found for kind in KINDS if (found := tuple(f for f in self.findings if f.kind == kind))}

    def without(self, files: Iterable[Path]) -> "CheckReport":
        """The report after the geometry of `files` was made that of their channel 0."""
        mended = set(files)
        kinds = {"channel-rounding", "label-rounding", "channel-spacing"}
        left = tuple(f for f in self.findings if not (f.kind in kinds and f.file in mended))
        roundings = tuple(rounding for rounding in self.roundings if rounding.file not in mended)
        return CheckReport(self.folder, self.training, self.test, self.files, left, roundings)

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {
            "folder": str(self.folder),
            "cases": {"training": self.training, "test": self.test},
            "files": self.files,
            "tolerance_voxels": TOLERANCE,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "findings": [finding.as_json() for finding in self.findings],
        }
