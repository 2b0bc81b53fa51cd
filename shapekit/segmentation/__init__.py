"""In: a CT (Image, Hounsfield units). Out: LabelMap of its vertebral bodies, as a file would give; training patches of phantoms and scans.

Knows nothing of scoring.
"""

from shapekit.segmentation.iterative import FoundVertebra, Segmentation, segment_ct
from shapekit.segmentation.levels import LevelNetwork, LevelSizes, levels_card, read_levels
from shapekit.segmentation.network import Segmenter, SegmenterSizes, read_segmenter, segmenter_card
from shapekit.segmentation.quality import Quality, judge
from shapekit.segmentation.scans import volume_of_scan
from shapekit.segmentation.synthesis import Sample, draw_looks
from shapekit.segmentation.totalsegmentator import run_totalsegmentator
from shapekit.segmentation.views import View, draw_view
from shapekit.segmentation.volume import Volume, draw_volume

__all__ = [
    "FoundVertebra",
    "LevelNetwork",
    "LevelSizes",
    "Quality",
    "Sample",
    "Segmentation",
    "Segmenter",
    "SegmenterSizes",
    "View",
    "Volume",
    "draw_looks",
    "draw_view",
    "draw_volume",
    "judge",
    "levels_card",
    "read_levels",
    "read_segmenter",
    "run_totalsegmentator",
    "segment_ct",
    "segmenter_card",
    "volume_of_scan",
]
