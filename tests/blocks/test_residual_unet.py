import torch

from medmamba.blocks.residual_unet import UNetDecoder, UNetEncoder, UNetStyle

STYLE = UNetStyle(conv_bias=True, norm={"eps": 1e-5, "affine": True}, slope=0.01)


def parts(dims: int) -> tuple[UNetEncoder, UNetDecoder]:
    kernels, strides = [[3] * dims] * 3, [[1] * dims, [2] * dims, [2] * dims]
    widths = (4, 6, 8)
    encoder = UNetEncoder(2, widths, kernels, strides, [1, 2, 1], STYLE)
    return encoder, UNetDecoder(5, widths, kernels, strides, [2, 1], STYLE, deep_supervision=True)


def test_outputs_come_finest_first():
    encoder, decoder = parts(3)
    maps = encoder(torch.randn(1, 2, 8, 8, 8))
    assert [m.shape[1:] for m in maps] == [(4, 8, 8, 8), (6, 4, 4, 4), (8, 2, 2, 2)]
    assert [o.shape[1:] for o in decoder(maps)] == [(5, 8, 8, 8), (5, 4, 4, 4)]
    decoder.deep_supervision = False
    assert decoder(maps).shape[1:] == (5, 8, 8, 8)


def test_in_2d_the_finest_skip_is_not_used():
    encoder, decoder = parts(2)
    maps = encoder(torch.randn(1, 2, 8, 8))
    before = decoder(maps)[0]
    assert torch.equal(before, decoder([torch.zeros_like(maps[0]), *maps[1:]])[0])
