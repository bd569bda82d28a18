"""The operator: desired state from KatoProcessor and KatoSession, on a cluster and on one machine."""
