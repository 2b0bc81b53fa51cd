"""In: a LabelMap (or MeshSet). Out: Bodies with their signed distances, ordered from the head downward, and a Frame for each."""

from shapekit.spine.bodies import bodies_from_meshes, extract_bodies
from shapekit.spine.curve import order_along_spine, superior_directions
from shapekit.spine.orientation import GUESS_DEG, vertebra_frames
from shapekit.spine.patches import body_on_patch, nears_edge, patch_grid

__all__ = [
    "GUESS_DEG",
    "bodies_from_meshes",
    "body_on_patch",
    "extract_bodies",
    "nears_edge",
    "order_along_spine",
    "patch_grid",
    "superior_directions",
    "vertebra_frames",
]
