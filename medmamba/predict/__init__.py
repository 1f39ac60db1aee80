"""From images to label maps: nnU-Net's mathematics in slabs, within a memory ceiling, and batches that finish."""
