"""The course week on the perceptron and the multi-layer perceptron, step by step.

Without a step it lists them in the order of the lesson, with the word that runs each. A step asks its question, runs
its example with the given options, such as --seed 1 or --svg FILE, and shows the lines of code that matter, the results
of the lesson, their defects, the spread over seeds, the answer once more, and the next step.
"""

import argparse
import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import options
from course import english, korean

from funcnet import report

LANGUAGES = {"en": english, "ko": korean}


class Step(NamedTuple):
    """A step: the module, whose `main` returns the answer, and the functions whose source is shown."""

    module: str
    shown: tuple[str, ...]

    @property
    def name(self) -> str:
        """The word that runs the step."""
        return self.module.split(".")[-1]


STEPS = [
    Step("course.perceptron", ("z", "unit")),
    Step("course.drawn_gates", ("answer", "right", "tried")),
    Step("course.plane", ("heights", "closest")),
    Step("xor_perceptron", ("loss", "step")),
    Step("course.devices", ("moved",)),
    Step("gates", ("rosenblatt",)),
    Step("chain_rule", ("by_hand", "by_vjp")),
    Step("course.exp", ("with_math", "with_torch")),
    Step("course.transposes", ("backward",)),
    Step("backprop_by_hand", ("naive_backward", "backward")),
    Step("course.write_backward", ("cost",)),
    Step("course.find_defect", ("gradients",)),
    Step("course.sequential", ("by_funcnet",)),
    Step("xor_mlp", ("loss", "run")),
    Step("course.four_layers", ("as_printed", "stops_at")),
    Step("depth", ("mlp",)),
]


def source(function: Callable[..., Any]) -> str:
    """Return the source of a function without its docstring, indented."""
    text = textwrap.dedent(inspect.getsource(function))
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef)
    lines, docstring = text.splitlines(), definition.body[0]
    if ast.get_docstring(definition) is not None:
        del lines[docstring.lineno - 1 : docstring.end_lineno]
    return textwrap.indent("\n".join(line for line in lines if line), "    ")


def folded(code: str) -> str:
    """Fold long lines of code for a terminal of 80 columns."""
    lines = [(line, " " * (len(line) - len(line.lstrip()) + 8)) for line in code.splitlines()]
    wrap = partial(textwrap.fill, width=80, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrap(line, subsequent_indent=indent) for line, indent in lines)


def command(word: str, language: str) -> str:
    """Return the command of a step, or of all, in the same language."""
    chosen = "" if language == "en" else f" --language {language}"
    return f"python examples/lesson.py {word}{chosen}"


def show_list(language: str) -> None:
    """List the steps with the words that run them."""
    labels, texts = LANGUAGES[language].LABELS, LANGUAGES[language].TEXTS
    rows = [[number, texts[step.name].title, step.name] for number, step in enumerate(STEPS, 1)]
    report.show(report.table(labels.columns, rows), labels.usage.format(all=command("all", language)))


def show_step(number: int, language: str, arguments: list[str]) -> None:
    """Ask the question, run the example, and discuss it."""
    step, labels = STEPS[number], LANGUAGES[language].LABELS
    text, module = LANGUAGES[language].TEXTS[step.name], importlib.import_module(step.module)
    heading = labels.step.format(number=number + 1, count=len(STEPS))
    report.show(f"{heading}: {text.title}", f"{labels.question}: {text.question}")
    print()
    sys.argv = [f"{step.name}.py", *arguments]
    answer = module.main()
    code = "\n\n".join(source(getattr(module, name)) for name in step.shown)
    told = [
        (labels.lesson, text.lesson),
        (labels.wrong, text.wrong),
        (labels.seeds, text.seeds),
        (labels.answer, answer),
    ]
    is_last = number + 1 == len(STEPS)
    following = labels.last if is_last else f"{labels.next}: {command(STEPS[number + 1].name, language)}"
    paragraphs = [f"{label}: {words}" for label, words in told if words]
    print()
    report.show(f"{labels.code} ({step.module.replace('.', '/')}.py):\n{folded(code)}", *paragraphs, following)


def main() -> None:
    """List the steps, run one, or run all."""
    parser, names = command_line(), [step.name for step in STEPS]
    args, others = parser.parse_known_args()
    if args.step in (None, "all"):
        if args.help:
            parser.print_help()
            parser.exit()
        if others or args.svg:
            parser.error(f"{' '.join(others) or '--svg'}: expected one step with it, of {', '.join(names)}")
    if args.step is None:
        show_list(args.language)
        return
    given = [f"--{name}={getattr(args, name)}" for name in ("seed", "svg") if getattr(args, name) is not None]
    given += ["--dark"] if args.dark else []
    arguments = [*given, *others, *(["--help"] if args.help else [])]
    for number in range(len(STEPS)) if args.step == "all" else [names.index(args.step)]:
        print("\n" * (2 if args.step == "all" and number else 0), end="")
        show_step(number, args.language, arguments)


def command_line() -> argparse.ArgumentParser:
    """Build the parser; options that it does not know are those of the step."""
    takes = "3 s per step, and 20 s for all of them"
    parser = options.parser(__doc__, takes=takes, seed="given to the step", add_help=False)
    parser.set_defaults(seed=None)
    parser.usage = "%(prog)s [-h] [--language {en,ko}] [STEP | all] [options of the step]"
    names = [*(step.name for step in STEPS), "all"]
    parser.add_argument("step", nargs="?", choices=names, metavar="STEP", help=f"one of {', '.join(names)}")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="language of the texts")
    return parser


if __name__ == "__main__":
    main()
