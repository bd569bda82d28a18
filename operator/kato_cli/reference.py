"""`python -m kato_cli.reference [--check] [FILE]`: write docs/cli.md from the help texts, or find it outdated.

Called by `make generate` and, with --check, by `make check`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from kato_cli.main import KATO, program

FILE = Path(__file__).parents[2] / "docs" / "cli.md"
WIDTH = 100
HEAD = """\
<!-- Generated from the help texts in operator/kato_cli by `make generate`; never edited. -->
# The command line

`kato` runs memories on this machine, from the same manifests as the operator on a cluster. Results go to stdout,
everything else to stderr. Exit codes are 0 for done, 1 for refused or failed, 2 for a command line that makes no sense
and 130 for Ctrl-C. Colours appear on a terminal alone, and never where NO_COLOR is set. KATO_HOME names the directory
of the registry and the memories, `~/.kato` otherwise. `kato --install-completion` teaches your shell to complete
commands, options and the IDs of instances.
"""


def rendered() -> str:
    """Return the page: the program's own help, then every command's."""
    return HEAD + "".join(
        f"\n## {name}\n\n```text\n{help_text}\n```\n"
        for name, help_text in _helps(typer.main.get_command(program(KATO)))
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code, 1 when --check finds the page outdated."""
    parser = argparse.ArgumentParser(prog="python -m kato_cli.reference", description="Write docs/cli.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is out of date")
    parser.add_argument("file", nargs="?", type=Path, default=FILE, metavar="FILE", help="default: docs/cli.md")
    options = parser.parse_args(arguments)
    # Word by word: where lines are broken is the help formatter's affair, which differs between its releases.
    stale = not options.file.is_file() or options.file.read_text("utf-8").split() != rendered().split()
    if stale and options.check:
        sys.stderr.write(f"{options.file} is not as the help texts have it; run `make generate`\n")
    elif stale:
        options.file.write_text(rendered(), "utf-8")
        sys.stdout.write(f"{options.file} written\n")
    return int(options.check and stale)


def _helps(command: Any, name: str = "kato", parent: Any = None) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - Click's
    """Yield name and help text of a command and of those below it."""
    context = typer.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, **command.context_settings)
    path = context.command_path
    yield path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    for below, inner in getattr(command, "commands", {}).items():
        yield from _helps(inner, below, context)


if __name__ == "__main__":
    sys.exit(main())
