"""Every example runs, and prints what it is there to show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import ROOT, table_rows

import moeopt

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def _printed(name: str, folder: Path, *options: str) -> str:
    place = str(Path(moeopt.__file__).parents[1])
    path = os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,  # seconds when warm; the first run of all compiles
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_deepseek_v3(tmp_path: Path) -> None:
    rows = re.findall(
        r"^(before|after).* imbalance ([\d.]+).* gap ([\d.]+) %$",
        _printed("placement_deepseek_v3.py", tmp_path),
        re.MULTILINE,
    )
    (_, before, _), (_, after, gap), (_, grouped, _) = rows
    assert float(before) == pytest.approx(2.5619)
    assert 1.0 <= float(after) < 1.002
    assert float(after) < float(grouped) < 1.08
    assert float(gap) < 0.2


def test_how_many_slots(tmp_path: Path) -> None:
    out = _printed("placement_how_many_slots.py", tmp_path)
    rows = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+)", out, re.M)
    assert [int(spare) for spare, *_ in rows] == list(range(0, 33, 4))
    assert all(float(bound) <= float(found) for _, found, bound in rows)
    assert "within 1 % of the best: 4 redundant slots, 23.0 GB on a device" in out


def test_your_loads(tmp_path: Path) -> None:
    out = _printed("placement_your_loads.py", tmp_path)
    assert all(float(value) < 1.01 for value in re.findall(r"1\.\d+", out.splitlines()[0]))
    assert "shapes: (4, 72) (4, 64, " in out


def test_scenarios(tmp_path: Path) -> None:
    out = _printed("placement_scenarios.py", tmp_path)
    held_out = {
        name: float(v) for name, v in re.findall(r"^(\w+) .* held out ([\d.]+)$", out, re.M)
    }
    assert held_out["search"] < held_out["lpt"] < held_out["contiguous"]


def test_robust(tmp_path: Path) -> None:
    out = _printed("placement_robust.py", tmp_path)
    alone, shrunk = re.findall(r" held out ([\d.]+)$", out, re.M)
    assert float(shrunk) < float(alone)
    plans = dict(re.findall(r"^one plan, (\w+) +intent ([\d.]+)", out, re.M))
    assert float(plans["mean_max"]) < 1.05 < float(plans["max_load"])
    one, _, best = (float(took) for took in re.findall(r"([\d.]+) ms a batch", out))
    assert best <= one
    assert re.search(r"^a plan for each pays if tasks last \d+ s$", out, re.M)


def test_online(tmp_path: Path) -> None:
    out = _printed("placement_online.py", tmp_path)
    rows = re.findall(r"^window +(\d+)  ([\d.]+) s  regime (\d+)  (\w+)", out, re.M)
    assert [int(number) for number, *_ in rows] == list(range(30))
    # The task changes at 12 and at 24: it is seen, and known again when it returns.
    assert [int(regime) for *_, regime, _ in rows] == [1] * 12 + [2] * 12 + [1] * 6
    seconds = [float(served) for _, served, *_ in rows]
    assert seconds[13] < seconds[12]
    assert seconds[-1] < 0.9 * seconds[0]


def test_replan(tmp_path: Path) -> None:
    out = _printed("placement_replan.py", tmp_path)
    rows = re.findall(r"^imbalance [\d.]+: (\d+) copies, .* ([\d.]+) ms$", out, re.M)
    assert len(rows) == 3
    copies, took = zip(*((int(number), float(ms)) for number, ms in rows), strict=True)
    assert list(copies) == sorted(copies)
    fresh = re.findall(r"^planned afresh, .*: (\d+) copies, .* ([\d.]+) ms$", out, re.M)[0]
    assert copies[-1] < int(fresh[0]) / 4
    assert max(took) < float(fresh[1])
    assert re.search(r"^without device 3: \d+ copies, imbalance 1\.0", out, re.M)


def test_all_to_all(tmp_path: Path) -> None:
    out = _printed("transfers_all_to_all.py", tmp_path)
    took, bound = re.findall(r"^dispatch ([\d.]+) us, bound ([\d.]+) us", out, re.M)[0]
    assert took == bound
    assert all(float(ratio) >= 1 for ratio in re.findall(r"takes ([\d.]+) times", out))
    back, broken = re.findall(r"^combine ([\d.]+) us, (\d+) rules broken$", out, re.M)[0]
    assert float(back) == pytest.approx(2 * float(took), abs=0.2)
    assert broken == "0"
    slow, least = re.findall(r"^with start-ups ([\d.]+) us, bound ([\d.]+) us", out, re.M)[0]
    assert float(least) <= float(slow) < 1.05 * float(least)


def test_migration(tmp_path: Path) -> None:
    out = _printed("transfers_migration.py", tmp_path)
    rows = re.findall(r"([\d.]+) ms, bound ([\d.]+) ms$", out, re.MULTILINE)
    (half, half_bound), (full, full_bound) = rows
    assert float(half) <= 1.02 * float(half_bound)
    assert float(full) <= 1.02 * float(full_bound)
    assert float(full) < float(half)
    assert "begins with MigrationFlow(" in out


def test_two_models(tmp_path: Path) -> None:
    out = _printed("colocation_two_models.py", tmp_path)
    took, bound = re.findall(r"^time ([\d.]+) ms, bound ([\d.]+) ms, 0 rules", out, re.M)[0]
    assert float(bound) <= float(took) < 1.01 * float(bound)
    shared, alone = re.findall(r"^utilisation ([\d.]+) %, of a model alone ([\d.]+) %$", out, re.M)[
        0
    ]
    assert float(shared) > float(alone)
    assert all(float(ratio) >= 1 for ratio in re.findall(r"takes ([\d.]+) times", out))
    wired = re.findall(r"^on the wire ([\d.]+) ms, 0 rules broken$", out, re.M)[0]
    assert float(wired) >= float(took)
    assert "device 0 begins with" in out


def test_imprecise_traffic(tmp_path: Path) -> None:
    out = _printed("colocation_imprecise_traffic.py", tmp_path)
    rows = re.findall(r"^noise +(\d+) %: ([\d.]+) times .* ([\d.]+) times$", out, re.M)
    assert [row[0] for row in rows] == ["0", "50", "67", "75"]
    assert rows[0][1] == rows[0][2]
    assert all(float(ours) <= float(best) for _, ours, best in rows)


def test_price_of_speed(tmp_path: Path) -> None:
    out = _printed("serverless_price_of_speed.py", tmp_path)
    speed = re.findall(r"^LambdaML: ([\d.]+) tokens/s", out, re.M)[0]
    assert float(speed) == pytest.approx(22.9, rel=0.01)
    pattern = (
        r"^([\d.]+) tokens/s for ([\d.]+) mUSD, (\d+) rules broken, ([\d.]+) % saved,"
        r" ods ([\d.]+)$"
    )
    rows = [[float(number) for number in row] for row in re.findall(pattern, out, re.M)]
    assert len(rows) == 5
    assert rows == sorted(rows)  # faster is dearer
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    assert all(broken == 0 and cost <= theirs for _, cost, broken, _, theirs in rows)
    assert rows[0][3] > 43.41
    assert re.search(r"^infeasible the promise is .* the shortest latency there is", out, re.M)


def test_your_platform(tmp_path: Path) -> None:
    out = _printed("serverless_your_platform.py", tmp_path)
    rows = re.findall(r"^promise (\w+).*: ([\d.]+) s for ([\d.]+) uUSD, gap 0.00 %", out, re.M)
    assert [row[0] for row in rows] == ["none", "20", "10", "6"]
    assert all(float(took) <= float(slo) for slo, took, _ in rows[1:])
    costs = [float(cost) for _, _, cost in rows]
    assert costs == sorted(costs)
    assert float(re.findall(r"^as the paper bills: ([\d.]+) uUSD$", out, re.M)[0]) < costs[-1]


def test_on_a_stand(tmp_path: Path) -> None:
    out = _printed("serverless_on_a_stand.py", tmp_path)
    rows = re.findall(r"^deployment (\d): [\d.]+ uUSD a batch, (out of|within) memory$", out, re.M)
    assert rows == [("1", "out of"), ("2", "within")]
    # As many tokens went to another expert as had to.
    assert "80 rows in the table, of 42" in out


def test_your_trace(tmp_path: Path) -> None:
    out = _printed("buffering_your_trace.py", tmp_path)
    planned, bound = re.findall(r": (\d+) loads, bound (\d+), 0 rules broken$", out, re.M)[0]
    assert planned == bound
    equal = re.findall(r"^slots \[.*\]: (\d+) loads$", out, re.M)[0]
    assert int(planned) <= int(equal)
    rows = re.findall(r"^  (\w+) +hits ([\d.]+) %, loads ([\d.]+) times", out, re.M)
    assert rows[0][0] == "lru"
    assert all(float(ratio) >= 1 for _, _, ratio in rows)


def test_upload_caps(tmp_path: Path) -> None:
    out = _printed("buffering_upload_caps.py", tmp_path)
    pattern = r"^uploads (\w+): ([\d.]+) ms a token at best, gap 0.00 %, .* 0 rules broken$"
    rows = re.findall(pattern, out, re.M)
    assert [row[0] for row in rows] == ["1", "2", "4", "any"]
    best = [float(took) for _, took in rows]
    assert best == sorted(best, reverse=True)
    on_demand = re.findall(r"^on demand: ([\d.]+) ms a token at best, lru ([\d.]+)$", out, re.M)[0]
    assert float(on_demand[1]) > float(on_demand[0]) > best[0]
    ratios = re.findall(r"^  \w+ +([\d.]+) times as long$", out, re.M)
    assert len(ratios) == 4 * 5
    assert all(float(ratio) >= 1 for ratio in ratios)


def test_memory_budgets(tmp_path: Path) -> None:
    out = _printed("committee_memory_budgets.py", tmp_path)
    pattern = r"^([\d.]+) GiB: .*, ([\d.]+) GiB, .* loss ([\d.]+) %, gap 0.00 %, 0 rules broken$"
    rows = [[float(number) for number in row] for row in re.findall(pattern, out, re.M)]
    assert [budget for budget, _, _ in rows] == [2.6, 4.7, 7.0, 10.0]
    assert all(taken <= budget for budget, taken, _ in rows)
    losses = [loss for _, _, loss in rows]
    assert losses == sorted(losses, reverse=True)
    timed = re.findall(r"within ([\d.]+) s: .* ([\d.]+) s, loss .* 0 rules broken$", out, re.M)
    assert len(timed) == 2
    assert all(float(took) <= float(most) for most, took in timed)
    ratios = re.findall(r"^  \w+ +([\d.]+) times the loss$", out, re.M)
    assert len(ratios) == 2 * 6
    assert all(float(ratio) >= 1 for ratio in ratios)
    assert "loss 0.012, bound 0.012; by importance alone 11.000" in out


def test_committees_of_your_trace(tmp_path: Path) -> None:
    out = _printed("committee_your_trace.py", tmp_path)
    best, bound = re.findall(r"^hindsight: (\d+), bound (\d+)$", out, re.M)[0]
    assert int(bound) <= int(best) < 1.05 * int(bound)
    pattern = r"^  (\w+) +([\d.]+) times the bound, .* (\d+) MB/s at most, 0 rules broken$"
    rows = {rule: (float(ratio), int(rate)) for rule, ratio, rate in re.findall(pattern, out, re.M)}
    assert 1 <= rows["rent_or_buy"][0] < rows["paper"][0]
    assert max(rate for _, rate in rows.values()) <= 1000
    assert re.search(r"^after window \d+: \d+ experts come", out, re.M)


def test_your_method(tmp_path: Path) -> None:
    out = _printed("testing_your_method.py", tmp_path)
    assert "busiest_first passed" in out
    assert "boastful breaks 'bound'" in out


def test_your_suite(tmp_path: Path) -> None:
    out = _printed("testing_your_suite.py", tmp_path)
    assert "the dispatcher passed 2 properties" in out
    # One copy too many is enough to be found out.
    assert "first copies only: wrong with 1 expert in 2 slots on 2 devices" in out


def test_report(tmp_path: Path) -> None:
    out = _printed("report_a_plan.py", tmp_path)
    drawn = re.findall(r"^([\w-]+\.png): \w", out, re.M)
    assert drawn == ["device-loads.png", "layer-imbalance.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in drawn)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    # The gap that is printed stands on the page, with the digits of that.
    gap = float(re.findall(r"gap ([\d.]+) %$", out, re.M)[0])
    assert gap in {round(float(told), 3) for told in re.findall(r"([\d.]+) %: no plan", page)}


def test_torch_gating(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--small", "--experts-share", "2"]
    out = _printed("torch_gating.py", tmp_path, *options)
    assert "\none of 2 ranks: " in out
    assert re.findall(r"waste factor ([\d.]+)$", out, re.M) == ["12.8", "8"]
    rows = re.findall(r"^ +(?:32|64)( +[\d.]+){6} +- +- +- +- +[\d.]+$", out, re.M)
    assert len(rows) == 5 * 2  # memory is known on a GPU only
    names = ("LM, uniform", "LM, skewed", "MT encoder, uniform", "MT encoder, skewed")
    for name in (*names, "MT decoder, a quarter active"):
        assert re.search(rf"^{name}$", out, re.M)
        phases = re.findall(rf"^{name} +64 +(static|dynamic)((?: +[\d.]+){{5}})$", out, re.M)
        assert [gating for gating, _ in phases] == ["static", "dynamic"]
    published = re.findall(r"^published.*: throughput ([\d.]+) times", out, re.M)
    assert published == ["6.21", "6.21", "5.75", "5.75", "2.58"]


def test_torch_layer_time(tmp_path: Path) -> None:
    shape = ["--tokens", "48", "--hidden", "32", "--inner", "16", "--slots", "72", "--layers", "1"]
    out = _printed("torch_layer_time.py", tmp_path, "--backend", "gloo", *shape)
    assert "synthetic: 64 experts of 32 x 16, top-6, 48 tokens a worker, bf16" in out
    rows = re.findall(r"^synthetic +(\w+) +([\d.]+)((?: +[+\-]?[\d.]+){7})$", out, re.M)
    imbalance = {name: float(first) for name, first, _ in rows}
    assert list(imbalance) == ["contiguous", "EPLB", "ours", "clairvoyant"]
    assert imbalance["clairvoyant"] <= min(imbalance.values()) < imbalance["contiguous"]


def test_torch_one_host(tmp_path: Path) -> None:
    options = ("--backend", "gloo", "--world", "4", "--tiny", "--json", "host.json")
    out = _printed("torch_one_host.py", tmp_path, *options)
    for traffic in ("balanced", "zipf", "incast"):
        assert len(re.findall(rf"^{traffic} +(?:1|64)((?: +[\d.]+){{7}})$", out, re.M)) == 2
    batches = dict(re.findall(r"^(ordered|all at once) +(\d+)(?: +-?[\d.]+){5}$", out, re.M))
    assert int(batches["ordered"]) > int(batches["all at once"]) == 1
    figures = json.loads((tmp_path / "host.json").read_text())
    # An expert of two bytes a number, three matrices; each comes to whom it is new.
    assert figures["migration"]["sent_bytes"] % (2 * 3 * 32 * 16) == 0
    assert figures["migration"]["sent_bytes"] > 0
    rounds = {each["traffic"]: each["rounds"] for each in figures["exchange"]}
    assert rounds["balanced"] == rounds["incast"] == 3  # ports fewer one
    assert "1.57 to 1.72 times that of one model alone" in " ".join(out.split())
    assert re.search(r"^in turns( +[\d.]+){3}$", out, re.M)


def test_torch_ranks_in_turn(tmp_path: Path) -> None:
    shape = ["--tokens", "32", "--hidden", "32", "--inner", "16", "--experts", "16", "--top-k", "2"]
    ranks = ["--ranks", "4", "--slots", "20", "--layers", "1", "--backend", "gloo"]
    out = _printed("torch_ranks_in_turn.py", tmp_path, *shape, *ranks)
    assert "synthetic: 16 experts of 32 x 16, top-2, 4 ranks, 32 tokens of each, bf16" in out
    assert "evenly random routing, 4 slots" in out
    assert "evenly random routing, 5 slots" in out
    rows = re.findall(r"^synthetic +(\w+)((?: +[+\-]?[\d.]+){7})$", out, re.M)
    found = {name: [float(each) for each in rest.split()] for name, rest in rows}
    assert list(found) == ["contiguous", "EPLB", "ours", "clairvoyant"]
    imbalance = {name: first for name, (first, *_) in found.items()}
    assert imbalance["clairvoyant"] <= min(imbalance.values()) < imbalance["contiguous"]
    assert all(slowest >= mean for _, slowest, mean, *_ in found.values())


def test_every_example_is_in_the_table() -> None:
    named = [cells[0].strip("`") for cells in table_rows(ROOT / "examples/README.md", "example")]
    assert named == [path.name for path in EXAMPLES]


def test_every_example_has_a_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert EXAMPLES
    assert all(f'"{path.name}"' in text for path in EXAMPLES)
