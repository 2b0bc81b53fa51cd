"""Bodies to frames, and onto their patches. ``make bench``."""

import numpy as np

from shapekit.spine import body_on_patch, vertebra_frames


def test_bench_orientation(benchmark, found):
    frames = vertebra_frames(found.bodies)
    assert all(np.allclose(frame.axes.T @ frame.axes, np.eye(3)) for frame in frames)
    assert all(np.allclose(frame.axes, known.axes) for frame, known in zip(frames, found.frames, strict=True))
    benchmark.pedantic(vertebra_frames, (found.bodies,), rounds=5)


def test_bench_patches(benchmark, found):
    def lay():
        return [body_on_patch(body, frame) for body, frame in zip(found.bodies, found.frames, strict=True)]

    assert all(np.array_equal(new.values, old.values) for new, old in zip(lay(), found.shapes, strict=True))
    benchmark.pedantic(lay, rounds=5)
