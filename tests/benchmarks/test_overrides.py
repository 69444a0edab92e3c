"""Constants are changed for a while and put back; a name that is gone is refused, never ignored."""

from __future__ import annotations

import pytest

from napari_salt.model import fine_tune
from overrides import Times, UnknownName, check, override, override_all
from variants import BARE, DEFAULT, VARIANTS, Variant

HERE = "napari_salt.model."


def test_a_constant_is_changed_and_put_back() -> None:
    before = fine_tune.LARGEST_GRADIENT
    with override(HERE + "fine_tune.LARGEST_GRADIENT", Times(10)):
        assert pytest.approx(10 * before) == fine_tune.LARGEST_GRADIENT
    assert before == fine_tune.LARGEST_GRADIENT


def fail_while_changed() -> None:
    with override(HERE + "fine_tune.LARGEST_GRADIENT", 1.0):
        raise RuntimeError


def test_a_failing_run_leaves_nothing_changed() -> None:
    before = fine_tune.LARGEST_GRADIENT
    with pytest.raises(RuntimeError):
        fail_while_changed()
    assert before == fine_tune.LARGEST_GRADIENT


def test_one_entry_of_a_table_leaves_the_others() -> None:
    table, (first, *others) = fine_tune.RATES, list(fine_tune.RATES)
    before = dict(table)
    with override(f"{HERE}fine_tune.RATES[{first}]", 7.0):
        assert {first: 7.0, **{key: before[key] for key in others}} == fine_tune.RATES
    assert fine_tune.RATES is table
    assert table == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fine_tune.NO_SUCH_RATE", 1.0),
        ("no_such_module.RATE", 1.0),
        ("fine_tune.RATES[no such role]", 1.0),
        ("probe.Samples.no_such_method", len),
        ("fine_tune.RATES", 1.0),
        ("fine_tune.LARGEST_GRADIENT", "fast"),
        ("fit.embed_names", 3),
    ],
)
def test_what_the_package_does_not_have_is_refused(name: str, value: object) -> None:
    with pytest.raises(UnknownName, match=r"there is no|is a"):
        check({HERE + name: value})


def test_a_refusal_puts_back_what_was_changed_before() -> None:
    before = fine_tune.LARGEST_GRADIENT
    changes = {HERE + "fine_tune.LARGEST_GRADIENT": 1.0, HERE + "fine_tune.NO_SUCH_RATE": 1.0}
    with pytest.raises(UnknownName), override_all(changes):
        pass
    assert before == fine_tune.LARGEST_GRADIENT


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.key)
def test_every_variant_changes_something_that_exists(variant: Variant) -> None:
    variant.check()
    assert variant is DEFAULT or variant.recipe != DEFAULT.recipe


def test_variants_are_told_apart() -> None:
    assert len({variant.key for variant in VARIANTS}) == len(VARIANTS)
    assert len({variant.recipe for variant in VARIANTS}) == len(VARIANTS)


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(LookupError, match="no_such_field"):
        Variant("x", "x", {"no_such_field": 1}).check()


def test_what_concerns_the_adapter_is_tried_without_the_guard() -> None:
    plain, unguarded = Variant("x", "x", {"rank": 8}), Variant("x", "x", {"rank": 8}, bare=True)
    assert (plain.base, unguarded.base) == (DEFAULT.key, BARE.key)
    assert plain.recipe != unguarded.recipe
    assert set(unguarded.all_changes()) - set(plain.all_changes())
