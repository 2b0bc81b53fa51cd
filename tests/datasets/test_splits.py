import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapekit.core.checks import UsageError
from shapekit.datasets import Case, split_by_patient
from shapekit.datasets.splits import split_by_patient as defined

FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}


def case(name, subject, split=""):
    return Case(name, subject, Path(f"{name}.nii.gz"), "verse", split)


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["", "", "train", "validation", "test"])), max_size=40), st.integers(0, 5))
def test_no_patient_straddles_and_no_case_is_lost(drawn, seed):
    cases = [case(f"scan{n}", f"sub-{subject}", split) for n, (subject, split) in enumerate(drawn)]
    parts = split_by_patient(cases, FRACTIONS, seed)
    assert sorted(own.name for part in parts.values() for own in part) == sorted(own.name for own in cases)
    where = [{own.subject for own in part} for part in parts.values()]
    assert sum(map(len, where)) == len(set().union(*where))
    shuffled = random.Random(seed).sample(cases, len(cases))
    assert split_by_patient(shuffled, FRACTIONS, seed) == parts


def test_shares_are_of_patients():
    cases = [case(f"s{n}-{m}", f"sub-{n}") for n in range(50) for m in range(n % 3 + 1)]
    parts = split_by_patient(cases, FRACTIONS, 7)
    assert {name: len({own.subject for own in part}) for name, part in parts.items()} == {"train": 35, "validation": 5, "test": 10}
    assert list(parts) == list(FRACTIONS)


def test_published_splits_are_kept_and_the_rest_dealt_out():
    cases = [case(f"p{n}", f"p{n}", "test" if n < 30 else "train") for n in range(40)] + [case(f"f{n}", f"f{n}") for n in range(10)]
    parts = split_by_patient(cases, {"train": 0.5, "validation": 0.5}, 1)
    assert {own.name for own in parts["test"]} == {f"p{n}" for n in range(30)}
    assert {f"p{n}" for n in range(30, 40)} <= {own.name for own in parts["train"]}
    assert (len(parts["train"]), len(parts["validation"])) == (15, 5)


@pytest.mark.parametrize(("splits", "kept"), [(("train", "test"), "test"), (("train", "validation", ""), "validation"), (("", "train"), "train")])
def test_a_patient_published_in_several_goes_to_the_most_reserved(splits, kept):
    cases = [case(f"scan{n}", "sub-409", split) for n, split in enumerate(splits)]
    parts = split_by_patient(cases, FRACTIONS, 0)
    assert [own.name for own in parts[kept]] == [own.name for own in cases]


def test_the_seed_alone_decides_and_other_seeds_decide_otherwise():
    cases = [case(f"s{n}", f"sub-{n}") for n in range(30)]
    drawn = {seed: tuple(own.name for own in split_by_patient(cases, FRACTIONS, seed)["test"]) for seed in range(5)}
    assert len(set(drawn.values())) == 5
    assert drawn[0] == ("s16", "s19", "s2", "s27", "s29", "s9")  # on every machine, and in every version to come
    assert defined is split_by_patient


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": float("nan"), "test": 1.0}])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(UsageError, match="add up to 1"):
        split_by_patient([], fractions, 0)


def test_a_share_of_nothing_is_an_empty_part():
    parts = split_by_patient([case("a", "a")], {"train": 1.0, "test": 0.0}, 0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 1, "test": 0}
