"""What happens: one story per kind over the ports, fed by a keyed work queue; it knows no framework and no client."""
