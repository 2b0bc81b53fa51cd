import pytest

from shapekit.io.shipped import shipped_weights


@pytest.mark.parametrize("of", ["generative", "coarse", "linear", "neighbours", "segmentation", "levels"])
def test_every_networks_weights_ship(of):
    assert shipped_weights(of).is_file()


def test_the_first_network_is_in_the_file_of_both():
    assert shipped_weights("coarse") == shipped_weights("generative")
    assert not shipped_weights("nosuch").exists()
