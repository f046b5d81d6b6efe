"""Saving a tree to a file, and loading it."""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.checkpoint import atomic, structure, tensor_file, values
from funcnet.checkpoint.errors import CheckpointError
from funcnet.checkpoint.values import Json
from funcnet.tree import Tree

FORMAT = 1
_MANIFEST, _DIGEST = "funcnet", "funcnet.digest"  # entries of the file's metadata


class Checkpoint(NamedTuple):
    """The content of a file."""

    tree: Tree
    step: int
    metadata: dict[str, Any]


def save(path: str | Path, tree: Tree, *, step: int = 0, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write a tree to a file, atomically: after a crash at any moment, the file is the old one or the new one, whole.

    The file is in the safetensors format, which other programs read: tensors by their paths, such as "params.0.w". A
    manifest in its header has the versions of the library and of torch, the structure, and a digest of each tensor.

    Args:
        path: The file; missing folders are created, and an existing file is replaced.
        tree: Any tree of dense tensors and plain values: numbers, strings, bytes, None, dtypes, devices.
        step: The number of steps taken so far.
        metadata: A dict of plain values, or tuples, lists and dicts of them.
    Returns:
        The path.
    Raises:
        CheckpointError: A leaf is neither a dense tensor nor a plain value; the message has its path.
        TypeError: step is not an int, or metadata is not a dict.
    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/params.safetensors"
        >>> _ = fn.checkpoint.save(path, {"w": torch.ones(2), "name": "out"}, step=10, metadata={"loss": 0.5})
        >>> fn.checkpoint.load(path)
        Checkpoint(tree={'w': tensor([1., 1.]), 'name': 'out'}, step=10, metadata={'loss': 0.5})
    """
    if not isinstance(step, int) or isinstance(step, bool):
        raise TypeError(f"checkpoint.save: expected step to be an int, got {step!r}.")
    if metadata is not None and type(metadata) is not dict:
        raise TypeError(f"checkpoint.save: expected metadata to be a dict, got {metadata!r}.")
    path, writer = _path("save", path), structure.Writer()
    node, notes = writer.node(tree), _notes(metadata or {})
    tensors = {name: tensor_file.physical(name, tensor) for name, tensor in writer.tensors.items()}
    described = {name: _described(tensor, tensors[name]) for name, tensor in writer.tensors.items()}
    manifest = {
        "format": FORMAT,
        "library": f"funcnet {_version()}",
        "torch": torch.__version__,
        "step": step,
        "metadata": notes,
        "tree": node,
        "tensors": described,
    }
    text = json.dumps(manifest)
    entries = {"format": "pt", _MANIFEST: text, _DIGEST: tensor_file.digest(text.encode())}
    atomic.write(path, lambda file: tensor_file.write(file, tensors, entries))
    return path


def load(path: str | Path, like: Tree = None) -> Checkpoint:
    """Read a tree from a file that `save` has written. Nothing in the file is executed, and no class is imported.

    Args:
        path: The file.
        like: A tree of the expected structure, whose tensors (or `ShapeDtypeStruct`s) have the expected shapes and
            dtypes; loaded tensors go to the devices of its tensors. None: the tree is as it was saved, on the CPU, and
            the classes of its nodes must have been imported.
    Returns:
        The tree, step and metadata.
    Raises:
        DamagedCheckpointError: The file is truncated or altered, or is not a checkpoint.
        CheckpointError: The file differs from `like` in structure, shape or dtype, or a class of a node is unknown; the
            message has the path.
        FileNotFoundError: There is no such file.
    Example:
        >>> import tempfile
        >>> path = fn.checkpoint.save(tempfile.mkdtemp() + "/w.safetensors", {"w": torch.ones(2)})
        >>> fn.checkpoint.load(path, like={"w": torch.zeros(2)}).tree
        {'w': tensor([1., 1.])}
    """
    return read(path, {"": like} if like is not None else {})


def read(path: str | Path, likes: Mapping[str, Tree]) -> Checkpoint:
    """Read a file as `load` does, with the expected trees of some entries of the tree, or of the whole tree at ""."""
    path = _path("load", path)
    with path.open("rb") as file:
        return _File(tensor_file.Reader(path, file)).checkpoint(likes)


def metadata_of(path: Path) -> dict[str, Any]:
    """Read the metadata of a file, without its tensors."""
    with path.open("rb") as file:
        return _File(tensor_file.Reader(path, file)).metadata()


class _File:
    """An open checkpoint."""

    def __init__(self, reader: tensor_file.Reader) -> None:
        self.reader = reader
        text = reader.metadata.get(_MANIFEST)
        if not isinstance(text, str):
            raise reader.damaged("it has no manifest, as files of other programs; safetensors.torch.load_file reads it")
        if tensor_file.digest(text.encode()) != reader.metadata.get(_DIGEST):
            raise reader.damaged("its manifest has changed")
        self.manifest: dict[str, Any] = json.loads(text)
        if self.manifest["format"] > FORMAT:
            raise CheckpointError(
                f"checkpoint.load: {reader.path} was written by {self.manifest['library']}, in a newer format. Upgrade"
                " funcnet."
            )

    def checkpoint(self, likes: Mapping[str, Tree]) -> Checkpoint:
        """Read everything, with the expected trees of entries."""
        node = self.manifest["tree"]
        if "" in likes:
            content = structure.restore(node, likes[""], self.like)
        elif likes and "dict" in node:
            content = {key: self.part(key, child, likes) for key, child in node["dict"]}
        else:
            content = structure.build(node, self.tensor)
        return Checkpoint(content, self.manifest["step"], self.metadata())

    def metadata(self) -> dict[str, Any]:
        return structure.build(self.manifest["metadata"], self.tensor)

    def part(self, key: str, node: Json, likes: Mapping[str, Tree]) -> Tree:
        if key in likes:
            return structure.restore(node, likes[key], self.like, key)
        return structure.build(node, self.tensor, key)

    def tensor(self, name: str) -> Tensor:
        """Read a tensor."""
        entry = self.manifest["tensors"][name]
        data = self.reader.read(name, entry["digest"])
        return tensor_file.as_tensor(data, values.dtype(entry["dtype"]), entry["shape"])

    def like(self, name: str, like: Any, path: str) -> Tensor:
        """Read a tensor that must be like a given one."""
        entry = self.manifest["tensors"][name]
        if (values.dtype(entry["dtype"]), entry["shape"]) != (like.dtype, list(like.shape)):
            got = f"{entry['dtype']} tensor of shape {tuple(entry['shape'])}"
            raise structure.differing(path, tree.describe(like), got)
        return self.tensor(name).to(getattr(like, "device", None) or "cpu")


def _notes(metadata: Mapping[str, Any]) -> Json:
    writer = structure.Writer()
    notes = writer.node(metadata, "metadata")
    for path in writer.tensors:
        raise CheckpointError(
            f"checkpoint.save: at {path}: expected a plain value, got a tensor. Convert it by .item()."
        )
    return notes


def _described(tensor: Tensor, physical: Tensor) -> Json:
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "device": str(tensor.device),
        "digest": tensor_file.digest(tensor_file.content(physical)),
    }


def _path(operation: str, path: str | Path) -> Path:
    if not isinstance(path, str | Path):
        raise TypeError(f"checkpoint.{operation}: expected path to be a str or Path, got {tree.describe(path)}.")
    return Path(path)


def _version() -> str:
    try:
        return version("funcnet")
    except PackageNotFoundError:
        return "(not installed)"
