"""What the command line shows: tables, and how far something is."""

import time

EVERY = 5.0  # seconds between two lines where nothing can be redrawn


def print_table(frame, floats: str = "") -> None:
    """Print a data frame: folded to the width of a terminal, a line a row in a pipe."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    table = Table(box=None, pad_edge=False, header_style="")
    for name in frame:
        table.add_column(str(name), overflow="fold")
    for row in frame.itertuples(index=False):
        cells = ("" if v is None or v != v else v for v in row)
        table.add_row(*(format(v, floats) if isinstance(v, float) else str(v) for v in cells))
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


class Progress:
    """A line a notebook on the standard error: redrawn on a terminal, else added now and then."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.live import Live

        self.total, self.done = total, 0
        self.console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.printed: dict[str, float] = {}

    def __enter__(self) -> "Progress":
        self.live.start()
        return self

    def __exit__(self, *error) -> None:
        self.live.stop()

    def running(self, children: list) -> None:
        """Show where each of the `children` (`execution.Child`) is."""
        from rich.text import Text

        if self.console.is_terminal:
            lines = "\n".join(map(_line, children))
            self.live.update(Text(lines, no_wrap=True, overflow="ellipsis"), refresh=True)
            return
        now = time.monotonic()
        for child in children:
            if now - self.printed.get(child.path.stem, -EVERY) >= EVERY:
                self.printed[child.path.stem] = now
                self.console.print(_line(child), soft_wrap=True)

    def ended(self, name: str, entry: dict) -> None:
        """Print a line that stays for a notebook that has ended."""
        self.done += 1
        error = f": {entry['error']}" if entry["error"] else ""
        line = f"{name}: {entry['status']} after {clock(entry['seconds'])}{error}"
        self.console.print(f"{line}  ({self.done} of {self.total})", soft_wrap=True)


class LineProgress(Progress):
    """How far a sweep or a training is: one line on the standard error."""

    def __init__(self) -> None:
        super().__init__(0)

    def show(self, state) -> None:
        """Show a `runs.sweep.State`."""
        failed = f", {len(state.failed)} failed" if state.failed else ""
        left = f", about {clock(state.left)} left" if state.left else ""
        self._draw(f"{state.done} of {state.total} runs{failed}{left}: {'; '.join(state.running)}")

    def step(self, row: dict) -> None:
        """Show a row of a training, as a `History` hands it to its listener."""
        if "steps" in row:  # no evaluation
            loss = next(value for name, value in row.items() if name.endswith("loss"))
            left = clock(row["seconds"] / row["step"] * (row["steps"] - row["step"]))
            self._draw(f"step {row['step']} of {row['steps']}, loss {loss:.3f}, about {left} left")

    def _draw(self, line: str) -> None:
        from rich.text import Text

        if self.console.is_terminal:
            self.live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif time.monotonic() - self.printed.get("", -EVERY) >= EVERY:
            self.printed[""] = time.monotonic()
            self.console.print(line, soft_wrap=True)


def _line(child) -> str:
    name = child.path.stem
    if not child.cells:
        return f"{name}: starting, {clock(child.seconds)}"
    # Cells differ, so this is a rough guess; it is better than none.
    finished = child.cell - 1
    left = child.seconds / finished * (child.cells - finished) if finished else None
    guess = f", about {clock(left)} left" if left else ""
    return f"{name}: cell {child.cell} of {child.cells}, {clock(child.seconds)}{guess}"


def clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
