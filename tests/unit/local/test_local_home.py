from __future__ import annotations

import pytest

from kato_operator.local.home import Home


def test_an_instance_that_was_here_is_known(home: Home) -> None:
    assert not home.known("first")
    home.data("first").mkdir(parents=True)
    assert home.known("first")


@pytest.mark.parametrize("text", ["", ".", "..", "../data", "first/", "./first", "first\n", "a file"])
def test_a_path_is_no_known_instance_even_where_it_leads_somewhere(home: Home, text: str) -> None:
    home.data("first").mkdir(parents=True)
    home.data("a file").mkdir()
    assert not home.known(text)
    assert not home.known(str(home.data("first")))
