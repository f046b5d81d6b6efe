"""The functions of `funcnet.optim.tree` by their names in optax.tree_utils."""

from typing import NoReturn

from funcnet.absent_names import absent
from funcnet.optim.tree import add as tree_add
from funcnet.optim.tree import add_scale as tree_add_scale
from funcnet.optim.tree import allclose as tree_allclose
from funcnet.optim.tree import batch_shape as tree_batch_shape
from funcnet.optim.tree import bias_correction as tree_bias_correction
from funcnet.optim.tree import cast as tree_cast
from funcnet.optim.tree import cast_like as tree_cast_like
from funcnet.optim.tree import clip as tree_clip
from funcnet.optim.tree import conj as tree_conj
from funcnet.optim.tree import div as tree_div
from funcnet.optim.tree import dtype as tree_dtype
from funcnet.optim.tree import full_like as tree_full_like
from funcnet.optim.tree import get as tree_get
from funcnet.optim.tree import get_all_with_path as tree_get_all_with_path
from funcnet.optim.tree import map_params as tree_map_params
from funcnet.optim.tree import max as tree_max
from funcnet.optim.tree import min as tree_min
from funcnet.optim.tree import mul as tree_mul
from funcnet.optim.tree import norm as tree_norm
from funcnet.optim.tree import ones_like as tree_ones_like
from funcnet.optim.tree import random_like as tree_random_like
from funcnet.optim.tree import real as tree_real
from funcnet.optim.tree import scale as tree_scale
from funcnet.optim.tree import set as tree_set
from funcnet.optim.tree import size as tree_size
from funcnet.optim.tree import split_key_like as tree_split_key_like
from funcnet.optim.tree import sub as tree_sub
from funcnet.optim.tree import sum as tree_sum
from funcnet.optim.tree import update_infinity_moment as tree_update_infinity_moment
from funcnet.optim.tree import update_moment as tree_update_moment
from funcnet.optim.tree import update_moment_per_elem_norm as tree_update_moment_per_elem_norm
from funcnet.optim.tree import vdot as tree_vdot
from funcnet.optim.tree import where as tree_where
from funcnet.optim.tree import zeros_like as tree_zeros_like

__all__ = [
    "tree_add",
    "tree_add_scale",
    "tree_allclose",
    "tree_batch_shape",
    "tree_bias_correction",
    "tree_cast",
    "tree_cast_like",
    "tree_clip",
    "tree_conj",
    "tree_div",
    "tree_dtype",
    "tree_full_like",
    "tree_get",
    "tree_get_all_with_path",
    "tree_map_params",
    "tree_max",
    "tree_min",
    "tree_mul",
    "tree_norm",
    "tree_ones_like",
    "tree_random_like",
    "tree_real",
    "tree_scale",
    "tree_set",
    "tree_size",
    "tree_split_key_like",
    "tree_sub",
    "tree_sum",
    "tree_update_infinity_moment",
    "tree_update_moment",
    "tree_update_moment_per_elem_norm",
    "tree_vdot",
    "tree_where",
    "tree_zeros_like",
]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return __all__
