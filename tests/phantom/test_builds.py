"""Bodies of a varied build beside the figures they were drawn from, and beside plain ones."""

from dataclasses import replace

import numpy as np
import pytest

from shapekit.core.checks import UsageError
from shapekit.core.levels import Level
from shapekit.phantom import body_patch, draw_patient, patient_generator
from shapekit.phantom.body import FORAMEN, HARMONICS, RIM_INFERIOR, RIM_SUPERIOR
from shapekit.phantom.foresight import foreseen_habits
from shapekit.phantom.reference import HEIGHT_SCALE, level_references
from shapekit.phantom.spine import DEEPEST_FORAMEN, FORAMEN_DEPTH, TRAIT_ADJACENT, column_of

MANY = 40
LEVELS = ["T5", "T9", "T12", "L1", "L2", "L3", "L4"]
BACK, RIGHT, LEFT = -np.pi / 2, 0.0, np.pi


@pytest.fixture(scope="module")
def drawn():
    """The same people of either build."""
    return {
        build: [draw_patient(patient_generator(31, n), levels=LEVELS, sex="FM"[n % 2], fractures="none", build=build) for n in range(MANY)]
        for build in ("plain", "varied")
    }


def radius(series, angle):
    """Of one Fourier series, at angles."""
    order = np.arange(1, HARMONICS + 1)
    waves = np.outer(order, np.atleast_1d(angle))
    return series[0] + series[1 : HARMONICS + 1] @ np.cos(waves) + series[HARMONICS + 1 :] @ np.sin(waves)


def hollow_mm(body):
    """How far the midline of the posterior wall lies in front of the hindmost corner, mean of both rims without their lips."""
    angle = np.linspace(-np.pi, 0.0, 721)
    backs = [radius(body.outline[rim], angle) * np.sin(angle) for rim in (RIM_SUPERIOR, RIM_INFERIOR)]
    return np.mean([back[360] - back.min() for back in backs])


def rim_over_waist(body):
    """Width of the rims over that at mid-height."""
    rims = [radius(body.outline[rim], [RIGHT, LEFT]).sum() for rim in (RIM_SUPERIOR, RIM_INFERIOR)]
    return np.mean(rims) / body.wall_radius([RIGHT, LEFT], 0.0).sum()


def foramen_mm(body):
    """How deep the foramen is behind."""
    return -float(radius(body.outline[FORAMEN], BACK)[0])


@pytest.mark.parametrize("level", ["T5", "T9", "T12", "L1", "L2"])
def test_the_posterior_wall_is_as_hollow_as_the_table_says_only_in_a_varied_build(drawn, level):
    wanted = level_references()[Level(level)].posterior_concavity_mm
    found = {build: np.mean([hollow_mm(patient[level].healthy) for patient in patients]) for build, patients in drawn.items()}
    assert found["varied"] == pytest.approx(wanted, abs=0.5)
    assert found["plain"] < 0.5 * wanted


def test_lower_down_it_is_flat(drawn):
    assert np.mean([hollow_mm(patient["L4"].healthy) for patient in drawn["varied"]]) < 0.8


def test_waists_differ_more_than_802_cts_have_them_in_a_varied_build(drawn):
    spread = {build: np.std([rim_over_waist(patient["L3"].healthy) for patient in patients]) for build, patients in drawn.items()}
    assert spread["varied"] > 0.05  # rim over mid width at L3: 0.047 and 0.050 in women and men
    assert spread["plain"] < 0.05


def test_the_rest_of_a_person_is_drawn_from_the_same(drawn):
    heights = {build: np.mean([patient["L3"].healthy.heights_mm() for patient in patients], axis=0) for build, patients in drawn.items()}
    assert heights["varied"] == pytest.approx(heights["plain"], abs=0.8)  # three standard errors of a mean of 40
    one, other = (patients[0].habits for patients in drawn.values())
    assert np.array_equal(one.sizes, other.sizes)
    assert np.array_equal(one.traits, other.traits)


@pytest.mark.parametrize(("level", "published"), [("L1", 2.65), ("L2", 3.0), ("L3", 2.8), ("L4", 3.25)])
def test_lumbar_endplates_sag_as_published_in_a_varied_build(drawn, level, published):
    sags = {}
    for build, patients in drawn.items():
        heights = np.array([patient[level].healthy.heights_mm() for patient in patients])
        sags[build] = ((heights[:, 0] + heights[:, 2]) / 2 - heights[:, 1]).mean()
    assert sags["varied"] == pytest.approx(published * HEIGHT_SCALE, abs=0.55)  # three standard errors of a mean of 40 are 0.5
    assert sags["plain"] < sags["varied"] - 0.3


def test_a_foramen_dips_in_at_mid_height_as_deep_as_stated(drawn):
    shares = []
    for level in LEVELS:
        for patient in drawn["varied"]:
            body = patient[level].healthy
            filled = replace(body, outline=np.where(np.arange(len(body.outline))[:, None] == FORAMEN, 0.0, body.outline))
            dip = filled.wall_radius(BACK, [-0.9, 0.0, 0.9]) - body.wall_radius(BACK, [-0.9, 0.0, 0.9])
            assert dip[1] == pytest.approx(foramen_mm(body), abs=1e-9)
            assert dip[[0, 2]].max() < 0.01 * dip[1]
            shares.append(foramen_mm(body) / np.ptp(filled.depth_span_mm()))
    assert np.median(shares) == pytest.approx(FORAMEN_DEPTH, abs=0.015)
    assert DEEPEST_FORAMEN / 2 < max(shares) < DEEPEST_FORAMEN * 1.1  # the shares here are of both rims' mean depth


def test_neighbours_waists_and_foramina_go_together(drawn):
    for measure in (foramen_mm, rim_over_waist):
        above, below = ([measure(patient[level].healthy) for patient in drawn["varied"]] for level in ("L1", "L2"))
        assert np.corrcoef(np.log(above), np.log(below))[0, 1] > 0.4, measure.__name__


@pytest.mark.parametrize(("level", "width_mm"), [("L4", 12.9), ("L5", 18.0)])
def test_lower_pedicles_are_as_wide_as_published_in_a_varied_build(level, width_mm):
    widths = {
        build: np.mean([2 * draw_patient(n, levels=["L4", "L5"], fractures="none", build=build)[level].arch.radii[0, 0] for n in range(20)])
        for build in ("plain", "varied")
    }
    assert widths["varied"] == pytest.approx(width_mm, abs=1.0)
    assert widths["plain"] < width_mm - 2.0


def test_what_is_foreseen_of_walls_lies_between_the_neighbours(drawn):
    habits = drawn["varied"][0].habits
    found = foreseen_habits(habits, Level.L2, [Level.L1, Level.L3, Level.T5]).walls[:, column_of(Level.L2)]
    above, below = (habits.walls[:, column_of(level)] for level in (Level.L1, Level.L3))
    assert found == pytest.approx(TRAIT_ADJACENT / (1 + TRAIT_ADJACENT**2) * (above + below))
    assert foreseen_habits(drawn["plain"][0].habits, Level.L2, [Level.L1]).walls is None


def test_a_fracture_of_a_varied_body_keeps_its_foramen_and_loses_what_was_asked():
    patient = draw_patient(5, levels=["T12", "L1", "L2"], fractures={"L1": ("wedge", 0.3)}, build="varied")
    broken = patient["L1"]
    assert broken.loss.ha == pytest.approx(0.3, abs=0.002)
    assert foramen_mm(broken.actual) == foramen_mm(broken.healthy) > 0.0


def test_the_patch_holds_the_exact_distance_of_a_varied_body(drawn):
    vertebra = drawn["varied"][1]["L2"]
    patch = body_patch(vertebra, vertebra.frame("healthy"), which="healthy")
    exact = vertebra.signed_distance(patch.grid.points(), which="healthy")
    near = np.abs(exact) < 3.9
    assert np.abs(exact - patch.values)[near].max() < 1e-3


def test_a_plain_build_is_as_it_was_before_there_was_another():
    patient = draw_patient(7, levels=["T8", "L1", "L5"], fractures={"L1": ("crush", 0.3)})
    assert patient["T8"].actual.outline.sum() == pytest.approx(27.97039812522612, abs=1e-9)
    assert patient["L1"].actual.outline.sum() == pytest.approx(37.62945085085211, abs=1e-9)
    assert patient["L1"].actual.heights_mm() == pytest.approx((19.481114095837476, 18.730811681328912, 22.47394412810732), abs=1e-9)
    assert patient["L5"].arch.radii[0, 0] == pytest.approx(6.171879966891252, abs=1e-9)
    assert patient["L5"].placement.origin == pytest.approx([-36.40788939240636, 5.012849783355388, 45.05863955784793], abs=1e-9)


def test_another_build_is_refused():
    with pytest.raises(UsageError, match="build"):
        draw_patient(7, build="stout")
