"""What every check of the house shares: which files are ours, and how findings are told.

A check is a function from (path, text) pairs to findings "path:line: what (remedy)". It takes the text
as an argument so that its self-test can feed it wrong files that need not exist.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULES = ("include/bulkhead", "base", "ipc", "workers", "supervisor", "pool", "lab", "cli", "bench", "tests", "examples")


def sources(*suffixes):
    """(path relative to the root, text) of our C++ files, or of those with the suffixes."""
    for module in MODULES:
        for path in sorted((ROOT / module).rglob("*")):
            if path.suffix in (suffixes or (".cpp", ".hpp")) and path.is_file():
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def lines(text):
    return enumerate(text.splitlines(), start=1)


def main(check, self_test, files=sources):
    """Exit status 0 without findings, 1 with; --self-test holds the check against wrong files."""
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        print("each fixture is judged as it should be")
        return
    if sys.argv[1:]:
        sys.exit(f"{sys.argv[0]}: takes no argument but --self-test")
    findings = list(check(list(files())))
    print("\n".join(findings) or "no findings")
    sys.exit(1 if findings else 0)


def expect(check, wrong, right):
    """Each (path, text) of `wrong` must give a finding, all of `right` together none."""
    for path, text in wrong:
        if not list(check([(path, text)])):
            sys.exit(f"self-test: nothing was found in {path}:\n{text}")
    findings = list(check(list(right)))
    if findings:
        sys.exit("self-test: found in what is right:\n" + "\n".join(findings))
