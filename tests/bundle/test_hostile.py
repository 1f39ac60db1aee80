"""Bundles that were made to do harm, or came to it: each is refused with its own sentence, and nothing happens."""

import io
import json
import os
import pickle
import socket
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import medmamba.bundle
from medmamba.bundle.verify import verify
from medmamba.errors import BundleError
from tests.bundle.made import change, seal, snapshot, tar

Spoil = Callable[[Path], Path | None]
"""Takes a good bundle's folder and spoils it; may return another path, where the spoilt bundle is."""
WEIGHTS = "fold_0.safetensors"
PLANS = "plans.json"
CASES: dict[str, tuple[Spoil, str]] = {}


def hostile(sentence: str) -> Callable[[Spoil], Spoil]:
    """Register a way of spoiling a bundle with the words by which it must be refused."""

    def register(spoil: Spoil) -> Spoil:
        CASES[spoil.__name__] = (spoil, sentence)
        return spoil

    return register


class Harm:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.canary}",))


def manifest(folder: Path, edit: Callable[[Any], None]) -> None:
    content = json.loads((folder / "MANIFEST.json").read_text())
    edit(content)
    (folder / "MANIFEST.json").write_text(json.dumps(content))


def in_plans(folder: Path, edit: Callable[[Any], None]) -> None:
    change(folder, PLANS, lambda plans: edit(plans["configurations"]["3d_fullres"]))


def header(folder: Path, edit: Callable[[Any], None]) -> None:
    """Edit the header of the weights; the tensors stay."""
    raw = (folder / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    content = json.loads(raw[8 : 8 + length])
    edit(content)
    new = json.dumps(content).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(new)) + new + raw[8 + length :])
    seal(folder)


# ---- files that have no place in a bundle


@hostile("it could run code")
def torch_archive_as_weights(folder: Path) -> None:
    torch.save(Harm(folder.parent / "canary"), folder / WEIGHTS)
    seal(folder)


@hostile("that is a pickle")
def pickle_as_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(Harm(folder.parent / "canary")))
    seal(folder)


@hostile("has a file 'fold_0.pth' that no bundle has")
def pickle_beside_the_weights(folder: Path) -> None:
    (folder / "fold_0.pth").write_bytes(pickle.dumps(Harm(folder.parent / "canary")))
    seal(folder)


@hostile("holds previous/plans.json, which its manifest does not list")
def extra_file(folder: Path) -> None:
    (folder / "previous").mkdir()
    (folder / "previous" / PLANS).write_text("{}")


@hostile("has a folder 'code' that no bundle has")
def extra_folder(folder: Path) -> None:
    (folder / "code").mkdir()


@hostile("lacks dataset.json, which its manifest lists")
def missing_file(folder: Path) -> None:
    (folder / "dataset.json").unlink()


@hostile("has no MANIFEST.json")
def no_manifest(folder: Path) -> None:
    (folder / "MANIFEST.json").unlink()


@hostile("holds a symbolic link, 'dataset.json'")
def symbolic_link(folder: Path) -> None:
    (folder / "dataset.json").replace(folder.parent / "elsewhere")
    (folder / "dataset.json").symlink_to(folder.parent / "elsewhere")


@hostile("holds a symbolic link, 'previous'")
def symbolic_link_to_a_folder(folder: Path) -> None:
    (folder / "previous").symlink_to("/etc")


@hostile("holds a hard link: 'fold_1.safetensors' and 'fold_0.safetensors' are one file")
def hard_link(folder: Path) -> None:
    (folder / "fold_1.safetensors").unlink()
    os.link(folder / WEIGHTS, folder / "fold_1.safetensors")


@hostile("holds 'dataset.json', which is a pipe, a socket or a device")
def pipe(folder: Path) -> None:
    (folder / "dataset.json").unlink()
    os.mkfifo(folder / "dataset.json")


@hostile("holds 'expected.json', which is a pipe, a socket or a device")
def listening_socket(folder: Path) -> None:
    (folder / "expected.json").unlink()
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)  # the name of a socket may have a hundred letters
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("expected.json")
    finally:
        os.fchdir(here)
        os.close(here)


@hostile("whose name is not UTF-8: 'fold_")
def name_that_is_not_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"fold_\xff.safetensors")).write_bytes(b"")


@hostile("has files that differ in capitals only: 'Bundle.json' and 'bundle.json'")
def names_that_differ_in_capitals(folder: Path) -> None:
    manifest(folder, lambda content: content["files"].update({"Bundle.json": content["files"]["bundle.json"]}))


@hostile("has more than 256 files")
def too_many_files(folder: Path) -> None:
    for fold in range(2, 300):
        (folder / f"fold_{fold}.safetensors").write_bytes(b"")


# ---- manifests


@hostile("was altered: plans.json")
def digest_off_by_one_byte(folder: Path) -> None:
    raw = bytearray((folder / PLANS).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / PLANS).write_bytes(raw)


@hostile("was altered: fold_0.safetensors")
def weights_off_by_one_bit(folder: Path) -> None:
    raw = bytearray((folder / WEIGHTS).read_bytes())
    raw[-1] ^= 1
    (folder / WEIGHTS).write_bytes(raw)


@hostile("bytes, and its manifest says")
def one_byte_more(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"\0")


@hostile("names '../canary', which leads out of the bundle")
def path_traversal(folder: Path) -> None:
    manifest(folder, lambda content: content["files"].update({"../canary": {"sha256": "0" * 64, "bytes": 1}}))


@hostile("names the absolute path '/etc/passwd'")
def absolute_path(folder: Path) -> None:
    manifest(folder, lambda content: content["files"].update({"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}))


@hostile("that lists itself")
def manifest_that_lists_itself(folder: Path) -> None:
    manifest(folder, lambda content: content["files"].update({"MANIFEST.json": {"sha256": "0" * 64, "bytes": 1}}))


@hostile("an impossible size, -1 bytes")
def negative_size(folder: Path) -> None:
    manifest(folder, lambda content: content["files"][PLANS].update(bytes=-1))


@hostile("NaN is no JSON number")
def size_that_is_no_number(folder: Path) -> None:
    manifest(folder, lambda content: content["files"][PLANS].update(bytes=float("nan")))


@hostile("an impossible size, 1.5 bytes")
def size_that_is_a_fraction(folder: Path) -> None:
    manifest(folder, lambda content: content["files"][PLANS].update(bytes=1.5))


@hostile("something else than a SHA-256")
def digest_of_another_kind(folder: Path) -> None:
    manifest(folder, lambda content: content["files"][PLANS].update(sha256="0" * 32))


@hostile("other entries than files and created")
def manifest_with_more_entries(folder: Path) -> None:
    manifest(folder, lambda content: content.update(run="rm -rf ~"))


@hostile("without a date of the form")
def manifest_without_a_date(folder: Path) -> None:
    manifest(folder, lambda content: content.update(created="yesterday"))


@hostile("has a MANIFEST.json of 1073741824 bytes; at most 1048576 are read")
def manifest_of_a_gigabyte(folder: Path) -> None:
    with (folder / "MANIFEST.json").open("r+b") as file:
        file.truncate(1 << 30)


@hostile("MANIFEST.sig of 65 bytes; at most 64")
def signature_that_is_too_long(folder: Path) -> None:
    (folder / "MANIFEST.sig").write_bytes(b"s" * 65)


# ---- JSON


@hostile("has a plans.json of 17000000 bytes")
def huge_json(folder: Path) -> None:
    (folder / PLANS).write_bytes(b" " * 17_000_000)
    seal(folder)


@hostile("more than 32 levels deep")
def deeply_nested_json(folder: Path) -> None:
    (folder / PLANS).write_bytes(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    seal(folder)


@hostile("a key is there twice")
def key_that_is_there_twice(folder: Path) -> None:
    (folder / PLANS).write_text('{"plans_name": "a", "plans_name": "b"}')
    seal(folder)


@hostile("1e999 is too large")
def infinite_number(folder: Path) -> None:
    (folder / PLANS).write_text('{"spacing": 1e999}')
    seal(folder)


@hostile("a number has 100000 digits")
def endless_number(folder: Path) -> None:
    (folder / PLANS).write_text('{"spacing": ' + "1" * 100_000 + "}")
    seal(folder)


@hostile("has a plans.json that is not valid JSON: Unterminated string")
def string_of_escapes_without_an_end(folder: Path) -> None:
    (folder / PLANS).write_text('{"a": "' + '\\"' * 1_000_000)
    seal(folder)


@hostile("holds no JSON object")
def list_instead_of_an_object(folder: Path) -> None:
    (folder / PLANS).write_text("[]")
    seal(folder)


@hostile("that is not valid JSON: 'utf-8' codec")
def json_that_is_no_text(folder: Path) -> None:
    (folder / PLANS).write_bytes(b'{"\xff": 1}')
    seal(folder)


# ---- bundle.json


@hostile("is of a later form (2)")
def later_form(folder: Path) -> None:
    change(folder, "bundle.json", lambda card: card.update(schema_version=2))


@hostile("wrong entry: entry_point")
def unknown_entry(folder: Path) -> None:
    change(folder, "bundle.json", lambda card: card.update(entry_point="os.system"))


@hostile("cannot be printed")
def terminal_escapes(folder: Path) -> None:
    change(folder, "bundle.json", lambda card: card.update(name="\x1b]0;owned\x07"))


@hostile("weights of other folds than bundle.json says")
def folds_that_are_not_there(folder: Path) -> None:
    change(folder, "bundle.json", lambda card: card.update(folds=["0", "1", "2"]))


@hostile("has other labels in bundle.json")
def labels_that_are_not_the_plans(folder: Path) -> None:
    change(folder, "bundle.json", lambda card: card.update(labels={"background": 0, "healthy": 1, "core": 2}))


@hostile("has other networks in bundle.json")
def network_that_is_not_the_plans(folder: Path) -> None:
    change(folder, "bundle.json", lambda card: card.update(network_class="medmamba.networks.umamba.UMambaBot"))


# ---- plans that name code, or sizes that no model has


@hostile("names 'os.system' as its network")
def os_system_as_network(folder: Path) -> None:
    in_plans(folder, lambda content: content["architecture"].update(network_class_name="os.system"))


@hostile("names 'medmamba.networks.upstream.torch.load' as its network")
def torch_load_behind_our_own_name(folder: Path) -> None:
    path = "medmamba.networks.upstream.torch.load"
    in_plans(folder, lambda content: content["architecture"].update(network_class_name=path))


@hostile("asks to import 'os.system' for its network's conv_op")
def os_system_as_layer(folder: Path) -> None:
    in_plans(folder, lambda content: content["architecture"]["arch_kwargs"].update(conv_op="os.system"))


@hostile("asks to import 'torch.nn.modules.module.torch.load' for its network's norm_op")
def torch_load_as_layer(folder: Path) -> None:
    path = "torch.nn.modules.module.torch.load"
    in_plans(folder, lambda content: content["architecture"]["arch_kwargs"].update(norm_op=path))


@hostile("asks for the normalization 'Evil'")
def foreign_normalization(folder: Path) -> None:
    in_plans(folder, lambda content: content.update(normalization_schemes=["Evil"]))


@hostile("asks for 'evil' as resampling_fn_data")
def foreign_resampling(folder: Path) -> None:
    in_plans(folder, lambda content: content.update(resampling_fn_data="evil"))


@hostile("numbers above 65536 are not taken")
def absurd_width(folder: Path) -> None:
    def widen(content: Any) -> None:
        content["architecture"]["arch_kwargs"]["features_per_stage"] = [10**9, 16, 16]

    in_plans(folder, widen)


@hostile("parameters, and its weights have")
def network_larger_than_its_weights(folder: Path) -> None:
    def widen(content: Any) -> None:
        content["architecture"]["arch_kwargs"]["features_per_stage"] = [60000] * 3

    in_plans(folder, widen)


@hostile("more layers than its weights have tensors")
def network_of_too_many_layers(folder: Path) -> None:
    def deepen(content: Any) -> None:
        content["architecture"]["arch_kwargs"]["n_conv_per_stage"] = [60000] * 3

    in_plans(folder, deepen)


@hostile("the file ending '/../../../.ssh/authorized_keys', which no image has")
def file_ending_that_leads_elsewhere(folder: Path) -> None:
    change(folder, "dataset.json", lambda dataset: dataset.update(file_ending="/../../../.ssh/authorized_keys"))


@hostile("asks for num_threads = 100000")
def a_hundred_thousand_threads(folder: Path) -> None:
    in_plans(folder, lambda content: content["resampling_fn_seg_kwargs"].update(num_threads=100000))


@hostile("has a patch size that cannot be")
def absurd_patch(folder: Path) -> None:
    in_plans(folder, lambda content: content.update(patch_size=[100000, 100000, 100000]))


@hostile("whose transpose_forward and transpose_backward do not undo each other")
def transpose_that_loses_an_axis(folder: Path) -> None:
    change(folder, PLANS, lambda plans: plans.update(transpose_forward=[0, 0, 2]))


@hostile("has a spacing that cannot be, [0, 1, 1]")
def spacing_of_zero(folder: Path) -> None:
    in_plans(folder, lambda content: content.update(spacing=[0, 1, 1]))


@hostile("plans that are not of the one configuration")
def another_configuration(folder: Path) -> None:
    change(folder, PLANS, lambda plans: plans["configurations"].update(more={}))


@hostile("has plans that cannot be used")
def plans_that_lack_something(folder: Path) -> None:
    change(folder, PLANS, lambda plans: plans.pop("transpose_forward"))


# ---- weights


@hostile("with a header of 1152921504606846976 bytes")
def oversized_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 60) + (folder / WEIGHTS).read_bytes()[8:])
    seal(folder)


@hostile("whose header is longer than the file")
def header_longer_than_the_file(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 20) + b"{}")
    seal(folder)


@hostile("takes other bytes than its shape does")
def overlapping_tensors(folder: Path) -> None:
    def overlap(content: Any) -> None:
        first, second, *_ = (key for key in content if key != "__metadata__")
        content[first]["data_offsets"] = content[second]["data_offsets"]

    header(folder, overlap)


@hostile("has sizes that are no whole numbers")
def negative_shape(folder: Path) -> None:
    header(folder, lambda content: next(iter(content.values())).update(shape=[-1]))


@hostile("has 1000 axes")
def tensor_of_a_thousand_axes(folder: Path) -> None:
    header(folder, lambda content: next(iter(content.values())).update(shape=[1] * 1000))


@hostile("is no tensor of a dtype that networks have")
def unknown_dtype(folder: Path) -> None:
    header(folder, lambda content: next(iter(content.values())).update(dtype="OBJECT"))


@hostile("with bytes that belong to no tensor")
def bytes_behind_the_tensors(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"MZ" * 100)
    seal(folder)


@hostile("it has besides the network's 1, as 'payload'")
def extra_tensor(folder: Path) -> None:
    rewrite(folder, lambda state: state.update(payload=torch.zeros(3)))


@hostile("it lacks 1, as ")
def missing_tensor(folder: Path) -> None:
    rewrite(folder, lambda state: state.pop(next(iter(state))))


@hostile("where the network has")
def tensor_of_another_shape(folder: Path) -> None:
    def reshape(state: Any) -> None:
        key = next(key for key, tensor in state.items() if tensor.dim() > 1)
        state[key] = state[key].flatten()

    rewrite(folder, reshape)


def rewrite(folder: Path, edit: Callable[[Any], None]) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / WEIGHTS)
    edit(state)
    save_file(state, folder / WEIGHTS)
    seal(folder)


# ---- archives


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@hostile("holds a symbolic link, 'fold_2.safetensors'")
def link_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("fold_2.safetensors", tarfile.SYMTYPE, "/etc/passwd"), b""))


@hostile("holds a hard link, 'fold_2.safetensors'")
def hard_link_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("fold_2.safetensors", tarfile.LNKTYPE, WEIGHTS), b""))


@hostile("holds a device, 'fold_2.safetensors'")
def device_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("fold_2.safetensors", tarfile.BLKTYPE), b""))


@hostile("holds a pipe, 'fold_2.safetensors'")
def pipe_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("fold_2.safetensors", tarfile.FIFOTYPE), b""))


@hostile("has the file plans.json twice")
def duplicate_member(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member(PLANS), b"{}"))


@hostile("differ in capitals only: 'PLANS.json' and 'plans.json'")
def capitals_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("PLANS.json"), b"{}"))


@hostile("names '../canary.json', which leads out")
def traversal_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("../canary.json"), b"{}"))


@hostile("names the absolute path '/tmp/canary.json'")
def absolute_path_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("/tmp/canary.json"), b"{}"))


@hostile("has a folder '../..' that no bundle has")
def folder_in_a_tar(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("../..", tarfile.DIRTYPE), b""))


@hostile("with an entry of kind b'x'")
def extended_header(folder: Path) -> Path:
    return tar(folder, folder.parent / "a.tar", (member("n" * 300), b"{}"), kind=tarfile.PAX_FORMAT)


@hostile("has an entry whose name is not UTF-8")
def name_that_is_not_utf8_in_a_tar(folder: Path) -> Path:
    made = tar(folder, folder.parent / "a.tar", (member("fold_222.safetensors"), b""))
    raw = made.read_bytes()
    block = raw.index(b"fold_222")
    spoilt = bytearray(raw[block : block + 512].replace(b"fold_222", b"fold_\xff\xfe2"))
    spoilt[148:156] = b" " * 8
    spoilt[148:156] = b"%06o\0 " % sum(spoilt)
    made.write_bytes(raw[:block] + spoilt + raw[block + 512 :])
    return made


@hostile("is cut off: its last file is not whole")
def truncated_tar(folder: Path) -> Path:
    made = tar(folder, folder.parent / "a.tar")
    made.write_bytes(made.read_bytes()[: made.stat().st_size // 3])
    return made


@hostile("has something behind its end")
def two_tars_in_one(folder: Path) -> Path:
    made = tar(folder, folder.parent / "a.tar")
    made.write_bytes(made.read_bytes() * 2)
    return made


@hostile("is no uncompressed .tar")
def compressed_tar(folder: Path) -> Path:
    made = folder.parent / "a.tar"
    with tarfile.open(made, "w:gz") as archive:
        archive.add(folder, ".")
    return made


@hostile("has a MANIFEST.json of 2147483648 bytes")
def tar_that_says_two_gigabytes(folder: Path) -> Path:
    large = member("MANIFEST.json")
    large.size = 1 << 31
    made = folder.parent / "a.tar"
    made.write_bytes(large.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 10240)
    return made


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str, bundle: Path) -> None:
    spoil, sentence = CASES[name]
    path = spoil(bundle) or bundle
    before = snapshot(bundle.parent)
    for use in (medmamba.bundle.load, verify):
        with pytest.raises(BundleError) as error:
            use(path)
        assert sentence in error.value.problem
        assert str(path) in error.value.problem
        assert error.value.remedy
        assert error.value.exit_code == 5
    assert snapshot(bundle.parent) == before  # nothing written, run or removed: no canary


def test_each_has_its_own_sentence() -> None:
    sentences = [sentence for _, sentence in CASES.values()]
    assert len(set(sentences)) == len(sentences)


def test_the_copy_itself_is_good(bundle: Path) -> None:
    medmamba.bundle.load(bundle)
    medmamba.bundle.load(tar(bundle, bundle.parent / "a.tar"))
    seal(bundle)
    medmamba.bundle.load(bundle)


def test_a_file_that_changes_between_listing_and_reading(bundle: Path) -> None:
    from medmamba.bundle.container import Folder

    folder = Folder(bundle)
    (bundle / PLANS).unlink()
    os.mkfifo(bundle / PLANS)  # without a reader's guard this would wait for ever
    with pytest.raises(BundleError, match="changed while it was read"):
        folder.read(PLANS)


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="There is no bundle"):
        medmamba.bundle.load(tmp_path / "none.tar")


def test_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(io.BytesIO().getvalue())
    with pytest.raises(BundleError, match=r"is no uncompressed \.tar"):
        medmamba.bundle.load(tmp_path / "a.tar")
