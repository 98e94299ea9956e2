"""Which Redis Hubbub runs on."""

import pytest

from app.clients import check_fit
from app.errors import UnfitServer


@pytest.mark.parametrize("version", ["6.2.0", "6.10.1", "7.0.15", "8.2"])
@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
def test_redis_that_is_new_and_keeps_what_has_no_ttl_is_fit(version: str, policy: str) -> None:
    check_fit(version, policy)


@pytest.mark.parametrize("version", ["5.0.14", "6.0.20", "6.1"])
def test_redis_older_than_its_commands_is_refused(version: str) -> None:
    with pytest.raises(UnfitServer, match=f"redis is version {version}; it must be 6.2 or newer"):
        check_fit(version, "noeviction")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_redis_that_may_evict_any_key_is_refused(policy: str) -> None:
    with pytest.raises(UnfitServer, match=f"maxmemory-policy {policy}"):
        check_fit("7.4.1", policy)
