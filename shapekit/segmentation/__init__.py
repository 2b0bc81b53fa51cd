"""In: a CT (Image, Hounsfield units). Out: LabelMap of its vertebral bodies, as a file would give; training patches of phantoms and scans.

Knows nothing of scoring.
"""

from shapekit.segmentation.iterative import FoundVertebra, Segmentation, segment_ct
from shapekit.segmentation.network import Segmenter, SegmenterSizes, read_segmenter, segmenter_card
from shapekit.segmentation.quality import Quality, judge
from shapekit.segmentation.scans import volume_of_scan
from shapekit.segmentation.synthesis import Sample, Volume, draw_looks, draw_volume
from shapekit.segmentation.totalsegmentator import run_totalsegmentator

__all__ = [
    "FoundVertebra",
    "Quality",
    "Sample",
    "Segmentation",
    "Segmenter",
    "SegmenterSizes",
    "Volume",
    "draw_looks",
    "draw_volume",
    "judge",
    "read_segmenter",
    "run_totalsegmentator",
    "segment_ct",
    "segmenter_card",
    "volume_of_scan",
]
