"""Pages of documentation as tests read them: parts, fenced blocks, and lines without what differs by machine.

Used by the tests that run README.md and the pages of docs/.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

FENCED = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a text, in order."""
    return [Block(match[1], match[2]) for match in FENCED.finditer(text)]


def part(text: str, title: str) -> str:
    """Return the part of a page under a heading of the second level."""
    _, _, after = text.partition(f"\n## {title}\n")
    return after.partition("\n## ")[0]


def outside(text: str, title: str) -> str:
    """Return a page without the part under a heading of the second level."""
    return text.replace(f"\n## {title}\n{part(text, title)}", "")


def shape(line: str) -> str:
    """Return a line without what may differ: digits, session ids, a port that was taken, ages, widths."""
    line = re.sub(r"\(session (\w+)\.\S+\)", r"(session \1)", line)
    line = re.sub(r", port \d+ was taken", "", line)
    line = re.sub(r"[\d,.]+(s|m|h|d)?\b", "0", line)
    return " ".join(line.split())


def typed(text: str) -> list[str]:
    """Return the commands that a text shows at a prompt, `$ `, in order."""
    return [line[2:] for block in blocks(text) if block.language == "console" for line in block.text.splitlines()]


def steps(page: Sequence[Block], *, leave_out: Collection[str] = ()) -> Iterator[str]:
    """Yield the shell commands of all blocks, each block after a line that says its number."""
    for number, block in enumerate(page):
        if block.language == "sh":
            yield f"echo '=== {number}'"
            yield "".join(f"{line}\n" for line in block.text.splitlines() if line not in leave_out)


def shown_after(page: Sequence[Block]) -> Iterator[tuple[int, str]]:
    """Yield what the page shows, with the number of the block of commands that prints it."""
    for number, block in enumerate(page):
        if block.language == "text":
            yield number - 1, block.text


def chunks(output: str) -> Iterator[tuple[int, str]]:
    """Yield block number and output, as `steps` separated them."""
    for part in output.split("=== ")[1:]:
        number, _, text = part.partition("\n")
        yield int(number), text
