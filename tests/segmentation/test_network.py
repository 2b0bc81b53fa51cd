import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.networks import write_weights
from shapekit.segmentation import Segmenter, SegmenterSizes, read_segmenter, segmenter_card
from shapekit.segmentation.network import NetworkEye

SMALL = SegmenterSizes(8, 32, 4.0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Segmenter(SMALL)


def test_every_output_depends_on_image_and_memory(network):
    image, memory = torch.randn(2, 1, 32, 32, 32, requires_grad=True), torch.rand(2, 1, 32, 32, 32, requires_grad=True)
    outputs = network(image, memory)
    assert [tuple(one.shape) for one in outputs] == [(2, 1, 32, 32, 32), (2,), (2,)]
    for output in outputs:
        for given in (image, memory):
            (gradient,) = torch.autograd.grad(output.sum(), given, retain_graph=True)
            assert float(gradient.abs().max()) > 0


def test_a_file_gives_the_same_sight_again(network, tmp_path):
    path = tmp_path / "segmentation.safetensors"
    identity = write_weights(path, network.state_dict(), segmenter_card(SMALL, {}))
    generator = np.random.default_rng(0)
    image, memory = generator.normal(size=(32, 32, 32)).astype(np.float32), generator.random((32, 32, 32)) > 0.5
    eye = read_segmenter(path)
    assert (eye.identity, eye.sizes) == (identity, SMALL)
    one, other = (look(image, memory, np.zeros(3, int)) for look in (NetworkEye([network]), eye))
    assert np.array_equal(one.probability, other.probability)
    assert (one.complete, one.value) == (other.complete, other.value)


def test_several_networks_look_together(network, tmp_path):
    torch.manual_seed(5)
    other, paths = Segmenter(SMALL), [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    identities = [write_weights(path, own.state_dict(), segmenter_card(SMALL, {})) for path, own in zip(paths, (network, other), strict=True)]
    image, memory, start = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32), np.zeros((32, 32, 32), bool), np.zeros(3, int)
    together = read_segmenter(paths)
    assert together.identity == "+".join(identities)
    one, two, both = (look(image, memory, start) for look in (read_segmenter(paths[0]), read_segmenter(paths[1]), together))
    np.testing.assert_allclose(both.probability, (one.probability + two.probability) / 2, atol=1e-6)
    assert both.complete == pytest.approx((one.complete + two.complete) / 2)
    assert both.value == pytest.approx((one.value + two.value) / 2)
    assert abs(one.value - two.value) > 1e-3


def test_what_votes_err_by_comes_with_the_weights_and_is_the_mean_where_several_tell(network, tmp_path):
    cards = [{"L1": 0.2, "L2": 0.4}, {"L1": 0.4}, {}]
    paths = [tmp_path / f"{n}.safetensors" for n in range(3)]
    for path, scatter in zip(paths, cards, strict=True):
        write_weights(path, network.state_dict(), segmenter_card(SMALL, {}) | {"scatter": scatter})
    assert read_segmenter(paths[0]).scatter == {Level.L1: 0.2, Level.L2: 0.4}
    assert read_segmenter(paths[:2]).scatter == pytest.approx({Level.L1: 0.3})
    assert read_segmenter(paths).scatter == {}


@pytest.mark.parametrize("scatter", [{"L9": 0.2}, {"L1": 0.0}, {"L1": float("nan")}, {"L1": 10**400}, {"L1": 1e300}, {"L1": "wide"}, ["L1"], 3])
def test_errors_that_are_none_are_refused(network, tmp_path, scatter):
    path = tmp_path / "w.safetensors"
    write_weights(path, network.state_dict(), segmenter_card(SMALL, {}) | {"scatter": scatter})
    with pytest.raises(InputError, match="does not hold what its card promises"):
        read_segmenter(path)


def test_networks_that_see_other_patches_do_not_look_together(network):
    with pytest.raises(InputError, match="do not see patches of one size"):
        NetworkEye([network, Segmenter(SegmenterSizes(8, 48, 4.0))])


def test_what_does_not_fit_its_card_is_refused(network, tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, network.state_dict(), segmenter_card(SegmenterSizes(16, 32, 4.0), {}))
    with pytest.raises(InputError, match="does not hold what its card promises"):
        read_segmenter(path)
    write_weights(path, network.state_dict(), {"kind": "generative"})
    with pytest.raises(InputError, match="another kind"):
        read_segmenter(path)


@pytest.mark.parametrize("sizes", [(6, 48, 2.0), (8, 40, 2.0), (8, 16, 2.0), (8, 48, 0.1), (8, 48, 2.0, 6), (8, 48, 2.0, -4)])
def test_sizes_that_build_no_network_are_refused(sizes):
    with pytest.raises(InputError, match="build no network"):
        SegmenterSizes(*sizes)


def test_coarser_levels_are_wider_by_their_growth_and_alike_without():
    image = torch.zeros(1, 1, 32, 32, 32)
    for growth, channels in ((0, (8, 8, 8, 8)), (4, (8, 12, 16, 20))):
        sizes = SegmenterSizes(8, 32, 4.0, growth)
        network = Segmenter(sizes)
        assert sizes.channels == channels
        assert tuple(stage.first.out_channels for stage in network.encoder) == channels
        assert network(image, image)[0].shape == image.shape
