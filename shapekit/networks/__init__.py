"""In: neighbours' signed distances on half-resolution patches, or their masks. Out: the shape to expect; weights on disk are safetensors."""

from shapekit.networks.critic import Critic, gradient_penalty
from shapekit.networks.generators import Generator, joined
from shapekit.networks.paper import PaperCritic, PaperGenerator, distance_of, masks_of
from shapekit.networks.weights import read_weights, write_weights

__all__ = [
    "Critic",
    "Generator",
    "PaperCritic",
    "PaperGenerator",
    "distance_of",
    "gradient_penalty",
    "joined",
    "masks_of",
    "read_weights",
    "write_weights",
]
