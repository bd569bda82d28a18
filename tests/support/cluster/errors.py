"""The harness's one error: every failure reaches the user as one clear line."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster or a part of it cannot be had; the message says why and what to do."""
