"""The shape of one vertebral body: an outline that changes with height, between two endplates, with a rounded rim.

A body is the set where ``level_set`` is negative. In its own axes (x = LR, y = AP, z = SI, mm; origin at the middle of the
body) a point lies at polar angle θ and radius r about the origin and at the height t between the endplates (−1 inferior, 1 superior):

    a = r − R(θ, t)                    beyond the wall
    b = max(z − S(x, y), −z − I(x, y)) beyond an endplate
    f = |(a + ρ, b + ρ)₊| − ρ          the corner between wall and endplate is rounded with radius ρ

R is a Fourier series in θ whose coefficients change with t; S and I are height fields. Everything is smooth, so the surface is
exact and its distance can be found to any accuracy (see ``surface.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapekit.core.checks import InputError
from shapekit.phantom.surface import Surface

Float = NDArray[np.float64]

HARMONICS = 8
"""Fourier terms of an outline."""

RIM_SUPERIOR, RIM_INFERIOR, WAIST, LIP_SUPERIOR, LIP_INFERIOR, UPPER_THIRD, FORAMEN = range(OUTLINES := 7)
"""Rows of ``BodyShape.outline``: what each Fourier series of the wall describes."""

FORAMEN_HEIGHT = 0.27
"""Half height of the basivertebral foramen (SD of its bell), as a share of half the body's."""

RIM_FRACTION = 0.1
"""Ha and Hp are taken this share of the mid-sagittal depth behind the front and before the back of the body: on the rim's crest."""

REACH = 1.5
"""Height fields go on flat beyond this many half-widths."""


@dataclass(frozen=True, eq=False)
class Plate:
    """One endplate as a height field over (u, v) = (x / half width, y / half depth), outward positive, mm.

    Parameters
    ----------
    plane : (6,) float, mm
        Coefficients of 1, u, v, u², v², uv.
    dish : (3,) float
        Depth (mm), radius q and apex shift k of the concavity ``depth (1 − (u² + v²)/q²)₊² (1 + k v)``.
    dents : (n, 5) float
        Gaussian depressions: depth (mm), u and v of the deepest point, widths in u and v. Schmorl's nodes and fractures.
    ramps : (n, 4) float
        Wedged losses ``depth ((v − hinge) / (1 − hinge))₊^power (1 + skew u)``: depth at the front (mm), hinge, power, skew.
    """

    plane: Float
    dish: Float = field(default_factory=lambda: np.array([0.0, 0.9, 0.0]))
    dents: Float = field(default_factory=lambda: np.zeros((0, 5)))
    ramps: Float = field(default_factory=lambda: np.zeros((0, 4)))

    def height(self, u: Float, v: Float) -> tuple[Float, Float, Float]:
        """Height and its derivatives by u and v at (n,) points, each (n,) mm."""
        free_u, free_v = (np.abs(u) < REACH).astype(u.dtype), (np.abs(v) < REACH).astype(u.dtype)
        u, v = np.clip(u, -REACH, REACH), np.clip(v, -REACH, REACH)
        p = [float(c) for c in self.plane]
        z = p[0] + u * (p[1] + p[3] * u + p[5] * v) + v * (p[2] + p[4] * v)
        zu, zv = p[1] + 2 * p[3] * u + p[5] * v, p[2] + 2 * p[4] * v + p[5] * u
        depth, radius, shift = (float(c) for c in self.dish)
        if depth != 0.0:
            well, tilt = np.maximum(1.0 - (u * u + v * v) / radius**2, 0.0), 1.0 + shift * v
            slope = -4.0 / radius**2 * well * tilt
            z = z - depth * well * well * tilt
            zu, zv = zu - depth * slope * u, zv - depth * (slope * v + well * well * shift)
        for depth, u0, v0, su, sv in self.dents.tolist():
            dent = depth * np.exp(-0.5 * (((u - u0) / su) ** 2 + ((v - v0) / sv) ** 2))
            z, zu, zv = z - dent, zu + dent * (u - u0) / su**2, zv + dent * (v - v0) / sv**2
        for depth, hinge, power, skew in self.ramps.tolist():
            run = np.maximum((v - hinge) / (1.0 - hinge), 0.0)
            lean = 1.0 + skew * u
            z, zu = z - depth * run**power * lean, zu - depth * run**power * skew
            zv = zv - depth * power * run ** (power - 1.0) / (1.0 - hinge) * lean
        return z, zu * free_u, zv * free_v


@dataclass(frozen=True, eq=False)
class BodyShape:
    """One body in its own axes.

    Parameters
    ----------
    outline : (OUTLINES, 2 * HARMONICS + 1) float, mm
        Fourier coefficients (1, cos θ … cos 8θ, sin θ … sin 8θ; θ from right to anterior) of the wall's radius: at the
        superior and inferior rim, the waist (added at mid-height), the osteophytic lip at either rim, a bump in the upper third,
        and what is narrow about the middle, as the basivertebral foramen.
    superior, inferior : Plate
    half_width_mm, half_depth_mm : float
        Lengths that u and v of the plates are counted in.
    rim_mm : float
        Radius of the rounded edge between wall and endplate.

    Raises
    ------
    InputError
        If the outline has another shape or the rim is not positive.
    """

    outline: Float
    superior: Plate
    inferior: Plate
    half_width_mm: float
    half_depth_mm: float
    rim_mm: float = 1.6

    def __post_init__(self) -> None:
        if self.outline.shape != (OUTLINES, 2 * HARMONICS + 1):
            raise InputError(f"outline has shape {self.outline.shape}, but needs ({OUTLINES}, {2 * HARMONICS + 1}).")
        if not self.rim_mm > 0.0:
            raise InputError(f"rim_mm is {self.rim_mm}, but a rim needs a positive radius.")

    def level_set(self, points: ArrayLike) -> Float:
        """Value whose sign tells inside (negative) from outside, and whose zero level is the body's surface.

        Near the surface it is the distance to within a few per cent; use :meth:`signed_distance` for the distance itself.

        Parameters
        ----------
        points : (..., 3) float, mm, body axes
            float32 is twice as fast and moves the surface by less than 1e-4 mm.

        Returns
        -------
        (...) float
        """
        where = np.asarray(points)
        x, y, z = where.reshape(-1, 3).T
        top, low = self._plate(self.superior, x, y)[0], self._plate(self.inferior, x, y)[0]
        half = np.maximum(0.5 * (top + low), 0.5)
        radius, _, _, r = self._wall(x, y, np.clip((z - 0.5 * (top - low)) / half, -1.0, 1.0), slopes=False)
        a, b = r - radius, np.maximum(z - top, -z - low)
        corner = np.hypot(np.maximum(a + self.rim_mm, 0.0), np.maximum(b + self.rim_mm, 0.0))
        return np.asarray(np.where(corner > 0.0, corner - self.rim_mm, np.maximum(a, b))).reshape(where.shape[:-1])

    def evaluate(self, x: Float, y: Float, z: Float) -> tuple[Float, Float]:
        """Level set (n,) and its gradient (n, 3) at points given by their (n,) coordinates, mm, body axes."""
        top, top_x, top_y = self._plate(self.superior, x, y)
        low, low_x, low_y = self._plate(self.inferior, x, y)
        half = np.maximum(0.5 * (top + low), 0.5)
        t = (z - 0.5 * (top - low)) / half
        free = (np.abs(t) < 1.0).astype(x.dtype)
        t = np.clip(t, -1.0, 1.0)
        t_x = (-0.5 * (top_x - low_x) - 0.5 * t * (top_x + low_x)) / half * free
        t_y = (-0.5 * (top_y - low_y) - 0.5 * t * (top_y + low_y)) / half * free
        radius, by_angle, by_t, r = self._wall(x, y, t)
        a = r - radius
        a_x = x / r + by_angle * y / r**2 - by_t * t_x
        a_y = y / r - by_angle * x / r**2 - by_t * t_y
        a_z = -by_t * free / half
        upper = z - top >= -z - low
        b = np.where(upper, z - top, -z - low)
        b_x, b_y, b_z = np.where(upper, -top_x, -low_x), np.where(upper, -top_y, -low_y), np.where(upper, 1.0, -1.0)
        beyond_wall, beyond_plate = np.maximum(a + self.rim_mm, 0.0), np.maximum(b + self.rim_mm, 0.0)
        corner = np.hypot(beyond_wall, beyond_plate)
        deep = corner <= 0.0
        share_a = np.where(deep, (a > b).astype(x.dtype), beyond_wall / np.where(deep, 1.0, corner))
        share_b = np.where(deep, (a <= b).astype(x.dtype), beyond_plate / np.where(deep, 1.0, corner))
        value = np.where(deep, np.maximum(a, b), corner - self.rim_mm)
        gradient = np.stack([share_a * a_x + share_b * b_x, share_a * a_y + share_b * b_y, share_a * a_z + share_b * b_z], axis=-1)
        return value, gradient

    def wall_radius(self, angle: ArrayLike, t: ArrayLike) -> Float:
        """Radius of the wall at polar angles θ (rad, 0 = right, π/2 = anterior) and heights t in [−1, 1], mm."""
        angle, t = np.broadcast_arrays(np.asarray(angle, dtype=np.float64), np.asarray(t, dtype=np.float64))
        return self._wall(np.cos(angle).ravel(), np.sin(angle).ravel(), t.ravel(), slopes=False)[0].reshape(angle.shape)

    def plate_heights(self, x: ArrayLike, y: ArrayLike) -> tuple[Float, Float]:
        """SI of the superior and the inferior endplate at (x, y), mm, body axes, without the rim's rounding."""
        x, y = (np.asarray(c, dtype=np.float64) for c in np.broadcast_arrays(x, y))
        return self._plate(self.superior, x, y)[0], -self._plate(self.inferior, x, y)[0]

    def depth_span_mm(self) -> tuple[float, float]:
        """AP of the back and the front of the body on the midline, mean of both rims, mm."""
        radius = self.wall_radius(np.array([-0.5, -0.5, 0.5, 0.5]) * np.pi, np.array([-1.0, 1.0, -1.0, 1.0]))
        return -float(radius[:2].mean()), float(radius[2:].mean())

    def height_at(self, fraction: ArrayLike) -> Float:
        """Distance between the endplates along SI on the midline, at shares of the depth from the front, mm.

        Parameters
        ----------
        fraction : (...) float
            0 at the front, 1 at the back.
        """
        back, front = self.depth_span_mm()
        y = front - np.atleast_1d(np.asarray(fraction, dtype=np.float64)) * (front - back)
        x = np.zeros_like(y)
        plates = np.stack(self.plate_heights(x, y))
        middle, reach = plates.mean(axis=0), (plates[0] - plates[1]) / 2
        angle = np.where(y > 0, 0.5, -0.5) * np.pi + np.zeros_like(plates)
        z, outward = plates, np.array([[1.0], [-1.0]])
        for _ in range(3):  # the rounded rim: where the wall is nearer than its radius
            wall = self.wall_radius(angle, np.clip((z - middle) / reach, -1.0, 1.0))
            beyond = np.clip(np.abs(y) - wall + self.rim_mm, 0.0, self.rim_mm)
            z = plates + outward * (np.sqrt(self.rim_mm**2 - beyond**2) - self.rim_mm)
        return np.asarray(z[0] - z[1]).reshape(np.shape(fraction))

    def heights_mm(self) -> tuple[float, float, float]:
        """Ha, Hm, Hp in mm.

        Ha and Hp lie on the rim's crest, a tenth of the depth from the front and the back of the mid-sagittal section; Hm is
        the least height in the middle third, where a reader puts the middle points (Genant et al. 1993, J Bone Miner Res 8:1137).
        """
        values = self.height_at(np.concatenate([[RIM_FRACTION, 1.0 - RIM_FRACTION], np.linspace(1 / 3, 2 / 3, 21)]))
        return float(values[0]), float(values[2:].min()), float(values[1])

    def plate_planes(self) -> tuple[tuple[Float, Float], tuple[Float, Float]]:
        """Point and outward unit normal of the plane through the rim of the superior, then of the inferior endplate, body axes.

        The plane passes through the crests at the front and the back and leans sideways as those at the right and the left do.
        """
        back, front = self.depth_span_mm()
        step, side = RIM_FRACTION * (front - back), 0.8 * self.half_width_mm
        x, y = np.array([0.0, 0.0, side, -side]), np.array([front - step, back + step, 0.0, 0.0])
        planes = []
        for z, sign in zip(self.plate_heights(x, y), (1.0, -1.0), strict=True):
            ap, lr = (z[0] - z[1]) / (y[0] - y[1]), (z[2] - z[3]) / (2 * side)
            normal = sign * np.array([-lr, -ap, 1.0])
            point = np.array([0.0, 0.0, z[1] + ap * (0.0 - y[1])])
            planes.append((point, normal / np.linalg.norm(normal)))
        return planes[0], planes[1]

    @cached_property
    def surface(self) -> Surface:
        """The body's surface in its own axes: mesh, volume, exact signed distance."""
        return Surface.of(self)

    def signed_distance(self, points: ArrayLike, *, limit_mm: float = float("inf")) -> Float:
        """Exact signed distance to the surface, mm, negative inside; see :meth:`Surface.signed_distance`."""
        return self.surface.signed_distance(points, limit_mm=limit_mm)

    def _plate(self, plate: Plate, x: Float, y: Float) -> tuple[Float, Float, Float]:
        z, z_u, z_v = plate.height(x / self.half_width_mm, y / self.half_depth_mm)
        return z, z_u / self.half_width_mm, z_v / self.half_depth_mm

    def _wall(self, x: Float, y: Float, t: Float, *, slopes: bool = True) -> tuple[Float, Float, Float, Float]:
        """Radius of the wall, its derivatives by θ and by t (zero unless asked for), and the points' own radius."""
        r = np.maximum(np.hypot(x, y), 1e-6)
        waves = np.ones((2 * HARMONICS + 1, len(x)), dtype=r.dtype)
        first = (x + 1j * y) / r
        power = first
        for k in range(1, HARMONICS + 1):
            waves[k], waves[HARMONICS + k] = power.real, power.imag
            power = power * first
        outline = self.outline.astype(r.dtype)
        series = outline @ waves
        basis, slope = _height_basis(t, slopes=slopes)
        radius = np.einsum("jn,jn->n", basis, series)
        if not slopes:
            return radius, np.zeros(0), np.zeros(0), r
        order = np.arange(1, HARMONICS + 1)
        turned = np.zeros_like(outline)  # coefficients of the derivative by θ
        turned[:, 1 : HARMONICS + 1], turned[:, HARMONICS + 1 :] = outline[:, HARMONICS + 1 :] * order, -outline[:, 1 : HARMONICS + 1] * order
        return radius, np.einsum("jn,jn->n", basis, turned @ waves), np.einsum("jn,jn->n", slope, series), r


def _height_basis(t: Float, *, slopes: bool = True) -> tuple[Float, Float]:
    """How much each row of the outline counts at height t, and its derivative if asked for: (OUTLINES, n) each."""
    up, down, mound = 0.5 * (1.0 + t), 0.5 * (1.0 - t), 1.0 - t * t
    bell = np.exp(-0.5 * ((t - 0.45) / 0.28) ** 2)
    middle = np.exp(-0.5 * (t / FORAMEN_HEIGHT) ** 2)
    up2, down2 = up * up, down * down
    up4, down4 = up2 * up2, down2 * down2
    basis = np.stack([up, down, mound, up4 * up4, down4 * down4, bell * mound, middle * mound])
    if not slopes:
        return basis, basis
    half = np.full_like(t, 0.5)
    bell_slope = bell * (mound * (0.45 - t) / 0.28**2 - 2.0 * t)
    middle_slope = -middle * t * (mound / FORAMEN_HEIGHT**2 + 2.0)
    return basis, np.stack([half, -half, -2.0 * t, 4.0 * up4 * up2 * up, -4.0 * down4 * down2 * down, bell_slope, middle_slope])


def outline_series(
    width_mm: float, depth_mm: float, *, widest: float, front_power: float, back_power: float, pressed_mm: float
) -> NDArray[np.float64]:
    """Fourier coefficients of a kidney- or heart-shaped outline.

    Two half superellipses meet at the widest line; the posterior wall is pressed in on the midline.

    Parameters
    ----------
    width_mm, depth_mm : float
        Greatest width, and depth on the midline.
    widest : float
        How far the widest line lies behind the middle of the depth, as a share of the depth.
    front_power, back_power : float
        Exponents of the halves: 2 is an ellipse, more is squarer, less is more pointed.
    pressed_mm : float
        How far the posterior wall is pressed in on the midline. A half ellipse bulges there by itself, so less than that is left of it as a
        concavity between the corners; negative bulges more.

    Returns
    -------
    (2 * HARMONICS + 1,) float, mm
    """
    phi = np.linspace(0.0, 2.0 * np.pi, 721)[:-1]
    c, s = np.cos(phi), np.sin(phi)
    y0 = -widest * depth_mm
    power = np.where(s >= 0, front_power, back_power)
    reach = np.where(s >= 0, depth_mm / 2 - y0, depth_mm / 2 + y0 + max(pressed_mm, 0.0))
    x = 0.5 * width_mm * np.sign(c) * np.abs(c) ** (2.0 / power)
    y = y0 + reach * np.sign(s) * np.abs(s) ** (2.0 / power)
    pressed = pressed_mm if pressed_mm > 0 else 0.6 * pressed_mm
    y = y + np.where(s < 0, pressed * np.exp(-((x / (0.24 * width_mm)) ** 2)) * np.abs(s), 0.0)
    order = np.argsort(np.unwrap(np.arctan2(y, x)) % (2 * np.pi))
    angle, radius = np.arctan2(y, x)[order] % (2 * np.pi), np.hypot(x, y)[order]
    even = np.linspace(0.0, 2.0 * np.pi, 512, endpoint=False)
    spectrum = np.fft.rfft(np.interp(even, angle, radius, period=2 * np.pi)) / 512
    return np.concatenate([[spectrum[0].real], 2 * spectrum[1 : HARMONICS + 1].real, -2 * spectrum[1 : HARMONICS + 1].imag])
