"""In: a seed. Out: Patient (vertebrae with their healthy twins and every truth), Scan (LabelMap, cut levels, defects) and Image (its CT).

Imports core only, so that its truth does not rest on the code that it is used to judge.
"""

from shapekit.phantom.acquisition import Scan, acquire, random_rotation, scan_grid
from shapekit.phantom.body import BodyShape, Plate
from shapekit.phantom.ct import CtLook, draw_look, simulate_ct
from shapekit.phantom.foresight import foreseen
from shapekit.phantom.fracture import KINDS, Loss, break_body, draw_fractures, height_loss
from shapekit.phantom.patient import BUILDS, VERSE_VALUES, Patient, Vertebra, body_patch, demo_patient, draw_patient, patient_generator

__all__ = [
    "KINDS",
    "VERSE_VALUES",
    "BUILDS",
    "BodyShape",
    "CtLook",
    "Loss",
    "Patient",
    "Plate",
    "Scan",
    "Vertebra",
    "acquire",
    "body_patch",
    "break_body",
    "demo_patient",
    "draw_fractures",
    "draw_look",
    "draw_patient",
    "foreseen",
    "height_loss",
    "patient_generator",
    "random_rotation",
    "scan_grid",
    "simulate_ct",
]
