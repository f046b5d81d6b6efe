"""Registration of dataclasses as nodes."""

import dataclasses

import pytest
from tables import Affine, numbers

from funcnet import tree


def test_registering_a_class_that_is_not_a_dataclass_is_an_error():
    with pytest.raises(TypeError, match="register_dataclass: expected a dataclass, got int"):
        tree.register_dataclass(int)


def test_rebuilding_a_dataclass_does_not_run_its_code():
    @tree.register_dataclass
    @dataclasses.dataclass
    class Positive:
        x: float

        def __post_init__(self):
            assert self.x > 0

    assert tree.map(lambda x: -x, Positive(2.0)).x == -2.0
    assert tree.map(lambda x: None, Positive(2.0)).x is None


def test_a_field_with_other_metadata_is_a_child():
    @tree.register_dataclass
    @dataclasses.dataclass
    class Length:
        metres: float = dataclasses.field(metadata={"unit": "m", "static": False})

    assert tree.leaves(Length(3.0)) == [3.0]


def test_static_fields_are_part_of_the_structure():
    affine = Affine(numbers(2), numbers(1), name="first")
    assert tree.map(lambda leaf: leaf, affine).name == "first"
    assert tree.structure(affine) != tree.structure(dataclasses.replace(affine, name="second"))
