"""Count the signs that flip: bodies of random phantoms, each alone and without its arch, turned at random by up to 55° from the scanner's axes.

``signs.py FIRST LAST`` takes patients FIRST … LAST - 1 (a run can be split, and one patient replayed: each has random numbers of its own).
"""

import sys

import numpy as np
from scipy.spatial.transform import Rotation

from shapekit.ops.evidence import Faces
from shapekit.phantom.patient import draw_patient, patient_generator
from shapekit.spine.facing import find_anterior, find_superior

FIRST, LAST = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (0, 600)
flipped, doubtful, off = 0, 0, []
for index in range(FIRST, LAST):
    generator = patient_generator(901, index)
    for vertebra in draw_patient(patient_generator(900, index)):
        axis = generator.normal(size=3)
        turn = Rotation.from_rotvec(np.radians(generator.uniform(0, 55)) * axis / np.linalg.norm(axis)).as_matrix()
        frame, faces = vertebra.frame(), Faces.of(vertebra.mesh())
        to_space = turn @ frame.axes.T
        turned = Faces(faces.centres[::5] @ to_space.T, faces.normals[::5] @ to_space.T, faces.areas[::5])  # as many as a scan gives
        up, no_top = find_superior(turned)
        ahead, no_front = find_anterior([turned], [up])
        guess = no_top or no_front
        si, ap = np.degrees(np.arccos(np.clip([up @ turn[:, 2], ahead @ turn[:, 1]], -1, 1)))
        wrong, doubtful = max(si, ap) > 90.0, doubtful + guess
        flipped += wrong and not guess
        off += [] if guess else [(si, ap)]
        if guess or max(si, ap) > 45.0:
            what = f"{'a guess' if guess else 'believed'}{', a sign flipped' if wrong else ''}"
            print(f"patient {index} {vertebra.level} (loss {vertebra.loss.worst:.2f}): SI {si:.0f}°, AP {ap:.0f}° off, {what}", flush=True)
si, ap = np.percentile(np.array(off), 99, axis=0)
worst = np.max(off)
print(
    f"patients {FIRST}-{LAST - 1}: {len(off) + doubtful} bodies, {doubtful} called a guess; of the others {flipped} flipped, "
    f"99 % of SI within {si:.1f}°, of AP within {ap:.1f}°, the worst {worst:.0f}° off"
)
