"""MANIFEST.sig: who vouches for a bundle. 64 bytes are an Ed25519 signature, 32 an HMAC-SHA256; nothing around them.

An HMAC is made and checked with the same secret: it shows two parties that nobody else changed the bundle, and neither
of them who made it. An Ed25519 signature shows that the owner of the private key made it. Both are over MANIFEST.json
as it is, so OpenSSL can make and check them too.
"""

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import BundleError, ConfigError, SetupError

Sign = Callable[[bytes], bytes]
ED25519, HMAC = 64, 32
"""Bytes of the two kinds of signature."""
_KEY_BYTES = 64 << 10
_SECRET_BYTES = 16
_MAKE_KEYS = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub"


def signer(private_key: Path | None, secret: Path | None) -> Sign | None:
    """What signs with a PEM file's Ed25519 key, or with a file's secret; None without either.

    Raises ConfigError for both at once or a file that holds no such key, SetupError without the package for Ed25519.
    """
    if private_key is not None and secret is not None:
        raise ConfigError("A bundle has one signature.", "Give either --sign or --hmac-key.")
    if private_key is not None:
        return _private(private_key).sign
    if secret is not None:
        key = _secret(secret)
        return lambda manifest: hmac.new(key, manifest, hashlib.sha256).digest()
    return None


def check_signature(
    manifest: bytes, signature: bytes | None, public_key: Path | None = None, secret: Path | None = None
) -> str:
    """What the signature is worth, in words: of which kind, and whether it was checked.

    Raises BundleError when a key is given and the signature is missing, of the other kind, or wrong.
    """
    kinds = {ED25519: "Ed25519", HMAC: "HMAC-SHA256"}
    if signature is not None and len(signature) not in kinds:
        raise BundleError(f"MANIFEST.sig has {len(signature)} bytes and is no signature.", "Get the bundle again.")
    kind = None if signature is None else kinds[len(signature)]
    if public_key is None and secret is None:
        return "not signed" if kind is None else f"signed ({kind}), not checked: no key was given"
    wanted = "Ed25519" if public_key is not None else "HMAC-SHA256"
    if signature is None or kind != wanted:
        there = "not signed" if kind is None else f"signed with {kind}"
        raise BundleError(f"The bundle is {there}, and a key for {wanted} was given.", "Ask its maker for the other.")
    good = _verify(public_key, signature, manifest) if public_key is not None else False
    if secret is not None:
        good = hmac.compare_digest(hmac.new(_secret(secret), manifest, hashlib.sha256).digest(), signature)
    if not good:
        raise BundleError(
            f"The {kind} signature of the bundle is not of this key, or the bundle was altered.", "Do not use it."
        )
    return f"signed ({kind}), checked with {public_key or secret}"


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(_KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"The key file {file} cannot be read: {error.strerror}.", "Check the path.") from error
    if len(content) > _KEY_BYTES:
        raise ConfigError(f"{file} is too large for a key file.", "Check the path.")
    return content


def _secret(file: Path) -> bytes:
    content = _bytes(file)
    if len(content) < _SECRET_BYTES:
        raise ConfigError(
            f"The key file {file} holds {len(content)} bytes; that is too short for a secret.",
            f"Make one: openssl rand -out {file} 32",
        )
    return content


def _loading(file: Path, name: str, kind: str, *arguments: Any) -> Any:
    """A key of a PEM file by one of cryptography's functions; ConfigError when it is not of Ed25519."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise SetupError(
            "Ed25519 signatures need the package cryptography.", "Run: pip install 'medmamba[sign]'"
        ) from error
    content = _bytes(file)
    try:
        key = getattr(serialization, name)(content, *arguments)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{file} holds no {kind} in PEM form without a password.", f"Make one: {_MAKE_KEYS}"
        ) from error
    if "ed25519" not in type(key).__name__.lower():
        raise ConfigError(f"{file} holds a key of another kind than Ed25519.", f"Make one: {_MAKE_KEYS}")
    return key


def _private(file: Path) -> Any:
    return _loading(file, "load_pem_private_key", "private key", None)


def _verify(file: Path | None, signature: bytes, manifest: bytes) -> bool:
    assert file is not None
    key = _loading(file, "load_pem_public_key", "public key")
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        return False
    return True
