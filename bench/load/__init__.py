"""The load client: one process that posts, connects, and checks every delivery."""
