import numpy as np

from shapekit.core.levels import Level
from shapekit.evaluation.oracle import Oracle
from shapekit.mesh import surface_distance
from shapekit.phantom import body_patch, draw_patient, patient_generator
from shapekit.predictors import Context, contexts_along

NOBODY = (None,) * 4


def test_its_shape_lies_near_the_true_healthy_one_whatever_it_is_shown():
    patient = draw_patient(patient_generator(8, 0), fractures={"L1": ("crush", 0.4)})
    oracle, true = Oracle(patient), patient["L1"]
    twin, broken = (body_patch(true, true.frame(which), which=which, limit_mm=2.0) for which in ("healthy", "actual"))
    (made,) = oracle.predict([Context(Level.L1, NOBODY, NOBODY)])
    expected = type(twin)(made, twin.grid)
    assert surface_distance(expected, twin) < 0.7 * surface_distance(broken, twin)
    (again,) = oracle.predict([contexts_along([Level.T12, Level.L1, Level.L2], [twin, broken, twin])[1]])
    assert np.array_equal(made, again)


def test_it_names_the_neighbours_that_are_there():
    patient = draw_patient(patient_generator(8, 1))
    assert Oracle(patient).uses(Context(Level.L1, (None, Level.T12, Level.L2, None), NOBODY)) == (Level.T12, Level.L2)
