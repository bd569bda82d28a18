"""`python -m kato_service`: the service of one processor, told by its environment alone.

Started by `kato start`, which waits for it: nothing is imported that only a command line needs.
"""

from __future__ import annotations

import sys

try:
    from kato_service.app import serve
    from kato_service.settings import Settings
except ModuleNotFoundError as error:
    sys.exit(f"the service needs {error.name}, which is not installed: pip install 'kato-operator[service]'")

if __name__ == "__main__":
    serve(Settings())
