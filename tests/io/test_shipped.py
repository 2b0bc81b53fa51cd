import pytest

from shapekit.io.shipped import shipped_segmenters, shipped_weights


@pytest.mark.parametrize("predictor", ["generative", "coarse", "linear", "neighbours"])
def test_every_predictors_weights_ship(predictor):
    assert shipped_weights(predictor).is_file()


def test_the_networks_that_segment_ship():
    assert all(path.is_file() for path in shipped_segmenters())


def test_the_first_network_is_in_the_file_of_both():
    assert shipped_weights("coarse") == shipped_weights("generative")
    assert not shipped_weights("nosuch").exists()
