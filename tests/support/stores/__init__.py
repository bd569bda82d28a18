"""Real store servers for tests: Redis from Debian, and a MongoDB or what speaks its protocol."""
