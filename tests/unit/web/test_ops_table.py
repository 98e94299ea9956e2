"""How a frame is read as an op."""

import pytest

from web.ops.table import OPS, BadFrame, read


def test_frame_is_read_as_its_op_its_fields_and_its_id() -> None:
    assert read('{"id":7,"op":"ping","x":1}') == (OPS["ping"], {"x": 1}, 7)


@pytest.mark.parametrize("op_id", ["null", '""', '"' + "x" * 64 + '"', "0", "-1", str(2**53)])
def test_id_of_the_clients_own_is_taken(op_id: str) -> None:
    read(f'{{"op":"ping","id":{op_id}}}')


@pytest.mark.parametrize("op_id", ['"' + "x" * 65 + '"', str(2**53 + 1), "1.5", "true", "[]", "{}"])
def test_id_that_is_none_is_refused_by_its_name(op_id: str) -> None:
    with pytest.raises(BadFrame) as raised:
        read(f'{{"op":"ping","id":{op_id}}}')
    assert [error.path for error in raised.value.error.errors] == ["id"]
    assert raised.value.id is None


@pytest.mark.parametrize("said", ["", '"op":null,', '"op":5,', '"op":"dance",', '"op":["ping"],'])
def test_frame_without_an_op_is_refused_under_its_id(said: str) -> None:
    with pytest.raises(BadFrame) as raised:
        read(f'{{{said}"id":"a"}}')
    assert [error.path for error in raised.value.error.errors] == ["op"]
    assert raised.value.id == "a"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "5"])
def test_what_is_no_object_is_refused(text: str | None) -> None:
    with pytest.raises(BadFrame):
        read(text)
