"""Print the figures of docs/export.md: meshes of the real cases beside the repository (shared/data), read again and held against their shapes."""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyvista
import trimesh

import shapekit as sk
from shapekit.export import FORMATS, gate, solids_of, write_meshes

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
CASES = (
    "verse19/sub-verse004_seg-vert_msk.nii.gz",
    "verse19/sub-verse005_seg-vert_msk.nii.gz",
    "verse19/sub-verse014_seg-vert_msk.nii.gz",
    "totalsegmentator/s0327_vertebrae_verse-labels.nii.gz",
    "healthy_reference/healthy_ref_mask.nii.gz",
)
LPS = np.array([-1.0, -1.0, 1.0])
FINE_MM = 0.5


def sdf_volume(sdf):
    """Volume of a field's negative side, mm³: trilinear, on voxels of about half a millimetre."""
    parts = np.maximum(1, np.ceil(sdf.grid.spacing_mm / FINE_MM)).astype(int)
    index = np.meshgrid(
        *((np.arange(side * part) + 0.5) / part - 0.5 for side, part in zip(sdf.grid.shape, parts, strict=True)), indexing="ij", sparse=False
    )
    points = sdf.grid.to_world(np.stack(index, axis=-1))
    return float((sdf.sample(points) < 0).sum()) * sdf.grid.voxel_mm3 / float(parts.prod())


def read_3mf(path):
    import lib3mf

    model = lib3mf.get_wrapper().CreateModel()
    model.QueryReader("3mf").ReadFromFile(str(path))
    things = model.GetMeshObjects()
    while things.MoveNext():
        thing = things.GetCurrentMeshObject()
        vertices = np.array([tuple(vertex.Coordinates) for vertex in thing.GetVertices()])
        yield thing.GetName(), vertices * LPS, np.array([tuple(triangle.Indices) for triangle in thing.GetTriangleIndices()])


def reread(folder, solid):
    """Read every format again: volumes of STL and 3MF, the greatest shift of a vertex, whether scalars and names came through."""
    files = {suffix: folder / f"{solid.name}.{suffix}" for suffix in FORMATS}
    main = next(iter(solid.scalars))
    ((name, vertices, faces),) = read_3mf(files["3mf"])
    by_trimesh = trimesh.load_scene(files["3mf"], process=False)
    by_pyvista = {suffix: pyvista.read(files[suffix]) for suffix in ("ply", "obj", "stl")}
    stl = trimesh.load_mesh(files["stl"])
    threemf = trimesh.Trimesh(vertices, faces, process=False)
    ply, obj = (trimesh.load_mesh(files[suffix], process=False) for suffix in ("ply", "obj"))
    vtp = pyvista.read(files["vtp"])
    scene = trimesh.load_scene(files["glb"], process=False)
    (glb,) = scene.geometry.values()
    shifts = [abs(vertices - solid.mesh.vertices), abs(np.asarray(glb.vertices) - solid.mesh.vertices)]
    points = (ply.vertices, obj.vertices, vtp.points, by_trimesh.geometry[name].vertices, by_pyvista["ply"].points, by_pyvista["obj"].points)
    shifts += [abs(np.asarray(those) * LPS - solid.mesh.vertices) for those in points]
    kept = (
        name == solid.name
        and list(by_trimesh.graph.nodes_geometry) == [solid.name]
        and by_pyvista["stl"].n_cells == len(solid.mesh.faces)
        and list(scene.graph.nodes_geometry) == [solid.name]
        and f"o {solid.name}\n" in files["obj"].read_text()
        and list(vtp.field_data["names"]) == [solid.name]
        and all(np.array_equal(vtp.point_data[key], values) for key, values in solid.scalars.items())
        and all(np.allclose(np.ravel(glb.vertex_attributes[f"_{key.upper()}"]), values) for key, values in solid.scalars.items())
        and np.array_equal(np.ravel(ply.metadata["_ply_raw"]["vertex"]["data"]["quality"]), solid.scalars[main])
    )
    closed = all(mesh.is_volume for mesh in (stl, threemf, ply, obj, glb)) and vtp.is_manifold
    return stl.volume, threemf.volume, max(float(shift.max()) for shift in shifts), kept, closed


def check(case):
    result = sk.score(sk.load(DATA / case))
    scored = [vertebra._scored for vertebra in result]
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        write_meshes(folder, scored, tuple(FORMATS))  # once before, so that imports are not timed
        begun = time.perf_counter()
        write_meshes(folder, scored, tuple(FORMATS))
        seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        write_meshes(folder, scored, (), print=True)
        printing = time.perf_counter() - begun
        off, shift, mean, repaired, kept, closed = 0.0, 0.0, 0.0, 0, True, True
        solids = solids_of(scored)
        for solid in solids:
            sdf = getattr(result[solid.level], solid.kind)
            truth = sdf_volume(sdf)
            *volumes, moved, same, whole = reread(folder, solid)
            off = max(off, *(abs(volume / truth - 1) for volume in volumes))
            shift, mean = max(shift, moved), max(mean, float(abs(sdf.sample(solid.mesh.vertices)).mean()))
            repaired += bool(solid.repairs) or bool(gate(solid.mesh).repairs)
            kept, closed = kept and same, closed and whole
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    cells = [
        Path(case).name.split(".")[0],
        len(solids),
        f"{'all' if closed else 'NOT ALL'}, {repaired} repaired",
        f"{100 * off:.2f} %",
        f"{1000 * shift:.3f} µm",
        f"{mean:.3f} mm",
        "yes" if kept else "NO",
        f"{seconds:.1f} s",
        f"{printing:.1f} s",
        f"{megabytes:.0f} MB",
    ]
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


if not DATA.exists():
    sys.exit("docs/export_check.py needs the real cases in shared/data beside the repository.")
warnings.simplefilter("ignore")
print("| case | bodies | closed and manifold | STL, 3MF volume off | vertices moved | mean distance to the zero level | scalars, names kept ", end="")
print("| six formats | plates | size |\n|---|---|---|---|---|---|---|---|---|---|")
for case in CASES:
    check(case)
