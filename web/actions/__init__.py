"""What a user can do: one function for each thing; REST and WebSocket call the same."""

from web.actions.messages import delete_message, edit_message, send_message
from web.actions.presence import show_typing

__all__ = ["delete_message", "edit_message", "send_message", "show_typing"]
