"""In: a mask file, a folder of masks, or closed meshes as users have them. Out: LabelMap or MeshSet, in patient space.

``load`` opens anything; ``volumes`` also writes label maps; ``schemes`` says which label values are which levels.
"""

from shapekit.io.load import load

__all__ = ["load"]
