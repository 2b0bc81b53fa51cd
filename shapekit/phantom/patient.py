"""Whole patients with their truth: every vertebra as it is, as it was before it broke, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import ArrayLike, NDArray

from shapekit.core.checks import InputError, check_choice
from shapekit.core.conventions import PATCH_SHAPE, PATCH_SPACING_MM
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Mesh, Sdf
from shapekit.phantom.arch import Arch, draw_arch
from shapekit.phantom.body import BodyShape
from shapekit.phantom.column import compensate, draw_gaps, stack
from shapekit.phantom.fracture import MAX_LOSS, Fractures, Loss, break_body, crest_drop_mm, draw_fractures, height_loss, thinnest_mm, type_of
from shapekit.phantom.fracture import MIN_THICKNESS_MM as MIN_THICKNESS_MM
from shapekit.phantom.reference import LEVELS
from shapekit.phantom.spine import Habits, draw_bodies, draw_habits

Float = NDArray[np.float64]

VERSE_VALUES = {level: 8 + n for n, level in enumerate(LEVELS)} | {Level.L6: 25, Level.T13: 28}
"""Label values of VerSe: T1 … T12 = 8-19, L1 … L6 = 20-25, T13 = 28."""

BUILDS = ("plain", "varied")
"""How bodies may be shaped; see ``draw_patient``."""

DISC_FILL = (0.3, 0.6)
"""Share of the height lost at a rim that the disc above fills [assumed]."""


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebra of a phantom and everything that is true of it.

    Parameters
    ----------
    level : Level
    placement : Frame
        Where the shapes' own axes lie in patient space; the healthy twin and the actual body share it.
    healthy, actual : BodyShape
        Before and after a fracture; the same object where nothing broke.
    arch : Arch
    kind : str
        How it was broken: ``"wedge"``, ``"biconcave"``, ``"crush"``, ``"mixed"``, or ``""``.
    """

    level: Level
    placement: Frame
    healthy: BodyShape
    actual: BodyShape
    arch: Arch
    kind: str = ""
    loss: Loss = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", Loss(0.0, 0.0, 0.0) if self.actual is self.healthy else height_loss(self.actual, self.healthy))

    @property
    def grade(self) -> int:
        """Genant grade by the true loss."""
        return self.loss.grade

    @property
    def deformity(self) -> str:
        """Genant type by the true loss: ``"wedge"``, ``"biconcave"``, ``"crush"`` or ``""``."""
        return type_of(self.actual, self.healthy)

    @property
    def label(self) -> int:
        """Value in a VerSe label map."""
        return VERSE_VALUES[self.level]

    def frame(self, which: str = "actual") -> Frame:
        """The body's axes with the centre of its volume as origin; ``which`` is ``"actual"`` or ``"healthy"``."""
        return self.placement.moved(self.placement.to_world(self._shape(which).surface.centroid))

    def signed_distance(self, points: ArrayLike, *, which: str = "actual", limit_mm: float = float("inf")) -> Float:
        """Exact signed distance of the body at points in patient space, (..., 3) → (...), mm; NaN beyond the limit."""
        return self._shape(which).signed_distance(self.placement.to_local(points), limit_mm=limit_mm)

    def mesh(self, which: str = "actual") -> Mesh:
        """The body's closed surface in patient space, mm."""
        mesh = self._shape(which).surface.mesh
        return Mesh(self.placement.to_world(mesh.vertices), mesh.faces)

    def endplates(self, which: str = "actual") -> tuple[tuple[Float, Float], tuple[Float, Float]]:
        """Point and outward normal of the superior, then of the inferior endplate's plane, patient space, mm."""
        superior, inferior = self._shape(which).plate_planes()
        axes = self.placement.axes
        return (self.placement.to_world(superior[0]), axes @ superior[1]), (self.placement.to_world(inferior[0]), axes @ inferior[1])

    def truth(self) -> dict[str, object]:
        """Everything a table or a JSON file holds of this vertebra: lengths mm, volumes mm³, angles degrees."""
        frame = self.frame("healthy")
        ha, hm, hp = self.actual.heights_mm()
        healthy_ha, healthy_hm, healthy_hp = self.healthy.heights_mm()
        return {
            "level": str(self.level),
            "label": self.label,
            "kind": self.kind,
            "deformity": self.deformity,
            "grade": self.grade,
            "loss_ha": self.loss.ha,
            "loss_hm": self.loss.hm,
            "loss_hp": self.loss.hp,
            "ha_mm": ha,
            "hm_mm": hm,
            "hp_mm": hp,
            "healthy_ha_mm": healthy_ha,
            "healthy_hm_mm": healthy_hm,
            "healthy_hp_mm": healthy_hp,
            "volume_mm3": self.actual.surface.volume_mm3,
            "healthy_volume_mm3": self.healthy.surface.volume_mm3,
            "centre_mm": self.frame("actual").origin.tolist(),
            "healthy_centre_mm": frame.origin.tolist(),
            "axes": frame.axes.tolist(),
            "tilt_sagittal_deg": frame.tilt_sagittal_deg,
            "tilt_coronal_deg": frame.tilt_coronal_deg,
            "rotation_axial_deg": frame.rotation_axial_deg,
        }

    def _shape(self, which: str) -> BodyShape:
        return self.actual if check_choice("which", which, ("actual", "healthy")) == "actual" else self.healthy


@dataclass(frozen=True, eq=False)
class Patient:
    """A synthetic patient: vertebrae from the head downward.

    Parameters
    ----------
    name : str
    sex : str
        ``"F"`` or ``"M"``.
    vertebrae : tuple of Vertebra
    habits : Habits
        What the healthy bodies were made from.
    """

    name: str
    sex: str
    vertebrae: tuple[Vertebra, ...]
    habits: Habits

    def __iter__(self) -> Iterator[Vertebra]:
        return iter(self.vertebrae)

    def __len__(self) -> int:
        return len(self.vertebrae)

    def __getitem__(self, level: Level | str) -> Vertebra:
        for vertebra in self.vertebrae:
            if str(vertebra.level) == str(level):
                return vertebra
        raise KeyError(f"{self.name} has no {level}; it has {', '.join(str(v.level) for v in self.vertebrae)}.")

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels from the head downward."""
        return tuple(vertebra.level for vertebra in self.vertebrae)


def patient_generator(seed: int, index: int) -> Generator:
    """Return the random numbers of patient ``index`` of a cohort: the same whatever else is drawn, and by however many workers."""
    return np.random.default_rng(SeedSequence(seed, spawn_key=(index,)))


def draw_patient(
    seed: int | Generator,
    *,
    levels: Sequence[Level | str] | None = None,
    sex: str | None = None,
    fractures: Fractures = "verse",
    build: str = "plain",
    name: str = "phantom",
) -> Patient:
    """Draw one patient.

    Parameters
    ----------
    seed : int or numpy.random.Generator
        For a cohort: ``patient_generator(seed, index)``.
    levels : sequence of Level, optional
        From the head downward; by default T1 … L5, with now and then a T13, an L6, or no T12.
    sex : ``"F"`` or ``"M"``, optional
        Drawn when not given, two women to a man.
    fractures : ``"verse"``, ``"none"``, or mapping of Level to (kind, loss)
        Rates, grades and clusters of VerSe'19; none at all; or exactly these.
    build : ``"plain"`` or ``"varied"``
        Plain bodies have smooth walls that differ little between people and flat endplates; varied ones, nearer to people's, have waists of all
        depths, a hollow posterior wall with the basivertebral foramen, lumbar endplates that sag as published, and stout lower pedicles.
    name : str

    Returns
    -------
    Patient

    Raises
    ------
    UsageError, InputError
        If an option's value does not exist or a fracture's level is not among the levels.

    Examples
    --------
    >>> patient = draw_patient(7, fractures={"L1": ("wedge", 0.3)})
    >>> patient["L1"].grade, patient["L2"].grade
    (2, 0)
    """
    generator = seed if isinstance(seed, Generator) else np.random.default_rng(SeedSequence(seed))
    drawn_sex, variant = str(generator.choice(["F", "M"], p=[0.65, 0.35])), generator.random()
    sex = drawn_sex if sex is None else check_choice("sex", sex, ("F", "M"))
    chosen = _usual_levels(variant) if levels is None else tuple(level if isinstance(level, Level) else Level(level) for level in levels)
    if not chosen or any(level not in VERSE_VALUES for level in chosen) or list(chosen) != sorted(set(chosen)):
        raise InputError("levels must be different thoracic or lumbar levels from the head downward, at least one.")
    varied = check_choice("build", build, BUILDS) == "varied"
    degeneration = float(generator.gamma(1.5, 0.5))
    habits = draw_habits(sex=sex, degeneration=degeneration, varied=varied, generator=generator)
    healthy = draw_bodies(chosen, habits, generator=generator)
    discs, turns = draw_gaps(chosen, healthy, generator=generator)
    arches = {level: draw_arch(level, healthy[level], stout=varied, generator=generator) for level in chosen}
    wanted = _wanted_fractures(fractures, chosen, generator)
    actual = dict(healthy)
    for n, level in enumerate(chosen):
        if level in wanted:
            actual[level] = _break_safely(healthy[level], *wanted[level], generator)
            fill = generator.uniform(*DISC_FILL) * max(crest_drop_mm(actual[level], healthy[level]), 0.0)
            if n:
                discs[n - 1] += fill
    turns = compensate(turns, list(actual.values()), list(healthy.values()))
    offset = generator.normal(0.0, 30.0, 3)
    vertebrae = [
        Vertebra(level, place.moved(place.origin + offset), healthy[level], actual[level], arches[level], wanted.get(level, ("", 0.0))[0])
        for level, place in zip(chosen, stack([actual[level] for level in chosen], discs, turns), strict=True)
    ]
    return Patient(name, sex, tuple(vertebrae), habits)


def _usual_levels(variant: float) -> tuple[Level, ...]:
    if variant < 0.02:
        return tuple(sorted({*LEVELS, Level.T13}))
    if variant < 0.07:
        return tuple(sorted({*LEVELS, Level.L6}))
    return tuple(level for level in LEVELS if level is not Level.T12) if variant < 0.085 else LEVELS


def _wanted_fractures(fractures: Fractures, levels: Sequence[Level], generator: Generator) -> dict[Level, tuple[str, float]]:
    if isinstance(fractures, str):
        if check_choice("fractures", fractures, ("verse", "none")) == "none":
            return {}
        return draw_fractures(levels, generator=generator)
    wanted = {level if isinstance(level, Level) else Level(level): what for level, what in fractures.items()}
    for level in wanted:
        if level not in levels:
            raise InputError(f"a fracture of {level} was asked for, but the patient has {', '.join(map(str, levels))}.")
    return wanted


def _break_safely(healthy: BodyShape, kind: str, loss: float, generator: Generator) -> BodyShape:
    """Break a body; where the plates would meet, draw other details of the same fracture."""
    for _ in range(8):
        broken = break_body(healthy, kind, min(loss, MAX_LOSS), generator=generator)
        if thinnest_mm(broken) >= MIN_THICKNESS_MM:
            break
    return broken


def body_patch(
    vertebra: Vertebra,
    frame: Frame,
    *,
    which: str = "actual",
    shape: tuple[int, int, int] = PATCH_SHAPE,
    spacing_mm: float = PATCH_SPACING_MM,
    limit_mm: float = 4.0,
) -> Sdf:
    """Signed distance of a body on a patch along a frame.

    Exact to 0.02 mm within ``limit_mm`` of the surface; farther away interpolated from a lattice four times as coarse.

    Parameters
    ----------
    vertebra : Vertebra
    frame : Frame
        Axes and middle of the patch: the target's, whose neighbours are drawn in it too.
    which : str
        ``"actual"`` or ``"healthy"``.
    shape : (3,) int
    spacing_mm : float
    limit_mm : float

    Returns
    -------
    Sdf
    """
    from scipy import ndimage

    grid = Grid.from_frame(frame, shape, spacing_mm)
    body = vertebra._shape(which)
    local = vertebra.placement.to_local(grid.points())
    coarse = body.signed_distance(np.ascontiguousarray(local[::4, ::4, ::4]))
    zoom = [np.minimum(np.arange(side) / 4.0, size - 1) for side, size in zip(shape, coarse.shape, strict=True)]
    index = np.meshgrid(*zoom, indexing="ij")
    values = ndimage.map_coordinates(coarse, index, order=1)
    near = np.abs(values) < limit_mm + 4.0 * spacing_mm
    exact = body.signed_distance(local[near], limit_mm=limit_mm)
    values[near] = np.where(np.isnan(exact), values[near], exact)
    return Sdf(values.astype(np.float32), grid)


def demo_patient() -> Patient:
    """Return the patient of the demonstration: T4 … L5 with a wedge of T8 (grade 2), a crush of T12 (3) and a biconcave L3 (1)."""
    return draw_patient(
        2022,
        levels=LEVELS[3:],
        sex="F",
        fractures={"T8": ("wedge", 0.32), "T12": ("crush", 0.47), "L3": ("biconcave", 0.225)},
        name="demo",
    )
