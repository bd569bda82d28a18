"""A real text stream that is on every machine: the docstrings of the running Python's own standard library.

Called by `kato demo`. Sources are read, never imported; the same Python gives the same sentences in the same order.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

Sentence = tuple[str, ...]

WORDS = range(4, 21)
_PARAGRAPHS = re.compile(r"\n\s*\n")
_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_PROSE = re.compile(r"[A-Z][A-Za-z ,;:'-]*[.!?]")
_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")


def sentences(limit: int) -> list[Sentence]:
    """Return the first `limit` distinct sentences of 4 to 20 words, in lower case; fewer when there are no more."""
    return list(islice(_distinct(), limit))


def _distinct() -> Iterator[Sentence]:
    seen: set[Sentence] = set()
    for source in _sources():
        for docstring in _docstrings(source):
            for sentence in split(docstring):
                if sentence not in seen:
                    seen.add(sentence)
                    yield sentence


def split(docstring: str) -> Iterator[Sentence]:
    """Yield the sentences of plain prose in a docstring; lists, code and examples are left out."""
    for paragraph in _PARAGRAPHS.split(docstring):
        for sentence in _SENTENCES.split(" ".join(paragraph.split())):
            words = tuple(_WORD.findall(sentence.lower()))
            if _PROSE.fullmatch(sentence) and len(words) in WORDS:
                yield words


def _sources() -> Iterator[Path]:
    """Yield the standard library's files by name, without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names):
        if (module := root / f"{name}.py").is_file():
            yield module
        elif (root / name / "__init__.py").is_file():
            yield from (file for file in sorted((root / name).rglob("*.py")) if not {"test", "tests"} & {*file.parts})


def _docstrings(source: Path) -> Iterator[str]:
    try:
        tree = ast.parse(source.read_bytes())
    except SyntaxError:
        return  # a file that is meant not to compile, as the tests of lib2to3 are
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
