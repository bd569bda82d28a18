"""How the operator is seen from outside: metrics, health, logs."""
