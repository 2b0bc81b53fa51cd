import dataclasses
import itertools

import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.training import Samples, fit_linear, samples_of_spine
from shapekit.training.batches import Seats, assembled, draw_batch, draw_seats, full_seats, targets_of
from shapekit.training.linear import BatchGuess
from shapekit.training.samples import seeded


def test_the_same_seed_and_key_give_the_same_batch_and_another_key_another(cohort):
    targets = targets_of(cohort)
    one, same, other = (draw_batch(cohort, targets, 6, key=key, seed=4) for key in ((0, 1, 0), (0, 1, 0), (0, 2, 0)))
    assert torch.equal(one.fields, same.fields)
    assert torch.equal(one.target, same.target)
    assert not torch.equal(one.target, other.target)
    assert one.fields.shape == (6, 4, 40, 32, 32)
    assert one.target.shape == (6, 1, 40, 32, 32)


def test_every_target_keeps_a_neighbour_and_absent_ones_are_blank(cohort):
    targets = targets_of(cohort)
    seen = [draw_batch(cohort, targets, 16, key=(0, step, 0), seed=1) for step in range(12)]
    for batch in seen:
        assert bool(batch.present.any(dim=1).all())
        assert float(batch.fields[~batch.present].abs().max()) == 0.0
    missing = torch.cat([~batch.present for batch in seen]).float().mean()
    assert 0.1 < float(missing) < 0.6


def test_seats_are_the_nearest_whole_ones_in_order(cohort):
    spine = cohort[0]
    assert full_seats(spine, 3).slots == (1, 2, 4, 5)
    assert full_seats(spine, 0).slots == (None, None, 1, 2)
    drawn = [draw_seats(spine, 2, seeded(0, n)).slots for n in range(300)]
    assert {len(slots) for slots in drawn} == {4}
    assert all(any(slot is not None for slot in slots) for slots in drawn)
    assert all(slot != 2 for slots in drawn for slot in slots)
    assert any(slots[0] is None and slots[1] is None for slots in drawn)  # one side only
    assert any(slots[1] == 0 for slots in drawn)  # the next one took the seat


def test_a_broken_neighbour_is_shown_as_it_was_measured_or_as_it_is_expected(cohort):
    predicted = np.full((40, 32, 32), 3.0, np.float16)
    spine = dataclasses.replace(cohort[1], expected={1: predicted})  # its second body is broken
    plain = assembled([spine], [Seats(0, (None, None, 1, 2))])
    mended = assembled([spine], [Seats(0, (None, None, 1, 2), (False, False, True, True))])
    np.testing.assert_allclose(plain.fields[0, 2], spine.measured[1], atol=1e-3)
    assert torch.equal(mended.fields[0, 2], torch.from_numpy(predicted).float())
    assert torch.equal(plain.fields[0, 3], mended.fields[0, 3])  # nobody has said how it is expected


def test_the_guess_is_the_linear_models_for_each_targets_own_company(cohort):
    model = fit_linear(cohort[2:], components=6)
    seats = [Seats(2, slots) for slots in itertools.product((None, 0), (None, 1), (None, 3), (None, 4)) if any(slot is not None for slot in slots)]
    batch = assembled([cohort[0]] * len(seats), seats)
    assert batch.places[4].tolist() == [-1, int(batch.places[-1, 1]), -1, int(batch.places[-1, 3])]
    guess = BatchGuess(model)(batch)
    assert guess.shape == (15, 1, 40, 32, 32)
    for n, seat in enumerate(seats):
        places = [None if slot is None else place for slot, place in zip(seat.slots, batch.places[n].tolist(), strict=True)]
        alone, _ = model.guess(batch.fields[n].numpy(), places, int(batch.level[n]))
        np.testing.assert_allclose(guess[n, 0], alone, atol=1e-3)
    near = batch.target[-1].abs() < 1.5
    assert float((guess[-1] - batch.target[-1]).abs()[near].mean()) < 0.4


def test_of_a_users_spine_only_bodies_graded_as_whole_are_targets(ellipsoid_spine):
    grades = {Level.T12: 0, Level.L1: 2, Level.L2: 0}
    found = samples_of_spine(ellipsoid_spine, grades, subject="a", bodies="given")
    by_rank = dict(zip(found.ranks.tolist(), found.is_target.tolist(), strict=True))
    assert {level: by_rank[level.rank] for level in (Level.T12, Level.L1, Level.L2, Level.L3)} == {
        Level.T12: True,
        Level.L1: False,
        Level.L2: True,
        Level.L3: False,  # nobody has read it
    }
    assert not found.broken.any()  # and of a broken one nobody knows how it should look
    assert np.array_equal(found.measured, found.healthy)


def test_samples_on_disk_are_the_same_and_damage_is_told(tmp_path, cohort):
    path = tmp_path / "s1.npz"
    cohort[1].save(path)
    again = Samples.read(path)
    assert again.subject == "s1"
    assert all(np.array_equal(getattr(again, name), getattr(cohort[1], name)) for name in ("ranks", "measured", "healthy", "is_target", "loss"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"s1\.npz holds no samples"):
        Samples.read(path)
