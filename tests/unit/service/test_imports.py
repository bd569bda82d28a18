"""What a start imports, and what it does without."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("rich", "pygments", "attr", "pymongo", "redis", "typer", "kato_cli", "kato_operator", "httpx", "aiohttp")


@pytest.mark.parametrize("first", ["pass", "import rich.console"])
def test_a_start_imports_nothing_that_it_does_not_serve_with(first: str) -> None:
    code = (
        f"import gc, json, sys; {first}; before = {{*sys.modules}}; import kato_service.__main__\n"
        "imported = {*sys.modules} - before; import rich.traceback\n"
        "print(json.dumps([sorted(imported), gc.isenabled(), gc.get_freeze_count() > 0]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, collects, frozen = json.loads(ran.stdout)
    assert not {*HEAVY, "rich.traceback"} & {*imported}
    assert "kato_service.app" in imported
    assert collects
    assert frozen
