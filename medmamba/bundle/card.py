"""bundle.json: what a bundle's model is, where it comes from and what it is for."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .layout import SCHEMA, refused


def _printable(text: str) -> str:
    if not text.isprintable():  # it is shown on terminals
        raise ValueError("it holds characters that cannot be printed")
    return text


Text = Annotated[str, Field(max_length=4000), AfterValidator(_printable)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Fold = Annotated[str, Field(pattern=r"^([0-9]{1,3}|all)$")]
LabelValue = Annotated[int, Field(ge=0, le=65535)]


class Registration(BaseModel):
    """What using a registration network takes: see `medmamba.register.network.Use`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    spacing: list[Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]] = Field(min_length=3, max_length=3)
    """mm along X, Y, Z."""
    size: list[Annotated[int, Field(ge=1, le=1024)]] = Field(min_length=3, max_length=3)
    """Voxels along X, Y, Z."""
    modalities: list[Literal["ct", "mri"]] = Field(min_length=2, max_length=2)
    """Of the fixed and of the moving image."""
    passes: int = Field(ge=1, le=8)
    smoothing: float = Field(0.0, ge=0, le=10, allow_inf_nan=False)
    features: bool
    labels: dict[Name, LabelValue]


class Card(BaseModel):
    """The content of bundle.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_version: Annotated[int, Field(ge=SCHEMA, le=SCHEMA)] = SCHEMA
    name: Name
    version: Name = "1"
    task: Literal["seg", "reg"] = "seg"
    network: Name | None = None
    """One of `medmamba.networks.names()`; None for a network that is not ours."""
    network_class: Name
    """Full name of the class."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """The network's own; those of a segmentation network with its plans."""
    registration: Registration | None = None
    """Of a registration network that was trained here; an imported one comes without."""
    configuration: Name | None = None
    """nnU-Net's: 3d_fullres."""
    previous_stage: Name | None = None
    trainer: Name = ""
    precision: Name | None = None
    folds: list[Fold] = Field(min_length=1)
    mirror_axes: list[Annotated[int, Field(ge=0, le=2)]] | None = None
    channels: list[Name] = Field(default_factory=list)
    labels: dict[Name, LabelValue | list[LabelValue]] = Field(default_factory=dict)
    regions_class_order: list[LabelValue] | None = None
    label_map: dict[Name, Any] | None = None
    """The way back from these labels to the values of the dataset that the model was trained on."""
    intended: Text = ""
    """For what images, in words: MR brain."""
    training_data: list[Text] = Field(default_factory=list)
    licence: Text = ""
    seeds: dict[Name, int] = Field(default_factory=dict)
    """Fold -> seed of its training."""
    metrics: dict[Name, dict[Name, float | None]] = Field(default_factory=dict)
    """Fold -> label -> mean Dice of its validation cases."""
    origin: Text = ""
    """For an imported checkpoint: whose it is."""
    software: dict[Name, Name] = Field(default_factory=dict)
    notes: list[Text] = Field(default_factory=list)


def read_card(content: Mapping[str, Any], name: str) -> Card:
    """The card in a JSON object. BundleError names the entry that is wrong."""
    version = content.get("schema_version")
    if type(version) is int and version > SCHEMA:
        raise refused(f"is of a later form ({version}) than this version knows", "Install a later medmamba.")
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise refused(f"has a {name} with a wrong entry: {key}: {first['msg']}") from error
