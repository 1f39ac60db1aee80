"""CPU inference: a trained network in, a fast one with the same outputs out.

>>> import torch
>>> from medmamba.engine import accelerate
>>> from medmamba.networks import create
>>> network = create("umamba-bot", input_channels=1, num_classes=2, features_per_stage=(8, 16)).eval()
>>> x = torch.randn(1, 1, 16, 16, 16)
>>> torch.allclose(accelerate(network, torch.float32)(x), network(x), atol=1e-4)
True
"""

from .accelerate import Accelerated, accelerate, best_dtype, describe
from .memory import reuse_memory, reuses_memory

__all__ = ["Accelerated", "accelerate", "best_dtype", "describe", "reuse_memory", "reuses_memory"]
