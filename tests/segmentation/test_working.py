import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid
from shapekit.core.values import Image
from shapekit.io.volumes import read_volume
from shapekit.segmentation.working import check_hounsfield, scaled, to_working
from tests.factories import oblique_grid
from tests.real.conftest import real_file


def plausible(shape=(40, 44, 36), seed=0):
    """Air, fat, muscle, spongy bone and cortex in about a body's shares."""
    generator = np.random.default_rng(seed)
    hu = generator.choice([-1000.0, -100.0, 50.0, 250.0, 900.0], shape, p=[0.3, 0.2, 0.45, 0.045, 0.005])
    return (hu + generator.normal(0.0, 15.0, shape)).round().astype(np.int16)


def image(array):
    return Image(array, Grid(array.shape, np.diag([1.0, 1.0, 2.0, 1.0])))


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_a_ct_passes(kind):
    check_hounsfield(image(plausible().astype(kind)), "ct")


def test_a_crop_without_air_passes_as_does_one_with_metal():
    crop = np.where(plausible() < -500, 50, plausible())
    check_hounsfield(image(crop), "ct")
    crop[:3, :3, :3] = 3000
    check_hounsfield(image(crop), "ct")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda hu: -hu, "inverted"),
        (lambda hu: -np.where(hu < -500, 50, hu), "inverted"),
        (lambda hu: np.abs(hu), "none of them negative"),
        (lambda hu: hu + 1100, "none of them negative"),
        (lambda hu: hu / 1000.0, "too narrow"),
        (lambda hu: np.where(hu > 0, np.nan, hu), "NaN"),
        (lambda hu: hu[:1], "no volume"),
        (lambda hu: hu > 0, "no volume"),
    ],
)
def test_what_is_no_ct_is_refused_in_one_sentence(change, said):
    with pytest.raises(InputError, match=said) as complaint:
        check_hounsfield(image(change(plausible())), "scan")
    assert str(complaint.value).startswith("scan ")
    assert "\n" not in str(complaint.value)


def test_the_working_grid_holds_a_linear_field_wherever_it_was_scanned():
    grid = oblique_grid((61, 40, 25))
    slope = np.array([3.0, -2.0, 1.5])
    field = grid.points() @ slope
    working = to_working(Image(field.astype(np.float32), grid), 2.0)
    assert np.allclose(working.grid.affine[:3, :3], 2.0 * np.eye(3))
    index = grid.to_index(working.grid.points())
    deep = ((index > 2) & (index < np.array(grid.shape) - 3)).all(axis=-1)
    assert deep.sum() > 2000
    assert np.abs(working.array - working.grid.points() @ slope)[deep].max() < 0.02
    beyond = ((index < -0.6) | (index > np.array(grid.shape) - 0.4)).any(axis=-1)
    assert (working.array[beyond] == -1024.0).all()


def test_scaling_keeps_order_and_ends():
    values = scaled(np.array([-2000, -1000, -100, 40, 150, 800, 3000]))
    assert (np.diff(values) > 0).all()
    assert np.abs(values).max() <= 1.0


@pytest.mark.parametrize("name", ["verse19/sub-verse005_ct", "verse19/sub-verse014_ct", "tptbox/sub-ct_label-22_ct", "totalsegmentator/example_ct"])
def test_a_real_ct_passes_and_its_inversion_does_not(name):
    ct = read_volume(real_file(f"{name}.nii.gz"))
    check_hounsfield(ct, "ct")
    with pytest.raises(InputError, match="inverted"):
        check_hounsfield(Image(-ct.array.astype(np.float32), ct.grid), "ct")
