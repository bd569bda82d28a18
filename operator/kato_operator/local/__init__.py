"""The operator's idea on one machine: manifests become processes; wanted and found are compared, the difference done.

Called by `kato_cli`. On a cluster the same manifests go through `kato_operator.handlers` (spec: cli.md).
"""
