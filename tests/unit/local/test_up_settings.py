"""What can be asked of `matrix up`, and what is refused at once."""

import pytest
from pydantic import SecretStr

from services.local.up.settings import UpSettings
from services.runtime.errors import Rejected
from services.runtime.settings import ObjectStoreSettings

KEYS = ObjectStoreSettings(
    access_key=SecretStr("key"), secret_key=SecretStr("planted"), region="eu-1"
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "gpt"}, "--model 'gpt' is neither 'local', 'simulated' nor an address"),
        ({"model": "http://"}, "--model 'http://' is neither"),
        ({"kafka": "broker"}, "--kafka 'broker' is no address like broker:9092"),
        ({"kafka": "a:9092,b"}, "--kafka 'a:9092,b' is no address"),
        ({"kafka": ":9092"}, "is no address"),
        ({"s3": "s3://bucket"}, "--s3 's3://bucket' is no address like http"),
        ({"s3": "http://user:pass@host"}, "is no address like http"),
        ({"ports": 80}, "--ports 80: 12 ports are needed from there, between 1024 and 65535"),
        ({"ports": 65525}, "--ports 65525: 12 ports are needed"),
        ({"ports": 65515, "replicas": 2}, "22 ports are needed"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(
    fields: dict[str, str | int], message: str
) -> None:
    with pytest.raises(Rejected, match=message):
        UpSettings(**fields)  # type: ignore[arg-type]


def test_ports_up_to_the_last_one_are_taken() -> None:
    assert UpSettings(ports=65524).ports == 65524


def test_a_model_address_is_the_servers_base_whether_with_v1_or_without() -> None:
    assert UpSettings(model="http://gpu:8000/v1/").model_url == "http://gpu:8000"
    assert UpSettings(model="https://gpu").model_url == "https://gpu"
    assert UpSettings(model="local").model_url == ""


@pytest.mark.parametrize(
    ("address", "endpoint", "url"),
    [
        ("http://store:9000", "http://store:9000", "s3://matrix"),
        ("https://store/data", "https://store", "s3://data"),
        ("https://store/data/matrix/", "https://store", "s3://data/matrix"),
    ],
)
def test_an_existing_store_is_reached_with_the_users_keys(
    address: str, endpoint: str, url: str
) -> None:
    store = UpSettings(s3=address).existing_store(KEYS)
    assert (store.endpoint, store.url) == (endpoint, url)
    assert (store.secret_key, store.region) == (KEYS.secret_key, "eu-1")


def test_an_existing_store_without_keys_is_refused_saying_where_to_put_them() -> None:
    with pytest.raises(Rejected, match="set MATRIX_OBJECT_STORE__ACCESS_KEY and"):
        UpSettings(s3="http://store:9000").existing_store(ObjectStoreSettings())
