"""Faust made safe and fast: transport, recovery, batches, the agent loop."""
