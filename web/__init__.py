"""The gateway process: REST, WebSocket and SSE."""
