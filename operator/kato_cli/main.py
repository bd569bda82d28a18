"""The `kato` program: its commands, and how their errors become one line and an exit code.

Entry points `kato`, `kubectl-kato` and `python -m kato_cli` (spec: cli.md, "Habits").
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from kato_cli.commands import ENTRIES, LOCAL, ClusterCommands, Commands, examples, help_alone
from kato_cli.terminal import notice, say
from kato_client import KatoClientError
from kato_operator.local.problems import InvalidFiles
from kato_spec.errors import KatoError, shown

KATO = "kato: memories that learn sequences of symbols and predict what comes next, run on this machine."
KUBECTL = (
    "kato as a kubectl plugin: the KatoProcessors of your cluster; --local means the instances of this machine. "
    "Manifests go through `kubectl apply`."
)
_EXAMPLES = ("kato demo", "kato apply -f examples/quickstart.yaml", "kato list", "kato stop --all")
_CLUSTER_EXAMPLES = ("kubectl kato start --id first", "kubectl kato list", "kubectl kato observe first hello world")
# Of kubectl's directives: what was not printed is no answer either, such as a file of that name.
NO_FILES = 4
_THERE = {"kubernetes": True}
_BY_KUBECTL: dict[str, Any] = {
    **{command: _THERE for command in ENTRIES if command not in LOCAL},
    "session": dict.fromkeys(("new", "get", "rm"), _THERE),
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


def program(about: str) -> typer.Typer:
    """Return the program with all its commands."""
    by_kubectl = about == KUBECTL
    app = typer.Typer(
        cls=ClusterCommands if by_kubectl else Commands,
        help=about,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "default_map": _BY_KUBECTL if by_kubectl else None,
        },
        epilog=examples(*(_CLUSTER_EXAMPLES if by_kubectl else _EXAMPLES)),
    )
    app.callback(invoke_without_command=True)(_begin)
    return app


def main() -> None:
    """Run `kato`."""
    sys.exit(run(program(KATO), "kato"))


def kubectl_main() -> None:
    """Run `kubectl kato`."""
    sys.exit(run(program(KUBECTL), "kubectl kato"))


def kubectl_complete() -> None:
    """Tell kubectl how the words of a half-typed `kubectl kato` may go on (kubectl's protocol for plugins)."""
    *typed, begun = sys.argv[1:] or [""]
    os.environ |= {
        "_KATO_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"{shlex.join(['kato', *typed])} {begun}",
    }
    with suppress(SystemExit):
        program(KUBECTL)(prog_name="kubectl kato", complete_var="_KATO_COMPLETE")
    say(f":{NO_FILES}")


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


def _begin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from importlib import metadata  # noqa: PLC0415 - reads the installation, which no command waits for

        say(metadata.version("kato-operator"))
        raise typer.Exit
    help_alone(context)
