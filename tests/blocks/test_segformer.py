import pytest
import torch
from torch.nn import functional as F

from medmamba.blocks.segformer import (
    DepthwiseMlp,
    ReducedAttention,
    SegformerBlock,
    SegformerEncoder,
    SegformerHead,
    read_checkpoint,
)
from medmamba.errors import ConfigError, DataError


def _encoder(widths=(8, 16), drop_path=0.1):
    return SegformerEncoder(3, widths, (1, 2), (1, 2), (2, 1), (2, 2), (7, 3), (4, 2), drop_path)


def test_attention_is_softmax_over_the_reduced_map():
    torch.manual_seed(0)
    layer = ReducedAttention(8, heads=2, reduction=2).double()
    x = torch.randn(1, 16, 8, dtype=torch.float64)
    reduced = layer.layer_norm(layer.sr(x.transpose(1, 2).view(1, 8, 4, 4)).flatten(2).transpose(1, 2))
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        q, k, v = layer.query(x)[..., part], layer.key(reduced)[..., part], layer.value(reduced)[..., part]
        heads.append((q @ k.transpose(1, 2) / 4**0.5).softmax(-1) @ v)
    assert torch.allclose(layer(x, (4, 4)), torch.cat(heads, -1), atol=1e-12)


def test_head_equals_the_published_order_of_operations():
    torch.manual_seed(0)
    head = SegformerHead((8, 16), 12, labels=4, dropout=0.1).double().eval()
    maps = [torch.randn(2, 8, 8, 6, dtype=torch.float64), torch.randn(2, 16, 4, 3, dtype=torch.float64)]
    up = []
    for layer, x in zip(head.linear_c, maps, strict=True):
        y = layer["proj"](x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])
        up.insert(0, F.interpolate(y, size=(8, 6), mode="bilinear", align_corners=False))
    want = F.relu(head.batch_norm(head.linear_fuse(torch.cat(up, 1))))
    assert torch.allclose(head(maps), want, atol=1e-12)


@pytest.mark.parametrize(("dims", "spatial"), [(2, (3, 4)), (3, (2, 3, 4))])
def test_mlp_keeps_the_shape_in_2d_and_3d(dims, spatial):
    tokens = torch.randn(2, torch.Size(spatial).numel(), 6)
    assert DepthwiseMlp(dims, 6, names=("fc1", "fc2"))(tokens, spatial).shape == tokens.shape


def test_gelu_is_the_exact_one():
    mlp = DepthwiseMlp(2, 1, ratio=1)
    for layer in (mlp.dense1, mlp.dense2):
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    torch.nn.init.zeros_(mlp.dwconv["dwconv"].bias)
    torch.nn.init.dirac_(mlp.dwconv["dwconv"].weight)
    assert (
        abs(mlp(torch.full((1, 1, 1), 1.5), (1, 1)).item() - 1.5 * 0.5 * (1 + torch.erf(torch.tensor(1.5 / 2**0.5))))
        < 1e-6
    )


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    block = SegformerBlock(4, 1, 1, 2, drop_path=0.5)
    dropped = block._drop(torch.ones(4000, 3, 4))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped.std(dim=(1, 2)) == 0).all()
    assert abs(dropped.mean() - 1) < 0.1
    assert torch.equal(block.eval()._drop(torch.ones(5, 3, 4)), torch.ones(5, 3, 4))


def test_drop_path_grows_linearly_over_all_blocks():
    rates = [block.drop_path for stage in _encoder().block for block in stage]
    assert rates == pytest.approx([0, 0.05, 0.1])


def test_unused_norms_are_frozen_under_their_names():
    frozen = [k for k, p in _encoder().named_parameters() if not p.requires_grad]
    assert frozen == [f"layer_norm.{i}.{n}" for i in range(2) for n in ("weight", "bias")]


def test_a_frame_below_the_reduction_is_named():
    with pytest.raises(ConfigError, match="reduction 2"):
        _encoder().stage(0, torch.zeros(1, 3, 4, 4))


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="heads"):
        _encoder(widths=(8, 15))


def test_checkpoint_keys_are_told_apart_by_part(tmp_path):
    path = tmp_path / "backbone.pth"
    torch.save(
        {"segformer.encoder.a.b": torch.ones(1), "decode_head.c": torch.ones(2), "classifier.d": torch.ones(3)}, path
    )
    assert set(read_checkpoint(path)) == {("encoder", "a.b"), ("head", "c")}


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match=r"broken\.safetensors"):
        read_checkpoint(tmp_path / "broken.safetensors")
    with pytest.raises(DataError, match="does not exist"):
        read_checkpoint(tmp_path / "absent.pth")
