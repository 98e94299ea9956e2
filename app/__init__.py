"""What the gateway and the workers share, and the operator's commands."""
