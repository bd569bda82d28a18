"""PURE: what a KatoProcessor should consist of, as fresh manifests; no I/O, no clock, no randomness."""
