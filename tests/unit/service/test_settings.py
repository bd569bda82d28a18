"""The settings of a process: environment and keywords, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kato_service.settings import Settings
from tests.support.settings_page import table


def test_the_environment_is_read_and_a_keyword_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATO_PORT", "9001")
    monkeypatch.setenv("KATO_PROCESSOR_ID", "from-env")
    monkeypatch.setenv("KATO_DATA_DIR", "")
    settings = Settings(processor_id="From_Keyword")
    assert (settings.port, settings.processor_id, settings.data_dir) == (9001, "From_Keyword", None)


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        ({"processor_id": "sessions"}, "processor_id"),
        ({"processor_id": "a/b"}, "processor_id"),
        ({"processor_id": "a.b"}, "processor_id"),
        ({"processor_id": ""}, "processor_id"),
        ({"port": 65536}, "port"),
        ({"max_body_bytes": 1}, "max_body_bytes"),
        ({"log_level": "loud"}, "log_level"),
        ({"internal_port": 0}, "internal_token"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_refused_is_named(keywords: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings.model_validate(keywords)


def test_settings_are_frozen_and_keep_their_secrets() -> None:
    settings = Settings(tokens=" one, two,,", internal_token="three", internal_port=0, data_dir=Path("x"))  # noqa: S106 - a test's own
    assert settings.api_tokens == ("one", "two")
    assert not {"one", "two", "three"} & set(repr(settings).replace("'", " ").split())
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc] # that it cannot be set is the point


def test_no_tokens_ask_for_none() -> None:
    assert Settings().api_tokens == ()


def test_the_page_of_the_settings_lists_them_all() -> None:
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    assert table() in page, f"docs/settings.md has another table than:\n{table()}"
