"""A modality that the house knows nothing of: series of four channels, neither seen nor heard.

All of it is in this folder. What makes it known is one line among the entry points of a package:

    [project.entry-points."audioinv.modalities"]
    series = "tests.modality_series.modality:SERIES"
"""

ENTRY = "[audioinv.modalities]\nseries = tests.modality_series.modality:SERIES\n"
