"""What the generators minimise."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from shapekit.networks.critic import SOFTNESS_MM, occupancy

BAND_MM = 6.0


def shape_loss(made: Tensor, real: Tensor) -> Tensor:
    """Cross-entropy of the soft occupancies, and the mean error of the distances in a band around the surface.

    Parameters
    ----------
    made, real : (B, 1, I, J, K) float, mm
        Signed distances.

    Returns
    -------
    scalar Tensor
        Cross-entropy less that of the real shape with itself (0 for a perfect shape), summed over the band's voxels and divided
        by their number, plus the band's mean absolute difference in mm.
    """
    band = (real.abs() < BAND_MM).to(made.dtype)
    share = occupancy(real)
    entropy = functional.binary_cross_entropy_with_logits(-made / SOFTNESS_MM, share, reduction="none")
    floor = functional.binary_cross_entropy_with_logits(-real / SOFTNESS_MM, share, reduction="none")
    apart = (made.clamp(-BAND_MM, BAND_MM) - real.clamp(-BAND_MM, BAND_MM)).abs()
    return ((entropy - floor + apart) * band).sum() / band.sum().clamp(min=1.0)


def surface_error_mm(made: Tensor, real: Tensor) -> Tensor:
    """Mean |made| where the real surface passes: nearly the distance between the two surfaces; (B,) mm."""
    near = (real.abs() < 1.0).float()
    return ((made - real).abs() * near).flatten(1).sum(dim=1) / near.flatten(1).sum(dim=1)
