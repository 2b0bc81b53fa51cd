"""Draw two whole spines for docs/phantom.md, a healthy one and an osteoporotic cluster: bones from the side and the front, and a CT.

Needs the extra `viz`. Patients are found in the cohort of seed 1 by their truth, so the command serves as it stands when shapes change.
"""

import io
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyvista as pv
from PIL import Image
from scipy import ndimage
from skimage.measure import marching_cubes
from threadpoolctl import threadpool_limits
from vtkmodules.vtkCommonCore import vtkLogger

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from shapekit.core.grid import Grid
from shapekit.phantom import draw_look, draw_patient, patient_generator, simulate_ct

FIGURES = Path(__file__).resolve().parents[1] / "figures"
SEED = 1
BODY, ARCH, PAPER = "#f3ead9", "#e2d5bd", "#f7f7f5"
GRADES = {1: "#f0bf4c", 2: "#e5792f", 3: "#bf2f2a"}
WINDOW_HU = (-220, 620)
ZOOM = 3.0
"""Pixels per mm of the rendered bones before they are laid out."""


def first(wanted):
    """First patient of the cohort whose truth is as wanted."""
    for index in range(400):
        patient = draw_patient(patient_generator(SEED, index))
        if len(patient) == 17 and wanted(patient, [vertebra.grade for vertebra in patient]):
            return index, patient
    sys.exit("no such patient among the first 400; ask for something else")


def healthy(patient, _):
    return not any(vertebra.kind for vertebra in patient)


def cluster(patient, grades):
    """Three to five fractures, three of them in a row about the thoracolumbar junction, one of them severe, and no body else broken."""
    broken = [n for n, grade in enumerate(grades) if grade]
    about = [n for n in broken if str(patient.levels[n]) in ("T10", "T11", "T12", "L1", "L2", "L3")]
    row = any({n, n + 1, n + 2} <= set(about) for n in about)
    return row and len(broken) <= 5 and len({grades[n] for n in broken}) >= 2 and max(grades) == 3


def surface(vertices, faces):
    mesh = pv.PolyData.from_regular_faces(vertices, faces)
    return mesh.compute_normals(auto_orient_normals=False, split_vertices=False)


def arch_mesh(vertebra, step=0.9):
    """The arch in patient space, without what of it lies deep in the body."""
    boxes = vertebra.arch.boxes(3.0)
    low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance = np.maximum(vertebra.arch.signed_distance(points), -vertebra.actual.level_set(points) - 2.0)
    vertices, faces, _, _ = marching_cubes(distance, 0.0, spacing=(step,) * 3)
    return surface(vertebra.placement.to_world(vertices + low), faces[:, ::-1]).smooth_taubin(n_iter=20, pass_band=0.2)


def bones(patient):
    """Meshes of all bodies and arches with their colours."""
    for vertebra in patient:
        body = vertebra.mesh()
        yield surface(body.vertices, body.faces), GRADES.get(vertebra.grade, BODY)
        yield arch_mesh(vertebra), ARCH


def render(meshes, towards):
    """The bones seen from a direction, cropped to them, (rows, columns, 3)."""
    plotter = pv.Plotter(off_screen=True, lighting="none")
    plotter.background_color = PAPER
    for mesh, colour in meshes:
        plotter.add_mesh(mesh, color=colour, smooth_shading=True, ambient=0.2, diffuse=0.92, specular=0.12, specular_power=18)
    low, high = np.array(plotter.bounds).reshape(3, 2).T
    middle, direction = 0.5 * (low + high), np.array(towards) / np.linalg.norm(towards)
    right = np.cross(-direction, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    for place, strength in ((direction - 0.9 * right + [0, 0, 0.9], 0.88), (direction + 1.2 * right + [0, 0, 0.1], 0.36), (-direction, 0.12)):
        plotter.add_light(pv.Light(position=middle + 900.0 * place, focal_point=middle, intensity=strength, light_type="scene light"))
    span = float(np.linalg.norm(high - low))
    plotter.camera.position, plotter.camera.focal_point, plotter.camera.up = middle + 2.0 * span * direction, middle, (0.0, 0.0, 1.0)
    plotter.camera.parallel_projection, plotter.camera.parallel_scale = True, 0.5 * (high[2] - low[2]) + 12.0
    plotter.camera.clipping_range = (0.5 * span, 4.0 * span)
    height = round(2.0 * plotter.camera.parallel_scale * ZOOM)
    plotter.window_size = (round(0.75 * height), height)
    plotter.enable_ssao(radius=14.0, bias=0.6, kernel_size=64)
    plotter.enable_anti_aliasing("ssaa")
    picture = plotter.screenshot(None, return_img=True)
    plotter.close()
    drawn = np.flatnonzero((np.abs(picture.astype(int) - picture[0, 0]) > 6).any(axis=(0, 2)))
    return picture[:, max(drawn[0] - 24, 0) : drawn[-1] + 24]


def sagittal(patient, index):
    """Section of a CT along the middle of the canal and the bodies, its edges (mm: anterior, posterior, low, high) and the grid."""
    bodies = np.array([vertebra.frame().origin for vertebra in patient])
    bend = np.polyfit(bodies[:, 2], bodies[:, 0], 4)
    low = np.array([bodies[:, 0].min() - 12.0, bodies[:, 1].min() - 75.0, bodies[-1, 2] - 32.0])
    high = np.array([bodies[:, 0].max() + 12.0, bodies[:, 1].max() + 42.0, bodies[0, 2] + 30.0])
    spacing = np.array([1.0, 0.6, 0.8])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    grid = Grid(tuple(np.ceil((high - low) / spacing).astype(int)), affine)
    generator = np.random.default_rng([SEED, index])
    image = simulate_ct(patient, grid, draw_look(patient, generator=generator), generator=generator)
    j, k = np.arange(grid.shape[1]), np.arange(grid.shape[2])
    x = np.polyval(bend, low[2] + spacing[2] * k)
    where = np.broadcast_arrays((x - low[0])[None] / spacing[0], j[:, None], k[None])
    section = ndimage.map_coordinates(image.array.astype(np.float32), where, order=1)
    return section, (low[1], high[1], low[2], high[2])


def draw(index, patient, name):
    fractured = [vertebra for vertebra in patient if vertebra.grade]
    meshes = list(bones(patient))
    pictures = [render(meshes, towards) for towards in ((-1.0, 0.5, 0.22), (0.0, 1.0, 0.0))]
    section, (back, front, low, high) = sagittal(patient, index)
    aspect = [picture.shape[1] / picture.shape[0] for picture in pictures] + [(front - back) / (high - low)]
    figure, panels = plt.subplots(1, 3, figsize=(8.2 * sum(aspect) + 0.25, 8.2), width_ratios=aspect, facecolor=PAPER)
    for panel, picture in zip(panels, pictures, strict=False):
        panel.imshow(picture, interpolation="lanczos")
    panel = panels[2]
    panel.imshow(
        section.T, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], origin="lower", extent=(back, front, low, high), interpolation="bicubic"
    )
    panel.invert_xaxis()  # anterior on the left, as in the other pictures
    for vertebra in patient:
        _, y, z = vertebra.placement.to_world([0.0, vertebra.actual.depth_span_mm()[1] + 5.0, 0.0])
        colour = GRADES.get(vertebra.grade, "0.85")
        text = f"{vertebra.level}  grade {vertebra.grade}" if vertebra.grade else str(vertebra.level)
        written = panel.text(y, z, text, color=colour, ha="right", va="center", fontsize=8, fontweight="bold" if vertebra.grade else "normal")
        written.set_path_effects([withStroke(linewidth=2.0, foreground="0.12")])
    for panel in panels:
        panel.set_axis_off()
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.995, wspace=0.01)
    if fractured:
        shown = [Patch(color=colour, label=f"grade {grade}") for grade, colour in GRADES.items() if grade in {v.grade for v in fractured}]
        panels[0].legend(handles=shown, loc="upper right", frameon=False, fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=125, facecolor=PAPER)
    plt.close(figure)
    drawn = Image.open(buffer).convert("RGB")
    drawn.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(FIGURES / name, optimize=True)
    told = "; ".join(f"{v.level} {v.deformity}, {max(v.loss.ha, v.loss.hm, v.loss.hp):.0%}, grade {v.grade}" for v in fractured)
    print(f"{name}: patient {index} of seed {SEED}, {patient.sex}. {told or 'No fracture.'}")


vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)  # it looks for a display before it does without
with threadpool_limits(1, user_api="blas"):
    draw(*first(healthy), "phantom_healthy.png")
    draw(*first(cluster), "phantom_cluster.png")
