import numpy as np
import pytest

from shapekit.core.checks import InputError, UsageError
from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.values import Body, Expected, Measures, Sdf
from shapekit.mesh import volume_mm3
from shapekit.pipeline import Scored
from shapekit.spine.patches import patch_grid
from shapekit.study import mean_shape, mean_shapes
from shapekit.vertebra import VertebraScore
from tests.factories import OBLIQUE

RADII = (13.0, 14.5, 17.5)


def ball(radius, level="L1", *, at=(5.0, -40.0, 300.0), off=(1.5, -0.75, 2.0), partial=False):
    """A vertebra whose expected and actual body is a ball; its frame's origin lies beside its centre."""
    frame = Frame(np.array(at), OBLIQUE)
    centre = frame.to_world(np.array(off))
    grid = patch_grid(frame)
    sdf = Sdf((np.linalg.norm(grid.points() - centre, axis=-1) - radius).astype(np.float32), grid)
    body = Body(Level(level), 20, sdf, centre, 1.0, partial=partial)
    return VertebraScore(Scored(Measures(level, 20), body, frame, Expected(sdf, frame), sdf))


@pytest.mark.parametrize("kind", ["expected", "actual"])
def test_the_mean_of_balls_is_the_ball_of_the_mean_radius(kind):
    told = mean_shape([ball(radius, at=(10.0 * n, 3.0, -50.0), off=(n, -n, 0.5 * n)) for n, radius in enumerate(RADII)], kind=kind)
    lengths = np.linalg.norm(told.mesh.vertices, axis=1)
    assert told.count == 3
    assert lengths == pytest.approx(np.full(len(lengths), np.mean(RADII)), abs=0.1)
    assert told.sd_mm == pytest.approx(np.full(len(lengths), np.std(RADII, ddof=1)), abs=0.05)
    assert volume_mm3(told.mesh) == pytest.approx(4 / 3 * np.pi * 15.0**3, rel=0.01)


def test_sizes_are_kept_and_places_are_not():
    here, there = (mean_shape([ball(15.0, at=at, off=off)]) for at, off in (((0, 0, 0), (0, 0, 0)), ((90.0, -20.0, 7.0), (2.0, 1.0, -3.0))))
    assert np.abs(here.sdf.values - there.sdf.values)[np.abs(here.sdf.values) < 5].max() < 0.05
    assert np.isnan(here.sd_mm).all()


class Spine(tuple):
    name = "a"


def test_groups_by_level_or_by_anything():
    spines = [Spine([ball(13.0, "L1"), ball(15.0, "L2")]), Spine([ball(17.0, "L1")])]
    told = mean_shapes(spines)
    assert {name: one.count for name, one in told.items()} == {"L1": 2, "L2": 1}
    large = mean_shapes(spines, group=lambda _, vertebra: None if vertebra.level is Level.L2 else "large")
    assert {name: one.count for name, one in large.items()} == {"large": 2}


def test_what_has_no_shape_is_passed_by():
    nothing = VertebraScore(Scored(Measures("L1", 20, status="no_body")))
    assert mean_shape([nothing, ball(15.0)]).count == 1
    assert mean_shape([ball(15.0, partial=True), ball(15.0)], kind="actual").count == 1
    with pytest.raises(InputError, match="no vertebra has an expected shape"):
        mean_shape([nothing])
    with pytest.raises(InputError, match="no vertebra has an actual shape"):
        mean_shapes([Spine([nothing])], kind="actual")
    with pytest.raises(UsageError, match="kind is 'healthy'"):
        mean_shape([], kind="healthy")
