import pytest

from shapekit.cli.bars import counting


@pytest.mark.parametrize("quiet", [True, False])
def test_a_pipe_gets_no_bar(capsys, quiet):
    with counting("patients", 3, quiet=quiet) as done:
        done(1)
        done(2, "patients, still")
    assert capsys.readouterr() == ("", "")
