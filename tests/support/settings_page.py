"""The table of docs/settings.md as the settings themselves have it. Called by the test that holds the page to it.

`python -m tests.support.settings_page` prints it.
"""

from __future__ import annotations

import sys

from kato_service.settings import Settings


def table() -> str:
    """Return the table: environment variable, flag, default, meaning."""
    rows = ["| environment | flag of `kato serve` | default | what it is |", "| --- | --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "-" if field.default is None else f"`{field.default}`"
        flag = f"`--{name.replace('_', '-')}`"
        rows.append(f"| `KATO_{name.upper()}` | {flag} | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
