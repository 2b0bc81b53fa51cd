from xml.etree import ElementTree

from shapekit.report.svg import axis, scale, svg, text, ticks


def test_a_scale_takes_values_to_the_page():
    place = scale(10.0, 20.0, 200.0, 100.0)
    assert [place(value) for value in (10, 15, 20)] == [200, 150, 100]


def test_marks_are_whole_numbers_within_the_range():
    assert list(ticks(10, 30)) == [10, 15, 20, 25, 30]
    assert list(ticks(0, 50)) == [0, 10, 20, 30, 40, 50]


def test_a_drawing_is_xml_whose_words_are_escaped():
    words = "<b>&\"'"
    drawn = svg(10, 20, words, words, text(1, 2, words) + axis(float, [1, 2], words, 3))
    root = ElementTree.fromstring(drawn)  # noqa: S314 (our own)
    assert [root[0].text, root[1].text, root[2].text] == [words] * 3
