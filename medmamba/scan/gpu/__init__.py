"""The GPU kernels of the scan and of the causal convolution, in Triton. Importing this package needs no Triton."""
