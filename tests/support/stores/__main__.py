"""Has at hand what the stores' tests need, before any test's clock runs: `python -m tests.support.stores`."""

from __future__ import annotations

import shutil
import sys

from tests.support.cluster.errors import ClusterError
from tests.support.stores.mongo_server import protocol_server
from tests.support.stores.redis_server import redis_program
from tests.support.stores.server import StoresError
from tests.support.system_calls import strace

if __name__ == "__main__":
    try:
        redis_program()
        if shutil.which("mongod") is None:
            protocol_server()
        strace()
    except (StoresError, ClusterError) as error:
        sys.exit(f"make: {error}")
