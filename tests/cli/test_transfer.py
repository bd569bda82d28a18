"""`kato export` and `kato import`: a memory out and in again, byte for byte, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kato_service.engine.naming import pattern_name
from tests.support.cli import Kato


def made_up(count: int) -> bytes:
    """Return the export of a memory of `count` patterns, as the service writes it."""
    events = (((f"a{number % 977}",), (f"b{number}",)) for number in range(count))
    records = sorted((pattern_name(each), each) for each in events)
    lines = [
        {"kato_memory": 1, "nodes": 1, "patterns": count},
        {"node": "default", "patterns": count, "vectors": 0},
        *(
            {
                "pattern": name,
                "events": each,
                "frequency": 2,
                "emotives": [{"joy": 0.5}],
                "affinity": {},
                "metadata": {},
            }
            for name, each in records
        ),
    ]
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    end = {"end": {"patterns": count, "vectors": 0, "sha256": hashlib.sha256(body).hexdigest()}}
    return body + json.dumps(end, separators=(",", ":")).encode() + b"\n"


def out_and_in(kato: Kato, count: int) -> None:
    """Take a made-up memory in, export it, take that into another instance, export it again."""
    kato.write("many.yaml", "instances: [{id: one}, {id: two}]")
    kato("apply", "-f", "many.yaml")
    given = made_up(count)
    (kato.directory / "given.jsonl").write_bytes(given)
    assert kato("import", "one", "given.jsonl").err.endswith(f"kato: {count:,} patterns taken into one\n")
    exported = kato("export", "one", "one.jsonl")
    assert (exported.out, exported.err.endswith(f"{count:,} patterns of one written to one.jsonl\n")) == ("", True)
    first = (kato.directory / "one.jsonl").read_bytes()
    assert first == given
    assert kato.json("import", "two", "one.jsonl")["patterns"] == count
    kato("export", "two", "two.jsonl")
    assert (kato.directory / "two.jsonl").read_bytes() == first
    assert [path.name for path in kato.directory.glob("*.part")] == []


def test_a_memory_out_and_in_again_is_the_same_bytes(kato: Kato) -> None:
    out_and_in(kato, 3_000)
    assert kato("export", "two", "-").out.encode() == (kato.directory / "one.jsonl").read_bytes()
    refused = kato("import", "two", "one.jsonl", code=1).err
    assert "MEMORY_NOT_EMPTY" in refused
    assert "add --merge" in refused
    kato("import", "two", "one.jsonl", "--merge")
    frequencies = {line["frequency"] for line in map(json.loads, kato("export", "two", "-").out.splitlines()[2:-1])}
    assert frequencies == {4}


@pytest.mark.long
def test_a_hundred_thousand_patterns_out_and_in_again(kato: Kato) -> None:
    out_and_in(kato, 100_000)


def test_a_damaged_file_is_refused_with_its_line_and_changes_nothing(running: Kato) -> None:
    whole = made_up(20)
    lines = whole.splitlines(keepends=True)
    damaged = {
        "line 5": b"".join([*lines[:4], lines[4].replace(b'"frequency":2', b'"frequency":-2'), *lines[5:]]),
        "line 7": b"".join([*lines[:6], b"{broken\n", *lines[7:]]),
        "sha256": whole.replace(b'"joy":0.5', b'"joy":0.25', 1),
        "end": b"".join(lines[:-1]),
    }
    for place, content in damaged.items():
        (running.directory / "bad.jsonl").write_bytes(content)
        told = running("import", "a", "bad.jsonl", code=1).err.splitlines()[-1]
        assert place in told, told
    assert running.json("status", "a")["patterns"] == 0
    assert "nowhere.jsonl: No such file" in running("import", "a", "nowhere.jsonl", code=1).err


def test_one_user_s_memory_becomes_another_s(running: Kato, tmp_path: Path) -> None:
    (running.directory / "given.jsonl").write_bytes(made_up(5))
    running("import", "a", "given.jsonl", "--user", "me")
    taken = running("export", "a", "-", "--user", "me").out.splitlines()
    assert json.loads(taken[1]) == {"node": "me", "patterns": 5, "vectors": 0}
    assert json.loads(running("export", "a", "-", "--user", "nobody").out.splitlines()[0])["patterns"] == 0
    assert "Permission denied" not in running("export", "a", str(tmp_path / "f"), "-u", "me").err
    assert "No such file or directory" in running("export", "a", str(tmp_path / "no" / "f"), code=1).err
