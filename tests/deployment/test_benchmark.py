import pytest

from benchmarks.table import Line, in_page, markdown, published


def test_the_documentation_shows_the_results_that_are_kept():
    assert in_page() == published()


@pytest.mark.parametrize(
    ("goal", "more", "reached", "met", "gross"),
    [
        (1.5, False, 1.5, True, False),
        (1.5, False, 1.6, False, False),
        (1.5, False, 3.1, False, True),
        (8, True, 8, True, False),
        (8, True, 7, False, False),
        (8, True, 3.9, False, True),
        (None, False, 99, True, False),
    ],
)
def test_a_goal_is_met_or_missed_or_missed_by_far(goal, more, reached, met, gross):
    line = Line(1, "", reached, goal, more=more)
    assert (line.met, line.gross(goal)) == (met, gross)
    assert ("**" in markdown([line])) is not met


def test_what_misses_its_goal_already_is_held_to_what_it_was():
    line = Line(1, "", reached=3.1, goal=1.5)
    assert (line.gross(1.0), line.gross(2.0)) == (True, False)
    line = Line(3, "", reached=6, goal=20, more=True)
    assert (line.gross(25), line.gross(8)) == (True, False)
