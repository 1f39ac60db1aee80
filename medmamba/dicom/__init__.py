"""DICOM segmentations (DICOM-SEG): label maps that a picture archive takes, written and read back; the extra `dicom`.

A package of its own beside `predict`, which writes them, and `evaluate`, which may read them: it knows label maps,
slices and codes, and nothing of models.

What of the patient goes into a segmentation: the standard has it carry the patient and the study of its images (name,
identifier, date of birth, accession number, ...), so these are copied from the source as they are, and nothing is
invented where the source has none. Treat the file as you treat the images. No value of theirs goes into a message.
"""
