"""The stages of a layer: what they add up to, and what is hidden."""

import pytest
from serverless_cases import drawn, drawn_plan, layer, plan, problem

from moeopt.serverless.plan import evaluate
from moeopt.serverless.stages import stages, stages_table


@pytest.mark.parametrize("seed", range(20))
def test_stages_add_up_to_the_layers_latency(seed: int) -> None:
    stated = drawn(seed)
    made = drawn_plan(seed, stated)
    layer_s = evaluate(stated, made).layer_s
    for e in range(stated.num_layers):
        found = stages(stated, made, e)
        whole = found.begun_s + found.worked_s + found.loading_s + found.gathered_s
        assert whole == pytest.approx(layer_s[e], rel=1e-12)


def test_loading_is_hidden_through_storage_and_not_with_direct_calls() -> None:
    # Loading takes 2 + 3 + 1 s; the head 4 s, and an upload of 8 tokens 1.8 s.
    stated = problem(layers=(layer([8]),))
    stored = stages(stated, plan([2], [[128]], [[1]]), 0)
    assert stored.begun_s == 4.0
    assert stored.worked_s == pytest.approx(2 + 8 * (0.1 + 0.2 + 0.5))
    assert (stored.hidden_s, stored.loading_s) == (6.0, 0.0)
    assert stored.gathered_s == pytest.approx(1 + 8 * 0.2)
    direct = stages(stated, plan([3], [[128]], [[1]]), 0)
    assert direct.begun_s == pytest.approx(4 + 8 * 0.2)
    assert (direct.hidden_s, direct.loading_s, direct.gathered_s) == (0.0, 6.0, 0.0)


def test_a_layer_without_tokens_loads_and_gathers() -> None:
    stated = problem(layers=(layer([0, 0]),))
    found = stages(stated, plan([2], [[128, 128]], [[1, 1]]), 0)
    assert (found.begun_s, found.worked_s, found.loading_s) == (0.0, 0.0, 6.0)


def test_the_table_has_a_row_for_each_layer() -> None:
    stated = problem([8, 4, 0], [1, 1, 1])
    made = plan([2, 3], [[128] * 3] * 2, [[1] * 3] * 2)
    table = stages_table(stated, made, [0, 1])
    assert [row[0] for row in table.rows] == [0, 1]
    assert all(len(row) == len(table.columns) for row in table.rows)
