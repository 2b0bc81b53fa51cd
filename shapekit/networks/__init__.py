"""In: neighbours' signed distances on half-resolution patches. Out: the distance field of the shape to expect; weights on disk are safetensors."""

from shapekit.networks.blocks import NetworkConfig
from shapekit.networks.critic import Critic, gradient_penalty
from shapekit.networks.generators import Generator, blended, joined
from shapekit.networks.weights import read_weights, write_weights

__all__ = ["Critic", "Generator", "NetworkConfig", "blended", "gradient_penalty", "joined", "read_weights", "write_weights"]
