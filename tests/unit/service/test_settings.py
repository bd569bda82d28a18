"""The settings of a process: environment and keywords, and what is refused."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import ValidationError

from kato_service.app import create_processor
from kato_service.processor.errors import InvalidRecord
from kato_service.settings import Settings
from kato_spec.keys import database_name
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
        ({"redis_url": "redis://r"}, "mongodb_uri and redis_url are needed together"),
        ({"mongodb_uri": "mongodb://m"}, "mongodb_uri and redis_url are needed together"),
        ({"redis_url": "http://r", "mongodb_uri": "mongodb://m"}, "redis_url"),
        ({"redis_url": "redis://r", "mongodb_uri": "postgres://m"}, "mongodb_uri"),
        ({"redis_url": "redis://r", "mongodb_uri": "mongodb://m", "data_dir": "x"}, "data_dir"),
        ({"mongodb_database": "a.b"}, "mongodb_database"),
        ({"replica_name": "a b"}, "replica_name"),
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


def test_external_stores_are_named_by_secrets_and_their_database_by_the_processor() -> None:
    settings = Settings(redis_url="redis://:hidden@r", mongodb_uri="mongodb://u:hidden@m", processor_id="p")  # type: ignore[arg-type] # as the environment gives them
    assert "hidden" not in repr(settings)
    assert settings.database == database_name("local", "p")
    assert Settings(mongodb_database="own").database == "own"
    assert settings.replica == socket.gethostname()
    assert Settings(replica_name="pod-1").replica == "pod-1"


@pytest.mark.parametrize(
    ("uri", "url", "field"),
    [
        ("mongodb://user:secr:et@host:port", "redis://r", "mongodb_uri"),
        ("mongodb://m", "redis://:secr/et@host:6379", "redis_url"),
    ],
)
def test_a_connection_string_that_is_none_is_said_without_it(uri: str, url: str, field: str) -> None:
    settings = Settings(mongodb_uri=uri, redis_url=url)  # type: ignore[arg-type] # as the environment gives them
    with ExitStack() as held, pytest.raises(InvalidRecord, match=field) as refused:
        create_processor(settings, held)
    assert "secr" not in str(refused.value)


def test_no_tokens_ask_for_none() -> None:
    assert Settings().api_tokens == ()


def test_the_page_of_the_settings_lists_them_all() -> None:
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    assert table() in page, f"docs/settings.md has another table than:\n{table()}"
