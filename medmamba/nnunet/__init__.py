"""nnU-Net v2 as the host: the only package of medmamba that imports nnunetv2."""
