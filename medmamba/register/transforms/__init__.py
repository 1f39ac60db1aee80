"""Transforms: fixed points to moving points, in the forms of ITK, ANTs, 3D Slicer and Learn2Reg."""
