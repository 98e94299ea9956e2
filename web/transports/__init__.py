"""How a client is connected: WebSocket and SSE."""
