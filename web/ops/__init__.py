"""What a client can ask over a WebSocket: a frame and a function for each op, by resource."""
