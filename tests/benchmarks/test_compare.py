"""The gate on slowdowns: on rounds as a shared machine gives them, slow for a while and not alike for every stage, and on real ones."""

import time

import numpy as np
import pytest

from benchmarks import compare, gate, repeats

NAMES = ("read", "detect", "bodies", "mesh", "predict", "score", "export")
STAGES = dict(zip(NAMES, np.geomspace(2e-3, 1.4, len(NAMES)).tolist(), strict=True))
SENSITIVITY = dict(zip(NAMES, (0.7, 1.6, 0.9, 1.0, 0.8, 1.1, 0.9), strict=True))
"""Exponents: where the machine takes 1.5 times as long for most things, a stage takes 1.5 to this power as long."""


class Machine:
    """A core that takes up to 1.9 times as long 40 % of the time, and stays so for about a hundred rounds; 4 % of scatter besides."""

    def __init__(self, seed):
        self.generator, self.state = np.random.default_rng(seed), 1.0

    def version(self, slow=None, factor=1.0):
        def spent(name, number):
            if self.generator.random() < 0.01:
                self.state = self.generator.uniform(1.3, 1.9) if self.generator.random() < 0.4 else self.generator.uniform(1.0, 1.1)
            seconds = STAGES[name] * self.state ** SENSITIVITY[name] * (factor if name == slow else 1.0)
            return float(seconds * np.exp(0.04 * self.generator.standard_normal()))

        return spent

    def rounds(self, **after):
        return gate.in_turns(self.version(), self.version(**after), NAMES)


def verdicts(sides):
    return {name: verdict for name, *_, verdict in compare.compare(*sides)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_planted_slowdown_of_a_fifth_is_caught_and_named(stage, tmp_path, capsys):
    paths = gate.write(tmp_path, Machine(5).rounds(slow=stage, factor=1.2))
    assert compare.main([str(path) for path in paths]) == 1
    slower = [line for line in capsys.readouterr().out.splitlines() if line.startswith("SLOWER")]
    assert len(slower) == 1
    assert slower[0].endswith(stage)


def test_repeats_without_a_change_raise_no_alarm():
    machine = Machine(6)
    for number in range(100):
        assert set(verdicts(machine.rounds()).values()) == {"same"}, number


def test_one_version_after_the_other_would_raise_alarms():
    """What the turns are for: the same core, but all rounds of a version made before the other's."""
    wrong = 0
    for seed in range(20):
        machine = Machine(seed)
        before, after = (gate.in_turns(machine.version(), machine.version(), NAMES)[0] for _ in range(2))
        wrong += bool(compare.alarms(compare.compare(before, after)))
    assert wrong >= 5


def test_size_and_noise_gate_each_for_itself():
    def verdict(before, after):
        return verdicts(({"stage": list(before)}, {"stage": list(after)}))["stage"]

    steady, scattered = np.linspace(0.99, 1.01, 12), np.geomspace(0.6, 1.6, 12)
    assert verdict(steady, 1.2 * steady) == "SLOWER"
    assert verdict(steady, 1.08 * steady) == "same"  # certain, and too little
    assert verdict(steady, 1.2 * scattered) == "same"  # enough, and chance may explain it
    assert verdict(scattered, 1.2 * scattered) == "SLOWER"  # what strikes both rounds of a pair is no noise
    assert verdict(steady, steady / 1.2) == "faster"
    assert verdict(steady[:6], 1.2 * steady[:6]) == "same"  # too few to say


def test_the_interval_holds_what_it_promises():
    """Wilcoxon's interval of two and a half deviations misses the true factor once in 80 times, however the factors scatter."""
    generator = np.random.default_rng(9)
    missed = 0
    for _ in range(2000):
        before, after = np.exp(0.05 * generator.standard_t(2, (2, 12)))
        _, low, high = compare.change(before.tolist(), (1.3 * after).tolist())
        missed += not low <= 1.3 <= high
    assert missed <= 40


def test_files_that_are_none_or_of_two_runs_are_refused(tmp_path):
    path = tmp_path / "x.json"
    for text in ("{}", "[]", '{"stages": {}}', '{"run": "a", "stages": {"a": [[1.0]]}}', '{"run": "a", "stages": [1]}'):
        path.write_text(text)
        with pytest.raises(SystemExit, match=r"x\.json holds no rounds .*gate\.py BEFORE"):
            compare.main([str(path), str(path)])
    with pytest.raises(SystemExit, match="usage"):
        compare.main([str(path)])
    sides = ({"a": [1.0]}, {"a": [1.0]})
    (one, _), (_, other) = gate.write(tmp_path / "1", sides), gate.write(tmp_path / "2", sides)
    with pytest.raises(SystemExit, match="of two runs"):
        compare.main([str(one), str(other)])


def test_repeats_count_how_often_a_fifth_would_be_caught():
    assert repeats.caught(*Machine(10).rounds()) == len(STAGES)
    assert repeats.caught(*Machine(10).rounds(slow="mesh", factor=1 / 1.2)) == len(STAGES) - 1


def test_rounds_are_made_in_turns_and_short_stages_called_often():
    order = []

    def version(side, seconds):
        return lambda name, number: (order.append((side, name, number)), seconds[name])[1]

    before, after = gate.in_turns(version("b", {"x": 1e-3, "y": 1.0}), version("a", {"x": 2e-3, "y": 1.0}), ["x", "y"])
    assert order[:4] == [("b", "x", 1), ("b", "y", 1), ("a", "x", 1), ("a", "y", 1)]  # warm
    assert order[4:12] == [(side, name, {"x": 50, "y": 1}[name]) for sides in ("ab", "ba") for name in "xy" for side in sides]
    assert {len(rounds) for side in (before, after) for rounds in side.values()} == {gate.PAIRS}
    assert (before["x"][0], after["x"][0]) == (1e-3, 2e-3)


def test_what_looks_slower_is_timed_again_by_new_processes(monkeypatch):
    """Of three stages one looks slower in the first processes and is not in the next; another is slower in all."""
    factors = iter([{"luck": 1.2, "true": 1.2}, {"luck": 0.9, "true": 1.2}])

    class Started:
        def __init__(self, checkout, selected, slowed=""):
            self.factors = next(factors) if slowed else {}

        def __enter__(self):
            return ["luck", "other", "true"], lambda name, number: self.factors.get(name, 1.0)

        def __exit__(self, *what):
            return None

    monkeypatch.setattr(gate, "worker", Started)
    before, after = gate.against(gate.ROOT, "", "any")
    assert {name: len(rounds) for name, rounds in after.items()} == {"luck": 2 * gate.PAIRS, "other": gate.PAIRS, "true": 2 * gate.PAIRS}
    assert compare.alarms(compare.compare(before, after)) == ["true"]


def test_a_slower_stage_takes_a_fifth_longer():
    def work():
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass

    assert gate.seconds(lambda: gate.slower(work), 1) == pytest.approx(1.2 * gate.seconds(work, 1), rel=0.1)


def test_waiting_for_a_core_is_told_and_sleeping_is_none():
    begin = gate.waited()
    time.sleep(0.05)
    assert 0 <= gate.waited() - begin < 0.05


def test_two_processes_run_a_real_stage_in_turns(monkeypatch, tmp_path, capsys):
    """This checkout against itself, on a stage that needs no scan; what the clock says is nobody's business here."""
    monkeypatch.setattr(gate, "PAIRS", 2)
    sides = gate.against(gate.ROOT, "surplus and cpu-1-64x64x64 and not gradient", "surplus[cpu-1-64x64x64]")
    assert [{name: len(rounds) for name, rounds in side.items()} for side in sides] == 2 * [{"surplus[cpu-1-64x64x64]": 2}]
    assert all(0 < one < 10 for side in sides for rounds in side.values() for one in rounds)
    assert compare.main([str(path) for path in gate.write(tmp_path, sides)]) == 0  # two pairs tell nothing
    assert capsys.readouterr().out.endswith("(0.00 to inf)  surplus[cpu-1-64x64x64]\n")


def test_a_checkout_without_an_environment_or_with_failing_benchmarks_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=rf"{tmp_path.name} has no \.venv; run"), gate.worker(tmp_path, ""):
        pass
    with pytest.raises(SystemExit, match=r"the benchmarks of .* failed"), gate.worker(gate.ROOT, "no such stage"):
        pass
