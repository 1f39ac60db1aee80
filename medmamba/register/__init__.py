"""Registration: affine, discrete search or network, instance optimisation; one transform, its inverse, a report."""
