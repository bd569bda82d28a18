"""The models that the operator, the service and the command line share.

Imports pydantic alone: neither Kubernetes nor a web framework nor a store is known here.
"""
