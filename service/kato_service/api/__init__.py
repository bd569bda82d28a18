"""The HTTP API over the processor's flows: what is asked, what is answered, what is refused."""
