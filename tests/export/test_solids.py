import math
from dataclasses import replace

import numpy as np
import pytest

import shapekit as sk
from shapekit.export import Solid, gate, solids_of
from shapekit.export.solids import PALETTES, UNSCORED, deficit_colours, score_colours


def test_the_ends_and_the_middle_of_the_palettes():
    for name, anchors in PALETTES.items():
        colours = score_colours([0, 100, 250, -1, math.nan], name)
        assert colours.tolist() == [list(anchors[0]), list(anchors[-1]), list(anchors[-1]), list(UNSCORED), list(UNSCORED)]
        steps = score_colours(np.arange(0, 101, 5), name).astype(int)
        assert len(np.unique(steps, axis=0)) == 21
    assert deficit_colours([-10, 0, 10]).tolist()[0][2] > 150
    assert np.ptp(deficit_colours([0.0])[0].astype(int)) < 25  # bone, no hue
    assert deficit_colours([10]).tolist()[0][0] > 150


PROTANOPIA = np.array([(0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)])
"""What is left of a colour without cones for red (Machado et al. 2009)."""


def test_plasma_grows_brighter_without_cones_for_red_and_the_other_palette_does_not():
    def brightness(name):
        return (score_colours(np.arange(0, 101, 10), name) / 255.0) @ PROTANOPIA.T @ (0.2126, 0.7152, 0.0722)

    assert np.diff(brightness("plasma")).min() > 0.01
    assert np.diff(brightness("green-red")).min() < 0
    seen = (score_colours([0, 25, 50, 75, 100, -1], "plasma") / 255.0) @ PROTANOPIA.T
    assert np.linalg.norm(seen[:-1] - seen[-1], axis=1).min() > 0.2  # none looks like the grey of no score


def test_what_was_not_scored_is_grey_and_has_no_expected_body(scored):
    alone = replace(scored[1], expected=None, actual=None, measures=replace(scored[1].measures, score=math.nan, status="no_context"))
    (solid,) = solids_of([alone])
    assert solid.name == "L3_actual"
    assert (solid.colours == UNSCORED).all()
    assert solid.score == -1
    assert (solid.scalars["score"] == -1).all()
    assert solids_of([replace(alone, body=None)]) == []


def test_solids_keep_the_order_and_refuse_what_does_not_fit(scored, solids):
    assert list(solids) == [f"{level}_{kind}" for level in ("L2", "L3", "L4", "L5") for kind in ("actual", "expected")]
    assert all(solid.repairs == () for solid in solids.values())
    with pytest.raises(sk.UsageError, match="palette is 'jet', but must be one of: green-red, plasma"):
        solids_of(scored, palette="jet")
    body = solids["L3_actual"]
    with pytest.raises(sk.InputError, match="colours has shape"):
        Solid("L3", "actual", body.mesh, body.colours[1:])
    with pytest.raises(sk.InputError, match="deficit_mm holds NaN"):
        Solid("L3", "actual", body.mesh, body.colours, scalars={"deficit_mm": np.full(len(body.colours), np.nan, np.float32)})


def test_scalars_belong_to_their_vertices_after_the_gate(solids, crushed_result):
    deficit = crushed_result["L3"].deficit
    passed = gate(deficit.mesh)
    assert np.array_equal(solids["L3_expected"].scalars["nearest_mm"], deficit.nearest_mm[passed.kept].astype(np.float32))
    assert crushed_result["L3"].actual.sample(solids["L3_expected"].mesh.vertices) == pytest.approx(deficit.nearest_mm, abs=1e-3)
