"""The command line: gather arguments, call, print."""

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

from workbench.errors import UserError

EVERY = 5.0  # seconds between two lines about a notebook where nothing can be redrawn
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """One line for a mistake, in place of the whole usage."""

    def error(self, message: str) -> None:
        self.exit(2, f"workbench: {message}; see {self.prog} --help\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (a notebook failed), 2 or 130."""
    args = _parse(argv)
    try:
        code = args.do(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("workbench: stopped", file=sys.stderr)
        return INTERRUPTED
    except (UserError, OSError) as error:
        if args.debug:
            raise
        print(f"workbench: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, UserError) or not error.strerror:
        return " ".join(str(error).split())
    where = f" ('{error.filename}')" if error.filename else ""
    return f"{error.strerror}{where}; free some space or choose another place."


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if rest and hasattr(args, "names") and not any(word.startswith("-") for word in rest):
        # argparse takes no names after an option once it has seen one before it.
        args.names += rest
    elif rest:
        # The subcommand's help is the one that lists what would have been right.
        args.parser.error(f"unknown argument '{rest[0]}'")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="workbench", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, do, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("--debug", action="store_true", help="show tracebacks")
        command.set_defaults(do=do, parser=command)
        return command

    run = add("run", _run, "execute notebooks and write a report")
    run.add_argument("names", nargs="*", metavar="NOTEBOOK", help="number, name or path; none: all")
    run.add_argument("--data", metavar="SOURCE", help="a bundled name, a file, a folder, hub:NAME")
    run.add_argument("--model", metavar="NAME", help="see 'workbench models'")
    run.add_argument("--profile", metavar="P", help="smoke, quick or full")
    run.add_argument("--seed", metavar="N", help="a whole number")
    run.add_argument(
        "-p", dest="more", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="any other parameter of a notebook",
    )  # fmt: skip
    run.add_argument("--out", metavar="DIR", help="a new folder; default: reports/<date-time>")
    run.add_argument("--jobs", metavar="N", type=_count, default=1, help="notebooks at once")
    run.add_argument("--timeout", metavar="S", type=_count, default=1800, help="seconds for a cell")
    table = add("compare", _compare, "the runs as a table, with paired tests")
    table.add_argument("names", nargs="*", metavar="DIR", help="a report or folder of runs")
    add("models", _models, "what models can be picked, what is here, what it costs")
    add("data", _data, "what data can be picked, what is here, what it costs")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


# --- the commands -------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    from workbench.runs import execution, notebooks, report

    flags = ("data", "model", "profile", "seed")
    parameters = {f.upper(): v for f in flags if (v := getattr(args, f)) is not None}
    with warnings.catch_warnings():
        # What `python -W error` makes of other warnings is no business of a note.
        warnings.simplefilter("default")
        warnings.showwarning = _note
        chosen = notebooks.check(notebooks.resolve(args.names), parameters | dict(args.more))
    out = execution.prepare(args.out)
    show = Progress(len(chosen))

    def ended(name: str, results: dict) -> None:
        entry = results["notebooks"][name]
        report.write_html(out / f"{name}.ipynb", out / f"{name}.html", entry)
        report.write_index(out, results)
        show.ended(name, entry)

    results = execution.run(
        chosen, out, jobs=args.jobs, timeout=args.timeout, progress=show.running, ended=ended
    )
    index = report.write_index(out, results)
    entries = results["notebooks"]
    width = max(map(len, entries), default=0)
    for name, entry in entries.items():
        print(f"{name:{width}}  {entry['status']:11}  {entry['seconds']:8.1f} s")
    print(index)
    found = {entry["status"] for entry in entries.values()}
    return INTERRUPTED if "interrupted" in found else int(bool(found - {"passed"}))


def _note(message: Warning, category: type, *rest) -> None:
    from workbench.errors import DataWarning

    if issubclass(category, DataWarning):
        print(f"note: {message}", file=sys.stderr)


def _compare(args: argparse.Namespace) -> int:
    from workbench import evaluation

    places = [Path(name) for name in args.names] or [_latest()]
    found = [run for place in places for run in _runs_in(place)]
    if not found:
        raise UserError(f"There are no runs in '{places[0]}'; 'workbench run' makes some.")
    scores, tests = evaluation.compare(found)
    print(scores.to_string(index=False, float_format="{:.3f}".format, na_rep=""))
    if len(tests):
        print(f"\nEach run against the best one on the n rows that both predicted (exact McNemar; "
              f"p_adjusted allows for all {len(tests)} pairs, max-T):")  # fmt: skip
        shown = tests.drop_duplicates("b")  # the pairs of `tests` begin with the best run
        print(shown.to_string(index=False, float_format="{:.4f}".format))
    else:
        print("\nNo two runs predicted the same rows, so there is nothing to test.")
    return 0


def _latest() -> Path:
    from workbench import runs

    root = runs.root_folder()
    reports = sorted(Path("reports").glob("*/runs"))
    if not root.is_dir() and not reports:
        raise UserError(f"There is no folder '{root}' and no report here; name a folder of runs.")
    return root if root.is_dir() else reports[-1]


def _runs_in(place: Path) -> list:
    from workbench import runs

    if not place.is_dir():
        raise UserError(f"There is no folder '{place}'; name a report or a folder of runs.")
    if (place / "run.json").exists():
        return [runs.load(place)]
    found, broken = runs.survey(place / "runs" if (place / "runs").is_dir() else place)
    for sentence in broken:
        print(sentence, file=sys.stderr)
    return found


def _models(args: argparse.Namespace) -> int:
    from workbench import models

    print(models.table().to_string())
    return 0


def _data(args: argparse.Namespace) -> int:
    from workbench import data

    print(data.table().to_string())
    return 0


# --- progress -----------------------------------------------------------------------------------


class Progress:
    """A line a notebook on the standard error: redrawn on a terminal, else added now and then."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.drawn = total, 0, 0
        self.live = sys.stderr.isatty()
        self.told: dict[str, float] = {}

    def running(self, children: list) -> None:
        """Show where each of the `children` (`execution.Child`) is."""
        now = time.monotonic()
        wait = 0.5 if self.live else EVERY
        due = [c for c in children if now - self.told.get(c.path.stem, -EVERY) >= wait]
        if due:
            shown = children if self.live else due
            self.told |= {child.path.stem: now for child in shown}
            self._draw([_line(child) for child in shown])

    def ended(self, name: str, entry: dict) -> None:
        """Keep a last line for a notebook that has ended."""
        self.done += 1
        error = f": {entry['error']}" if entry["error"] else ""
        self._draw([])
        print(
            f"{name}: {entry['status']} after {_clock(entry['seconds'])}{error}"
            f"  ({self.done} of {self.total})",
            file=sys.stderr, flush=True,
        )  # fmt: skip

    def _draw(self, lines: list[str]) -> None:
        if self.live:
            # Up over the lines of last time, and clear what is below.
            sys.stderr.write(f"\x1b[{self.drawn}F\x1b[J" if self.drawn else "")
            self.drawn = len(lines)
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: not known
            lines = [line[: width - 1] for line in lines]
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


def _line(child) -> str:
    name = child.path.stem
    if not child.cells:
        return f"{name}: starting, {_clock(child.seconds)}"
    # Cells differ, so this is a rough guess; it is better than none.
    finished = child.cell - 1
    left = child.seconds / finished * (child.cells - finished) if finished else None
    guess = f", about {_clock(left)} left" if left else ""
    return f"{name}: cell {child.cell} of {child.cells}, {_clock(child.seconds)}{guess}"


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
