"""MongoDB, the source of truth."""
