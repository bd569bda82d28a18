"""Small pure parts of the command line: the text stream, tables, ages."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_cli import lesson, stream, terminal
from kato_cli.talk import text
from kato_cli.terminal import age


def test_the_stream_is_the_same_every_time_and_never_repeats() -> None:
    first = stream.sentences(300)
    assert first == stream.sentences(400)[:300]
    assert len(set(first)) == 300
    assert {len(sentence) for sentence in first} <= set(stream.WORDS)
    assert "antigravity" not in sys.modules  # sources are read, never run


def test_docstrings_are_split_into_plain_sentences() -> None:
    docstring = """Return the name of it.  Raise an error, if it
    isn't there!

    >>> Code is left out of all this text.

    Lists: `x` and 3 numbers are left out. Too short.
    Is a re-used word one word here?"""
    assert list(stream.split(docstring)) == [
        ("return", "the", "name", "of", "it"),
        ("raise", "an", "error", "if", "it", "isn't", "there"),
        ("is", "a", "re-used", "word", "one", "word", "here"),
    ]


def test_questions_are_halves_from_all_over_and_one_that_was_never_said() -> None:
    sentences = stream.sentences(300)
    questions = list(lesson.questions(sentences))
    assert [question.learned for question in questions] == [True, True, True, False]
    for question in questions[:-1]:
        assert any(one[: len(question.words)] == question.words for one in sentences)
        assert len(question.words) >= 4


@given(st.integers(0, 10**9))
def test_ages_are_short(seconds: int) -> None:
    assert len(age(seconds)) <= 6


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172800, "2d")])
def test_ages_as_kubectl_writes_them(seconds: int, shown: str) -> None:
    assert age(seconds) == shown


def test_events_as_people_read_them() -> None:
    assert text([["a"], ["b", "c"], ["d"]]) == "a [b c] d"


def test_a_listing_is_never_cut_and_never_interpreted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal.columns(["ID", "NAME"], [["a" * 30, "[red]not markup[/red] :smile:"], ["b", "x" * 200]])
    assert capsys.readouterr().out.splitlines() == [
        "ID                               NAME",
        f"{'a' * 30}   [red]not markup[/red] :smile:",
        f"b                                {'x' * 200}",
    ]
