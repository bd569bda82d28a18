"""The matcher engine, PURE: no I/O, no clock, no asyncio (spec: engine.md)."""
