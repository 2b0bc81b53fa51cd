"""Which way each vertebra faces: the centre line's tangent and the direction from the canal to the body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shapekit.core.frame import Frame
from shapekit.core.values import Body
from shapekit.spine.curve import steady_anterior, superior_directions


def vertebra_frames(bodies: Sequence[Body]) -> list[Frame]:
    """Give every body its anatomical frame.

    SI is the tangent of the line through the body centres, AP the direction from the canal to the body, steadied by the
    neighbours'; bodies without an arch take theirs, and without any arch the patient's anterior axis serves.

    Parameters
    ----------
    bodies : sequence of Body
        From the head downward.

    Returns
    -------
    list of Frame
        One a body, origin at the body's centre, mm, RAS.
    """
    if not bodies:
        return []
    centres = np.stack([body.centre_mm for body in bodies])
    up = superior_directions(centres, np.array([not body.partial or body.anterior is not None for body in bodies]))
    anterior = steady_anterior([body.anterior for body in bodies], up, np.array([not body.partial for body in bodies]))
    return [Frame.from_directions(body.centre_mm, up[n], anterior[n]) for n, body in enumerate(bodies)]
