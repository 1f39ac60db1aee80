"""From a download to a dataset in nnU-Net's raw layout."""
