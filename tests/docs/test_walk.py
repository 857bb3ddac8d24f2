"""What the pages of the site say is done, in their order; the rows that they add keep their tables' contracts.

One file, so that one process goes through them."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.data import DataConfig
from nas.search.samplers import SAMPLERS
from search_space import load_space
from tests.docs.conftest import Walk
from tests.docs.pages import DOCS, blocks, pages
from tests.nas.data import test_table as of_data_sets
from tests.nas.search import test_samplers as of_samplers
from tests.nas.search.worlds import table_of, world_of
from tests.search_space import test_ops as of_ops


@pytest.mark.parametrize("page", pages())
def test_what_a_page_says_is_done(page: str, walk: Walk) -> None:
    walk.to(page)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in pages() if any(block.long for block in blocks(DOCS / page))])
def test_what_takes_long_is_done(page: str, long_walk: Walk) -> None:
    long_walk.to(page)


# As in tests/search_space/test_ops.py.
@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.\w+` is deprecated:FutureWarning")
def test_an_op_of_the_page_is_counted_right(walk: Walk) -> None:
    with walk.rows_of("extending/op.md") as (ops, built, *_):
        assert list(ops) == list(built) == ["separable"]
        of_ops.test_letters_and_settings_are_such_that_a_stage_prints_and_parses()
        of_ops.test_a_layer_has_the_shape_parameters_and_macs_of_the_table("separable")
        of_ops.test_fvcore_counts_the_macs_of_the_table("separable")


def test_a_sampler_of_the_page_keeps_the_contract(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    with walk.rows_of("extending/sampler.md") as rows:
        assert list(rows[2]) == ["local"]
        kind = SAMPLERS["local"]
        monkeypatch.setattr(kind, "START_UP", 4)
        table = table_of((1, 2, 3, 4), tuple(range(8, 56, 4)), (0.25, 0.5, 0.75, 1.0))
        for world in (table, world_of(load_space("my-space.yaml"))):
            of_samplers.test_candidates_are_different_things_in_canonical_form(kind, world)
            of_samplers.test_the_same_seed_proposes_the_same(kind, world)
            of_samplers.test_limits_of_size_are_honoured_exactly(kind, world)
            of_samplers.test_many_run_at_once_and_end_in_any_order(kind, world)
        of_samplers.test_trials_are_numbered_from_the_highest(kind, table)
        of_samplers.test_torchs_pythons_and_numpys_own_randomness_is_left_alone(kind, table)
        of_samplers.test_trials_that_failed_do_not_stop_it(kind, table)
        with pytest.MonkeyPatch.context() as patched:
            of_samplers.test_the_last_that_the_limits_allow_are_found(kind, table, patched)


def test_a_data_set_of_the_page_keeps_the_contract(walk: Walk) -> None:
    with walk.rows_of("extending/data-set.md") as rows:
        assert list(rows[3]) == ["my-digits"]
        config = DataConfig(data="my-digits", image_size=8, root=Path("root"))
        of_data_sets.test_every_row_keeps_the_contract(config)
        of_data_sets.test_another_split_seed_holds_out_others_and_leaves_the_test(config)
        of_data_sets.test_prepared_data_travel_as_a_small_pickle(config)
        of_data_sets.test_max_images_takes_each_class(replace(config, holdout=0.2))
