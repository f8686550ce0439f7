"""The paper's memory accounting: every figure that it prints, and the two points told apart."""

from __future__ import annotations

import pytest

from moeopt.buffering.accounting import (
    EVALUATED_SLOTS,
    GIB,
    HEADLINE_SLOTS,
    LANGUAGE_MODEL,
    TRANSLATION,
    device_memory,
    miss_seconds,
    waste_factor,
)
from moeopt.core.errors import InstanceError

MIB = 2**20


def test_table_1_in_bytes() -> None:
    assert TRANSLATION.expert_bytes == 64 * MIB
    assert LANGUAGE_MODEL.expert_bytes == 16 * MIB
    assert TRANSLATION.experts_on_device(8) == 16
    assert LANGUAGE_MODEL.experts_on_device(8) == 64
    for model in (TRANSLATION, LANGUAGE_MODEL):
        assert model.all_expert_parameters == pytest.approx(51.54e9, rel=1e-4)
    assert TRANSLATION.device_expert_bytes(8) == 12 * GIB
    assert LANGUAGE_MODEL.device_expert_bytes(8) == 12 * GIB


@pytest.mark.parametrize(("model", "factor"), [(LANGUAGE_MODEL, 12.8), (TRANSLATION, 64.0)])
def test_waste_factor(model: object, factor: float) -> None:
    assert isinstance(model, type(TRANSLATION))
    found = waste_factor(model.experts, model.capacity_factor, model.top_k)
    assert found == pytest.approx(factor)


def test_slots_save_64_mib_in_each_of_six_layers() -> None:
    for slots in range(1, 17):
        assert TRANSLATION.saved_bytes(8, slots) == (16 - slots) * 6 * 64 * MIB


def test_evaluated_point_is_not_the_headline() -> None:
    evaluated, headline = device_memory(EVALUATED_SLOTS), device_memory(HEADLINE_SLOTS)
    assert evaluated.bytes_without == headline.bytes_without == 17.5 * GIB
    assert evaluated.saved_bytes == 2.25 * GIB
    assert evaluated.factor == pytest.approx(1.15, abs=0.005)
    assert headline.saved_bytes == 5.625 * GIB
    # 32.2 % and 1.47 are printed.
    assert headline.saved_share == pytest.approx(0.322, abs=0.001)
    assert headline.factor == pytest.approx(1.47, abs=0.005)
    assert headline.bytes_with + headline.saved_bytes == headline.bytes_without
    assert device_memory(16).saved_bytes == 0


def test_a_miss_takes_5_592_ms() -> None:
    assert miss_seconds(TRANSLATION.expert_bytes) == pytest.approx(5.592e-3, rel=1e-4)


def test_the_language_model_is_not_buffered() -> None:
    assert LANGUAGE_MODEL.saved_bytes(8, 1) == 0


def test_what_divides_is_positive() -> None:
    with pytest.raises(InstanceError, match="top_k: must be > 0"):
        waste_factor(4, 1.0, 0)
    with pytest.raises(InstanceError, match="link_bytes_per_s: must be > 0"):
        miss_seconds(1.0, 0.0)
    with pytest.raises(InstanceError, match="other_bytes: must be 0 or more"):
        device_memory(1, other_bytes=-1.0)


@pytest.mark.parametrize(("devices", "slots"), [(7, 1), (0, 1), (8, 0), (8, 17)])
def test_what_cannot_be(devices: int, slots: int) -> None:
    with pytest.raises(InstanceError, match="must"):
        TRANSLATION.device_expert_bytes(devices, slots)
