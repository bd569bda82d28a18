"""A flag for every session parameter, made from `kato_spec.parameters`, so that none is ever missing.

Called by `kato start` (spec: cli.md, `kato start`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from kato_spec.parameters import OLDER_NAMES, InvalidParameters, Parameters, allowed, default_of, parse_overrides

_TYPES: Mapping[str, type] = {
    "number": float,
    "integer": int,
    "boolean": bool,
    "string": str,
    "array": list[str],
}


def with_parameter_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command`, which takes `**parameters`, a flag for each session parameter, None where it is not given."""
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    schemas = Parameters.model_json_schema(by_alias=False)["properties"]
    flags = [_flag(name, schemas[name]) for name in Parameters.model_fields]
    vars(command)["__signature__"] = signature.replace(parameters=own + flags)
    return command


def overrides(given: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters that were given, checked.

    Raises:
        typer.BadParameter: naming the flag, its value and what is allowed.
    """
    try:
        return dict(parse_overrides({name: value for name, value in given.items() if value not in (None, [])}).values)
    except InvalidParameters as error:
        wrong = [f"{_name(name)}: {problem}" for name, problem in error.problems.items()]
        raise typer.BadParameter("; ".join(wrong)) from error


def _flag(name: str, schema: Mapping[str, Any]) -> inspect.Parameter:
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    kind = _TYPES[branches[0].get("type", "string")]
    older = [_name(old) for old, current in OLDER_NAMES.items() if current == name]
    spelling = f"{_name(name)}/{_name('no_' + name)}" if kind is bool else _name(name)
    option = typer.Option(spelling, *older, help=_help(name, kind, schema["description"]), show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _help(name: str, kind: type, description: str) -> str:
    values = "" if kind is bool else f" Allowed: {allowed(name).replace(' or null', '')}."
    default = default_of(name)
    shown = "" if default is None else f" Default: {str(default).lower() if kind is bool else default}."
    return description + values + shown


def _name(name: str) -> str:
    return "--" + name.replace("_", "-")
