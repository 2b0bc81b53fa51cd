import dataclasses

import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError, UsageError
from shapekit.networks import read_weights, write_weights
from shapekit.predictors import make_predictor
from shapekit.study.fitting import fit_predictor
from shapekit.training import TrainingConfig, fit_linear, read_config, train_networks, write_predictor
from shapekit.training.batches import assembled, draw_seats, full_seats
from shapekit.training.loop import Trainer
from shapekit.training.losses import surface_error_mm
from shapekit.training.samples import seeded
from tests.training.conftest import spine

TINY = TrainingConfig(coarse_width=4, width=8, critic_width=4, batch=2, coarse_steps=6, refine_steps=5, checkpoint_every=2)
WATCHED = "validation_mm", "validation_missing_mm"


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def model(cohort):
    return fit_linear(cohort[2:], components=5, ridge=1e12)  # a guess that knows the level alone: there is something to learn


@pytest.fixture(scope="module")
def whole(cohort, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    told = []
    tensors = train_networks(TINY, model, cohort[2:], cohort[:2], folder, progress=lambda *what: told.append(what))
    return folder, tensors, told


@pytest.mark.parametrize("after", [("coarse", 3), ("refine", 3)])
def test_a_run_that_was_killed_goes_on_to_the_same_bit(cohort, model, tmp_path, whole, after):
    def kill(stage, step, steps, figures):
        if (stage, step) == after:
            raise KilledError

    with pytest.raises(KilledError):
        train_networks(TINY, model, cohort[2:], cohort[:2], tmp_path, progress=kill)
    again = train_networks(TINY, model, cohort[2:], cohort[:2], tmp_path)
    assert all(torch.equal(again[name], value) for name, value in whole[1].items())


def test_the_run_tells_its_figures_and_leaves_its_logs(whole):
    folder, tensors, told = whole
    assert [what[:3] for what in told] == [("coarse", n + 1, 6) for n in range(6)] + [("refine", n + 1, 5) for n in range(5)]
    assert {"loss", "critic", *WATCHED} <= {name for what in told for name in what[3]}
    assert list((folder / "logs").glob("events.*"))
    assert any(float(value.abs().max()) > 0 for name, value in tensors.items() if name.startswith("refine.trunk.head"))


def test_the_critic_changes_what_refine_learns(cohort, model, tmp_path, whole):
    alone = train_networks(dataclasses.replace(TINY, critic_weight=0.0), model, cohort[2:], cohort[:2], tmp_path)
    same = [torch.equal(alone[name], value) for name, value in whole[1].items() if name.startswith("coarse.")]
    other = [torch.equal(alone[name], value) for name, value in whole[1].items() if name.startswith("refine.") and "weight" in name]
    assert all(same)
    assert not all(other)


def test_learning_lowers_the_error_on_spines_it_has_not_seen(cohort, model, tmp_path):
    config = dataclasses.replace(TINY, coarse_steps=50, refine_steps=1, batch=4, rate=1.2e-2, averaging=0.9)
    trainer = Trainer(config, model, cohort[2:], cohort[:2], tmp_path)
    before = trainer.validated("coarse")["validation_mm"]
    trainer.run()
    assert trainer.validated("coarse")["validation_mm"] < 0.85 * before


def test_what_erred_least_on_held_out_spines_is_kept(cohort, model, tmp_path, monkeypatch):
    full, missing = iter([0.5, 0.4, 0.3, 0.9, 0.8, 0.5]), iter([0.5, 0.4, 0.9, 0.9, 0.8, 0.9])  # the mean counts, neither alone
    averages = []

    def validated(self, stage):
        averages.append({f"{stage}.{name}": value.clone() for name, value in self.average[stage].items()})
        return dict(zip(WATCHED, (next(full), next(missing)), strict=True))

    monkeypatch.setattr(Trainer, "validated", validated)
    trainer = Trainer(TINY, model, cohort[2:], cohort[:2], tmp_path)
    trainer.run()
    assert len(averages) == 6
    assert all(torch.equal(trainer.tensors()[name], value) for name, value in (averages[1] | averages[5]).items())
    coarse = {name.removeprefix("coarse."): value for name, value in averages[1].items()}
    assert all(torch.equal(trainer.networks["coarse"].state_dict()[name], value) for name, value in coarse.items())  # what refine saw
    again = Trainer(TINY, model, cohort[2:], cohort[:2], tmp_path)
    assert again.resume()
    again.run()
    assert all(torch.equal(again.tensors()[name], value) for name, value in trainer.tensors().items())


def test_broken_neighbours_are_repaired_by_what_each_stage_starts_from(cohort, model, tmp_path, monkeypatch):
    seen = {}

    def batch(self, stage, step, drawn=Trainer._batch):
        seen[stage] = self.cohort
        return drawn(self, stage, step)

    monkeypatch.setattr(Trainer, "_batch", batch)
    trainer = Trainer(dataclasses.replace(TINY, coarse_steps=30, rate=1.2e-2, averaging=0.9), model, cohort[2:], cohort[:2], tmp_path)
    trainer.run()
    broken = [n for n, one in enumerate(cohort[2:]) if one.broken.any()]
    assert [n for n, one in enumerate(seen["coarse"]) if one.expected] == broken
    for n in broken:
        (who,) = np.flatnonzero(cohort[2:][n].broken)
        shown = {stage: spines[n].expected[who].astype(np.float32) for stage, spines in seen.items()}
        batch = assembled([cohort[2:][n]], [full_seats(cohort[2:][n], who)])  # its neighbours are whole: both rounds of repair see the same
        with torch.no_grad():
            guess, made = trainer.learner.first(batch)[0, 0], trainer._made("coarse", batch)[0, 0]
        assert float((guess - made).abs().max()) > 0.03
        np.testing.assert_allclose(shown["coarse"], guess.clamp(-12, 12), atol=0.01)
        np.testing.assert_allclose(shown["refine"], made.clamp(-12, 12), atol=0.01)


def test_of_two_broken_neighbours_each_is_expected_from_the_other_as_that_is_expected(cohort, tmp_path):
    model = fit_linear(cohort[2:], components=5)
    one, other = spine(0, broken=2), spine(0, broken=3)
    both = dataclasses.replace(one, measured=np.where(other.loss[:, None, None, None] > 0, other.measured, one.measured), loss=one.loss + other.loss)
    trainer = Trainer(TINY, model, [both, *cohort[2:]], cohort[:2], tmp_path)
    trainer.enter("coarse")
    for n in (2, 3):
        near = np.abs(both.healthy[n]) < 2
        once = trainer.learner.first(assembled([both], [full_seats(both, n)]))[0, 0].numpy()
        twice = trainer.cohort[0].expected[n]
        apart = [float(np.abs(shape - both.healthy[n].astype(np.float32))[near].mean()) for shape in (once, twice)]
        assert apart[1] < 0.9 * apart[0]


def test_held_out_spines_are_judged_with_full_company_and_with_drawn_company_the_same_at_every_look(cohort, tmp_path):
    trainer = Trainer(TINY, fit_linear(cohort[2:], components=5), cohort[2:], cohort[:2], tmp_path)
    trainer.enter("coarse")
    assert [set(held.expected) for held in trainer.validation] == [set(np.flatnonzero(held.broken)) for held in cohort[:2]]
    found = trainer.validated("coarse")
    assert trainer.validated("coarse") == found
    generator, apart = seeded(TINY.seed, 8), []
    for held in trainer.validation:
        batch = assembled([held] * 6, [draw_seats(held, t, generator) for t in range(6)])
        with torch.no_grad():
            apart.append(surface_error_mm(trainer._made("coarse", batch), batch.target))
    assert found["validation_missing_mm"] == pytest.approx(float(torch.cat(apart).mean()), rel=1e-5)
    assert abs(found["validation_missing_mm"] - found["validation_mm"]) > 0.001


@pytest.fixture(scope="module")
def trained(model, whole, tmp_path_factory):
    """The networks of the whole run, as a file and as the predictor that is read from it."""
    path = tmp_path_factory.mktemp("trained") / "generative.safetensors"
    linear = {f"linear.{name}": value for name, value in model.tensors().items()}
    write_predictor(path, linear | whole[1], {"kind": "generative", "config": dataclasses.asdict(TINY), "ridge": model.ridge})
    return path, make_predictor("generative", path)


def test_a_run_starts_from_trained_networks_and_keeps_them_where_it_only_gets_worse(cohort, model, tmp_path, monkeypatch, trained):
    monkeypatch.setattr(Trainer, "validated", lambda self, stage: dict.fromkeys(WATCHED, float(sum(self.done.values()))))
    _, start = trained
    told = []
    trainer = Trainer(TINY, None, cohort[2:], cohort[:2], tmp_path, start=start)
    trainer.run(lambda *what: told.append(what))
    assert ("coarse", 0, 6, dict.fromkeys(WATCHED, 0.0)) in told
    kept, before = trainer.tensors(), {"coarse": start.coarse.state_dict(), "refine": start.refine.state_dict()}
    assert all(torch.equal(kept[f"{stage}.{name}"], value) for stage, network in before.items() for name, value in network.items())
    live = trainer.networks["refine"].state_dict()
    assert not all(torch.equal(live[name], value) for name, value in before["refine"].items())  # it did learn
    again = Trainer(TINY, None, cohort[2:], cohort[:2], tmp_path, start=start)
    assert again.resume()
    assert again.best_error == {"coarse": 0.0, "refine": 6.0}
    with pytest.raises(InputError, match=f"started from {start.identity}, but this one starts from nothing"):
        Trainer(TINY, model, cohort[2:], cohort[:2], tmp_path).resume()


def test_what_is_no_start_is_refused(cohort, tmp_path, trained):
    path, start = trained
    with pytest.raises(InputError, match="are no start for efficient networks of coarse_width 8 and width 8"):
        Trainer(dataclasses.replace(TINY, coarse_width=8), None, cohort[2:], cohort[:2], tmp_path, start=start)
    with pytest.raises(InputError, match="are no start for efficient networks of coarse_width 4 and width 4"):
        Trainer(dataclasses.replace(TINY, width=4), None, cohort[2:], cohort[:2], tmp_path, start=start)
    with pytest.raises(InputError, match="no held-out spine has a healthy vertebra"):
        Trainer(TINY, None, cohort[2:], [dataclasses.replace(cohort[0], is_target=cohort[0].is_target & False)], tmp_path, start=start)

    def never():
        raise AssertionError  # what does not fit is refused before anything is drawn

    with pytest.raises(InputError, match="are no start for efficient networks of coarse_width 4 and width 4"):
        fit_predictor(tmp_path, "generative", dataclasses.replace(TINY, width=4), never, start=path)
    with pytest.raises(InputError, match="holds no paper networks"):
        fit_predictor(tmp_path, "generative", dataclasses.replace(TINY, networks="paper"), never, start=path)
    with pytest.raises(UsageError, match="would be overwritten"):
        fit_predictor(path.parent, "generative", TINY, never, start=path)


def test_what_starts_from_weights_keeps_their_linear_model_and_says_whom_it_has_seen(cohort, tmp_path, trained):
    path, start = trained
    given = {"cohort": "theirs, vertebrae of grade 0"}
    fitted, identity = fit_predictor(tmp_path / "more", "generative", TINY, lambda: cohort, card=given, start=path, calibration=0)
    _, card, _ = read_weights(fitted, "generative")
    assert card["started_from"] == start.identity != identity
    assert card["cohort"].startswith("theirs, vertebrae of grade 0; before that: synthetic patients")
    assert card["config"]["components"] == 5
    again = make_predictor("generative", fitted).linear.model
    assert again.ridge == start.linear.model.ridge
    assert all((value == start.linear.model.tensors()[name]).all() for name, value in again.tensors().items())


def test_another_configurations_checkpoint_is_refused(cohort, model, whole):
    folder, _, _ = whole
    with pytest.raises(InputError, match="belongs to another configuration"):
        train_networks(dataclasses.replace(TINY, rate=1e-4), model, cohort, [], folder)


def test_a_checkpoint_from_before_an_option_existed_goes_on(cohort, model, tmp_path):
    alike = dataclasses.replace(TINY, coarse_width=TINY.width)  # coarse was as wide as refine
    tensors = train_networks(alike, model, cohort[2:], [], tmp_path)
    held, card, _ = read_weights(tmp_path / "checkpoint.safetensors", "checkpoint")
    older = {name: value for name, value in card["config"].items() if name not in ("networks", "coarse_width")}
    write_weights(tmp_path / "checkpoint.safetensors", held, card | {"config": older})
    again = train_networks(alike, model, cohort[2:], [], tmp_path)
    assert all(torch.equal(again[name], value) for name, value in tensors.items())


def test_spines_without_a_healthy_target_are_refused(cohort, model, tmp_path):
    blank = [dataclasses.replace(spine, is_target=spine.is_target & False) for spine in cohort]
    with pytest.raises(InputError, match="no healthy vertebra"):
        train_networks(TINY, model, blank, [], tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patiens: 3", "names patiens, which are no options"),
        ("patients: many", "patients is 'many', but must be int"),
        ("patients: 0", "patients is 0, but must be at least 1"),
        ("width: 30", "width is 30, but must be a multiple of 4"),
        ("coarse_width: 6", "coarse_width is 6, but must be a multiple of 4"),
        ("- 3", "holds no options"),
        ("a: [", "cannot be read as YAML"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
    ],
)
def test_a_wrong_configuration_is_told_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_config(path)


def test_a_configuration_changes_what_it_names(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("patients: 7\nrate: 0.001\n")
    assert read_config(path) == TrainingConfig(patients=7, rate=0.001)
