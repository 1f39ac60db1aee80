"""One DICOM segmentation for a label map and the series that it was made from."""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import ConfigError, DataError, SetupError
from ..files import replacing
from .codes import Code, Segment
from .extra import quiet, require
from .source import read_source

_SERIES = 1000
"""Added to the images' series number, so that the segmentation is listed after them."""
_LONG = 64
"""Most characters of a name in DICOM (LO)."""
_NONE = 65535
_DATED = ("ContentDate", "AcquisitionDate", "SeriesDate", "StudyDate")


@dataclass(frozen=True)
class Algorithm:
    """What made the label map."""

    name: str
    """Of model and trainer, never of a file: it leaves the house with the segmentation."""
    digest: str
    """sha256:... of the model."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further parameters, as configuration and folds."""


def write_segmentation(
    file: Path,
    labels: NDArray[Any],
    slices: Sequence[str | Path],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    seed: int | None = None,
) -> None:
    """Write a label map as a binary DICOM segmentation, whole or not at all.

    Parameters
    ----------
    labels: (z, y, x), whole numbers, each of a segment or 0. z: the slices in their order; y, x: rows and columns.
    slices: files of the series, along the slice axis, one a z.
    segments: what each value means; numbered from 1 in this order, those that are empty too, for they were looked for.
    seed: makes identifiers that follow from it and the content, and dates of the source: equal inputs give equal bytes.
        None: identifiers that never were, and the present time.

    Patient and study are those of the first slice; frames without a voxel are left out. Raises ConfigError for labels
    that do not go with slices and segments, DataError for slices that nothing can refer to, SetupError without the
    extra `dicom` and where the file cannot be written.
    """
    highdicom, _ = require()
    numbers = _numbered(labels, len(slices), segments)
    source = read_source(slices)
    if numbers.shape[1:] != (source[0].Rows, source[0].Columns):
        raise ConfigError(f"A label map of shape {numbers.shape} does not go with {source[0].Rows} rows.", "")
    with quiet():
        try:
            identifiers = _Identifiers(numbers, source, segments, algorithm, seed)
            made = _made(highdicom, numbers, source, segments, algorithm, identifiers)
        except Exception as error:  # its words may repeat values of the files
            problem = f"{Path(slices[0]).parent}: no DICOM segmentation can refer to this series"
            raise DataError(f"{problem} ({type(error).__name__} in highdicom).", "Write NIfTI label maps.") from error
        if seed is not None:
            _undated(made, source[0])
        _save(made, file)


def _numbered(labels: NDArray[Any], count: int, segments: Sequence[Segment]) -> NDArray[Any]:
    """The label map with the segments' numbers in place of their values."""
    if labels.ndim != 3 or len(labels) != count:
        raise ConfigError(f"A label map of shape {labels.shape} does not go with {count} slices.", "")
    values = [segment.value for segment in segments]
    if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ConfigError(f"Segments of the values {values} make no segmentation.", "Give each a number from 1 on.")
    table = np.full(max(*values, int(labels.max(initial=0)), 1) + 1, _NONE, np.uint16)
    table[0] = 0
    table[values] = range(1, len(values) + 1)
    numbers = table[labels]
    if (strange := numbers == _NONE).any():
        raise ConfigError(f"The label map holds {labels[strange].max()}, which is no segment.", "Name all labels.")
    return numbers.astype(np.uint8) if len(values) < 256 else numbers


class _Identifiers:
    """UIDs by purpose: new ones, or with a seed those that follow from it and all that goes into the file."""

    def __init__(
        self,
        numbers: NDArray[Any],
        source: Sequence[Any],
        segments: Sequence[Segment],
        algorithm: Algorithm,
        seed: int | None,
    ) -> None:
        self._digest = None
        if seed is not None:
            total = hashlib.sha256(json.dumps([seed, __version__, asdict(algorithm), *map(asdict, segments)]).encode())
            total.update("".join(f"{one.SOPInstanceUID}\n" for one in source).encode())
            total.update(np.ascontiguousarray(numbers).data)
            self._digest = total.digest()

    def uid(self, purpose: str) -> str:
        """2.25. and a UUID as a number, which needs no registered root."""
        if self._digest is None:
            return f"2.25.{uuid.uuid4().int}"
        content = hashlib.sha256(self._digest + purpose.encode()).digest()
        return f"2.25.{uuid.UUID(bytes=content[:16], version=5).int}"


def _made(
    highdicom: Any,
    numbers: NDArray[Any],
    source: Sequence[Any],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    identifiers: _Identifiers,
) -> Any:
    """highdicom's data set."""
    digest = algorithm.digest.removeprefix("sha256:")[:_LONG]
    made = highdicom.seg.Segmentation(
        source_images=source,
        pixel_array=numbers,
        segmentation_type="BINARY",
        segment_descriptions=_described(highdicom, segments, algorithm),
        series_instance_uid=identifiers.uid("series"),
        series_number=_SERIES + int(source[0].get("SeriesNumber") or 0),
        sop_instance_uid=identifiers.uid("instance"),
        instance_number=1,
        manufacturer="medmamba",
        manufacturer_model_name=_name(algorithm.name),
        software_versions=[digest, f"medmamba {__version__}"],
        device_serial_number=digest,
        content_label="SEGMENTATION",
        content_description=_name(algorithm.name),
        series_description="medmamba segmentation",
        omit_empty_frames=bool(numbers.any()),  # a file without any frame is none
    )
    organization = identifiers.uid("dimensions")
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for index in made.DimensionIndexSequence:
        index.DimensionOrganizationUID = organization
    return made


def _described(highdicom: Any, segments: Sequence[Segment], algorithm: Algorithm) -> list[Any]:
    from pydicom.sr.codedict import codes

    settings = {"model": algorithm.digest, **algorithm.settings}
    identification = highdicom.AlgorithmIdentificationSequence(
        name=_name(algorithm.name),
        family=codes.DCM.ArtificialIntelligence,
        version=f"medmamba {__version__}",
        parameters={_plain(key): _plain(value) for key, value in settings.items()},
    )
    found = []
    for number, segment in enumerate(segments, start=1):
        one = highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=_name(segment.name),
            segmented_property_category=_coded(highdicom, segment.category),
            segmented_property_type=_coded(highdicom, segment.kind),
            algorithm_type="AUTOMATIC",
            algorithm_identification=identification,
        )
        if segment.side is not None:
            kind = one.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = [_coded(highdicom, segment.side)]
        found.append(one)
    return found


def _coded(highdicom: Any, code: Code) -> Any:
    scheme, value, meaning = code
    return highdicom.sr.CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def _plain(text: str) -> str:
    """Text that every character set of DICOM has, in one value."""
    return text.encode("ascii", "replace").decode().replace("\\", "/")


def _name(text: str) -> str:
    return _plain(text)[:_LONG].strip()


def _undated(made: Any, source: Any) -> None:
    """Take out what tells when the file was made: its content is dated as its images are."""
    date = next((name for name in _DATED if source.get(name)), None)
    made.ContentDate = source[date].value if date else "19000101"
    time = None if date is None else source.get(date.replace("Date", "Time"))
    made.ContentTime = time or "000000"
    for name in ("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime"):
        if name in made:
            del made[name]
    for equipment in made.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime


def _save(made: Any, file: Path) -> None:
    try:
        with replacing(file, durable=True) as temporary:
            made.save_as(temporary)
    except OSError as error:
        problem = f"{file} could not be written: {os.strerror(error.errno) if error.errno else 'the disk failed'}."
        raise SetupError(problem, "Make room on the disk, or choose another output folder.") from error
