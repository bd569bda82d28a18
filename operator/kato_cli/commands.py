"""The commands of `kato`, each imported when it is looked at: none waits for what only others need.

Called by `main` (spec: cli.md). To look at all of them, as `kato --help` does, is to import all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, as `module:name` in this package, and examples for its help; a group has its own."""

    place: str
    examples: tuple[str, ...] = ()


ENTRIES: Mapping[str, Entry] = {
    "start": Entry(
        "start:start", ("kato start --id first --recall-threshold 0.5", "kato start --port-range 8001-8010")
    ),
    "apply": Entry("apply:apply", ("kato apply -f examples/quickstart.yaml", "kato apply -f manifests/ --prune")),
    "delete": Entry("apply:delete", ("kato delete -f examples/quickstart.yaml", "kato delete --data first")),
    "list": Entry("listing:list_instances", ("kato list", "kato list -o wide", "kato list --watch")),
    "stop": Entry("stop:stop", ("kato stop first", "kato stop --all")),
    "restart": Entry("stop:restart", ("kato restart first", "kato restart --all")),
    "status": Entry("listing:status", ("kato status first", "kato status first -o json")),
    "logs": Entry("listing:logs", ("kato logs first", "kato logs first --tail 20 -f")),
    "sessions": Entry("sessions:sessions", ("kato sessions first", "kato sessions first --user me -o json")),
    "observe": Entry("talk:observe", ("kato observe first hello world", "kato observe first --each one two three")),
    "learn": Entry("talk:learn", ("kato learn first",)),
    "predict": Entry("talk:predict", ("kato predict first", "kato predict first -o json")),
    "stm": Entry("talk:stm", ("kato stm first",)),
    "export": Entry(
        "transfer:export", ("kato export first first.jsonl", "kato export first - | gzip > first.jsonl.gz")
    ),
    "import": Entry(
        "transfer:import_memory", ("kato import second first.jsonl", "kato import second first.jsonl --merge")
    ),
    "serve": Entry("serve:serve", ("kato serve --processor-id first --port 8000 --data-dir ./memory",)),
    "gateway": Entry("gateway:gateway", ("kato gateway", "kato gateway --port 8080 --host 0.0.0.0")),
    "demo": Entry("demo:demo", ("kato demo", "kato demo --sentences 500")),
    "session": Entry("sessions:GROUP"),
    "stores": Entry("stores:GROUP"),
}


# What acts on this machine alone, and what does so on a cluster, if anything.
LOCAL: Mapping[str, str] = {
    "apply": "kubectl apply -f FILE",
    "delete": "kubectl delete -f FILE",
    "restart": "kubectl rollout restart deployment kato-ID",
    "serve": "",
    "gateway": "",
    "demo": "",
    "stores": "",
}


class Commands(TyperGroup):
    """The program's group: its commands are those of `ENTRIES`."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - Typer's own arguments
        super().__init__(**settings)
        self.commands = cast("Any", _Imported())  # never added to

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401 - Typer's own
        """Return the names of all commands, and import none."""
        return [*ENTRIES]


class ClusterCommands(Commands):
    """The plugin's group: those of its commands that act on a cluster; the others must not act on this machine."""

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401 - Typer's own
        """Return the names of the commands that act on a cluster."""
        return [name for name in ENTRIES if name not in LOCAL]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Typer's own
        """Find the command that the words `args` begin with.

        Raises:
            typer.BadParameter: it acts on this machine alone.
        """
        if args[0] in LOCAL:
            instead = LOCAL[args[0]]
            there = f"; on a cluster it is `{instead}`" if instead else ""
            raise typer.BadParameter(f"`kato {args[0]}` acts on this machine alone{there}")
        return super().resolve_command(ctx, args)


class _Imported(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer's own command
        entry = ENTRIES[name]
        module, _, attribute = entry.place.partition(":")
        found = getattr(import_module(f"kato_cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(rich_markup_mode=None, add_completion=False)
            found.command(name, epilog=examples(*entry.examples))(function)
        return typer.main.get_command(found)

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


def group(name: str, about: str, *shown: str) -> typer.Typer:
    """Return an empty group of commands within the program; `shown` are its examples."""
    app = typer.Typer(name=name, help=about, rich_markup_mode=None, add_completion=False, epilog=examples(*shown))
    app.callback(invoke_without_command=True)(help_alone)
    return app


def help_alone(context: typer.Context) -> None:
    """Print the help where no command of the group is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def examples(*commands: str) -> str:
    """Return the end of a help text: commands to copy, one a line (which the first character asks for)."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
