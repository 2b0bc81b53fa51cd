"""Meshes of real bodies: closed, in place, and true to the shapes they come from."""

import numpy as np
import pytest
import trimesh

from shapekit.export import gate, plate_of, solids_of, write_meshes
from shapekit.mesh import volume_mm3
from tests.export.test_formats import LPS
from tests.real.conftest import VERSE004, scored

SPINE = "totalsegmentator/s0327_vertebrae_verse-labels.nii.gz"


def volume_of(sdf, parts=2):
    """Volume of a field's negative side by counting points of a lattice twice as fine."""
    index = np.meshgrid(*((np.arange(side * parts) + 0.5) / parts - 0.5 for side in sdf.grid.shape), indexing="ij")
    return float((sdf.sample(sdf.grid.to_world(np.stack(index, axis=-1))) < 0).sum()) * sdf.grid.voxel_mm3 / parts**3


@pytest.fixture(scope="module", params=[VERSE004, SPINE], ids=["verse004", "s0327"])
def result(request):
    return scored(request.param)


def test_real_bodies_pass_the_gate_and_stay_on_their_surface(result):
    solids = solids_of([vertebra._scored for vertebra in result])
    assert len(solids) >= 17
    for n, solid in enumerate(solids):
        assert solid.repairs == ()
        assert gate(solid.mesh).repairs == ()
        assert np.abs(getattr(result[solid.level], solid.kind).sample(solid.mesh.vertices)).mean() < 0.1
        if n % 4 < 2:  # counting takes long
            assert volume_mm3(solid.mesh) == pytest.approx(volume_of(getattr(result[solid.level], solid.kind)), rel=0.01)


def test_a_real_file_read_again_lies_in_the_patients_space(result, tmp_path):
    chosen = [vertebra._scored for vertebra in result if vertebra.level.value in ("T12", "L1")]
    write_meshes(tmp_path, chosen, ("stl", "ply"))
    for one in chosen:
        surface = trimesh.load_mesh(tmp_path / f"{one.measures.level}_actual.stl")
        assert surface.is_volume
        assert surface.center_mass * LPS == pytest.approx(one.body.centre_mm, abs=0.5)
        assert surface.volume == pytest.approx(one.body.volume_mm3, rel=0.02)


def test_a_real_fracture_is_printable():
    plate = plate_of(scored(VERSE004)["L1"]._scored)
    assert len(plate.pieces) == 6
    assert plate.surface_error_mm < 0.5
    for piece in plate.pieces:
        assert trimesh.Trimesh(piece.mesh.vertices, piece.mesh.faces, process=False).is_volume
        assert piece.thinnest_mm > 1.2 or [note for note in plate.notes if note.startswith(f"L1_{piece.name} has walls of")]
