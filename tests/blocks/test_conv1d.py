import torch
from torch.nn import functional as F

from medmamba.blocks.conv1d import causal_conv1d


def test_equals_a_grouped_convolution_with_left_padding():
    x, weight, bias = torch.randn(2, 9, 5), torch.randn(5, 4), torch.randn(5)
    wanted = F.conv1d(F.pad(x.transpose(1, 2), (3, 0)), weight[:, None], bias, groups=5).transpose(1, 2)
    torch.testing.assert_close(causal_conv1d(x, weight, bias), wanted)


def test_shorter_than_the_kernel():
    x, weight = torch.ones(1, 1, 2), torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    assert causal_conv1d(x, weight, None).tolist() == [[[4.0, 8.0]]]
