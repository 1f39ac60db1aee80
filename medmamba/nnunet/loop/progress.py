"""Where a run stands between two training steps, beyond what nnU-Net's checkpoints say."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Progress:
    """Kept in every checkpoint, so that a run goes on at the very step at which it stood.

    Everything random in a run is a function of `seed` and of the place in it (`medmamba.nnunet.loop.stream`), so no
    state of a random generator has to be kept.
    """

    seed: int = 0
    steps: int = 0
    """Training steps done in the epoch that is going on."""
    losses: list[float] = field(default_factory=list)
    """Of these steps, in this process."""
    seconds: float = 0.0
    """Spent on the epoch that is going on."""
    waited: float = 0.0
    """Of these, waiting for data."""
    precision: str = ""
    """The number format in use: fp32, bf16 or fp16; empty before it is chosen."""
    rate_factor: float = 1.0
    """By which the sentinel has lowered the learning rate."""
    strikes: int = 0
    """How often numbers ceased to be finite."""
    quiet_epochs: int = 0
    """Epochs since the last time."""

    def begin_epoch(self) -> None:
        """Forget the epoch that is over."""
        self.steps, self.losses, self.seconds, self.waited = 0, [], 0.0, 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values only, as the safe reader of checkpoints takes them."""
        return asdict(self)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Progress":
        """What `as_dict` gave; keys of other versions are passed over."""
        known = {key: value for key, value in content.items() if key in cls.__dataclass_fields__}
        return cls(**known)
