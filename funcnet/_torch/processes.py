"""The process group of torch.distributed."""

from typing import Any

from torch.distributed import distributed_c10d


def default_store() -> Any:
    """Return the store of the default process group."""
    return distributed_c10d._get_default_store()


def with_prefix(prefix: str, store: Any) -> Any:
    """Return a store that puts a prefix before all keys of another one."""
    return distributed_c10d.PrefixStore(prefix, store)
