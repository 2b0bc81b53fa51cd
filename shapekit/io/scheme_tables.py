"""Label schemes as data: which value stands for which level, and which values are known to be something else.

Sources: VerSe (Sekuboyina 2021); TPTBox ``Vertebra_Instance`` and ``Location``; TotalSegmentator ``map_to_binary.py`` (``total_v1``, ``total``,
``total_v3``, ``vertebrae_pp``, ``vertebrae_mr``); TotalSpineSeg ``labels_maps/tss_map.json``; CTSpine1K; xVertSeg; Lessmann 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shapekit.core.levels import Level

_CERVICAL = [Level(f"C{n}") for n in range(1, 8)]
_THORACIC = [Level(f"T{n}") for n in range(1, 13)]
_LUMBAR = [Level(f"L{n}") for n in range(1, 6)]
_DOWNWARD = [*_CERVICAL, *_THORACIC, *_LUMBAR]


@dataclass(frozen=True)
class Scheme:
    """One convention for label values.

    Parameters
    ----------
    name, description : str
    levels : mapping of int to Level
        The values that are vertebrae.
    others : mapping of int to str
        Values known to the scheme that are no vertebra.
    partial : frozenset of int
        Values by which the scheme marks a vertebra as partly visible.
    discs : mapping of int to int
        Value of a disc → value of the vertebra above it.
    automatic : bool
        Whether detection may choose it; the others must be asked for by name.
    """

    name: str
    description: str
    levels: Mapping[int, Level]
    others: Mapping[int, str] = field(default_factory=dict)
    partial: frozenset[int] = frozenset()
    discs: Mapping[int, int] = field(default_factory=dict)
    automatic: bool = True

    def knows(self, value: int) -> bool:
        """Tell whether a value has a meaning here."""
        return value in self.levels or value in self.others


def _run(first: int, levels: Iterable[Level]) -> dict[int, Level]:
    return dict(enumerate(levels, start=first))


def _numbered(values: Iterable[int], what: str) -> dict[int, str]:
    return dict.fromkeys(values, what)


_VERSE_LEVELS = {**_run(1, _DOWNWARD), 25: Level.L6, 28: Level.T13}
_VERSE_OTHERS = {26: "sacrum", 27: "coccyx"}
_DISCS = {value + 100: value for value in _VERSE_LEVELS}
_SPINEPS_OTHERS = {
    **_VERSE_OTHERS,
    **_numbered(range(29, 34), "sacral segment"),
    **_numbered(range(40, 56), "rib"),
    **{disc: f"disc below {_VERSE_LEVELS[value]}" for disc, value in _DISCS.items()},
    126: "disc within the sacrum",
    **{value + 200: f"endplate of {level}" for value, level in _VERSE_LEVELS.items()},
    226: "endplate of the sacrum",
}
BELOW_VERTEBRAE = frozenset({"sacrum", "S1", "sacral segment", "coccyx"})
"""What lies below every vertebra."""
BESIDE_SPINE = frozenset({"organ", "rib"})
"""What does not lie in the row of vertebrae."""
SUBREGION_BODY = (49, 50)
"""SPINEPS sub-regions: corpus border and corpus; together they are the vertebral body."""
_SUBREGIONS = {
    26: "sacrum",
    40: "vertebra",
    41: "arcus",
    42: "spinous process",
    43: "left costal process",
    44: "right costal process",
    45: "left superior articular process",
    46: "right superior articular process",
    47: "left inferior articular process",
    48: "right inferior articular process",
    49: "corpus border",
    50: "corpus",
    51: "dens",
    **_numbered((52, 53, 62), "endplate"),
    **_numbered((58, 59, 100), "disc"),
    60: "cord",
    61: "canal",
    **_numbered((63, 64), "rib"),
}
_TOTAL_V1 = {
    **_numbered(range(1, 18), "organ"),
    **_numbered(range(42, 92), "organ"),
    92: "sacrum",
    **_numbered(range(93, 105), "organ"),
}
_TOTAL = {**_numbered(range(1, 25), "organ"), 25: "sacrum", 26: "S1", **_numbered(range(51, 118), "organ")}
_UPWARD = list(reversed(_DOWNWARD))

SUBREGIONS = "spineps-subregions"
SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("verse", "VerSe: C1-C7 = 1-7, T1-T12 = 8-19, L1-L6 = 20-25, T13 = 28; sacrum 26, coccyx 27", _VERSE_LEVELS, _VERSE_OTHERS),
        Scheme(
            "spineps",
            "SPINEPS and TPTBox (seg-vert): as verse, with the disc below = value + 100, endplates = value + 200, sacral segments 29-33",
            _VERSE_LEVELS,
            _SPINEPS_OTHERS,
            discs=_DISCS,
        ),
        Scheme(
            "iis",
            "iterative instance segmentation: as verse, and value + 100 = the same vertebra partly visible",
            {**_VERSE_LEVELS, **{value + 100: level for value, level in _VERSE_LEVELS.items()}},
            _VERSE_OTHERS,
            partial=frozenset(_DISCS),
        ),
        Scheme("totalsegmentator", "TotalSegmentator v2, total: L5 = 27 up to C1 = 50; sacrum 25, S1 26, organs 1-117", _run(27, _UPWARD), _TOTAL),
        Scheme(
            "totalsegmentator-v3",
            "TotalSegmentator total_v3: as totalsegmentator, but 26 = L6",
            {26: Level.L6, **_run(27, _UPWARD)},
            {value: what for value, what in _TOTAL.items() if value != 26},
            automatic=False,
        ),
        Scheme("totalsegmentator-v1", "TotalSegmentator v1, total: L5 = 18 up to C1 = 41; sacrum 92, organs 1-104", _run(18, _UPWARD), _TOTAL_V1),
        Scheme("totalsegmentator-pp", "TotalSegmentator vertebrae_pp: C1 = 1 down to L5 = 24", _run(1, _DOWNWARD)),
        Scheme("totalsegmentator-mr", "TotalSegmentator vertebrae_mr: L5 = 2 up to C1 = 25; sacrum 1", _run(2, _UPWARD), {1: "sacrum"}),
        Scheme(
            "totalspineseg",
            "TotalSpineSeg: C1-C7 = 11-17, T1-T12 = 21-32, L1-L6 = 41-46; sacrum 50, discs 63-100, cord 1, canal 2",
            {**_run(11, _CERVICAL), **_run(21, _THORACIC), **_run(41, [*_LUMBAR, Level.L6])},
            {1: "cord", 2: "canal", 47: "L7", 50: "sacrum", **_numbered(range(63, 101), "disc")},
        ),
        Scheme("ctspine1k", "CTSpine1K: C1-C7 = 1-7, T1-T12 = 8-19, L1-L6 = 20-25", {**_run(1, _DOWNWARD), 25: Level.L6}),
        Scheme("xvertseg", "xVertSeg: L1-L5 = 200, 210, 220, 230, 240", dict(zip(range(200, 241, 10), _LUMBAR, strict=True))),
        Scheme(SUBREGIONS, "SPINEPS sub-regions (seg-spine): no levels; give it as the body mask beside the vertebra mask", {}, _SUBREGIONS),
    )
}
"""Every scheme by name, in the order in which detection prefers them."""
