"""The one place that says which way is up: axes, units, signs.

* **Patient space**: millimetres, right-handed, RAS+: x towards the patient's right, y anterior, z superior (as nibabel).
* **Voxel arrays** are indexed ``[i, j, k]``; a 4 x 4 affine takes the index of a voxel *centre* to patient space.
* **A vertebra's frame** has the columns (LR, AP, SI): right, anterior, superior, so an upright spine has the identity.
* **Patches** are arrays ``[lr, ap, si]`` along a frame's axes, centred on its origin.
* **Signed distances** are in mm, negative inside.
* **Meshes** are in mm in patient space, faces counter-clockwise seen from outside (positive volume).
"""

from __future__ import annotations

AXIS_NAMES = ("LR", "AP", "SI")
LR, AP, SI = range(3)

PATCH_SHAPE = (80, 64, 64)
"""Voxels of a patch along (LR, AP, SI)."""

PATCH_SPACING_MM = 1.0
"""Side of a patch's cubic voxels."""

COARSE_SHAPE = (40, 32, 32)
COARSE_SPACING_MM = 2.0
"""The same patch at half the resolution, on which networks work: each voxel's centre is that of eight voxels."""

PATCH_MARGIN_MM = 4.0
"""A body nearer than this to its patch's edge is flagged."""
