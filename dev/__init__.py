"""Hubbub on one machine: real servers, and a supervisor for the processes of the Procfile."""
