"""Count the signs that flip: bodies of random phantoms, each alone and without its arch, turned at random by up to 55° from the scanner's axes."""

import sys

import numpy as np
from scipy.spatial.transform import Rotation

from shapekit.phantom.patient import draw_patient, patient_generator
from shapekit.spine.evidence import Faces
from shapekit.spine.facing import find_anterior, find_superior

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 600
generator = np.random.default_rng(3)
bodies, flipped, doubtful, off = 0, 0, 0, []
for index in range(COUNT):
    for vertebra in draw_patient(patient_generator(900, index)):
        axis = generator.normal(size=3)
        turn = Rotation.from_rotvec(np.radians(generator.uniform(0, 55)) * axis / np.linalg.norm(axis)).as_matrix()
        frame, faces = vertebra.frame(), Faces.of(vertebra.mesh())
        to_space = turn @ frame.axes.T
        turned = Faces(faces.centres[::5] @ to_space.T, faces.normals[::5] @ to_space.T, faces.areas[::5])  # as many as a scan gives
        up, guess = find_superior(turned)
        ahead = find_anterior([turned], [up])
        bodies, doubtful = bodies + 1, doubtful + guess
        flipped += bool(up @ turn[:, 2] < 0 or ahead @ turn[:, 1] < 0)
        off.append(np.degrees(np.arccos(np.clip([up @ turn[:, 2], ahead @ turn[:, 1]], -1, 1))))
si, ap = np.percentile(np.array(off), 99, axis=0)
print(f"{bodies} bodies: {flipped} flipped, {doubtful} called a guess; 99 % of SI within {si:.1f}°, of AP within {ap:.1f}°")
