import json

import numpy as np
import pandas
import pytest

from shapekit.cli import main
from shapekit.core.checks import InputError, UsageError
from shapekit.core.levels import Level
from shapekit.core.values import Measures
from shapekit.networks import read_weights
from shapekit.pipeline import Scored
from shapekit.study import Protocol, published_sets, reproduce
from shapekit.study.reproduce import FILES, examples_of
from shapekit.study.sets import phantom_sets
from shapekit.training import Samples

QUICK = Protocol("linear", calibration=0, test_share=0.3, workers=1, draws=50)


@pytest.fixture(scope="module")
def ended(verse, xvertseg, tmp_path_factory):
    """The experiment on the imitated data: what it returned, and its folder."""
    folder = tmp_path_factory.mktemp("study")
    sets, notes = published_sets(verse, xvertseg)
    return reproduce(sets, folder, QUICK, notes=notes), folder


def rows_of(folder):
    return pandas.read_csv(folder / "rows.csv", keep_default_na=False, na_values={"grade": [""], "score": [""]})


def test_the_sets_are_the_graded_scans_by_patient(verse, xvertseg):
    sets, notes = published_sets(verse, xvertseg)
    assert {(case.name.partition("_seg")[0], case.subject) for case in sets["internal"]} == {
        ("sub-verse409_split-verse266", "sub-verse409"),
        ("sub-verse409_split-verse262", "sub-verse409"),
        ("sub-verse417_split-verse031", "sub-verse417"),
        ("sub-verse014", "sub-verse014"),
    }
    assert [case.name for case in sets["external"]] == ["mask001"]
    assert {case.split for case in sets["internal"]} == {""}
    assert "verse: 1 of 5 scans have no grade and are left out" in notes
    joined, _ = published_sets(verse, xvertseg, external=xvertseg)
    assert len(joined["internal"]) == 5


def test_a_set_without_grades_is_refused(xvertseg, verse, tmp_path):
    (tmp_path / "bare").symlink_to(verse / "dataset-verse19training", target_is_directory=True)
    with pytest.raises(InputError, match="bare \\(verse\\) has no graded vertebra"):
        published_sets(tmp_path / "bare", xvertseg)


def test_patients_are_on_one_side(ended):
    told, folder = ended
    learn, test = set(told["split"]["learn"]), set(told["split"]["test"])
    assert not learn & test
    assert learn | test == {"sub-verse409", "sub-verse417", "sub-verse014"}
    rows = rows_of(folder)
    assert set(rows[rows["group"] == "internal"]["subject"]) == test
    assert set(rows[rows["group"] == "external"]["subject"]) == {"xvertseg001"}


def test_only_vertebrae_graded_0_are_learnt_from_and_the_neck_is_left_out(ended, verse, xvertseg):
    told, folder = ended
    sets, _ = published_sets(verse, xvertseg)
    learnt = [case for case in sets["internal"] if case.subject in told["split"]["learn"]]
    assert len(learnt) >= 2
    for case in learnt:
        (path,) = (folder / "samples").glob(f"{case.name}-*.npz")
        samples, by_rank = Samples.read(path), {level.rank: level for level in Level}
        found = {by_rank[rank]: bool(target) for rank, target in zip(samples.ranks, samples.is_target, strict=True)}
        assert len(found) >= 4
        assert not any(level.is_cervical for level in found)
        assert found == {level: case.grades.get(level) == 0 for level in found}, case.name


def test_the_weights_are_of_the_patients_that_are_not_held_out(ended):
    told, folder = ended
    (path,) = folder.glob("weights-*/linear.safetensors")
    _, card, identity = read_weights(path, "linear")
    assert told["protocol"]["weights_id"] == identity
    assert told["protocol"]["weights"] == "fitted to the internal set"
    scans = 4 - len(rows_of(folder).query("group == 'internal'")["case"].unique())
    assert card["cohort"].startswith(f"{scans} scans")
    assert len(list((folder / "samples").glob("*.npz"))) == scans


def test_rows_stand_beside_the_readers_grades(ended):
    _, folder = ended
    rows = rows_of(folder).set_index(["case", "level"])
    assert not any(level.startswith("C") for _, level in rows.index)
    assert rows.loc[("mask001", "L2"), ["grade", "type"]].tolist() == [3, "crush"]
    assert rows.loc[("mask001", "L1"), "beside_fracture"] in (True, "True")
    assert rows.loc[("mask001", "L4"), "beside_fracture"] in (False, "False")


def test_external_normals_are_the_fractures_neighbours(ended):
    told, folder = ended
    external = told["sets"]["external"]
    rows = rows_of(folder).query("group == 'external'").set_index("level")["score"]
    assert external["normal"]["n"] == 2
    assert external["normal"]["mean"] == pytest.approx(rows[["L1", "L3"]].mean(), rel=1e-4)
    assert external["fractured"] == {"n": 1, "mean": pytest.approx(rows["L2"], rel=1e-4), "sd": pytest.approx(np.nan, nan_ok=True)}


def test_everything_is_written_and_the_papers_numbers_stand_beside(ended):
    told, folder = ended
    assert json.loads((folder / "findings.json").read_text())["paper"]["internal"]["fractured"] == [59.9, 24.8]
    table = (folder / "table.md").read_text()
    assert "| 59.9 ± 24.8 |" in table
    assert "| 5.6 ± 7.9 |" in table
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob(".*"))
    assert told["left_out"] == []


def test_a_run_that_was_stopped_ends_with_the_same_bytes(ended, verse, xvertseg):
    _, folder = ended
    before = {name: (folder / name).read_bytes() for name in FILES}
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    sets, notes = published_sets(verse, xvertseg)
    reproduce(sets, folder, QUICK, notes=notes)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == kept  # nothing was done twice
    (half,) = (folder / "scored").glob("mask001*")
    half.write_bytes(half.read_bytes()[:40])
    (folder / "findings.json").unlink()
    reproduce(sets, folder, QUICK, notes=notes)
    assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_the_figures_examples_are_found_where_both_sets_call_their_scans_alike():
    def scored(level, score):
        return Scored(Measures(level, 20, score=score))

    values = {("internal", "L1"): 52.0, ("internal", "L2"): 3.0, ("external", "L1"): 99.0, ("external", "L2"): 26.0, ("external", "L3"): 74.0}
    rows = [{"group": g, "case": "a", "subject": "a", "level": v, "status": "ok", "grade": 0, "score": s} for (g, v), s in values.items()]
    asked = []

    def again(scan):
        asked.append(scan)
        return [scored(level, score) for (group, level), score in values.items() if group == scan[0]]

    shown = {("internal", "a", "a", "L2"): scored("L2", 3.0)}
    found = examples_of(pandas.DataFrame(rows), shown, again)
    assert [one.measures.score for one in found] == [3.0, 26.0, 52.0, 74.0, 99.0]
    assert sorted(asked) == [("external", "a", "a"), ("internal", "a", "a")]


def test_phantoms_end_to_end_with_the_figure(tmp_path, capsys):
    arguments = ["reproduce", "--phantom", "2", "-o", str(tmp_path), "--predictor", "linear", "--calibration", "0", "--workers", "1", "--seed", "15"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == (tmp_path / "table.md").read_text()
    told = json.loads((tmp_path / "findings.json").read_text())
    assert [len(told["split"][name]) for name in ("learn", "test", "external")] == [1, 1, 1]
    assert "not how patients score" in told["notes"][-1]
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    drawn = {path: path.stat().st_mtime_ns for path in (tmp_path / "phantoms").rglob("*.gz")}
    phantom_sets(tmp_path, 2, seed=15, workers=1)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "phantoms").rglob("*.gz")} == drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"predictor": "coarse"}, "predictor is 'coarse'"),
        ({"test_share": 0.0}, "test share is 0"),
        ({"test_share": 1.0}, "test share is 1"),
        ({"predictor": "neighbours", "weights": "any.safetensors"}, "takes no weights"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(options, said):
    with pytest.raises(UsageError, match=said):
        Protocol(**options)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs --verse DIR and --xvertseg DIR"),
        (["--phantom", "2", "--verse", "x"], "--phantom runs without data"),
        (["--phantom", "1"], "1 phantoms were asked for"),
        (["--verse", "none", "--xvertseg", "none"], "none"),
        (["--phantom", "2", "--predictor", "oracle"], "oracle"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(tmp_path, capsys, arguments, said):
    assert main(["reproduce", "-o", str(tmp_path / "out"), *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
