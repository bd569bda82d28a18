"""`python -m kato_spec.generate [--check] [DIR...]`: write the CRDs of the models, or find what is outdated.

Called by `make generate` and, with --check, by `make check`. Every DIR gets every CRD; without one they are
`crds/` and the chart, and `docs/crds.md` is written too. People read the CRDs with kubectl, so they are YAML; PyYAML is
the one import beyond pydantic that this package makes, here alone and only when the program runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kato_spec.reference import page
from kato_spec.schema import definitions

HEADER = "# Generated from the models in crds/kato_spec by `make generate`; never edited.\n"
ROOT = Path(__file__).parents[2]
DIRECTORIES = (ROOT / "crds", ROOT / "charts" / "kato-operator" / "files" / "crds")
PAGE = ROOT / "docs" / "crds.md"


def rendered(document: Mapping[str, Any]) -> str:
    """Return `document` as YAML, keys in the order of the models, no anchors."""
    import yaml  # noqa: PLC0415 - the models themselves need pydantic alone

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    return HEADER + yaml.dump(document, Dumper=Dumper, sort_keys=False, width=120, allow_unicode=True)


def outdated(directory: Path) -> list[tuple[Path, str]]:
    """Return the CRD files of `directory` that are not as the models have them, each with its right text."""
    return _differing([(directory / name, rendered(document)) for name, document in definitions()])


def _differing(wanted: Sequence[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Return those files whose text is not the one beside them."""
    return [(path, text) for path, text in wanted if not path.is_file() or path.read_text("utf-8") != text]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code, 1 when --check finds an outdated file."""
    parser = argparse.ArgumentParser(prog="python -m kato_spec.generate", description="Write the CRDs of the models.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    parser.add_argument(
        "directories", nargs="*", type=Path, metavar="DIR", help="where to write; default: crds/, the chart and docs/"
    )
    options = parser.parse_args(arguments)
    stale = [found for directory in options.directories or DIRECTORIES for found in outdated(directory)]
    if not options.directories:
        stale += _differing([(PAGE, page())])
    for path, text in stale:
        if options.check:
            sys.stderr.write(f"{path} is not as the models have it; run `make generate`\n")
        else:
            path.write_text(text, "utf-8")
            sys.stdout.write(f"{path} written\n")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
