"""Looking at a bundle: all of it checked, or what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import runtime
from .card import Card
from .layout import CARD, EXPECTED, PREVIOUS, refused
from .loading import model_of, registration_of
from .opened import Bundle, opened
from .selftest import Outcome, compare
from .signing import check_signature


@dataclass(frozen=True)
class Inspection:
    """What a bundle says of itself."""

    path: Path
    digest: str
    created: str
    card: Card
    sizes: Mapping[str, int]
    """Bytes of every file."""
    signature: str
    """In words."""
    previous: Card | None = None

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {
            "path": str(self.path),
            "digest": self.digest,
            "created": self.created,
            "signature": self.signature,
            "bytes": sum(self.sizes.values()),
            "files": dict(self.sizes),
            **self.card.model_dump(),
            "previous": None if self.previous is None else self.previous.model_dump(),
        }


@dataclass(frozen=True)
class Verdict:
    """A bundle that passed."""

    inspection: Inspection
    self_test: Outcome | None = None
    """None: not asked for."""

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        test = self.self_test
        found = None if test is None else {"identical": test.identical, "logits": test.logits, "voxels": test.voxels}
        return {"verified": True, **self.inspection.as_json(), "self_test": found}


def inspect(path: str | Path, expect: str | None = None) -> Inspection:
    """What a bundle says; its JSON files are checked against the manifest, its weights are not read.

    Raises BundleError for a bundle that is refused.
    """
    with opened(Path(path), expect) as bundle:
        return _inspection(bundle, check_signature(bundle.manifest_bytes, bundle.signature))


def verify(
    path: str | Path,
    expect: str | None = None,
    public_key: Path | None = None,
    secret: Path | None = None,
    self_test: bool = False,
    device: str = "auto",
    precision: str = "auto",
) -> Verdict:
    """Check every byte of a bundle, that its weights are those of its network, and more on demand.

    Parameters
    ----------
    expect: digest that the manifest must have.
    public_key, secret: file of an Ed25519 public key, or of an HMAC's secret: the bundle must be signed with it.
    self_test: also run the model on the bundle's synthetic image and compare with what its maker got.
    device, precision: for the self-test; as predictions are run.

    Raises BundleError for a bundle that fails in any of this.
    """
    with opened(Path(path), expect) as bundle:
        signature = check_signature(bundle.manifest_bytes, bundle.signature, public_key, secret)
        inspection = _inspection(bundle, signature)
        if inspection.card.task == "reg":
            _check_registration(bundle, self_test)
            return Verdict(inspection)
        model = model_of(bundle, inspection.card.folds)
        if not self_test:
            return Verdict(inspection)
        if EXPECTED not in bundle:
            raise refused("has no self-test", "Export it again without --no-self-test.")
        return Verdict(inspection, compare(model, bundle.document(EXPECTED), runtime.device(device), precision))


def _check_registration(bundle: Bundle, self_test: bool) -> None:
    registration_of(bundle)
    if self_test:
        raise refused("registers images and has no self-test", "Leave --self-test out.")


def _inspection(bundle: Bundle, signature: str) -> Inspection:
    previous = bundle.card(PREVIOUS) if PREVIOUS + CARD in bundle else None
    card = bundle.card()
    return Inspection(bundle.path, bundle.digest, bundle.manifest.created, card, bundle.sizes(), signature, previous)
