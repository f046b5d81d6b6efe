"""The command lines of the examples: help, defaults, errors before the work, and the time that a run takes."""

import argparse
import importlib
import itertools
import re
import sys

import options
import pytest
from example_runs import EXAMPLES

PATHS = [path for folder in ("", "course", "ports") for path in sorted((EXAMPLES / folder).glob("*.py"))]
NAMES = [".".join(path.relative_to(EXAMPLES).with_suffix("").parts) for path in PATHS if "def main" in path.read_text()]


def declared(name, monkeypatch):
    """Return the options that an example declares."""

    def stop(parser, *_):
        raise StopIteration(parser)

    with monkeypatch.context() as patch, pytest.raises(StopIteration) as found:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        patch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
        importlib.import_module(name).main()
    return found.value.value._actions


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line of an example in this process, up to its exit; return the exit status and the output."""
    monkeypatch.setenv("COLUMNS", "80")

    def exit_of(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name.split('.')[-1]}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            importlib.import_module(name).main()
        printed = capsys.readouterr()
        return stopped.value.code, printed.out + printed.err

    return exit_of


@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_common_options_and_the_time(name, command):
    status, text = command(name, "--help")
    assert status == 0 and "--seed" in text and "--svg FILE" in text and "--dark" in text
    assert re.search(r"takes\s+about\s+\d+\s+(s|min)", text) and max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "name, shown", [("depth", "10001"), ("transformer", "1000"), ("ntk", "4096"), ("from_torch", "200"), ("gates", "0")]
)
def test_help_shows_defaults(name, shown, command):
    defaults = re.findall(r"\(default:\s+(.*?)\)(?=\n|$)", command(name, "--help")[1], re.DOTALL)
    assert any(shown in text.replace(",", " ").split() or shown in text for text in defaults)
    assert not {"None", "False"} & set(defaults)


def test_formulas_keep_their_lines(command):
    assert "    l2 = a1 w2 + b2    p = s(l2)\n    cost = -mean(" in command("backprop_by_hand", "--help")[1]
    assert "\n    rho = T / (2 s^2)\n    epsilon = " in command("per_example", "--help")[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_number_but_the_seed_is_checked_before_the_work(name, command, monkeypatch):
    actions = [action for action in declared(name, monkeypatch) if action.type is not None]
    counts = [action.option_strings[0] for action in actions if action.type is options.count]
    assert [action.dest for action in actions if action.type in (int, float)] == ["seed"]
    for option, text in itertools.product(counts, ["0", "-1", "2.5", "many"]):
        status, error = command(name, f"{option}={text}")
        assert status == 2 and f"argument {option}: expected a whole number, at least 1, got '{text}'" in error


def test_the_counts_are_found(monkeypatch):
    wanted = {"xor_mlp": "--seeds", "digits": "--epochs", "ntk": "--widths", "ports.hmc": "--draws"}
    for name, option in wanted.items():
        found = [action.option_strings for action in declared(name, monkeypatch) if action.type is options.count]
        assert [option] in found


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_as_a_picture_is_an_error_before_the_work(name, command, tmp_path):
    status, error = command(name, "--svg", tmp_path)
    assert status == 2 and f"argument --svg: expected a file, got the folder '{tmp_path}'" in error


@pytest.mark.parametrize("option, name", [("--svg", "cost.jpg"), ("--svg", "cost"), ("--animate", "lines.mp4")])
def test_other_endings_of_pictures_are_errors_before_the_work(option, name, command, tmp_path):
    status, error = command("xor_mlp", option, tmp_path / name)
    assert status == 2 and f"argument {option}: expected a file that ends in ." in error


@pytest.mark.parametrize("arguments", [("--svg", "cost.png"), ("--animate", "lines.gif")])
def test_figures_without_matplotlib_name_its_extra_before_the_work(arguments, command, monkeypatch):
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    message, before = command("xor_mlp", *arguments)
    assert message.endswith(f"{sys.executable} -m pip install -e '{EXAMPLES.parent}[plots]'") and not before


def test_a_file_as_a_folder_is_an_error(command, tmp_path):
    (tmp_path / "file").write_text("")
    status, error = command("gates", "--svg", tmp_path / "file" / "gates.svg")
    assert status == 2 and "is a file" in error
    status, error = command("digits", "--checkpoints", tmp_path / "file")
    assert status == 2 and "argument --checkpoints: expected a folder, got the file" in error
    assert options.file(str(tmp_path / "new" / "gates.svg")).parent == tmp_path / "new"


@pytest.mark.parametrize(
    "name, module, extra",
    [
        ("digits", "sklearn.datasets", "examples"),
        ("ports.vae", "sklearn.datasets", "examples"),
        ("from_torch", "transformers", "models"),
    ],
)
def test_a_missing_extra_names_the_command_that_installs_it_here(name, module, extra, command, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    message, before = command(name)
    root = EXAMPLES.parent
    assert f"\n    {sys.executable} -m pip install -e '{root}[{extra}]'" in message
    assert message.startswith(name.split(".")[-1])
    assert f"[{extra}]" in message and (root / "pyproject.toml").exists()
    assert f"{name.split('.')[-1]}.py: takes about" in before
