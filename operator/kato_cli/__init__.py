"""The `kato` command line: thin commands over the operator's local room, the service and its client."""
