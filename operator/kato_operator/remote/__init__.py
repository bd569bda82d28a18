"""A cluster as its user reaches it: by a kubeconfig, from outside. Called by `kato_cli`, never by the operator."""
