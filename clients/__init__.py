"""Clients in other languages; an installation takes along what the gateway serves of them."""
