"""What counts among a KB's versions in MongoDB, whatever a crash has left between them."""

from __future__ import annotations

import pytest

from kato_service.engine.model import PatternRecord
from kato_service.processor.ports import Fold
from kato_service.stores import mongo_versions
from kato_service.stores.mongo_versions import Document, Newest, Sweep

EVENTS = (("a", "b"),)


@pytest.fixture(autouse=True)
def short_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_versions, "PART_BYTES", 16)


def versions(end: int, *names: str, deleted: str = "") -> list[Document]:
    """Return what a fold up to entry `end` writes, by id."""
    records = [PatternRecord(name, EVENTS, end) for name in names]
    fold = Fold(end - 1, end, records, frozenset(deleted.split()), {}, False, float(end), 0.0)
    return sorted(mongo_versions.patterns_of("alice", fold), key=lambda document: str(document["_id"]))


def read(documents: list[Document], size: int) -> list[tuple[str, bytes]]:
    """Read documents that come `size` at a time."""
    newest = Newest()
    batches = [documents[start : start + size] for start in range(0, len(documents), size)]
    return [found for batch in batches for found in newest.take(batch)] + newest.rest()


def swept(documents: list[Document], cleared: int = 0, forget_before: float = 0.0) -> tuple[list[Document], int]:
    """Return what a sweep leaves, and how many documents it says it does."""
    sweep = Sweep(cleared, forget_before)
    away = {each for document in documents for ids in sweep.take([document]) for each in ids}
    away |= {each for ids in sweep.rest() for each in ids}
    return [document for document in documents if document["_id"] not in away], sweep.kept


def merged(*folds: list[Document]) -> list[Document]:
    return sorted((each for fold in folds for each in fold), key=lambda document: str(document["_id"]))


def test_a_body_is_written_before_what_makes_it_a_version() -> None:
    fold = Fold(0, 1, [PatternRecord("n1", EVENTS, 1)], frozenset(), {}, False, 0.0, 0.0)
    *parts, first = mongo_versions.patterns_of("alice", fold)
    assert len(parts) > 1
    assert all("part" in part for part in parts)
    assert "part" not in first


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_newest_version_of_each_name_counts(size: int) -> None:
    documents = merged(versions(1, "n1", "n2"), versions(2, "n2", "n3"), versions(3, deleted="n3"))
    found = dict(read(documents, size))
    assert found == dict(read(merged(versions(1, "n1"), versions(2, "n2")), 100))
    assert list(found) == ["n1", "n2"]


def test_parts_without_their_beginning_belong_to_nothing() -> None:
    whole = merged(versions(1, "n1"), versions(3, "n2"))
    left = [document for document in versions(2, "n2") if "part" in document]
    assert read(merged(whole, left), 100) == read(whole, 100)


def test_a_sweep_leaves_what_counts() -> None:
    documents = merged(versions(1, "n1", "n2", "n4"), versions(2, "n2", "n3"), versions(3, deleted="n3"))
    documents = merged(documents, [each for each in versions(2, "n4") if "part" in each])
    left, kept = swept(documents)
    assert len(left) == kept < len(documents)
    assert {document["seq"] for document in left if document["name"] == "n3"} == {3}
    assert {document["seq"] for document in left if document["name"] == "n4"} == {1, 2}  # its beginning may still come
    assert {
        document["seq"] for document in swept(merged(documents, versions(3, "n4")))[0] if document["name"] == "n4"
    } == {3}
    assert read(left, 100) == read(documents, 100)
    assert dict(read(left, 100)).keys() == {"n1", "n2", "n4"}


def test_a_sweep_takes_what_was_cleared_and_what_is_long_gone() -> None:
    documents = merged(versions(1, "n1", "n2"), versions(2, "n2"), versions(3, deleted="n3"))
    left, kept = swept(documents, cleared=2, forget_before=3.5)
    assert {(document["name"], document["seq"]) for document in left} == {("n2", 2)}
    assert len(left) == kept
    assert swept(documents, cleared=2, forget_before=3.0)[1] == kept + 1
