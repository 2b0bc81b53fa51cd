"""What each of the processes does that ``test_processes`` starts by torchrun: its own weights and what it did go to files with its rank."""

import os
import sys
import time
from pathlib import Path

from safetensors.torch import save_file

from shapekit.study.fitting import fit_predictor
from shapekit.training import TrainingConfig, fit_linear, train_networks
from tests.training.conftest import spine

CONFIG = TrainingConfig(
    coarse_width=4, width=8, critic_width=4, batch=2, components=5, coarse_steps=4, refine_steps=4, checkpoint_every=2, averaging=0.5, rate=0.05
)
COHORT = [spine(n, broken=n % 6 if n % 2 else None) for n in range(12)]


class KilledError(Exception):
    pass


def kill(stage, step, steps, figures):
    if (stage, step) == ("refine", 3):
        raise KilledError


def guess():
    return fit_linear(COHORT[2:], components=5, ridge=1e12)


def main(folder):
    rank = os.environ["RANK"]
    whole = train_networks(CONFIG, guess(), COHORT[2:], [], folder / "whole", devices="2")
    save_file(whole, folder / f"whole-{rank}.safetensors")
    save_file(train_networks(CONFIG, guess(), COHORT[2:], COHORT[:2], folder / "watched", devices="2"), folder / f"watched-{rank}.safetensors")
    try:
        train_networks(CONFIG, guess(), COHORT[2:], [], folder / "killed", devices="2", progress=kill)
    except KilledError:
        save_file(train_networks(CONFIG, guess(), COHORT[2:], [], folder / "killed", devices="2"), folder / f"resumed-{rank}.safetensors")

    def cohort():
        if not (folder / "drawn").exists():
            time.sleep(1)  # long enough for another process to find nothing either, if it did not wait
            with (folder / "drawn").open("a") as file:
                file.write(rank)
        return COHORT

    path, identity = fit_predictor(folder / "fitted", "generative", CONFIG, cohort, calibration=0, devices="2")
    (folder / f"told-{rank}").write_text(f"{path.name} {identity}")
    _, more = fit_predictor(folder / "more", "generative", CONFIG, cohort, start=path, calibration=0, devices="2")
    (folder / f"more-{rank}").write_text(f"{identity} {more}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
