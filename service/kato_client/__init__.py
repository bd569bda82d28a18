"""The Python client of the KATO service; needs httpx alone, no server packages."""
