import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medmamba.bundle.facts import facts_of
from medmamba.bundle.packing import export
from medmamba.bundle.signing import signer
from medmamba.bundle.verify import inspect, verify
from medmamba.errors import BundleError, ConfigError, SetupError
from medmamba.predict.recipe import LoadedModel
from tests.bundle.made import tar


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """key.pem, key.pub, other.pub, rsa.pem and two secrets."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

    folder = tmp_path_factory.mktemp("keys")
    plain = form.NoEncryption()
    for name, key in (
        ("key", ed25519.Ed25519PrivateKey.generate()),
        ("other", ed25519.Ed25519PrivateKey.generate()),
        ("exchange", x25519.X25519PrivateKey.generate()),
    ):
        pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, plain)
        (folder / f"{name}.pem").write_bytes(pem)
        public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)
    (folder / "secret").write_bytes(b"0123456789abcdef")
    (folder / "short").write_bytes(b"hospital")
    return folder


def signed(model: LoadedModel, results: Path, target: Path, **key: Path | None) -> Path:
    sign = signer(key.get("private"), key.get("secret"))
    export(model, target, facts_of(model, results), sign=sign, self_test=False)
    return target


def test_ed25519(keys: Path, model: LoadedModel, results: Path, tmp_path: Path) -> None:
    bundle = signed(model, results, tmp_path / "bundle", private=keys / "key.pem")
    assert "checked with" in verify(bundle, public_key=keys / "key.pub").inspection.signature
    assert inspect(bundle).signature == "signed (Ed25519), not checked: no key was given"
    assert verify(tar(bundle, tmp_path / "a.tar"), public_key=keys / "key.pub")
    with pytest.raises(BundleError, match="is not of this key"):
        verify(bundle, public_key=keys / "other.pub")
    with pytest.raises(BundleError, match="signed with Ed25519, and a key for HMAC-SHA256"):
        verify(bundle, secret=keys / "secret")
    manifest = (bundle / "MANIFEST.json").read_text()
    (bundle / "MANIFEST.json").write_text(manifest.replace("\n}", "\n }"))
    verify(bundle)  # the files are still those of the manifest
    with pytest.raises(BundleError, match="is not of this key"):
        verify(bundle, public_key=keys / "key.pub")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_checks_the_signature_too(keys: Path, model: LoadedModel, results: Path, tmp_path: Path) -> None:
    bundle = signed(model, results, tmp_path / "bundle", private=keys / "key.pem")
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", str(keys / "key.pub")]
    given = ["-in", str(bundle / "MANIFEST.json"), "-sigfile", str(bundle / "MANIFEST.sig")]
    assert subprocess.run([*command, *given], capture_output=True, check=False).returncode == 0


def test_hmac(keys: Path, model: LoadedModel, results: Path, tmp_path: Path) -> None:
    bundle = signed(model, results, tmp_path / "bundle", secret=keys / "secret")
    assert verify(bundle, secret=keys / "secret").inspection.signature.startswith("signed (HMAC-SHA256), checked")
    with pytest.raises(BundleError, match="is not of this key"):
        verify(bundle, secret=keys / "key.pem")


def test_a_key_asks_for_a_signature(keys: Path, original: Path, bundle: Path) -> None:
    with pytest.raises(BundleError, match="is not signed, and a key for Ed25519"):
        verify(original, public_key=keys / "key.pub")
    (bundle / "MANIFEST.sig").write_bytes(b"s" * 20)
    with pytest.raises(BundleError, match="has 20 bytes and is no signature"):
        verify(bundle)


@pytest.mark.parametrize(
    ("private", "secret", "sentence"),
    [
        ("key.pub", None, "holds no private key"),
        ("secret", None, "holds no private key"),
        ("exchange.pem", None, "another kind than Ed25519"),
        ("none.pem", None, "cannot be read"),
        (None, "short", "8 bytes; that is too short"),
        ("key.pem", "secret", "has one signature"),
    ],
)
def test_other_keys(private: str | None, secret: str | None, sentence: str, keys: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        signer(private and keys / private, secret and keys / secret)  # type: ignore[arg-type]


def test_without_the_package(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(SetupError, match=r"pip install 'medmamba\[sign\]'"):
        signer(keys / "key.pem", None)
    assert signer(None, keys / "secret") is not None
