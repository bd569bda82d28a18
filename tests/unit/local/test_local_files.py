from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from kato_operator.local.files import FieldPath, dotted, read


def one(tmp_path: Path, text: str, name: str = "f.yaml") -> tuple[list[dict[str, Any]], list[str]]:
    """Return the documents and the problems of one file, without its directory."""
    file = tmp_path / name
    file.write_text(text, "utf-8")
    documents, problems = read([str(file)])
    return [dict(document.data) for document in documents], [str(p).removeprefix(f"{tmp_path}/") for p in problems]


def line(tmp_path: Path, text: str, path: FieldPath, name: str = "f.yaml") -> int:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    return read([str(file)])[0][-1].line(path)


def test_several_documents_and_empty_ones(tmp_path: Path) -> None:
    assert one(tmp_path, "---\na: 1\n---\n---\nb: 2\n...\n") == ([{"a": 1}, {"b": 2}], [])


def test_scalars_are_read_as_an_api_server_reads_them(tmp_path: Path) -> None:
    text = "{date: 2024-01-02, time: 12:30:45, number: 1e-1, octal: 0o17, old: 017, hex: 0x1f, text: 1_000, yes: no}"
    assert one(tmp_path, text)[0] == [
        {
            "date": "2024-01-02",
            "time": "12:30:45",
            "number": 0.1,
            "octal": 15,
            "old": 15,
            "hex": 31,
            "text": "1_000",
            "true": False,
        }
    ]


def test_json_with_tabs_and_its_own_numbers(tmp_path: Path) -> None:
    text = '{\n\t"a": 1e5,\n\t"b": {"c": "x\\ty \\ud83d\\ude00"}\n}\n'
    assert one(tmp_path, text, "f.json") == ([{"a": 1e5, "b": {"c": "x\ty 😀"}}], [])
    assert line(tmp_path, text, ("b", "c"), "f.json") == 3


def test_a_list_is_taken_apart_and_its_items_keep_their_lines(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n- kind: B\n  spec:\n    port: 1\n- 3\n"
    documents, problems = one(tmp_path, text)
    assert documents == [{"kind": "A"}, {"kind": "B", "spec": {"port": 1}}]
    assert problems == ["f.yaml:8: items[2]: 3 is not allowed; allowed: an object"]
    assert line(tmp_path, text, ("spec", "port")) == 7


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("spec", "parameters", "recallThreshold"), 5),
        (("spec", "list", 1, "key"), 9),
        (("spec", "missing"), 3),
        (("spec", "list", 7), 6),
        (("nowhere",), 2),
        ((), 2),
    ],
)
def test_lines_of_fields_and_of_those_that_are_missing(tmp_path: Path, path: FieldPath, expected: int) -> None:
    text = "---\nkind: A\nspec:\n  parameters:\n    recallThreshold: 2\n  list:\n  - key: x\n  -\n    key: y\n"
    assert line(tmp_path, text, path) == expected


def test_lines_below_an_anchor_are_those_of_the_anchor(tmp_path: Path) -> None:
    text = "base: &base\n  port: 1\nspec: *base\n"
    assert line(tmp_path, text, ("spec", "port")) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1,\nb: 2\n", "f.yaml:3:1: neither YAML nor JSON: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2\n", "f.yaml:2:1: neither YAML nor JSON: found character '\\t' that cannot start any token"),
        ("a: *nobody\n", "f.yaml:1:4: neither YAML nor JSON: found undefined alias 'nobody'"),
        ("a: !!python/object:os.system {}\n", "f.yaml:1:4: neither YAML nor JSON: could not determine a constructor"),
        ("a: \x01\n", "f.yaml:1: neither YAML nor JSON: special characters are not allowed"),
        ("- a\n", "f.yaml:1: is ['a'], but must be a mapping"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f.yaml:4: key 'c' is given twice"),
        ("", "f.yaml:1: holds no document"),
        ("# only a comment\n", "f.yaml:1: holds no document"),
        ("a: &a\n  b: *a\n", "f.yaml:1: is nested too deeply"),
        ("[" * 3000, "f.yaml:1: is nested too deeply"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "f.yaml:1: is nested too deeply"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
                for a, b in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "is nested too deeply, or its aliases make it too large",
        ),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    documents, problems = one(tmp_path, text)
    assert documents == []
    assert len(problems) == 1
    assert problem in problems[0]


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"a: 1\nb: \xff\n")
    assert [str(p) for p in read([str(tmp_path / "f.yaml")])[1]] == [f"{tmp_path}/f.yaml:2: is not UTF-8 text"]


def test_a_directory_gives_its_files_by_name_and_one_source(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json"):
        (tmp_path / name).write_text(f'{{"name": "{name}"}}')
    (tmp_path / "notes.txt").write_text("not: read")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.yaml").write_text("not: read")
    documents, problems = read([str(tmp_path)])
    assert [document.data["name"] for document in documents] == ["a.yaml", "b.yml", "c.json"]
    assert {document.source for document in documents} == {str(tmp_path)}
    assert problems == []


def test_one_bad_file_does_not_hide_the_problems_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text("b: {")
    empty = tmp_path / "empty"
    empty.mkdir()
    problems = read([str(tmp_path), str(tmp_path / "missing.yaml"), str(empty)])[1]
    assert [Path(problem.file).name for problem in problems] == ["a.yaml", "b.yaml", "missing.yaml", "empty"]
    assert problems[2].message == "cannot be read: No such file or directory"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\n---\nb: [\n")))
    documents, problems = read(["-"])
    assert [(document.data, document.source) for document in documents] == [({"a": 1}, "-")]
    assert str(problems[0]).startswith("stdin:4:1: neither YAML nor JSON")


def test_paths_are_written_as_users_write_them() -> None:
    assert dotted(("spec", "tolerations", 0, "key")) == "spec.tolerations[0].key"
    assert dotted(()) == ""
