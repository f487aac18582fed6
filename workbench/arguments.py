"""What the command line takes."""

import argparse
import sys
from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """One line for a mistake, in place of the whole usage."""

    def error(self, message: str) -> None:
        self.exit(2, f"workbench: {message}; see {self.prog} --help\n")


def parse(argv: list[str] | None, commands: dict[str, Callable]) -> argparse.Namespace:
    """What the words of a command line ask for; one of `commands` under ``command``."""
    parser = _parser(commands)
    args, rest = parser.parse_known_args(argv)
    args.words = sys.argv[1:] if argv is None else argv
    if rest and hasattr(args, "names") and not any(word.startswith("-") for word in rest):
        # argparse takes no names after an option once it has seen one before it.
        args.names += rest
    elif rest:
        # The subcommand's help is the one that lists what would have been right.
        args.parser.error(f"unknown argument '{rest[0]}'")
    return args


def _parser(commands: dict[str, Callable]) -> argparse.ArgumentParser:
    parser = Parser(prog="workbench", description="Transfer learning in NLP.", allow_abbrev=False)
    added_to = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        added = added_to.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.add_argument("--debug", action="store_true", help="show tracebacks")
        added.set_defaults(command=commands[name], parser=added)
        return added

    _add_run(add("run", "execute notebooks and write a report"))
    sweep = add("sweep", "many runs from one file: what is missing is done")
    sweep.add_argument("file", metavar="FILE", help="models, data, seed, settings, pairs in YAML")
    sweep.add_argument("--out", metavar="DIR", help="default: sweeps/<name of the file>")
    sweep.add_argument("--jobs", metavar="N", type=_count, default=1, help="runs at once")
    sweep.add_argument("--search", metavar="N", type=_count, default=0, help="draws over ranges")
    sweep.add_argument("--ray", action="store_true", help="on Ray, on this machine")
    sweep.add_argument("--address", metavar="A", default="", help="of a Ray cluster, or 'auto'")
    sweep.add_argument("--dry-run", action="store_true", help="what would run, and how long")
    _add_train(add("train", "train one model into a run, also on several GPUs"))
    table = add("compare", "the runs as a table, with paired tests")
    table.add_argument("names", nargs="*", metavar="DIR", help="a report or folder of runs")
    show = add("show", "what a run was made with, and the call that makes it again")
    show.add_argument("run", metavar="RUN", help="a run's name or folder")
    card = add("card", "a model card and a comparison for each run, as Markdown and a page")
    card.add_argument(
        "names", nargs="*", metavar="RUN", help="a run's folder, a report, a folder of runs"
    )
    add("models", "the models that can be picked, their sizes and settings")
    add("data", "the data that can be picked")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("names", nargs="*", metavar="NOTEBOOK", help="number, name or path; none: all")
    run.add_argument("--data", metavar="SOURCE", help="a bundled name, a file, a folder, hub:NAME")
    run.add_argument("--model", metavar="NAME", help="see 'workbench models'")
    run.add_argument("--profile", metavar="P", help="smoke, quick or full")
    run.add_argument("--seed", metavar="N", help="a whole number")
    _add_more(run, "any other parameter of a notebook")
    run.add_argument("--out", metavar="DIR", help="a new folder; default: reports/<date-time>")
    run.add_argument("--jobs", metavar="N", type=_count, default=1, help="notebooks at once")
    run.add_argument("--timeout", metavar="S", type=_count, default=1800, help="seconds for a cell")
    run.add_argument(
        "--single-file", action="store_true", help="each page holds plotly and can be sent alone"
    )


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("model", metavar="MODEL", help="see 'workbench models'")
    train.add_argument("--data", metavar="SOURCE", default="reviews", help="as for 'run'")
    train.add_argument("--seed", metavar="N", help="a whole number")
    _add_more(train, "a setting of the model, TEXT_COLUMN or LABEL_COLUMN")
    train.add_argument("--limit", metavar="N", type=_count, help="rows of each split")
    train.add_argument(
        "--processes", metavar="N", type=_count, default=1,
        help="ranks on this machine, each with a GPU or its share of the cores",
    )  # fmt: skip
    train.add_argument("--out", metavar="DIR", help="a folder of runs; default: runs")


def _add_more(command: argparse.ArgumentParser, about: str) -> None:
    pair = {"nargs": 2, "metavar": ("NAME", "VALUE"), "action": "append", "default": []}
    command.add_argument("-p", dest="more", help=about, **pair)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)
