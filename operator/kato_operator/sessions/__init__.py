"""The service's internal API behind the `Sessions` port."""
