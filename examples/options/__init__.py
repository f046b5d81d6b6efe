"""The command line of the examples: help with defaults and with formulas on their lines, checked counts and files."""

import argparse
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Fill paragraphs, but keep indented lines, such as formulas; show each default that is a value."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = textwrap.dedent(text).strip().split("\n\n")
        return "\n\n".join(part if part.startswith(" ") else textwrap.fill(part, width) for part in paragraphs)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default is not None and action.default is not False
        return super()._get_help_string(action) if has_default else action.help


def parser(
    text: str | None, *, takes: str, seed: str = "seed of the key", add_help: bool = True
) -> argparse.ArgumentParser:
    """Build a parser with the options that every example has.

    Args:
        text: The description: paragraphs that are filled, and indented ones that keep their lines.
        takes: The time of a run with the default options, such as "3 s".
        seed: The help for --seed.
        add_help: Whether --help prints the help and exits; otherwise it sets `help`.
    """
    built = argparse.ArgumentParser(
        description=text,
        epilog=f"A run with the default options takes about {takes}.",
        formatter_class=_Help,
        add_help=add_help,
    )
    if not add_help:
        built.add_argument("-h", "--help", action="store_true", help="show this help, or that of the step")
    built.add_argument("--seed", type=int, default=0, help=seed)
    built.add_argument(
        "--svg", type=figure, metavar="FILE", help="write a figure to this file, too: .svg, .png or .pdf"
    )
    built.add_argument("--dark", action="store_true", help="draw the figure on a dark background")
    built.set_defaults(takes=takes)
    return built


def parse(built: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; before the work, say on standard error how long it takes."""
    args = built.parse_args()
    print(f"{built.prog}: takes about {args.takes} with the default options", file=sys.stderr)
    return args


def count(text: str) -> int:
    """Read a whole number that is at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 1, got {text!r}")
    return number


def file(text: str) -> Path:
    """Read the path of a file that can be written; missing folders are created later."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file, got the folder {text!r}")
    if above := [folder for folder in path.parents if folder.exists() and not folder.is_dir()]:
        raise argparse.ArgumentTypeError(f"expected a file in a folder, but {str(above[0])!r} is a file")
    return path


def figure(text: str) -> Path:
    """Read the path of a figure; all but SVG need matplotlib."""
    return drawn(text, (".svg", ".png", ".pdf"))


def animation(text: str) -> Path:
    """Read the path of an animation."""
    return drawn(text, (".gif",))


def drawn(text: str, endings: tuple[str, ...]) -> Path:
    path = file(text)
    if path.suffix.lower() not in endings:
        raise argparse.ArgumentTypeError(f"expected a file that ends in {' or '.join(endings)}, got {text!r}")
    if path.suffix.lower() != ".svg" and find_spec("matplotlib") is None:
        raise missing("matplotlib", "plots")
    return path


def folder(text: str) -> Path:
    """Read the path of a folder, which may be missing."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, got the file {text!r}")
    return path


def missing(package: str, extra: str) -> SystemExit:
    """Return the exit of an example without a package; the command installs into the environment that runs it."""
    root = Path(__file__).resolve().parents[2]
    command = f"{sys.executable} -m pip install -e '{root}[{extra}]'"
    return SystemExit(f"{Path(sys.argv[0]).name} needs {package}. Install the extra:\n    {command}")
