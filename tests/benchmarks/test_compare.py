"""The gate on slowdowns: on rounds as a shared machine gives them, slow for a while and not alike for every stage, and on real ones."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks import compare, gate, repeats, stages

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
    paths = gate.write(tmp_path, gate.ROOT, Machine(5).rounds(slow=stage, factor=1.2))
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
    assert verdict(steady[:8], 1.2 * steady[:8]) == "unsure"
    assert verdict(steady[:9], 1.2 * steady[:9]) == "SLOWER"


def test_the_interval_holds_what_it_promises():
    """Of twelve pairs the signed-rank interval of two and a half deviations misses the true factor once in 146 times, however the factors scatter."""
    generator = np.random.default_rng(9)
    missed = 0
    for _ in range(2000):
        before, after = np.exp(0.05 * generator.standard_t(2, (2, 12)))
        _, low, high = compare.change(before.tolist(), (1.3 * after).tolist())
        missed += not low <= 1.3 <= high
    assert 4 <= missed <= 28


def test_files_that_are_none_or_do_not_belong_together_are_refused(tmp_path, capsys):
    def refused(*paths):
        assert compare.main([str(path) for path in paths]) == 2
        return capsys.readouterr().err

    path = tmp_path / "x.json"
    for stages_told in ({"a": [[1.0]]}, {"a": []}, {"a": [0.0]}, [1]):
        path.write_text(json.dumps({"run": "a", "side": "before", "stages": stages_told}))
        assert "x.json holds no rounds" in refused(path, path)
    path.write_text("{}")
    assert "x.json holds no rounds" in refused(path, path)
    assert "usage" in refused(path)
    sides = ({"a": [1.0]}, {"a": [1.0]})
    (one, after), (_, other) = (gate.write(tmp_path / name, gate.ROOT, sides) for name in "12")
    assert "of two runs" in refused(one, other)
    assert "after.json holds what was timed after, but stands where before belongs" in refused(after, one)
    assert "share no stage" in refused(*gate.write(tmp_path / "3", gate.ROOT, ({"a": [1.0]}, {"b": [1.0]})))
    told = json.loads(one.read_text())
    assert {"cpu", "python", "torch", "commit"} <= told["machine"].keys()


def test_repeats_count_how_often_a_fifth_would_be_caught():
    assert repeats.caught(*Machine(10).rounds()) == len(STAGES)
    assert repeats.caught(*Machine(10).rounds(slow="mesh", factor=1 / 1.2)) == len(STAGES) - 1


def test_rounds_are_made_in_turns_and_short_stages_called_often():
    order = []

    def version(side, seconds):
        return lambda name, number: (order.append((side, name, number)), seconds[name])[1]

    before, after = gate.in_turns(version("b", {"x": 1e-3, "y": 0.04}), version("a", {"x": 2e-3, "y": 0.04}), ["x", "y"])
    assert order[:6] == [(side, name, 1) for name in "xy" for side in "abb"]  # warm, and then looked at
    assert order[6:14] == [(side, name, {"x": 50, "y": 2}[name]) for sides in ("ab", "ba") for name in "xy" for side in sides]
    assert {len(rounds) for side in (before, after) for rounds in side.values()} == {gate.PAIRS}
    assert (before["x"][0], after["x"][0]) == (1e-3, 2e-3)


def test_what_looks_slower_is_timed_anew_by_other_processes_which_decide(monkeypatch):
    """Of three stages one looks slower in the first processes and is not in the next; another is slower in all."""
    factors = iter([{"luck": 1.3, "true": 1.2}, {"luck": 1.0, "true": 1.2}])

    class Started:
        def __init__(self, checkout, selected, slowed=""):
            self.factors = next(factors) if slowed else {}

        def __enter__(self):
            return ["luck", "other", "true"], lambda name, number: self.factors.get(name, 1.0)

        def __exit__(self, *what):
            return None

    monkeypatch.setattr(gate, "worker", Started)
    sides = gate.against(gate.ROOT, slowed="true")
    assert all(len(rounds) == gate.PAIRS for side in sides for rounds in side.values())
    assert verdicts(sides) == {"luck": "same", "other": "same", "true": "SLOWER"}
    factors = iter([{}])
    with pytest.raises(gate.GateError, match="no stage is called theirs; these are: luck, other, true"):
        gate.against(gate.ROOT, slowed="theirs")


def test_a_slower_stage_takes_a_fifth_longer():
    def burn():
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass

    begin = time.thread_time()  # what it waits for a core is not counted
    stages.slower(burn)
    assert time.thread_time() - begin == pytest.approx(0.024, rel=0.1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or not stages.SCHEDULE.exists(), reason="the system does not tell")
def test_what_another_process_takes_of_the_core_is_left_out():
    cores = os.sched_getaffinity(0)
    busy = f"import os; os.sched_setaffinity(0, {[min(cores)]})\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE) as other:
        try:
            other.stdout.readline()
            os.sched_setaffinity(0, {min(cores)})
            begin, before = time.perf_counter(), stages.waited()
            until = time.thread_time() + 0.2
            while time.thread_time() < until:
                pass
            spent, off = time.perf_counter() - begin, stages.waited() - before
        finally:
            os.sched_setaffinity(0, cores)
            other.kill()
    assert off > 0.05
    assert spent - off >= 0.19  # not more than the other took is left out


def checkout(folder, test):
    """A checkout of its own with one file of benchmarks, and this environment."""
    (folder / "benchmarks").mkdir(parents=True)
    (folder / "benchmarks" / "conftest.py").write_text("def pytest_benchmark_update_machine_info(machine_info): pass\n")
    (folder / "benchmarks" / "scans.py").write_text("KEPT = None\n")
    (folder / "benchmarks" / "test_bench_any.py").write_text(f"from benchmarks import scans\nassert str(scans.KEPT) == {str(gate.SCANS)!r}\n{test}")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / ".venv" / "bin" / "python").chmod(0o755)
    return folder


def test_two_checkouts_run_in_turns_also_where_the_older_one_knows_nothing_of_the_gate(monkeypatch, tmp_path, capsys):
    """Two real processes with benchmarks of their own; what the clock says is nobody's business here."""
    bench = "import time\ndef test_bench_{}(benchmark):\n    benchmark.pedantic({}, rounds=3)\n"
    before = checkout(tmp_path / "before", bench.format("both", "print, args=('noise',)") + bench.format("old", "print"))
    after = checkout(tmp_path / "after", bench.format("both", "time.sleep, args=(0.001,)") + bench.format("new", "print"))
    monkeypatch.setattr(gate, "PAIRS", 2)
    monkeypatch.setattr(gate, "ROOT", after)
    sides = gate.against(before, "both or old or new")
    assert capsys.readouterr().err.splitlines() == ["only before: old", "only after: new"]
    assert [{name: len(rounds) for name, rounds in side.items()} for side in sides] == 2 * [{"both": 2}]
    assert all(0 < one < 10 for side in sides for one in side["both"])
    assert sides[1]["both"][0] > 0.001


def test_a_checkout_without_an_environment_or_with_failing_benchmarks_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "bare").mkdir()
    monkeypatch.setattr(sys, "argv", ["gate.py", str(tmp_path / "bare")])
    assert gate.main() == 2
    assert "bare has no .venv; run `make .venv/installed` there" in capsys.readouterr().err
    wrong = checkout(tmp_path / "wrong", "def test_bench_any(benchmark):\n    print(200_000 * 'x')\n    raise AssertionError('not what it was')\n")
    with pytest.raises(gate.GateError, match=r"(?s)the benchmarks of wrong failed: .*1 failed"), gate.worker(wrong, "any"):
        pass
    dies = checkout(tmp_path / "dies", "import os\ndef test_bench_any(benchmark):\n    benchmark.pedantic(os._exit, args=(3,))\n")
    with gate.worker(dies, "any") as (names, taken):
        assert names == ["any"]
        for _ in range(2):
            with pytest.raises(gate.GateError, match="the benchmarks of dies failed"):
                taken("any", 1)
