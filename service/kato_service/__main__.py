"""`python -m kato_service`: the service of one processor, told by its environment alone.

Started by `kato start`, which waits for it: nothing is imported that only a command line needs.
"""

from __future__ import annotations

import sys

from kato_service.imports import quick

try:
    with quick():
        from pydantic import ValidationError

        from kato_service.app import serve
        from kato_service.settings import Settings, problems
except ModuleNotFoundError as error:
    sys.exit(f"the service needs {error.name}, which is not installed: pip install 'kato-operator[service]'")


def main() -> None:
    """Serve; what is wrong with the environment is said in one line."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit("; ".join(problems(error)))
    serve(settings)


if __name__ == "__main__":
    main()
