"""Benchmarks: Hubbub and its references, in the same run on the same servers."""
