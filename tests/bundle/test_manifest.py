import hashlib

from medmamba.bundle.manifest import Entry, Manifest, digest, read_manifest


def test_round_trip() -> None:
    files = {"plans.json": Entry("a" * 64, 3), "bundle.json": Entry("b" * 64, 0)}
    raw = Manifest(files, "2026-01-31T12:00:00Z").serialise()
    assert read_manifest(raw) == Manifest(files, "2026-01-31T12:00:00Z")
    assert raw == Manifest(dict(reversed(files.items())), "2026-01-31T12:00:00Z").serialise()
    assert raw.index(b"bundle.json") < raw.index(b"plans.json")


def test_the_digest_is_what_sha256sum_says() -> None:
    assert digest(b"abc") == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
