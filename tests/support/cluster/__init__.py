"""A real Kubernetes for the tests, on one Linux machine (cluster.md).

`find` gives out a cluster by the search order; `cluster.Cluster` is what a test may ask of it. The local node: `start`
raises it from `parts` in a `box` of namespaces, `runs` records it and ends it, `images` and `local` bring the
project's images onto it. `python -m tests.support.cluster` is the same for the Makefile.
"""
