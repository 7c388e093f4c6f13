"""Compares a report of `cargo llvm-cov report --json` with the thresholds: python3 compare.py REPORT THRESHOLDS ROOT.

The exit code is 1 when a part is below its threshold or has no line in the report. Lines are counted as LLVM counts them
(LineCoverageStats in llvm/lib/ProfileData/Coverage/CoverageMapping.cpp), without those of test modules, which always run.
"""

import contextlib
import json
import re
import sys
from pathlib import Path

# Fields of a segment of the report.
LINE, _COLUMN, COUNT, HAS_COUNT, IS_REGION_ENTRY, IS_GAP = range(6)


def counts(segments: list[list]) -> dict[int, int]:
    """How often each line with code ran."""
    result = {}
    position, wrapped = 0, None
    if not segments:
        return result
    for line in range(segments[0][LINE], segments[-1][LINE] + 1):
        own = []
        while position < len(segments) and segments[position][LINE] == line:
            own.append(segments[position])
            position += 1
        starts = [segment for segment in own if not segment[IS_GAP] and segment[HAS_COUNT] and segment[IS_REGION_ENTRY]]
        skipped = bool(own) and not own[0][HAS_COUNT] and own[0][IS_REGION_ENTRY]
        if not skipped and ((wrapped and wrapped[HAS_COUNT]) or starts):
            count = wrapped[COUNT] if wrapped and wrapped[HAS_COUNT] else 0
            result[line] = max([count, *(segment[COUNT] for segment in starts)])
        if own:
            wrapped = own[-1]
    return result


def first_test_line(text: str) -> int:
    """The line from which a file has tests only: its test module is its last item."""
    match = re.search(r"^#\[cfg\(test\)\]\n(?:#\[[^\n]*\n|[ )][^\n]*\n)*mod [a-z_0-9]+ \{", text, re.M)
    return text.count("\n", 0, match.start()) + 1 if match else sys.maxsize


def is_test(path: str) -> bool:
    """Whether a file of the sources has tests only."""
    return path.endswith("/tests.rs") or "/tests/" in path


def coverage(report: dict, root: Path) -> dict[str, tuple[int, int]]:
    """Covered lines and lines with code by file."""
    files = {}
    for file in (file for unit in report["data"] for file in unit["files"]):
        path = Path(file["filename"])
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        if is_test(name):
            continue
        end = first_test_line((root / name).read_text()) if (root / name).is_file() else sys.maxsize
        lines = {line: count for line, count in counts(file["segments"]).items() if line < end}
        files[name] = (sum(count > 0 for count in lines.values()), len(lines))
    return files


def read_thresholds(text: str) -> list[tuple[float, str, list[str]]]:
    """Percent, name and paths of each part."""
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(float(percent), name, paths) for percent, name, *paths in rows]


def compare(files: dict[str, tuple[int, int]], thresholds, root: Path) -> list[str]:
    """Prints a table, and returns what is wrong."""
    failed = []
    for least, name, paths in thresholds:
        for path in paths:
            if not (root / path).exists():
                failed.append(f"{name}: {path} does not exist")
        chosen = {file: figures for file, figures in files.items()
                  if any(file == path or file.startswith(f"{path}/") for path in paths)}
        covered, total = (sum(column) for column in zip(*chosen.values())) if chosen else (0, 0)
        if not total:
            failed.append(f"{name}: the report has no line of it")
            continue
        share = 100 * covered / total
        print(f"{name:<12} {share:6.2f} %  of {total:>6} lines, threshold {least:g} %")
        if share < least:
            failed.append(f"{name}: {share:.2f} % is below {least:g} %")
            for file, (ran, lines) in sorted(chosen.items(), key=lambda item: item[1][0] - item[1][1])[:5]:
                if ran < lines:
                    failed.append(f"  {file}: {lines - ran} of {lines} lines do not run")
    return failed


def self_test() -> None:
    """The counting on a report that was written by hand: a function that runs, one that does not, a skipped region, a test module."""
    segments = [[1, 1, 3, True, True, False], [3, 2, 0, False, False, False], [5, 1, 0, True, True, False],
                [6, 5, 2, True, True, False], [6, 9, 0, True, False, False], [7, 2, 0, False, False, False]]
    assert counts(segments) == {1: 3, 2: 3, 3: 3, 5: 0, 6: 2, 7: 0}, counts(segments)
    assert counts([[1, 1, 0, False, True, False], [2, 1, 0, False, False, False]]) == {}
    text = "fn a() {}\n\n#[cfg(test)]\n#[allow(\n    dead_code\n)]\nmod tests {\n}\n"
    assert first_test_line(text) == 3 and first_test_line("#[cfg(test)]\nmod tests;\nfn a() {}\n") == sys.maxsize
    root = Path(__file__).resolve().parents[2]
    files = {"deploy/a.rs": (79, 100), "deploy/b/c.rs": (1, 1)}
    with contextlib.redirect_stdout(None):
        assert_compared(files, root)


def assert_compared(files: dict[str, tuple[int, int]], root: Path) -> None:
    """A part at its threshold, below it, and without lines."""
    assert compare(files, [(79, "x", ["deploy"])], root) == []
    assert compare(files, [(80, "x", ["deploy"])], root)[0].startswith("x: 79.21 % is below 80 %")
    assert compare(files, [(1, "x", ["nowhere"])], root) == ["x: nowhere does not exist", "x: the report has no line of it"]


def main() -> int:
    """Compares, or tests itself."""
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    report, thresholds, root = sys.argv[1:]
    root = Path(root).resolve()
    files = coverage(json.loads(Path(report).read_text()), root)
    failed = compare(files, read_thresholds(Path(thresholds).read_text()), root)
    for problem in failed:
        print(problem, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
