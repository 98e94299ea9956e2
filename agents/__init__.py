"""The worker processes: one Faust agent, one topic, one consumer group each."""
