from dataclasses import replace

import pytest
import torch

from medmamba.bench.subjects import PLAIN, SUBJECTS, Subject, plain_for, strides_for, subject
from medmamba.errors import ConfigError
from medmamba.networks import names


def parameters(one: Subject, mixer: str = "mamba") -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in one.build(mixer).parameters())


def test_every_network_is_there() -> None:
    assert tuple(one.name for one in SUBJECTS) == names()


def test_sizes_are_those_of_the_papers_plans() -> None:
    assert parameters(subject("umamba-enc")) == 42_842_798
    assert parameters(subject("umamba-bot")) == 41_945_158
    assert parameters(plain_for(subject("umamba-enc"))) == 30_713_158
    cube = Subject(PLAIN, (128, 128, 128), 4, 3)
    assert parameters(cube) == 31_198_991
    assert parameters(replace(cube, name="umamba-enc")) == 42_754_415


def test_the_twin_has_no_scan() -> None:
    enc = subject("umamba-enc")
    assert parameters(enc, "conv") < parameters(enc)


def test_patches_by_name_and_number() -> None:
    assert subject("segmamba").at("paper").patch == (128, 128, 128)
    assert subject("segmamba").at("small").patch == (64, 64, 64)
    assert subject("umamba-enc").at("96").patch == (96, 96, 96)
    assert subject("vivim").at("96").patch == (5, 96, 96)
    with pytest.raises(ConfigError, match="'huge' is no patch size"):
        subject("segmamba").at("huge")


@pytest.mark.parametrize(("patch", "pooled"), [((96, 96, 96), (32, 32, 32)), ((5, 256, 256), (1, 32, 32))])
def test_six_stages_as_far_as_axes_allow(patch: tuple[int, ...], pooled: tuple[int, ...]) -> None:
    strides = strides_for(patch)
    assert len(strides) == 6 and strides[0] == (1, 1, 1)
    whole = torch.tensor(strides).prod(0)
    assert tuple(whole.tolist()) == pooled


def test_registration_takes_two_images_and_its_unet_both_at_once() -> None:
    morph = replace(subject("mambamorph"), patch=(16, 16, 16))
    assert [tuple(x.shape) for x in morph.inputs(2, torch.device("cpu"))] == [(2, 1, 16, 16, 16)] * 2
    assert (plain_for(morph).channels, plain_for(morph).classes) == (2, 3)


def test_an_unknown_network_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="There is no network 'nothing'"):
        subject("nothing")
