import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.networks import write_weights
from shapekit.segmentation import LevelNetwork, LevelSizes, View, levels_card, read_levels
from shapekit.segmentation.labelling import candidates
from shapekit.segmentation.levels import CLASSES, LevelReader, sequence_scores

SIZES = LevelSizes(4, 4)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LevelNetwork(SIZES)


@pytest.fixture
def view():
    generator = np.random.default_rng(0)
    bodies = np.zeros((48, 48, 48), np.uint8)
    for n, k in enumerate((34, 24, 12), start=1):
        bodies[20:28, 22:30, k : k + 6] = n
    return View(generator.normal(size=bodies.shape).astype(np.float32), bodies, 3)


def figures(levels, weight=2.0):
    """What a network would say that takes each body for one level alone."""
    told = torch.zeros(len(levels), len(CLASSES))
    for n, level in enumerate(levels):
        told[n, CLASSES.index(level)] = weight
    return told


class Saying(torch.nn.Module):
    """Says of bodies what it was told to say."""

    def __init__(self, told):
        super().__init__()
        self.told = told

    def forward(self, image, bodies, counts):
        return [self.told]


def empty_view(count):
    return View(np.zeros((48, 48, 16), np.float32), np.zeros((48, 48, 16), np.uint8), count)


def tensors(view):
    return torch.from_numpy(view.image)[None, None], torch.from_numpy(view.bodies)[None, None]


def test_what_is_said_of_a_body_depends_on_image_and_bodies_but_not_on_what_else_is_looked_at(network, view):
    image, bodies = tensors(view)
    (told,) = network(image, bodies, [3])
    assert told.shape == (3, len(CLASSES))
    assert float((network(image + 0.1 * torch.randn_like(image), bodies, [3])[0] - told).detach().abs().max()) > 0
    fewer = torch.where(bodies == 3, torch.zeros_like(bodies), bodies)
    assert float((network(image, fewer, [2])[0] - told[:2]).detach().abs().max()) > 0
    together = network(torch.cat([image, image]), torch.cat([fewer, bodies]), [2, 3])[1]
    torch.testing.assert_close(together, told, atol=1e-4, rtol=1e-4)


def test_each_body_is_told_by_its_own_features(network, view):
    image, bodies = tensors(view)
    swapped = torch.where(bodies == 1, 2, torch.where(bodies == 2, 1, bodies)).to(torch.uint8)
    torch.testing.assert_close(network(image, swapped, [3])[0][[1, 0, 2]], network(image, bodies, [3])[0], atol=1e-5, rtol=1e-4)


def test_sequences_share_all_probability_and_the_sum_of_figures_ranks_them():
    told = torch.randn(4, len(CLASSES), generator=torch.Generator().manual_seed(2))
    scores = sequence_scores(told)
    sequences, shares = candidates(4)
    assert float(scores.exp().sum()) == pytest.approx(1.0, abs=1e-5)
    figure = [{level: float(value) for level, value in zip(CLASSES, row, strict=True)} for row in told]
    for row in figure:
        row[Level.C7] = max(row.values())  # of the neck: neither for nor against
    sums = [sum(figure[n][level] for n, level in enumerate(one)) + np.log(share) for one, share in zip(sequences, shares, strict=True)]
    np.testing.assert_allclose(np.diff(scores.numpy()), np.diff(sums), atol=1e-4)


@pytest.mark.parametrize(
    "levels",
    [
        (Level.T4, Level.T5, Level.T6),
        (Level.T12, Level.T13, Level.L1),
        (Level.T10, Level.T11, Level.L1),
        (Level.L4, Level.L5, Level.L6, None),
        (Level.L4, Level.L5, None, None),
        (Level.T12, Level.T13, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5, Level.L6),
    ],
    ids=lambda levels: "-".join(map(str, levels)),
)
def test_spines_of_every_kind_are_among_the_sequences(levels):
    sequences, _ = candidates(len(levels))
    assert sequences[int(sequence_scores(figures(levels, 20.0)).argmax())] == levels


def test_where_nothing_speaks_for_it_an_unusual_spine_is_not_taken():
    told = torch.zeros(3, len(CLASSES))  # the lowest is L1, the rest may be anything
    told[2, CLASSES.index(Level.L1)] = 20.0
    told[1, CLASSES.index(Level.T12)] = told[1, CLASSES.index(Level.T13)] = told[1, CLASSES.index(Level.T11)] = 3.0
    sequences, _ = candidates(3)
    scores = sequence_scores(told)
    assert sequences[int(scores.argmax())] == (Level.T11, Level.T12, Level.L1)
    extra, none = (int(sequences.index(one)) for one in ((Level.T12, Level.T13, Level.L1), (Level.T10, Level.T11, Level.L1)))
    assert float(scores.max() - scores[extra]) == pytest.approx(np.log(0.914 / 0.02), abs=1e-4)
    assert float(scores.max() - scores[none]) == pytest.approx(np.log(0.914 / 0.015), abs=1e-4)


def test_a_body_is_as_probable_as_all_sequences_that_agree_on_it():
    told = torch.zeros(2, len(CLASSES))
    told[1, CLASSES.index(Level.L1)] = 30.0
    told[0, CLASSES.index(Level.T12)] = 1.0
    named = LevelReader([Saying(told)])(empty_view(2))
    assert named.levels == (Level.T12, Level.L1)
    assert named.probability[1] == pytest.approx(1.0, abs=1e-6)  # L1 in any case, below a T12, a T13 or a T11
    odds = np.array([0.914 * np.e, 0.02, 0.015])
    assert named.probability[0] == pytest.approx(odds[0] / odds.sum(), abs=1e-5)
    assert named.other == (Level.T13, Level.L1)
    assert named.other_probability == pytest.approx(odds[1] / odds.sum(), abs=1e-5)


def test_files_give_the_same_names_again_and_several_count_on_average(network, view, tmp_path):
    torch.manual_seed(7)
    other, paths = LevelNetwork(SIZES), [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    identities = [write_weights(path, one.state_dict(), levels_card(SIZES, {})) for path, one in zip(paths, (network, other), strict=True)]
    assert read_levels(paths[:1])(view) == LevelReader([network])(view)
    both = read_levels(paths)
    assert both.identity == "+".join(identities)
    image, bodies = tensors(view)
    with torch.inference_mode():
        mean = (network(image, bodies, [3])[0] + other(image, bodies, [3])[0]) / 2
    share = sequence_scores(mean).exp().sort(descending=True).values
    named = both(view)
    assert named.other_probability == pytest.approx(float(share[1]), abs=1e-6)
    assert max(named.probability) >= float(share[0]) - 1e-6
    assert named.probability != LevelReader([network])(view).probability


def test_what_does_not_fit_its_card_is_refused(network, tmp_path):
    path = tmp_path / "levels.safetensors"
    for card in ({"kind": "levels"}, levels_card(LevelSizes(8, 4), {}), levels_card(SIZES, {}) | {"sizes": {"width": "4", "growth": 4}}):
        write_weights(path, network.state_dict(), card)
        with pytest.raises(InputError, match="does not hold what its card promises"):
            read_levels([path])
    with pytest.raises(InputError, match="build no network"):
        LevelSizes(6, 4)


def test_as_many_bodies_as_a_spine_can_have_are_named_and_more_refused(network):
    bodies = np.zeros((48, 48, 48), np.uint8)
    for n in range(24):
        bodies[20:28, 20:28, 2 * (23 - n) : 2 * (23 - n) + 2] = n + 1
    image = np.zeros(bodies.shape, np.float32)
    named = LevelReader([network])(View(image, np.where(bodies > 23, 0, bodies).astype(np.uint8), 23))
    assert [str(level) for level in named.levels] == [
        "None",
        *(f"T{n}" for n in range(1, 14)),
        *(f"L{n}" for n in range(1, 7)),
        "None",
        "None",
        "None",
    ]
    assert (named.other, named.other_probability) == ((), 0.0)
    with pytest.raises(InputError, match="24 bodies were found"):
        LevelReader([network])(View(image, bodies, 24))


def test_a_body_of_the_neck_is_left_out_where_all_below_it_ask_for_that():
    thorax = [Level.T1, Level.T2, Level.T3, Level.T4]
    told = figures([Level.T1, *thorax], 3.0)  # the first is nothing that the network knows
    assert LevelReader([Saying(told)])(empty_view(5)).levels == (None, *thorax)
    assert LevelReader([Saying(figures(thorax, 3.0))])(empty_view(4)).levels == tuple(thorax)
    few = figures([Level.T9, *thorax[:1]], 3.0)
    assert LevelReader([Saying(few)])(empty_view(2)).levels[0] is not None  # two that disagree are no neck yet


def test_what_else_is_known_counts_beside_the_network():
    told = figures([Level.L1, Level.L2, Level.L3], 1.0)
    sequences, _ = candidates(3)
    likelihood = np.array([6.0 if one[0] is Level.T12 else 0.0 for one in sequences])
    reader = LevelReader([Saying(told)])
    assert reader(empty_view(3)).levels == (Level.L1, Level.L2, Level.L3)
    named = reader(empty_view(3), likelihood)
    assert named.levels == (Level.T12, Level.L1, Level.L2)
    assert named.other == (Level.L1, Level.L2, Level.L3)
    share = np.exp(reader.scores(empty_view(3)) + likelihood)
    assert named.other_probability == pytest.approx(share[sequences.index(named.other)] / share.sum())
    assert np.exp(reader.scores(empty_view(3))).sum() == pytest.approx(1.0, abs=1e-5)


def test_a_card_that_promises_a_giant_and_figures_that_are_none_are_refused(network, tmp_path):
    path = tmp_path / "levels.safetensors"
    tensors = network.state_dict()
    write_weights(path, tensors, levels_card(SIZES, {}) | {"sizes": {"width": 4_000_000, "growth": 4}})
    with pytest.raises(InputError, match="does not hold what its card promises"):
        read_levels([path])
    write_weights(path, tensors | {"about.2.bias": torch.full((len(CLASSES),), float("nan"))}, levels_card(SIZES, {}))
    with pytest.raises(InputError, match="does not hold what its card promises"):
        read_levels([path])
