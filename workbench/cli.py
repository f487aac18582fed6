"""The command line: gather arguments, call, print."""

import argparse
import os
import sys
from pathlib import Path

from workbench import arguments
from workbench.errors import UserError, taking_notes, unknown
from workbench.terminal import LineProgress, Progress, clock, print_table

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (a notebook failed), 2 or 130."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe may know fewer characters than reviews and folders have.
        if hasattr(stream, "reconfigure"):  # None where it was closed
            stream.reconfigure(errors="replace")
    args = arguments.parse(argv, COMMANDS)
    try:
        code = args.command(args)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_output()  # the reader (head, less) has seen enough
        return 1
    except KeyboardInterrupt:
        print("workbench: stopped", file=sys.stderr)
        return INTERRUPTED
    except (UserError, OSError) as error:
        if args.debug:
            raise
        print(f"workbench: {_sentence(error)}", file=sys.stderr)
        _discard_output()
        return 2


def _discard_output() -> None:
    """Send what is still to be written nowhere, or Python would complain once more at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except AttributeError:
        pass  # there is no standard output


def _sentence(error: Exception) -> str:
    if isinstance(error, UserError) or not error.strerror:
        return " ".join(str(error).split())
    where = f" ('{error.filename}')" if error.filename else ""
    return f"{error.strerror}{where}; free some space or choose another place."


# --- the commands -------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    from workbench.runs import execution, notebooks, parameters, report

    flags = ("data", "model", "profile", "seed")
    given = {f.upper(): v for f in flags if (v := getattr(args, f)) is not None}
    with taking_notes() as notes:
        chosen = parameters.check(notebooks.resolve(args.names), given | dict(args.more))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    out = execution.prepare(args.out)
    with Progress(len(chosen)) as progress:

        def ended(name: str, results: dict) -> None:
            entry = results["notebooks"][name]
            report.write_html(
                out / f"{name}.ipynb", out / f"{name}.html", entry, single_file=args.single_file
            )
            report.write_index(out, results, with_cards=False)
            progress.ended(name, entry)

        results = execution.run(
            chosen, out, jobs=args.jobs, timeout=args.timeout, progress=progress.running,
            ended=ended,
        )  # fmt: skip
    index = report.write_index(out, results)
    entries = results["notebooks"]
    width = max(map(len, entries), default=0)
    for name, entry in entries.items():
        print(f"{name:{width}}  {entry['status']:11}  {entry['seconds']:8.1f} s")
    print(index)
    found = {entry["status"] for entry in entries.values()}
    return INTERRUPTED if "interrupted" in found else int(bool(found - {"passed"}))


def _sweep(args: argparse.Namespace) -> int:
    import pandas as pd

    from workbench.runs import sweeps

    with taking_notes() as notes:
        if args.dry_run:
            _print_plan(args)
            return 0
        with LineProgress() as progress:
            found = sweeps.sweep(
                args.file, args.out, jobs=args.jobs, ray=args.ray, address=args.address,
                search=args.search, progress=progress.show,
            )  # fmt: skip
    for note in dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr)
    out = sweeps.folder(args.file, args.out)
    if any(run.info["notebook"] for run in found):
        print(out)
        return 0
    _print_seeds(pd.read_csv(out / "scores.csv"), pd.read_csv(out / "tests.csv"))
    print(out / "index.html")
    return 0


def _train(args: argparse.Namespace) -> int:
    from workbench import runs
    from workbench.runs import parameters, training
    from workbench.training import devices, history

    given = dict(args.more) | ({"seed": args.seed} if args.seed else {})
    columns = [given.pop(name, "") for name in ("TEXT_COLUMN", "LABEL_COLUMN")]
    rank, ranks = devices.ranks()
    with training.as_rank(args.debug), taking_notes() as notes:
        settings = parameters.settings(args.model, given)
        model, *texts = training.prepare(
            args.model, args.data, *columns, limit=args.limit, **settings
        )
        runs.root_folder(args.out).mkdir(parents=True, exist_ok=True)
        if args.processes > 1 and ranks == 1:
            if training.shares(model):
                training.launch(args.words, args.processes, args.debug)
                return 0
            notes.append(f"One process trains '{args.model}': it does not learn in steps.")
        with LineProgress() as progress, history.listening(None if rank else progress.step):
            path = training.train(args.model, model, *texts, args.out)
    if path is None:  # another rank has scored and saved
        return 0
    for note in dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr)
    print(
        "accuracy {accuracy:.3f} ({accuracy_low:.3f} to {accuracy_high:.3f}), macro F1 "
        "{macro_f1:.3f}, loss {loss:.3f} on {n} test rows".format(**runs.load(path).metrics)
    )
    print(path)
    return 0


def _print_plan(args: argparse.Namespace) -> None:
    import pandas as pd

    from workbench.runs import plan, sweeps

    out, planned = sweeps.folder(args.file, args.out), plan.jobs(plan.read(args.file))
    found = sweeps.estimate(planned, out)
    needs = [sweeps.needed(job, found) for job in planned]
    table = pd.DataFrame(
        {"run": job.name, "data": job.where, "runs": max(1, args.search if job.ranges else 1),
         "there": job.folder(out).is_dir(), "seconds": seconds or float("nan"),
         "MiB": round(memory)} for job, (seconds, memory) in zip(planned, needs, strict=True)
    )  # fmt: skip
    left = (table["seconds"] * table["runs"] * ~table["there"]).sum() / args.jobs
    shown = table.groupby(["run", "data"], sort=False).agg(
        {"runs": "sum", "there": "sum", "seconds": "mean", "MiB": "max"}
    )
    print_table(shown.reset_index(), ".1f")
    there = table["there"].sum()
    print(f"\n{len(table)} runs, {there} of them done; about {clock(left)} left here.")


def _print_seeds(scores, tests) -> None:
    print_table(scores, ".3f")
    if len(tests):
        print(
            "\nEach pair over the seeds and data sets that both were run on: the mean difference,"
            "\nits 95% interval, on how many data sets the first is better, p, and p adjusted for"
            f"\nall {len(tests)} pairs (Holm)."
        )
        print_table(tests, ".4f")


def _compare(args: argparse.Namespace) -> int:
    import pandas as pd

    from workbench import evaluation

    places = [Path(name) for name in args.names] or [_latest()]
    found = [run for place in places for run in _runs_in(place)]
    if not found:
        raise UserError(f"There are no runs in '{places[0]}'; 'workbench run' makes some.")
    if all("WHERE" in run.info["parameters"] for run in found):
        _print_seeds(*evaluation.over_seeds(found))
        return 0
    for metric, (scores, tests) in evaluation.compare_by_metric(found).items():
        print_table(scores, ".3f")
        if refused := tests.attrs.get("refused"):
            print("\nPairs that are not tested, one of each run:")
            print_table(pd.DataFrame(refused).drop_duplicates("b"))
        if tests.empty:
            print("\nNo two runs predicted the same rows, so there is nothing to test.\n")
            continue
        test, correction = evaluation.how_tested(metric)
        print(
            "\nScores are counted on the same rows only where test_set is the same. Each run beside"
            f"\nthe best one, on the n rows that both predicted: p ({test}), and p adjusted for all"
            f"\n{len(tests)} pairs ({correction}). Where p_adjusted is 0.05 or more, these rows"
            "\ncannot tell which of the two is better."
        )
        print_table(tests.drop_duplicates("b"), ".4f")  # the pairs with the best run come first
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
    found, broken = runs.scan_runs(place)
    for sentence in broken:
        print(sentence, file=sys.stderr)
    return found


def _show(args: argparse.Namespace) -> int:
    from workbench import runs
    from workbench.runs import provenance

    if (Path(args.run) / "run.json").exists():
        run = runs.load(args.run)
    else:
        found = _runs_in(_latest())
        by_name = {run.name: run for run in found} | {run.path.name: run for run in found}
        if args.run not in by_name:
            raise unknown("run", args.run, by_name)
        run = by_name[args.run]
    print_table(provenance.configuration(run).rename_axis("setting").reset_index(name="value"))
    print("", provenance.repeat(run), *provenance.obstacles(run), sep="\n")
    return 0


def _card(args: argparse.Namespace) -> int:
    from workbench.runs import cards, standings

    for place in [Path(name) for name in args.names] or [_latest()]:
        wanted = {run.path for run in _runs_in(place)}
        beside = place.parent if (place / "run.json").exists() else place
        written = cards.write(standings.test_sets(_runs_in(beside)), wanted)
        if not written:
            raise UserError(f"No run in '{place}' has a score, so there is nothing to write.")
        print(*written, sep="\n")
    return 0


def _models(args: argparse.Namespace) -> int:
    from workbench import models

    print_table(models.table(None, "sequence").reset_index())
    return 0


def _data(args: argparse.Namespace) -> int:
    from workbench import data

    print_table(data.table().reset_index())
    return 0


COMMANDS = {
    "run": _run, "sweep": _sweep, "train": _train, "compare": _compare, "show": _show,
    "card": _card, "models": _models, "data": _data,
}  # fmt: skip
