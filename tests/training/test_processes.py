"""Two real processes, started by torchrun, that talk through gloo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from shapekit.cli import main
from shapekit.core.checks import InputError, UsageError
from shapekit.networks import read_weights
from shapekit.study.fitting import fit_predictor
from shapekit.study.reproduce import Protocol
from shapekit.training import TrainingConfig, launched, refuse_several, train_networks
from shapekit.training.batches import draw_batch
from shapekit.training.loop import PENALTY, Trainer
from shapekit.training.losses import shape_loss
from shapekit.training.samples import EDITION
from tests.training.each_process import COHORT, CONFIG, guess

ROOT = Path(__file__).resolve().parents[2]


def torchrun(*what, count=2):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run([*start, *map(str, what)], capture_output=True, text=True, timeout=900, env=environment, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    done = torchrun(Path(__file__).with_name("each_process.py"), folder)
    assert done.returncode == 0, done.stderr
    return folder


def in_one_process(folder, ranks):
    """The same training by one process that sees the batches of these ranks, and descends the mean of their losses."""
    trainer = Trainer(CONFIG, guess(), COHORT[2:], [], folder)
    start = {name: value.clone() for name, value in weights_of(trainer).items()}
    for stage, number, steps in (("coarse", 0, CONFIG.coarse_steps), ("refine", 1, CONFIG.refine_steps)):
        trainer.enter(stage)
        for step in range(steps):
            trainer._set_rate(stage, step, steps)
            batches = [draw_batch(trainer.cohort, trainer.targets, CONFIG.batch, key=(number, step, rank), seed=CONFIG.seed) for rank in ranks]
            made = [trainer._made(stage, batch) for batch in batches]
            losses = [shape_loss(one, batch.target) for one, batch in zip(made, batches, strict=True)]
            if stage == "refine":
                shares = torch.rand(2, CONFIG.batch, generator=torch.Generator().manual_seed(CONFIG.seed + step))
                parts = [trainer._critic_loss(batch, one.detach(), shares[rank]) for rank, one, batch in zip(ranks, made, batches, strict=True)]
                trainer._descend("critic", torch.stack([apart + PENALTY * penalty for apart, penalty in parts]).mean())
                verdicts = [trainer._verdict(batch, one) for one, batch in zip(made, batches, strict=True)]
                losses = [loss - CONFIG.critic_weight * verdict for loss, verdict in zip(losses, verdicts, strict=True)]
            trainer._descend(stage, torch.stack(losses).mean())
            trainer._keep_average(stage, step)
    return start, weights_of(trainer)


def weights_of(trainer):
    return trainer.tensors() | {f"critic.{name}": value for name, value in trainer.networks["critic"].state_dict().items()}


def steps_of(weights, start, part):
    """How far a network's weights have come, as one vector."""
    return torch.cat([(weights[name] - value).flatten() for name, value in start.items() if name.startswith(part)])


def test_all_processes_end_with_the_same_weights_also_when_they_were_killed_on_the_way(folder):
    zero = load_file(folder / "whole-0.safetensors")
    for name in ("whole-1", "resumed-0", "resumed-1"):
        other = load_file(folder / f"{name}.safetensors")
        assert zero.keys() == other.keys()
        assert all(torch.equal(value, other[name]) for name, value in zero.items())


def test_all_processes_keep_what_erred_least_where_the_first_looked(folder):
    tensors, _, _ = read_weights(folder / "watched" / "checkpoint.safetensors", "checkpoint")
    best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
    last = {name.removeprefix("average.refine."): value for name, value in tensors.items() if name.startswith("average.refine.")}
    assert any(not torch.equal(value, best[f"refine.{name}"]) for name, value in last.items())  # not simply the last
    for rank in (0, 1):
        kept = load_file(folder / f"watched-{rank}.safetensors")
        assert kept.keys() == best.keys()
        assert all(torch.equal(value, best[name]) for name, value in kept.items())


def test_two_processes_learn_what_one_learns_from_both_batches(folder, tmp_path):
    start, both = in_one_process(tmp_path / "both", (0, 1))
    _, alone = in_one_process(tmp_path / "alone", (0,))
    tensors, _, _ = read_weights(folder / "whole" / "checkpoint.safetensors", "checkpoint")
    together = {name.removeprefix("live."): value for name, value in tensors.items() if name.startswith("live.critic.")}
    together |= load_file(folder / "whole-0.safetensors")
    for part in ("coarse.", "refine.", "critic."):  # the critic's: second derivatives too
        want = steps_of(both, start, part)
        assert float((steps_of(together, start, part) - want).norm()) < 0.01 * float(want.norm())
        assert float((steps_of(alone, start, part) - want).norm()) > 0.2 * float(want.norm())


def test_one_process_draws_and_writes(folder):
    assert (folder / "drawn").read_text() == "0"
    files = sorted(path.relative_to(folder / "fitted").as_posix() for path in (folder / "fitted").rglob("*") if path.is_file())
    logs = [name for name in files if name.startswith("logs/")]
    assert [name for name in files if name not in logs] == ["checkpoint.safetensors", "generative.safetensors"]
    assert len(logs) == 1
    told = {(folder / f"told-{rank}").read_text() for rank in (0, 1)}
    _, card, identity = read_weights(folder / "fitted" / "generative.safetensors", "generative")
    assert told == {f"generative.safetensors {identity}"}
    assert card["processes"] == 2


def test_all_processes_go_on_from_the_same_weights(folder):
    _, card, identity = read_weights(folder / "more" / "generative.safetensors", "generative")
    told = {(folder / f"more-{rank}").read_text() for rank in (0, 1)}
    assert told == {f"{card['started_from']} {identity}"}
    assert card["started_from"] == read_weights(folder / "fitted" / "generative.safetensors", "generative")[2]


def test_a_checkpoint_of_two_processes_is_none_for_one(folder):
    with pytest.raises(InputError, match=r"checkpoint\.safetensors is of a training by 2 processes, but this is one by 1"):
        train_networks(CONFIG, guess(), COHORT[2:], [], folder / "whole")


def test_more_devices_than_processes_are_refused_and_start_none():
    with pytest.raises(UsageError, match=r"--devices 2 asks for 2 processes, but there are 1; start .*torchrun --nproc-per-node 2"):
        launched("cpu", "2", "32-true")


def test_the_command_trains_in_two_processes_and_speaks_with_one_voice(tmp_path):
    run, options = tmp_path / "run", tmp_path / "tiny.yaml"
    (run / "samples").mkdir(parents=True)
    for n, one in enumerate(COHORT):
        one.save(run / "samples" / f"phantom{EDITION}-1000-0-{n:05d}.npz")
    options.write_text("coarse_width: 4\nwidth: 8\ncritic_width: 4\nbatch: 2\ncomponents: 5\ncoarse_steps: 1\nrefine_steps: 1\n")
    what = ("-o", run, "--patients", len(COHORT), "--calibration", 0, "--config", options, "--devices", 2)
    done = torchrun("-m", "shapekit", "train", *what)
    assert done.returncode == 0, done.stderr
    _, card, identity = read_weights(run / "generative.safetensors", "generative")
    assert done.stdout == f"generative.safetensors: {identity}\n"
    assert "distributed" not in done.stderr
    assert card["processes"] == 2
    (tmp_path / "more").mkdir()
    (run / "samples").rename(tmp_path / "more" / "samples")
    on = ["--patients", str(len(COHORT)), "--calibration", "0", "--config", str(options), "--start", str(run / "generative.safetensors"), "-q"]
    assert main(["train", "-o", str(tmp_path / "more"), *on]) == 0
    assert read_weights(tmp_path / "more" / "generative.safetensors", "generative")[1]["started_from"] == identity
    assert main(["train", "-o", str(tmp_path / "more"), "--predictor", "linear", *on]) == 2


def test_more_processes_than_devices_are_refused(tmp_path):
    done = torchrun("-m", "shapekit", "train", "-o", tmp_path / "run", "--patients", "2")
    assert done.returncode != 0
    assert "shapekit: --devices 1 asks for 1 processes, but there are 2" in done.stderr
    assert not (tmp_path / "run").exists()


def test_what_one_process_does_is_refused_to_several(tmp_path, monkeypatch):
    refuse_several("writing")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UsageError, match="writing takes one process, but torchrun started 2"):
        refuse_several("writing")
    with pytest.raises(UsageError, match="fitting the predictor linear takes one process"):
        fit_predictor(tmp_path, "linear", TrainingConfig(), list, calibration=0)
    with pytest.raises(UsageError, match="reproducing the experiment takes one process"):
        Protocol()
