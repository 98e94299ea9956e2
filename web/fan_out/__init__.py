"""The fan-out: every event to every connection that follows its stream, in order, once."""
