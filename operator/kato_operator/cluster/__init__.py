"""The Kubernetes API behind the `Cluster` port: the only room that imports its client."""
