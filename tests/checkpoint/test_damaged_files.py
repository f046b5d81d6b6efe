"""Damaged, foreign and hostile files are refused."""

import io
import sys

import pytest
import torch
from tables import Point, numbers

import funcnet as fn
from funcnet.checkpoint import CheckpointError, DamagedCheckpointError, load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "tree.safetensors"


def damaged_files(data):
    start = 8 + int.from_bytes(data[:8], "little")
    yield "empty", b""
    yield "four bytes", data[:4]
    yield "the header only in part", data[: start // 2]
    yield "no tensors", data[:start]
    yield "the last byte missing", data[:-1]
    yield "one byte more", data + b"\0"
    yield "a changed tensor", data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
    yield "zeros", bytes(len(data))
    yield "a changed step", data.replace(b'\\"step\\": 5', b'\\"step\\": 6')
    yield "a changed dtype", data.replace(b'\\"dtype\\": \\"float64\\"', b'\\"dtype\\": \\"int64\\"  ')
    yield "a changed place", data.replace(b'"data_offsets": [0, 24]', b'"data_offsets": [8, 24]')
    yield "another program's", torch_file()
    yield "text", b"\x10\0\0\0\0\0\0\0" + b"not a header    "
    yield "a list", b"\x02\0\0\0\0\0\0\0[]"
    yield "no manifest", b"\x14\0\0\0\0\0\0\0" + b'{"__metadata__": {}}'


def torch_file():
    torch.save({"w": torch.ones(100)}, file := io.BytesIO())
    return file.getvalue()


def test_damaged_files_are_refused(path):
    save(path, {"w": numbers(3), "b": numbers(2).float()}, step=5)
    whole = path.read_bytes()
    for name, data in damaged_files(whole):
        assert data != whole, name
        path.write_bytes(data)
        with pytest.raises(DamagedCheckpointError, match=r"is not an intact checkpoint: .*\. Use an earlier one"):
            load(path)


@pytest.mark.parametrize("step", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_no_altered_byte_of_the_content_goes_unnoticed(step, path):
    save(path, {"w": numbers(3), "name": "out"}, step=5)
    whole, rng = path.read_bytes(), fn.random.key(step)
    places = fn.random.randint(rng, (60 * step,), 8, len(whole)).tolist()
    wanted = load(path)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found = load(path)
        except DamagedCheckpointError:
            continue
        assert fn.tree.equal(found, wanted)  # a name that only other programs read


HOSTILE = {
    "a module that is not imported": "hostile_module:Node",
    "a function": "os:system",
    "a class that is not a node": "subprocess:Popen",
    "a module": "os:path",
    "nothing": "nowhere:",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_a_file_names_is_imported_or_called(name, path, monkeypatch):
    (path.parent.parent / "hostile_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(path.parent.parent)
    monkeypatch.setattr("funcnet.checkpoint.structure.class_name", lambda cls: HOSTILE[name])
    save(path, Point(torch.ones(1), 2))
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"at the root: expected the class .* Import the module"):
        load(path)
    assert "hostile_module" not in sys.modules
