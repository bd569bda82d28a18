"""What the commands look like: on terminals narrow and wide, without colours, and where there is no terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kato_operator.local.home import Home
from tests.support.cli import Kato
from tests.support.terminal import on_a_terminal

STYLES = re.compile(r"\x1b\[([0-9;]*)m")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SYMBOLS = [f"a-rather-long-symbol-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kato]:
    """A home with an instance that has learned a pattern which fits on no line, and is in the midst of it."""
    directory: Path = tmp_path_factory.mktemp("taught")
    kato = Kato(Home(directory / "home"), directory)
    try:
        kato("start", "--id", "a")
        kato("observe", "a", "--each", *SYMBOLS)
        kato("learn", "a")
        kato("observe", "a", "--each", *SYMBOLS[:2])
        yield kato
    finally:
        kato.clean()


def shown(kato: Kato, *words: str, width: int = 80, **environment: str) -> str:
    """Return what a command prints on a terminal."""
    with on_a_terminal(kato, *words, width=width, **environment) as terminal:
        return terminal.finish().replace("\r\n", "\n")


def lines(text: str) -> list[str]:
    """Return what is to be read on the screen."""
    return [line.rstrip() for line in CONTROL.sub("", text).split("\n")]


@pytest.mark.parametrize("width", [80, 200])
def test_predictions_and_help_fit_the_terminal_and_lose_nothing(taught: Kato, width: int) -> None:
    table = lines(shown(taught, "predict", "a", width=width))
    assert max(map(len, table)) <= width
    assert "…" not in "".join(table)
    assert width == 80 or set(SYMBOLS) <= set(" ".join(table).split())
    assert [word for word in " ".join(table).split() if re.fullmatch(r"\d\.\d\d", word)][:2] == ["0.29", "1.00"]
    assert max(map(len, lines(shown(taught, "start", "--help", width=width)))) <= width


@pytest.mark.parametrize("width", [80, 200])
def test_a_progress_bar_fits_the_terminal_and_gets_to_its_end(taught: Kato, width: int) -> None:
    file = str(taught.directory / "memory.jsonl")
    for words in (["export", "a", file], ["import", "a", file, "--merge"]):
        drawn = re.split(r"[\r\n]", CONTROL.sub("", shown(taught, *words, width=width)))
        bars = [line for line in drawn if "━" in line]
        assert max(map(len, bars)) <= width
        assert "100%" in bars[-1]
        assert re.search(r"1 patterns (of a written|taken into a)", "".join(drawn))


@pytest.mark.parametrize("words", [["list"], ["list", "-o", "wide"], ["sessions", "a"], ["status", "a"]])
def test_what_scripts_read_is_never_broken_whatever_the_width(taught: Kato, words: list[str]) -> None:
    def without_ages(found: list[str]) -> list[list[str]]:  # a column is as wide as the ages in it
        return [re.sub(r"\b\d+[smhd]\b|\d+(?= *$)", "", line).split() for line in found]

    narrow, wide = (lines(shown(taught, *words, width=width)) for width in (80, 200))
    assert without_ages(narrow) == without_ages(wide)


def test_colours_are_for_terminals_that_want_them(taught: Kato) -> None:
    assert STYLES.search(shown(taught, "list"))
    for words in (["list"], ["predict", "a"], ["start", "--help"], ["status", "nobody"]):
        styles = {part for code in STYLES.findall(shown(taught, *words, NO_COLOR="1")) for part in code.split(";")}
        assert styles <= {"", "0", "1", "2", "22"}  # bold and faint are no colours
        assert "\x1b" not in shown(taught, *words, TERM="dumb")


def test_without_a_terminal_nothing_moves_and_nothing_is_cut(taught: Kato) -> None:
    ran = taught("predict", "a", COLUMNS="")
    assert set(SYMBOLS) <= set(ran.out.split())
    assert ran.err == ""
    assert "\x1b" not in ran.out
