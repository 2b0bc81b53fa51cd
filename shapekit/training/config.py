"""Everything a training run depends on, in one frozen place; recorded in the weights."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from shapekit.core.checks import InputError


@dataclass(frozen=True)
class TrainingConfig:
    """Options of ``shapekit train``; a YAML file may give any of them by name.

    Parameters
    ----------
    seed : int
        Of the weights' start, the batches and the phantoms.
    patients : int
        Phantoms to draw.
    width, critic_width : int
        See ``NetworkConfig``.
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

    seed: int = 1000
    patients: int = 400
    width: int = 32
    critic_width: int = 16
    batch: int = 8
    coarse_steps: int = 4000
    refine_steps: int = 1400
    rate: float = 1.5e-3
    critic_weight: float = 0.01
    averaging: float = 0.998
    precision: str = "32-true"
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = {"int": int, "float": (int, float), "str": str}[str(field.type)]
            if not isinstance(value, wanted) or isinstance(value, bool):  # type: ignore[arg-type]
                raise InputError(f"{field.name} is {value!r}, but must be {field.type}; correct the configuration.")
        for name in ("patients", "width", "critic_width", "batch", "coarse_steps", "refine_steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, but must be at least 1; correct the configuration.")
        if self.width % 4:
            raise InputError(f"width is {self.width}, but must be a multiple of 4; correct the configuration.")


def read_config(path: str | Path) -> TrainingConfig:
    """Read a YAML file of options.

    Raises
    ------
    InputError
        If the file cannot be read, is no mapping, or names an option that does not exist.
    """
    import yaml

    source = Path(path)
    try:
        options = yaml.safe_load(source.read_text()) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{source.name} cannot be read as YAML ({type(error).__name__}); give a file of lines like `patients: 400`.") from error
    if not isinstance(options, dict):
        raise InputError(f"{source.name} holds no options; give lines like `patients: 400`.")
    known = {field.name for field in fields(TrainingConfig)}
    wrong = sorted(str(name) for name in set(options) - known)
    if wrong:
        raise InputError(f"{source.name} names {', '.join(wrong)}, which are no options; these are: {', '.join(sorted(known))}.")
    return TrainingConfig(**options)
