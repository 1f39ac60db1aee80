"""Every image and label of a dataset, looked at before hours are spent on them."""
