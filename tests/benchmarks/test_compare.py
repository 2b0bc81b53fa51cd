"""The gate on slowdowns, on rounds as a shared machine gives them: a core that is slow for a while, and every stage suffers in its own way."""

import json
import time

import numpy as np
import pytest

from benchmarks import compare, gate, pace, repeats

NAMES = ("read", "detect", "bodies", "mesh", "predict", "score", "export")
STAGES = dict(zip(NAMES, np.geomspace(2e-3, 1.4, len(NAMES)).tolist(), strict=True))
SENSITIVITY = dict(zip(NAMES, (0.7, 1.6, 0.9, 1.0, 0.8, 1.1, 0.9), strict=True))
"""Exponents: a core that takes 1.5 times as long for the pace takes 1.5 to this power as long for the stage."""


def rounds(generator, *, slow=None, factor=1.0, busy=0.4, passes=25):
    """A third of the time and more the core takes 1.3 to 1.9 times as long, and it stays so for a few stages; 4 % of scatter besides."""
    taken, core = {name: [] for name in STAGES}, 1.0
    for _ in range(passes):
        for name, seconds in STAGES.items():
            if generator.random() < 0.4:
                core = generator.uniform(1.3, 1.9) if generator.random() < busy else generator.uniform(1.0, 1.1)
            spent = seconds * core ** SENSITIVITY[name] * (factor if name == slow else 1.0)
            spent *= np.exp(0.04 * generator.standard_normal())
            looks = 1e-3 * core * np.exp(0.02 * np.abs(generator.standard_normal(2)))
            taken[name].append((float(spent), 0.0, *looks.tolist()))
    return taken


def written(path, stages):
    path.write_text(json.dumps({"machine": {}, "stages": stages}))
    return str(path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_planted_slowdown_of_a_fifth_is_caught_and_named(stage, tmp_path, capsys):
    generator = np.random.default_rng(5)
    before = written(tmp_path / "before.json", rounds(generator))
    after = written(tmp_path / "after.json", rounds(generator, slow=stage, factor=1.2))
    assert compare.main([before, after]) == 1
    slower = [line for line in capsys.readouterr().out.splitlines() if line.startswith("SLOWER")]
    assert len(slower) == 1
    assert slower[0].endswith(stage)


def test_repeats_without_a_change_raise_no_alarm():
    generator = np.random.default_rng(6)
    before = rounds(generator)
    for number in range(100):
        assert {row[-1] for row in compare.compare(before, rounds(generator))} == {"same"}, number


def test_without_the_pace_the_same_rounds_would_raise_alarms():
    """What the pace is for: with every round taken as quiet, busier spells in one file look like slow stages."""
    generator = np.random.default_rng(7)
    few, many = rounds(generator, busy=0.1), rounds(generator, busy=0.8, passes=60)
    assert {row[-1] for row in compare.compare(few, many)} == {"same"}
    blind = [{name: [(seconds, 0.0, 1.0, 1.0) for seconds, *_ in taken] for name, taken in side.items()} for side in (few, many)]
    assert all(row[-1] == "SLOWER" for row in compare.compare(*blind))


def test_rounds_on_a_busy_core_are_no_evidence(tmp_path, capsys):
    generator = np.random.default_rng(8)
    before = rounds(generator)
    slow = {name: [(2 * on, off, 1.5 * one, 1.5 * other) for on, off, one, other in taken] for name, taken in before.items()}
    shared = {name: [(2 * on, on, one, other) for on, _, one, other in taken] for name, taken in before.items()}
    for after in (slow, shared):
        assert compare.main([written(tmp_path / "a.json", before), written(tmp_path / "b.json", after)]) == 2
        assert capsys.readouterr().out.count("unsure") == len(STAGES)


def test_size_and_noise_gate_each_for_itself():
    def verdict(before, after):
        return compare.compare(*({"stage": [(seconds, 0.0, 1.0, 1.0) for seconds in side]} for side in (before, after)))[0][-1]

    steady, scattered = np.linspace(0.99, 1.01, 10), np.geomspace(0.6, 1.6, 10)
    assert verdict(steady, 1.2 * steady) == "SLOWER"
    assert verdict(steady, 1.08 * steady) == "same"  # certain, and too little
    assert verdict(scattered, 1.2 * scattered) == "same"  # enough, and chance may explain it
    assert verdict(steady, steady / 1.2) == "faster"
    assert verdict(steady[:6], 1.2 * steady[:6]) == "unsure"
    assert verdict(steady[:7], 1.2 * steady[:7]) == "SLOWER"


def test_the_interval_holds_what_it_promises():
    """Hodges and Lehmann's interval of three deviations misses the true factor once in 370 times, whatever the rounds' distribution."""
    generator = np.random.default_rng(9)
    missed = 0
    for _ in range(2000):
        before, after = np.exp(0.05 * generator.standard_t(2, (2, 12)))
        _, low, high = compare.change(before.tolist(), (1.3 * after).tolist())
        missed += not low <= 1.3 <= high
    assert missed <= 15


def test_files_that_are_none_are_refused(tmp_path):
    path = tmp_path / "x.json"
    for text in ("{}", "[]", '{"stages": {"a": [[1.0]]}}', '{"stages": [1]}'):
        path.write_text(text)
        with pytest.raises(SystemExit, match=r"x\.json holds no rounds .*gate\.py x\.json"):
            compare.main([str(path), str(path)])
    with pytest.raises(SystemExit, match="usage"):
        compare.main([str(path)])
    one, other = (written(tmp_path / f"{name}.json", {name: [(1.0, 0.0, 1.0, 1.0)]}) for name in "ab")
    with pytest.raises(SystemExit, match="share no stage"):
        compare.main([one, other])


def test_repeats_say_who_raised_an_alarm_and_how_many_would():
    generator = np.random.default_rng(10)
    before = rounds(generator)
    assert repeats.alarms(compare.compare(before, rounds(generator))) == []
    assert repeats.alarms(compare.compare(before, rounds(generator, slow="mesh", factor=1.2))) == ["mesh"]
    assert repeats.caught(before, rounds(generator)) == len(STAGES)


def test_rounds_are_taken_in_turns_between_looks_at_the_pace(monkeypatch):
    looks = iter([1.0] * 50 + [1.0, 1.0, 1.5, 1.0, 1.6] + [1.0] * 1000)  # waits once, then a round that ends on a busy core
    monkeypatch.setattr(gate, "pace", lambda: next(looks))
    monkeypatch.setattr(gate, "seconds", lambda call: (call() or 1.0, 0.0))
    order = []
    taken = gate.in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, patience=60)
    assert "".join(order).startswith("ababab")
    assert len(taken["a"]) == gate.ENOUGH
    assert len(taken["b"]) == gate.ENOUGH + 1
    assert taken["b"][0][2:] == (1.0, 1.6)
    assert gate.in_turns({"a": order.clear}, patience=0) == {"a": []}


def test_a_slower_stage_takes_a_fifth_longer():
    def work():
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass

    assert gate.seconds(lambda: gate.slower(work))[0] == pytest.approx(1.2 * gate.seconds(work)[0], rel=0.1)


def test_the_stages_are_kept_with_what_they_would_have_timed():
    stages = gate.Stages()
    stages._keep("read", lambda *given, **named: (given, named), (1, 2), {"three": 3}, rounds=5, warmup_rounds=1)
    assert stages.calls["read"]() == ((1, 2), {"three": 3})


def test_the_pace_is_that_of_the_core_and_waiting_is_told():
    assert 1e-5 < pace.pace() < 1
    begin = pace.waited()
    time.sleep(0.05)
    assert 0 <= pace.waited() - begin < 0.05  # who sleeps does not wait for a core
