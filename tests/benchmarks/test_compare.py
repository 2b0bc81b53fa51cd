"""The gate on slowdowns, on rounds as noisy as a shared machine's: most within a few per cent, now and then one far off."""

import json

import numpy as np
import pytest

from benchmarks import compare, repeats

NAMES = ("read", "detect", "bodies", "mesh", "predict", "score", "export")
STAGES = {f"test_bench_{name}": seconds for name, seconds in zip(NAMES, np.geomspace(1e-4, 2, len(NAMES)).tolist(), strict=True)}


def recorded(path, generator, *, slow=None, factor=1.0, machine=1.0, rounds=9):
    """A file of pytest-benchmark's: rounds of each stage with 3 % of scatter, and every tenth disturbed."""
    kept = []
    for name, seconds in STAGES.items():
        times = seconds * machine * (factor if name == slow else 1.0) * np.exp(0.03 * generator.standard_normal(rounds))
        times *= np.where(generator.random(rounds) < 0.1, 1 + generator.exponential(0.5, rounds), 1.0)
        kept.append({"fullname": name, "stats": {"data": times.tolist()}})
    path.write_text(json.dumps({"benchmarks": kept}))
    return str(path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_planted_slowdown_of_a_fifth_is_caught_and_named(stage, tmp_path, capsys):
    generator = np.random.default_rng(5)
    before = recorded(tmp_path / "before.json", generator)
    after = recorded(tmp_path / "after.json", generator, slow=stage, factor=1.2)
    assert compare.main([before, after]) == 1
    slower = [line for line in capsys.readouterr().out.splitlines() if line.startswith("SLOWER")]
    assert len(slower) == 1
    assert slower[0].endswith(stage)


def test_repeats_without_a_change_raise_no_alarm(tmp_path):
    generator = np.random.default_rng(6)
    before = recorded(tmp_path / "before.json", generator)
    for number in range(100):
        assert compare.main([before, recorded(tmp_path / "after.json", generator)]) == 0, number


def test_a_slower_machine_is_told_and_is_no_slowdown_until_it_is_too_much(tmp_path, capsys):
    generator = np.random.default_rng(7)
    before = recorded(tmp_path / "before.json", generator)
    assert compare.main([before, recorded(tmp_path / "after.json", generator, machine=1.3)]) == 0
    assert "the machine as a whole: 1.3" in capsys.readouterr().out
    assert compare.main([before, recorded(tmp_path / "after.json", generator, machine=1.7)]) == 1
    assert compare.main([before, recorded(tmp_path / "after.json", generator, machine=1.3, slow="test_bench_mesh", factor=1.25)]) == 1


def test_noise_hides_what_it_may_explain(tmp_path):
    one, other = {"stage": [1.0, 1.6, 0.8, 1.3, 0.7, 1.5, 1.1]}, {"stage": [1.2, 1.9, 0.9, 1.5, 0.85, 1.7, 1.25]}
    ((_, factor, chance, verdict),), _ = compare.compare(one, other)
    assert factor > compare.SIZE
    assert chance > factor - 1
    assert verdict == "same"
    ((*_, verdict),), _ = compare.compare({"stage": [1.0] * 7}, {"stage": [1.2] * 7})
    assert verdict == "SLOWER"
    ((*_, verdict),), _ = compare.compare({"stage": [1.0] * 7}, {"stage": [0.8] * 7})
    assert verdict == "faster"


def test_files_that_are_none_are_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(SystemExit, match=r"x\.json holds no rounds"):
        compare.main([str(path), str(path)])
    with pytest.raises(SystemExit, match="usage"):
        compare.main([str(path)])
    lone = tmp_path / "lone.json"
    lone.write_text(json.dumps({"benchmarks": [{"fullname": "a", "stats": {"data": [1.0]}}]}))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"benchmarks": [{"fullname": "b", "stats": {"data": [1.0]}}]}))
    with pytest.raises(SystemExit, match="share no benchmark"):
        compare.main([str(lone), str(other)])


def test_repeats_say_who_raised_an_alarm(tmp_path):
    generator = np.random.default_rng(8)
    before = recorded(tmp_path / "before.json", generator)
    assert repeats.alarms(before, recorded(tmp_path / "after.json", generator))[:2] == (0, [])
    slow = recorded(tmp_path / "slow.json", generator, slow="test_bench_mesh", factor=1.2)
    assert repeats.alarms(before, slow)[:2] == (1, ["test_bench_mesh"])
