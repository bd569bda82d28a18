"""YAML as the API server and kubectl read it, for what the user wrote and for what is printed for a program.

Called by `files` and by the command line. A plain scalar means the same to them and to `kato` (870737e6 is a number, a
date is text), and a text that either kind of YAML takes for anything else is written in quotes.
"""

from __future__ import annotations

import re

import yaml

_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(0b[01]+|0o?[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*)$",
    "tag:yaml.org,2002:float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
    ),
}
_BREAKS = frozenset("\x85\u2028\u2029")


class Loader(yaml.SafeLoader):
    """Scalars as the API server reads them: no dates, no sexagesimal numbers, and 1e5 is a number."""


class _Dumper(yaml.SafeDumper):
    """PyYAML's own rules, which know 1e5 as a text, and the API server's."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    for _form in (Loader, _Dumper):
        _form.add_implicit_resolver(_tag, re.compile(_pattern), list("-+.0123456789"))


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML escapes these line breaks in double quotes only, and bare they are read as spaces
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if set(text) & _BREAKS else None)


_Dumper.add_representer(str, _text)


def dumped(value: object) -> str:
    """Return a JSON value as one YAML document, keys in their order, without a last newline."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text.rstrip("\n")
