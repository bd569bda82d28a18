from __future__ import annotations

import pytest

from kato_operator.local import asked as wishes
from kato_operator.local.asked import Asked, AskedSession
from kato_operator.local.home import Home
from kato_spec.errors import Rejected
from kato_spec.records import DeclarationRecord, ParametersRecord, SessionDefaults


def record(**parameters: object) -> ParametersRecord:
    return ParametersRecord(uid="", generation=0, parameters=parameters)


def test_what_is_asked_is_kept_and_found_by_its_owner_alone(home: Home) -> None:
    declared = AskedSession(
        source="f.yaml",
        manifest={"kind": "KatoSession"},
        record=DeclarationRecord(uid="u", generation=1, name="s", user_id="me"),
    )
    asked = Asked(source="f.yaml", port=8000, parameters=record(persistence=3), sessions={"s": declared}, tokens="a,b")
    assert wishes.load(home, "p") == Asked()
    wishes.save(home, "p", asked)
    assert dict(wishes.every(home)) == {"p": asked}
    assert (home.data("p") / "asked.json").stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_named(home: Home) -> None:
    home.data("p").mkdir(parents=True)
    (home.data("p") / "asked.json").write_text("{")
    with pytest.raises(Rejected, match=r"asked\.json: 'a damaged file' is not allowed; allowed: .*remove it"):
        wishes.load(home, "p")


def test_the_token_of_the_side_door_is_made_once_and_kept_secret(home: Home) -> None:
    home.data("p").mkdir(parents=True)
    token = wishes.internal_token(home, "p")
    assert len(token) >= 43
    assert wishes.internal_token(home, "p") == token
    assert (home.data("p") / "internal-token").stat().st_mode & 0o777 == 0o600


def test_generations_count_the_changes_and_a_new_beginning_has_a_new_identity() -> None:
    first = wishes.successor(None, record(persistence=3))
    assert first.generation == 1
    assert wishes.successor(first, record(persistence=3)) is first
    second = wishes.successor(first, record(persistence=4))
    assert (second.uid, second.generation) == (first.uid, 2)
    assert wishes.successor(None, record()).uid not in {first.uid, ""}


def test_a_record_that_says_the_same_in_another_class_is_the_same() -> None:
    class Spelt(SessionDefaults):
        """As the manifest's model is a subclass of the record's."""

    first = wishes.successor(None, record())
    assert wishes.successor(first, record().model_copy(update={"sessions": Spelt()})) is first
