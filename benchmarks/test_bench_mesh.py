"""Signed distances to surfaces: ours beside VTK's flying edges on the same patches. ``make bench``."""

import numpy as np
import pytest

from shapekit.mesh import mesh_from_sdf, smooth_mesh, volume_mm3


def by_vtk(shapes):
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    surfaces = []
    for shape in shapes:
        image = vtkImageData()
        image.SetDimensions(*shape.values.shape)
        image.GetPointData().SetScalars(numpy_to_vtk(np.asfortranarray(shape.values).ravel(order="F"), deep=True))
        edges = vtkFlyingEdges3D()
        edges.SetInputData(image)
        edges.SetValue(0, 0.0)
        edges.ComputeNormalsOff()
        edges.Update()
        surfaces.append(vtk_to_numpy(edges.GetOutput().GetPoints().GetData()))
    return surfaces


def test_bench_mesh(benchmark, found):
    surfaces = [mesh_from_sdf(shape) for shape in found.shapes]
    for surface, body in zip(surfaces, found.bodies, strict=True):
        assert volume_mm3(surface) == pytest.approx(body.volume_mm3, rel=0.03)
    benchmark.pedantic(lambda: [mesh_from_sdf(shape) for shape in found.shapes], rounds=5)


def test_bench_mesh_by_vtk(benchmark, found):
    pytest.importorskip("vtkmodules")
    for points, shape in zip(by_vtk(found.shapes), found.shapes, strict=True):
        assert np.abs(shape.sample(shape.grid.to_world(points))).max() < 0.01
    benchmark.pedantic(by_vtk, (found.shapes,), rounds=5)


def test_bench_smooth(benchmark, found):
    surfaces = [mesh_from_sdf(shape) for shape in found.shapes]
    assert len(smooth_mesh(surfaces[0]).vertices) == len(surfaces[0].vertices)
    benchmark.pedantic(lambda: [smooth_mesh(surface) for surface in surfaces], rounds=5)
