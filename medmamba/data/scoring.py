"""Rules by which the organisers of a dataset score, as its card states them."""

from pydantic import BaseModel, ConfigDict, Field


class LesionRules(BaseModel):
    """Lesion-wise scores (`medmamba.evaluate.lesions`). The defaults are those of BraTS 2023 glioma."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dilation: int = Field(default=3, ge=0)
    """Steps by which lesions are dilated to find what belongs to them."""
    min_volume: float = Field(default=50, ge=0)
    """mm3 (mm2 in pictures); lesions of the reference up to this are left out."""
    penalty: float | None = Field(default=None, gt=0)
    """mm that a missed or a false lesion counts in HD95; without it the diagonal of the image."""
