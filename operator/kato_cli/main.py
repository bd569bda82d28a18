"""The `kato` program: its commands, and how their errors become one line and an exit code.

Entry points `kato`, `kubectl-kato` and `python -m kato_cli` (spec: cli.md, "Habits").
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from kato_cli import apply, demo, gateway, listing, serve, sessions, start, stop, stores, talk, transfer
from kato_cli.terminal import notice, say
from kato_client import KatoClientError
from kato_operator.local.files import InvalidFiles
from kato_spec.errors import KatoError, shown

KATO = "kato: memories that learn sequences of symbols and predict what comes next, run on this machine."
KUBECTL = (
    "kato as a kubectl plugin: on the cluster of your kubeconfig what has a --kubernetes option, which is on here; "
    "--local turns it off. Manifests for a cluster go through `kubectl apply`."
)
# What works on a cluster too.
_ON_CLUSTER = (
    *("start", "stop", "list", "status", "logs", "sessions", "observe", "learn", "predict", "stm", "export", "import"),
)
_BY_KUBECTL: dict[str, Any] = {
    **{command: {"kubernetes": True} for command in _ON_CLUSTER},
    "session": {command: {"kubernetes": True} for command in ("new", "get", "rm")},
}


_UNWRITABLE = ": make it writable, or set KATO_HOME to a directory that is"
_FULL = ": make room there, or set KATO_HOME to another disk; nothing that was kept is lost"
_ADVICE = {
    errno.EACCES: _UNWRITABLE,
    errno.EPERM: _UNWRITABLE,
    errno.EROFS: _UNWRITABLE,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
}


def examples(*commands: str) -> str:
    """Return the end of a help text: commands to copy, one a line (which the first character asks for)."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def program(about: str) -> typer.Typer:
    """Return the program with all its commands."""
    app = typer.Typer(
        help=about,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "default_map": _BY_KUBECTL if about == KUBECTL else None,
        },
        epilog=examples("kato demo", "kato apply -f examples/quickstart.yaml", "kato list", "kato stop --all"),
    )
    app.callback(invoke_without_command=True)(_begin)
    app.command(epilog=examples("kato start --id first --recall-threshold 0.5", "kato start --port-range 8001-8010"))(
        start.start
    )
    app.command(epilog=examples("kato apply -f examples/quickstart.yaml", "kato apply -f manifests/ --prune"))(
        apply.apply
    )
    app.command(epilog=examples("kato delete -f examples/quickstart.yaml", "kato delete --data first"))(apply.delete)
    app.command("list", epilog=examples("kato list", "kato list -o wide", "kato list --watch"))(listing.list_instances)
    app.command(epilog=examples("kato stop first", "kato stop --all"))(stop.stop)
    app.command(epilog=examples("kato restart first", "kato restart --all"))(stop.restart)
    app.command(epilog=examples("kato status first", "kato status first -o json"))(listing.status)
    app.command(epilog=examples("kato logs first", "kato logs first --tail 20 -f"))(listing.logs)
    app.command(epilog=examples("kato sessions first", "kato sessions first --user me -o json"))(sessions.sessions)
    app.add_typer(_session(), name="session")
    app.add_typer(_stores(), name="stores")
    app.command(epilog=examples("kato observe first hello world", "kato observe first --each one two three"))(
        talk.observe
    )
    app.command(epilog=examples("kato learn first"))(talk.learn)
    app.command(epilog=examples("kato predict first", "kato predict first -o json"))(talk.predict)
    app.command(epilog=examples("kato stm first"))(talk.stm)
    app.command(epilog=examples("kato export first first.jsonl", "kato export first - | gzip > first.jsonl.gz"))(
        transfer.export
    )
    app.command("import", epilog=examples("kato import second first.jsonl", "kato import second first.jsonl --merge"))(
        transfer.import_memory
    )
    app.command(epilog=examples("kato serve --processor-id first --port 8000 --data-dir ./memory"))(serve.serve)
    app.command(epilog=examples("kato gateway", "kato gateway --port 8080 --host 0.0.0.0"))(gateway.gateway)
    app.command(epilog=examples("kato demo", "kato demo --sentences 500"))(demo.demo)
    return app


def _session() -> typer.Typer:
    """Return the commands on one session."""
    app = typer.Typer(
        help="Make, show and end sessions of an instance.",
        rich_markup_mode=None,
        epilog=examples("kato session new first --user me", "kato sessions first"),
    )
    app.callback(invoke_without_command=True)(_help_alone)
    app.command(epilog=examples("kato session new first --user me --recall-threshold 0.4"))(sessions.new)
    app.command(epilog=examples("kato session get first SESSION", "kato session get first SESSION -o json"))(
        sessions.get
    )
    app.command("rm", epilog=examples("kato session rm first SESSION"))(sessions.remove)
    return app


def _stores() -> typer.Typer:
    """Return the commands on the shared stores."""
    app = typer.Typer(
        help="Run a Redis and a mongod of kato's own.",
        rich_markup_mode=None,
        epilog=examples("kato stores start", "kato stores status", "kato stop --all --with-stores"),
    )
    app.callback(invoke_without_command=True)(_help_alone)
    app.command(epilog=examples("kato stores start"))(stores.start)
    app.command(epilog=examples("kato stores stop"))(stores.stop)
    app.command(epilog=examples("kato stores status", "kato stores status -o json"))(stores.status)
    return app


def main() -> None:
    """Run `kato`."""
    sys.exit(run(program(KATO), "kato"))


def kubectl_main() -> None:
    """Run `kubectl kato`."""
    sys.exit(run(program(KUBECTL), "kubectl kato"))


def run(app: typer.Typer, name: str) -> int:
    """Run the program on this process's arguments; return 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        result = app(args=_words(), prog_name=name, standalone_mode=False)
    except InvalidFiles as error:
        for problem in error.problems:
            notice(str(problem))
        notice("nothing was started or changed")
        return 1
    except (KatoError, KatoClientError) as error:
        notice(str(error))
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read our output wants no more of it
        return 1
    except OSError as error:
        notice(f"{error.filename or name}: {error.strerror}{_ADVICE.get(error.errno or 0, '')}")
        return 1
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)  # errors of usage know the command they are about
        shows = context.command_path if context else name
        notice(f"{' '.join(error.format_message().split())} (`{shows} --help` shows how)")
        return error.exit_code
    return result if isinstance(result, int) else 0


def _words() -> list[str]:
    """Return this process's arguments; one that is no text could stand in no request, file or answer."""
    for word in sys.argv[1:]:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise typer.BadParameter(f"{shown(os.fsencode(word))} is not allowed; allowed: text in UTF-8") from error
    return sys.argv[1:]


def _help_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


def _begin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        say(metadata.version("kato-operator"))
        raise typer.Exit
    _help_alone(context)
