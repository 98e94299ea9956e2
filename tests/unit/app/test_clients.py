"""Which Redis Hubbub runs on, and which database the settings name."""

import pytest

from app.clients import check_fit, open_mongodb
from app.errors import SettingsError, UnfitServer
from app.settings import Settings


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://",
        "mongodb://chat:p@hunter2@localhost/x",
        "mongodb://chat:p/hunter2@localhost/x",
        "mongodb://chat:hunter2@localhost:abc/x",
        "mongodb://chat:hunter2@localhost/a.b",
        "mongodb://chat:hunter2@localhost/x?nonsense=1",
        "mongodb://chat:hunter2@localhost/x?tls=maybe",
        "mongodb://chat:hunter2@localhost/x?tls=true&tlsCAFile=/none.pem",
        "mongodb://chat:hunter2@localhost/x?minPoolSize=9&maxPoolSize=2",
        "mongodb+srv://chat:hunter2@one.internal,two.internal/x",
    ],
)
def test_mongodb_uri_that_pymongo_cannot_read_whole_is_one_line_that_names_the_setting(
    uri: str,
) -> None:
    with pytest.raises(SettingsError, match=r"^MONGODB_URI: [^\n]+$") as raised:
        open_mongodb(Settings(MONGODB_URI=uri))
    assert "hunter2" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("mongodb://localhost", "hubbub"),
        ("mongodb://chat:12#3@localhost/chat", "chat"),
        ("mongodb://localhost/chat?readPreference=secondaryPreferred", "chat"),
    ],
)
async def test_mongodb_is_read_at_its_primary_in_the_database_that_the_uri_names(
    uri: str, name: str
) -> None:
    database = open_mongodb(Settings(MONGODB_URI=uri))
    assert (database.name, database["messages"].read_preference.name) == (name, "Primary")
    database.client.close()


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
