"""Everything a training run depends on, in one frozen place; recorded in the weights."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, overload

from shapekit.core.checks import InputError
from shapekit.segmentation import LevelSizes, SegmenterSizes
from shapekit.segmentation.views import VIEW_MM

NETWORKS = ("efficient", "paper")
PRECISIONS = ("32-true", "bf16-mixed")


@dataclass(frozen=True)
class TrainingConfig:
    """Options of ``shapekit train``; a YAML file may give any of them by name.

    Parameters
    ----------
    networks : {"efficient", "paper"}
        Distance fields at 2 mm (``shapekit.networks.generators``), or masks at 1 mm as the paper has them (``shapekit.networks.paper``).
    seed : int
        Of the weights' start, the batches and the phantoms.
    patients : int
        Phantoms to draw.
    varied : float
        Share of them that is of a varied build (``shapekit.phantom.draw_patient``), 0-1; above 0, intervals are measured on either build in turns.
    components : int
        Of the linear model whose guess the efficient coarse network starts from.
    coarse_width, width, critic_width : int
        Channels of coarse, of refine and of the critic; see ``Generator``, ``Critic``, ``PaperGenerator`` and ``PaperCritic``.
    batch : int
        Targets a step, on every device.
    coarse_steps, refine_steps : int
        Steps of each stage.
    rate : float
        Highest learning rate (AdamW, cosine).
    critic_weight : float
        Weight of the Wasserstein term in refine's loss; 0 trains without a critic.
    averaging : float
        Share of the running average that each step keeps (exponential moving average of the weights).
    precision : str
        As Lightning Fabric names it: ``"bf16-mixed"`` where the processor has it, else ``"32-true"``.
    checkpoint_every : int
        Steps.
    """

    networks: str = "efficient"
    seed: int = 1000
    patients: int = 1140
    varied: float = 0.0
    components: int = 64
    coarse_width: int = 8
    width: int = 4
    critic_width: int = 16
    batch: int = 16
    coarse_steps: int = 8000
    refine_steps: int = 500
    rate: float = 1.2e-3
    critic_weight: float = 0.01
    averaging: float = 0.998
    precision: str = "32-true"
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        counts = ("patients", "components", "coarse_width", "width", "critic_width", "batch", "coarse_steps", "refine_steps", "checkpoint_every")
        _check_options(self, counts)
        if self.networks not in NETWORKS:
            raise InputError(f"networks is {self.networks!r}, but must be one of: {', '.join(NETWORKS)}; correct the configuration.")
        if not 0.0 <= self.varied <= 1.0:
            raise InputError(f"varied is {self.varied:g}, but must be a share from 0 to 1; correct the configuration.")
        for name in ("coarse_width", "width"):
            if getattr(self, name) % 4:
                raise InputError(f"{name} is {getattr(self, name)}, but must be a multiple of 4; correct the configuration.")


@dataclass(frozen=True)
class SegmenterConfig:
    """Options of ``shapekit train --task segmentation``; a YAML file may give any of them by name.

    Parameters
    ----------
    seed : int
        Of the weights' start, the phantoms and the patches.
    patients : int
        Phantoms to draw; one in twenty, at least one, is held out to watch the training.
    width, growth, patch : int
        See ``SegmenterSizes``; the paper's own patch is 128 at 1 mm, its width constant.
    spacing_mm : float
    batch, steps : int
        Views a step, each of which gives two patches, and steps.
    rate : float
        Highest learning rate (Adam, cosine).
    cross_entropy : float
        Weight of the segmentation's cross-entropy, which keeps a voxel's probability near its share of body, beside the paper's loss.
    precision : str
        ``"bf16-mixed"`` halves the time where the processor multiplies bfloat16 (AMX), and takes far longer where it does not; else ``"32-true"``.
    checkpoint_every : int
        Steps.
    watched : int
        Batches of held-out phantoms that are segmented at each checkpoint.
    """

    seed: int = 1000
    patients: int = 80
    width: int = 24
    growth: int = 24
    patch: int = 48
    spacing_mm: float = 2.0
    batch: int = 2
    steps: int = 26000
    rate: float = 1e-3
    cross_entropy: float = 0.5
    precision: str = "32-true"
    checkpoint_every: int = 250
    watched: int = 12

    def __post_init__(self) -> None:
        _check_options(self, ("patients", "batch", "steps", "checkpoint_every", "watched"))
        self.sizes  # noqa: B018  # refuses what cannot be built

    @property
    def sizes(self) -> SegmenterSizes:
        """Of its network."""
        return SegmenterSizes(self.width, self.patch, self.spacing_mm, self.growth)


@dataclass(frozen=True)
class LevelConfig:
    """Options of ``shapekit train --task levels``; a YAML file may give any of them by name.

    Parameters
    ----------
    seed : int
        Of the weights' start, the phantoms and the views.
    patients : int
        Phantoms to draw; one in twenty, at least one, is held out to watch the training.
    width, growth : int
        See ``LevelSizes``.
    spacing_mm : float
        Of the volumes that are drawn or read; views have 4 mm, of which it must be a part.
    batch, steps : int
        Views a step, and steps.
    rate : float
        Highest learning rate (Adam, cosine).
    precision : str
        ``"bf16-mixed"`` takes a fraction of the time where the processor multiplies bfloat16 (AMX), far longer where it does not; else ``"32-true"``.
    checkpoint_every : int
        Steps.
    watched : int
        Batches of held-out phantoms that are named at each checkpoint.
    """

    seed: int = 1000
    patients: int = 360
    width: int = 24
    growth: int = 24
    spacing_mm: float = 2.0
    batch: int = 2
    steps: int = 6000
    rate: float = 1e-3
    precision: str = "32-true"
    checkpoint_every: int = 500
    watched: int = 60

    def __post_init__(self) -> None:
        _check_options(self, ("patients", "batch", "steps", "checkpoint_every", "watched"))
        self.sizes  # noqa: B018  # refuses what cannot be built
        if not 0.5 <= self.spacing_mm <= VIEW_MM or abs(round(VIEW_MM / self.spacing_mm) * self.spacing_mm - VIEW_MM) > 1e-6:
            raise InputError(f"spacing_mm is {self.spacing_mm:g}, but must be a part of {VIEW_MM:g} mm, such as 2; correct the configuration.")

    @property
    def sizes(self) -> LevelSizes:
        """Of its network."""
        return LevelSizes(self.width, self.growth)


Config = TypeVar("Config", TrainingConfig, SegmenterConfig, LevelConfig)


def _check_options(config: TrainingConfig | SegmenterConfig | LevelConfig, counts: tuple[str, ...]) -> None:
    """Complain about values of another type, and counts below 1."""
    for field in fields(config):
        value = getattr(config, field.name)
        wanted = {"int": int, "float": (int, float), "str": str}[str(field.type)]
        if not isinstance(value, wanted) or isinstance(value, bool):  # type: ignore[arg-type]
            raise InputError(f"{field.name} is {value!r}, but must be {field.type}; correct the configuration.")
    for name in counts:
        if getattr(config, name) < 1:
            raise InputError(f"{name} is {getattr(config, name)}, but must be at least 1; correct the configuration.")
    if config.precision not in PRECISIONS:
        raise InputError(f"precision is {config.precision!r}, but must be {' or '.join(map(repr, PRECISIONS))}; correct the configuration.")


CONFIGURATIONS = {
    "efficient": TrainingConfig(),
    "paper": TrainingConfig(
        networks="paper", coarse_width=64, width=64, critic_width=64, batch=10, coarse_steps=10000, refine_steps=5000, rate=1e-4, critic_weight=1.0
    ),
}
"""By their networks; ``--config`` takes these names, and a file's options change that of the networks it names."""


@overload
def read_config(path: str | Path) -> TrainingConfig: ...
@overload
def read_config(path: str | Path, kind: type[Config]) -> Config: ...
def read_config(path: str | Path, kind: Any = TrainingConfig) -> Any:
    """Read a YAML file of options.

    Parameters
    ----------
    path : path
        For training of predictors also the name of a configuration: ``"efficient"`` or ``"paper"``.
    kind : type
        ``TrainingConfig``, ``SegmenterConfig`` or ``LevelConfig``.

    Returns
    -------
    object of that type

    Raises
    ------
    InputError
        If the file cannot be read, is no mapping, or names an option that does not exist.
    """
    import yaml

    source = Path(path)
    if kind is TrainingConfig and str(path) in CONFIGURATIONS:
        return CONFIGURATIONS[str(path)]
    try:
        options = yaml.safe_load(source.read_text()) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{source.name} cannot be read as YAML ({type(error).__name__}); give a file of lines like `patients: 400`.") from error
    if not isinstance(options, dict):
        raise InputError(f"{source.name} holds no options; give lines like `patients: 400`.")
    known = {field.name for field in fields(kind)}
    wrong = sorted(str(name) for name in set(options) - known)
    if wrong:
        raise InputError(f"{source.name} names {', '.join(wrong)}, which are no options; these are: {', '.join(sorted(known))}.")
    if kind is TrainingConfig and (start := CONFIGURATIONS.get(str(options.get("networks")))):
        return replace(start, **options)
    return kind(**options)
