"""MambaMorph trained by nnU-Net's rules: pairs of preprocessed cases, losses, validation."""
