"""The parts that the networks share, 2-D and 3-D in one: mixers, convolution blocks, warps."""
