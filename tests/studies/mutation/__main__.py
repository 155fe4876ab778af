"""How many small changes of the code the tests notice.

    pip install cosmic-ray==8.7.0
    python -m tests.studies.mutation run --count 300
    python -m tests.studies.mutation report

`run` copies the package into a folder, runs the tests there once without a change, and then once for each mutant until
a test fails. Each result is a line of `results.jsonl` in that folder, so that a run can be stopped and started again.
The sample's order is random: whatever has been run is a fair sample. `report` prints the table and the survivors.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from tests.studies.mutation import report, runner
from tests.studies.mutation.sample import Mutant, sample
from tests.studies.mutation.tests_of import first_tests, tests_elsewhere, tests_of_folder

ROOT = Path(__file__).parents[3]
LIMIT = 600  # seconds of CPU time for tests of the unchanged package


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.studies.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--count", type=int, default=300, help="number of mutants (default 300)")
    parser.add_argument("--seed", type=int, default=15, help="which sample (default 15)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/mutation", help="where results are kept")
    parser.add_argument("--only", metavar="TEXT", default="", help="run mutants with this in their names")
    parser.add_argument("--again", action="store_true", help="run those that survived again, on all tests")
    options = parser.parse_args()
    if options.command == "report":
        print(report.table(options.folder / "results.jsonl"))
    else:
        run(options)


def run(options) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    tree = runner.copy_of_tree(ROOT, options.folder)
    study = Study(tree, options.folder)
    before = report.read(study.results)
    for number, mutant in enumerate(sample(tree, options.count, options.seed)):
        result = before.get(mutant.name)
        if options.only not in mutant.name:
            continue
        if result is None:
            study.run(number, mutant, first_tests(mutant.path, tree))
        elif result["result"] == "passed" and options.again and mutant.name not in report.EQUIVALENT:
            study.run_again(number, mutant)


class Study:
    """Results in a folder, and the CPU time of each file of tests without a change, which must pass."""

    def __init__(self, tree: Path, folder: Path):
        self.tree = tree
        self.results, self.unchanged = folder / "results.jsonl", folder / "unchanged.json"
        self.seconds: dict[str, float] = json.loads(self.unchanged.read_text()) if self.unchanged.exists() else {}

    def run(self, number: int, mutant: Mutant, tests: list[str]) -> str:
        """Run the tests on a mutant in their order until one fails; write down how that ends, and return it."""
        jax = "jax" in mutant.path
        limit = round(30 + 3 * sum(self.seconds_unchanged(test, jax) for test in tests))
        with runner.replaced(self.tree / mutant.path, mutant.source(self.tree)):
            outcome = runner.run_tests(self.tree, tests, limit, jax)
        line = {"number": number, "name": mutant.name, **asdict(outcome), "change": mutant.difference(self.tree)}
        with self.results.open("a") as sink:
            sink.write(json.dumps(line) + "\n")
        return outcome.result

    def run_again(self, number: int, mutant: Mutant) -> None:
        """Run all tests of the mutant's folder, and those of other folders if it passes them."""
        result = self.run(number, mutant, tests_of_folder(mutant.path, self.tree))
        elsewhere = tests_elsewhere(mutant.path, self.tree)
        if result == "passed" and elsewhere:
            self.run(number, mutant, elsewhere)

    def seconds_unchanged(self, test: str, jax: bool) -> float:
        name = f"{test} (JAX)" if jax else test
        if name not in self.seconds:
            outcome = runner.run_tests(self.tree, [test], LIMIT, jax)
            if outcome.result != "passed":
                log = self.tree / "log.txt"
                raise SystemExit(f"{name} {outcome.result} without a change: {outcome.test}. See {log}.")
            self.seconds[name] = outcome.cpu_seconds
            self.unchanged.write_text(json.dumps(self.seconds, indent=1))
        return self.seconds[name]


if __name__ == "__main__":
    main()
