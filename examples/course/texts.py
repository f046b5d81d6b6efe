"""The shape of the texts of the course, which `english` and `korean` fill."""

from typing import NamedTuple


class Text(NamedTuple):
    """The texts of one step; an empty one is left out."""

    title: str
    question: str
    lesson: str  # the results that the lesson showed
    wrong: str = ""  # their defects
    seeds: str = ""  # the spread over seeds, where the lesson showed one


class Labels(NamedTuple):
    """The words between the texts."""

    step: str  # with {number} and {count}
    question: str
    code: str
    lesson: str
    wrong: str
    seeds: str
    answer: str  # the result of the run, once more
    next: str
    last: str  # after the last step
    usage: str  # below the list, with {all}, the command of all steps
    columns: tuple[str, str, str]  # of the list of steps
