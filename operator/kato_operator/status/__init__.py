"""PURE: what was observed, as a status with conditions; no I/O, no clock, no randomness."""
