"""What the user wrote: YAML or JSON from files, directories or standard input, every value with its file and line.

Called by `wanted`. Reading decides nothing about meaning; it refuses only what cannot be read (spec: cli.md, `kato
apply`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kato_operator.local.api_yaml import Loader
from kato_operator.local.problems import Problem
from kato_spec.errors import shown

SUFFIXES = (".yaml", ".yml", ".json")
_DEEPEST = 64
_LARGEST = 200_000

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `source` is the argument it came by: the file, the directory it lies in, or `-`."""

    data: Mapping[str, Any]
    file: str
    source: str
    node: yaml.Node

    def line(self, path: FieldPath) -> int:
        """Return the line of the field, or of the nearest one around it when it is not there."""
        node, line = self.node, self.node.start_mark.line
        for step in path:
            inner = _entry(node, step)
            if inner is None:
                break
            node, line = inner
        return line + 1

    def problem(self, path: FieldPath, message: str) -> Problem:
        """Return a problem with the field at `path`."""
        return Problem(self.file, self.line(path), dotted(path), message)

    def refusal(self, path: FieldPath, value: object, allowed: str) -> Problem:
        """Return the problem that the field at `path` holds `value`, which is not allowed."""
        return self.problem(path, f"{shown(value)} is not allowed; allowed: {allowed}")

    def part(self, key: str, index: int) -> Document:
        """Return one item of a list as a document of its own."""
        item, node = self.data[key][index], _node(self.node, (key, index))
        return Document(item, self.file, self.source, node)


def read(arguments: Sequence[str]) -> tuple[list[Document], list[Problem]]:
    """Read what `-f` named: files, directories (their YAML and JSON files by name, not deeper) and `-`.

    A list (`kind: List`) is taken apart. What cannot be read is a problem; the rest is read all the same.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for argument in arguments:
        for file, text in _texts(argument, problems):
            read_before = len(documents) + len(problems)
            source = argument if argument == "-" else str(Path(argument).resolve())
            documents += _documents(text, file, source, problems)
            if len(documents) + len(problems) == read_before:
                problems.append(Problem(file, 1, "", "holds no document: write a KatoProcessor into it"))
    return documents, problems


def dotted(path: FieldPath) -> str:
    """Write a path as users write it: `spec.tolerations[0].key`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _texts(argument: str, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    """Yield name and text of every file that the argument means."""
    if argument == "-":
        files: list[tuple[str, Path | None]] = [("stdin", None)]
    elif (path := Path(argument)).is_dir():
        files = [(str(file), file) for file in sorted(path.iterdir()) if file.suffix in SUFFIXES]
        if not files:
            problems.append(Problem(argument, 1, "", "a directory without a .yaml, .yml or .json file"))
    else:
        files = [(argument, path)]
    for name, file in files:
        try:
            raw = sys.stdin.buffer.read() if file is None else file.read_bytes()
            yield name, raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.append(Problem(name, raw[: error.start].count(b"\n") + 1, "", "is not UTF-8 text"))
        except OSError as error:
            problems.append(Problem(name, 1, "", f"cannot be read: {error.strerror}"))


def _documents(text: str, file: str, source: str, problems: list[Problem]) -> list[Document]:
    """Parse one file's text; stops at the first syntax error, which becomes a problem."""
    found: list[Document] = []
    try:
        for node, data in _parsed(text):
            found += _taken_apart(_checked(node, data, file, source), file, problems)
    except _Unusable as error:
        problems.append(Problem(file, error.line, "", str(error)))
    except RecursionError:
        problems.append(Problem(file, 1, "", "is nested too deeply"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 0)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        problems.append(Problem(file, line, "", f"neither YAML nor JSON: {reason}", column))
    return found


def _parsed(text: str) -> Iterator[tuple[yaml.Node, object]]:
    """Yield every document's node tree, which knows the lines, and its value."""
    try:
        value = json.loads(text)
    except ValueError:
        loader = Loader(text)
        while loader.check_node():
            node = _bounded(loader.get_node())
            yield node, loader.construct_document(node)
    else:
        # JSON keeps its own values (1e5 is a number there). A tab is white space in it, for YAML it is an error.
        yield _bounded(Loader(text.replace("\t", " ")).get_single_node()), value


def _checked(node: yaml.Node, data: object, file: str, source: str) -> Document | None:
    """Return the document, or None for an empty one (a `---` too many)."""
    if data is None:
        return None
    if not isinstance(data, dict):
        raise _Unusable(f"is {shown(data)}, but must be a mapping with apiVersion and kind, or instances", _line(node))
    for line, key in _given_twice(node):
        raise _Unusable(f"key {key!r} is given twice", line)
    return Document({_text_key(key): _with_text_keys(inner) for key, inner in data.items()}, file, source, node)


def _taken_apart(document: Document | None, file: str, problems: list[Problem]) -> list[Document]:
    if document is None:
        return []
    items = document.data.get("items")
    if document.data.get("kind") != "List" or not isinstance(items, list):
        return [document]
    problems += [
        document.refusal(("items", index), item, "an object")
        for index, item in enumerate(items)
        if not isinstance(item, dict)
    ]
    return [document.part("items", index) for index, item in enumerate(items) if isinstance(item, dict)]


class _Unusable(Exception):
    """The text can be parsed but not used; the file's name is added by who catches it."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def _bounded(node: yaml.Node | None) -> yaml.Node:
    """Return the tree, unless its aliases blow it up: it contains itself, or is far larger than its text."""
    if node is None:
        raise _Unusable("is empty", 1)
    waiting, count = [(node, 0)], 0
    while waiting:
        inner, depth = waiting.pop()
        count += 1
        if depth > _DEEPEST or count > _LARGEST:
            raise _Unusable("is nested too deeply, or its aliases make it too large", _line(inner))
        waiting += [(child, depth + 1) for child in _children(inner)]
    return node


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _given_twice(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield line and name of keys that a mapping has more than once (the API server refuses them too)."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield _line(key), key.value
                seen.add(key.value)
    for child in _children(node):
        yield from _given_twice(child)


def _with_text_keys(value: object) -> object:
    """Return the value with every key as text, as JSON has it (`1: a` is `"1": a`)."""
    if isinstance(value, dict):
        return {_text_key(key): _with_text_keys(inner) for key, inner in value.items()}
    return [_with_text_keys(inner) for inner in value] if isinstance(value, list) else value


def _text_key(key: object) -> str:
    return key if isinstance(key, str) else json.dumps(key, default=str)


def _entry(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    """Return the node below `node` at `step` and the line (from 0) that a reader looks for it on."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line
    return None


def _node(node: yaml.Node, path: FieldPath) -> yaml.Node:
    for step in path:
        inner = _entry(node, step)
        node = inner[0] if inner else node
    return node


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
