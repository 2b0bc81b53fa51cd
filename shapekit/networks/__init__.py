"""In: neighbours' signed distances on half-resolution patches. Out: the distance field of the shape to expect; weights on disk are safetensors."""

from shapekit.networks.blocks import NetworkConfig
from shapekit.networks.critic import Critic, gradient_penalty
from shapekit.networks.generators import Coarse, Refine, blended, joined
from shapekit.networks.weights import read_weights, write_weights

__all__ = ["Coarse", "Critic", "NetworkConfig", "Refine", "blended", "gradient_penalty", "joined", "read_weights", "write_weights"]
