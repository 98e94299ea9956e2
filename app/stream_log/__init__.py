"""A stream's recent events in Redis: one atomic script appends, guards, caches and publishes.

The scripts never decode JSON: Redis' cjson turns `[]` into `{}` and rounds integers.
"""
