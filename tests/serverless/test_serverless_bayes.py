"""Runs of Bayesian optimisation: the same by their seed, stopped, killed and continued."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from serverless_bayes_study import LAYERS, Distance, distance, predicted, rows, space

from moeopt.core.errors import AdapterError, InstanceError
from moeopt.serverless.bayes import Search, Stop, Tuned, optimise
from moeopt.serverless.bayes_gp import Region
from moeopt.serverless.bayes_pairs import Pairs
from moeopt.serverless.bayes_search import Epsilons
from moeopt.serverless.bayes_trials import Measured

SEARCHES = get_args(Search)


def run(objective: Any, search: Search = "gp", **fields: Any) -> Tuned:
    where = objective.space if isinstance(objective, Distance) else space()
    return optimise(objective, where, search, **{"pairs": 20, "evaluations": 7, **fields})


def costs(tuned: Tuned) -> list[float]:
    return [trial.cost_usd for trial in tuned.trials]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("told", [True, False])
def test_a_run_depends_on_its_seed_alone(search: Search, told: bool) -> None:
    first, again = run(distance(told=told), search), run(distance(told=told), search)
    assert [t.pairs for t in first.trials] == [t.pairs for t in again.trials]
    assert costs(first) == costs(again)
    if search != "none":
        other = run(distance(told=told), search, seed=1)
        assert [t.pairs for t in first.trials] != [t.pairs for t in other.trials]


@pytest.mark.parametrize("search", SEARCHES)
def test_the_first_evaluation_leaves_the_table_as_it_is(search: Search) -> None:
    objective = distance()
    tuned = run(objective, search)
    table = objective.space.adjusted(objective.calls[0])
    assert table == objective.space.table
    assert tuned.cost_usd == tuned.best.cost_usd == min(costs(tuned)) == tuned.least_usd()[-1]
    assert len(tuned.trials) == len(objective.calls) == (1 if search == "none" else 7)
    assert tuned.stopped == ("nothing left" if search == "none" else "evaluations")
    assert all(len(pairs) == 20 for pairs in objective.calls)


@pytest.mark.parametrize("told", [True, False])
def test_the_process_finds_what_the_printed_search_does_not(told: bool) -> None:
    """The experts' tokens are to be the other way round: four loads in each of two layers."""
    ends = {
        search: np.median(
            [run(distance(told=told), search, evaluations=12, seed=s).cost_usd for s in range(5)]
        )
        for search in ("gp", "multi_epsilon")
    }
    start = run(distance(), "none").cost_usd
    assert ends["gp"] - LAYERS < 0.5 * (ends["multi_epsilon"] - LAYERS) < start - LAYERS


@pytest.mark.parametrize("search", [s for s in SEARCHES if s != "none"])
def test_a_killed_run_goes_on_as_if_nothing_had_been(search: Search, tmp_path: Path) -> None:
    log, whole = tmp_path / "run.jsonl", run(distance(), search)
    objective = distance()

    def mortal(pairs: Pairs) -> Measured:
        if len(objective.calls) == 4:
            raise KeyboardInterrupt
        return objective(pairs)

    with pytest.raises(KeyboardInterrupt):
        run(mortal, search, log=log)
    # It was killed in the middle of a line, too.
    written = log.read_bytes()
    log.write_bytes(written + written.splitlines()[-1][:50])
    rest = distance()
    seen: list[int] = []
    tuned = run(rest, search, log=log, progress=lambda number, _: seen.append(number))
    assert len(rest.calls) == 3
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert tuned == whole
    # A run that is done calls nobody, and its log can be continued further.
    assert costs(run(rest, search, log=log)) == costs(whole)
    assert len(rest.calls) == 3
    assert len(run(rest, search, log=log, evaluations=8).trials) == 8
    assert len(log.read_text().splitlines()) == 1 + 8


def test_costs_survive_the_log_to_the_last_bit(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    first = run(lambda pairs: Measured(cost_usd=math.pi / (1 + pairs.count.sum())), log=log)
    again = run(lambda _: Measured(cost_usd=0.0), log=log)
    assert costs(first) == costs(again)
    assert again.trials[0].measured.layer_usd is None
    assert json.loads(log.read_text().splitlines()[0])["log"] == "serverless-bayes"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"pairs": 21}, "pairs"),
        ({"search": "random"}, "search"),
        ({"epsilons": Epsilons(start=0.5)}, "epsilons"),
        ({"region": Region(first=5)}, "region"),
    ],
)
def test_a_log_of_another_run_is_refused(fields: dict[str, Any], name: str, tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    run(distance(), log=log)
    with pytest.raises(InstanceError, match=rf"line 1: \$\.{name}: must be .* of another run"):
        run(distance(), log=log, **fields)


def test_a_log_of_another_table_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    run(distance(), log=log)
    with pytest.raises(InstanceError, match=r"\$\.space: must be"):
        run(distance(space("token_map")), log=log)
    assert space().fingerprint() == space().fingerprint() != space(top_k=2).fingerprint()


def test_a_log_of_another_objective_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    run(distance(), log=log, label="Monday")
    with pytest.raises(InstanceError, match=r"\$\.label: must be 'Tuesday': .* another objective"):
        run(distance(), log=log, label="Tuesday")

    class Named(Distance):
        def fingerprint(self) -> str:
            return "abc"

    objective = Named(distance().space, distance().real)
    with pytest.raises(InstanceError, match=r"\$\.objective: must be 'abc': .* another objective"):
        run(objective, log=log, label="Monday")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tokens", [[1.0, 2.0]], r"\$\.tokens: must have shape \(2, 4\)"),
        ("tokens", [[-1.0] * 4] * 2, r"\$\.tokens\[0\]\[0\]: must be a finite number >= 0"),
        ("layer_usd", [0.0, 0.0], r"\$\.layer_usd: must sum up"),
        ("pairs", [[0, 0, 0, 9, 1]] * 20, r"\$\.expert\[0\]: must be an expert of layer 0"),
        ("pairs", [[0, 2**21, 0, 0, 1]] * 20, r"\$\.token: must be < 2097152"),
        ("pairs", [[0, 0, 0, 0, 1]], r"\$\.pairs: must be 20"),
    ],
)
def test_what_a_log_holds_is_checked_as_if_it_were_fresh(
    field: str, value: Any, message: str, tmp_path: Path
) -> None:
    log = tmp_path / "run.jsonl"
    run(distance(), log=log, evaluations=2)
    lines = log.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), field: value})
    log.write_text("\n".join(lines) + "\n")
    with pytest.raises(InstanceError, match=f"line 3: .*{message}"):
        run(distance(), log=log)


@pytest.mark.parametrize("where", ["missing/run.jsonl", "."])
def test_a_log_that_cannot_be_a_file_is_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="log: must be a file that can be written"):
        run(distance(), log=tmp_path / where)


@pytest.mark.parametrize(
    "content", ["nothing", "no log\n", "{}\n", "[1]\n", '{"log": "something else"}\n']
)
def test_a_file_that_is_no_log_is_left_alone(content: str, tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    log.write_text(content)
    with pytest.raises(InstanceError, match=r"line 1.* must be a log of this library"):
        run(distance(), log=log)
    assert log.read_text() == content


@pytest.mark.parametrize("line", ["no JSON", "[]", '{"pairs": []}', '{"pairs": 1, "cost_usd": 2}'])
def test_a_broken_line_is_named(line: str, tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    run(distance(), log=log, evaluations=2)
    log.write_text(log.read_text() + line + "\n")
    with pytest.raises(InstanceError, match="line 4: must be an evaluation"):
        run(distance(), log=log)


def test_numbers_of_numpy_are_written_as_plain_ones(tmp_path: Path) -> None:
    log, region = tmp_path / "run.jsonl", Region(first=np.int64(5), start=np.float64(0.4))
    run(distance(), log=log, region=region, evaluations=1)
    run(distance(), log=log, region=Region(first=5, start=0.4), evaluations=1)


def test_costs_that_never_change_settle_whatever_the_share() -> None:
    tuned = run(lambda _: Measured(cost_usd=1.0), "random", stop=Stop(change=0, over=3))
    assert (tuned.stopped, len(tuned.trials)) == ("settled", 4)


def test_the_stop_rule_ends_a_run() -> None:
    tuned = run(lambda _: Measured(cost_usd=1.0), "random", stop=Stop(over=3))
    assert (tuned.stopped, len(tuned.trials)) == ("settled", 4)
    falling = iter(range(100, 0, -1))
    still = run(lambda _: Measured(cost_usd=next(falling)), "random", stop=Stop(over=3))
    assert (still.stopped, len(still.trials)) == ("evaluations", 7)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (3.0, "must return a Measured, got <a float>"),
        (Measured(cost_usd=1.0, layer_usd=np.ones(3)), r"layer_usd: must have shape \(2,\)"),
        (Measured(cost_usd=1.0, layer_usd=np.ones(2)), "must sum up to cost_usd, 1.0"),
        (Measured(cost_usd=1.0, tokens=np.ones((2, 3))), r"tokens: must have shape \(2, 4\)"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(returned: Any, message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        run(lambda _: returned)


@pytest.mark.parametrize("cost", [math.inf, math.nan, "dear", 1e308])
def test_a_cost_is_a_finite_number(cost: Any) -> None:
    with pytest.raises(InstanceError, match=r"\$\.cost_usd"):
        run(lambda _: Measured(cost_usd=cost))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens": np.full((2, 4), math.nan)}, r"\$\.tokens"),
        ({"tokens": np.full((2, 4), -1.0)}, r"\$\.tokens\[0\]\[0\]: must be a finite number >= 0"),
        ({"layer_usd": np.array([1.0, math.inf])}, r"\$\.layer_usd"),
        ({"token_ids": np.array([-1])}, r"\$\.token_ids\[0\]: must be 0 to"),
        ({"token_ids": np.array([2**21])}, r"\$\.token_ids\[0\]: must be 0 to"),
    ],
)
def test_measurements_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        Measured(cost_usd=1.0, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"search": "magic"}, "search: must be one of gp, multi_epsilon"),
        ({"pairs": 0}, "pairs: must be >= 1"),
        ({"evaluations": 0}, "evaluations: must be >= 1"),
        ({"seed": -1}, "seed: must be >= 0"),
        ({"pairs": 2.5}, "pairs: must be a whole number"),
        ({"region": {"first": 5}}, "region: must be of type Region, got <a dict>"),
        ({"epsilons": 0.5}, "epsilons: must be of type Epsilons"),
        ({"stop": 3}, "stop: must be of type Stop"),
        ({"log": 3.5}, "log: must be a path"),
        ({"label": 3}, "label: must be of type str"),
    ],
)
def test_arguments_out_of_range_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        run(distance(), **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"over": 0}, "must be a change >= 0 over 1 evaluation"),
        ({"change": -1}, "must be a change >= 0 over 1 evaluation"),
        ({"over": 2.5}, r"\$\.stop\.over: must be a whole number"),
        ({"over": "3"}, r"\$\.stop\.over: must be a whole number"),
        ({"change": "small"}, r"\$\.stop\.change: must be a number"),
        ({"change": math.nan}, r"\$\.stop\.change: must be a finite number"),
    ],
)
def test_a_stop_rule_out_of_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        Stop(**fields)


@pytest.mark.parametrize(("search", "package"), [("gp", "sklearn"), ("tpe", "optuna")])
def test_a_missing_package_is_named_with_its_remedy(
    search: Search, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AdapterError, match=r"not installed.*; pip install 'moeopt\[bayes\]'"):
        run(distance(), search)


def test_packages_are_loaded_on_use() -> None:
    code = (
        "import sys, moeopt.serverless.bayes, moeopt.serverless.bayes_objective;"
        "print(sorted({'sklearn', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pairs_of_the_best_trial_give_its_cost_again() -> None:
    objective = distance()
    tuned = run(objective, evaluations=5)
    assert objective(tuned.best.pairs).cost_usd == tuned.cost_usd
    assert predicted(objective.space, tuned.best.pairs)[0].sum() == pytest.approx(400)
    assert rows([0, 1, 2, 3, 4]).count.tolist() == [4]
