import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from convnext_vbt.evidence.resampling import draw_nb, stationary_rows


@pytest.mark.parametrize("num_rows", [20, 61, 365])
@pytest.mark.parametrize("mean_block", [1.0, 3.7, 50.0])
def test_the_rows_are_archs_bit_for_bit(num_rows, mean_block):
    arch = StationaryBootstrap(mean_block, np.zeros(num_rows), seed=7)
    expected = np.array([arch.update_indices() for _ in range(120)])
    generator = np.random.default_rng(7)
    parts = [
        stationary_rows(generator, count, num_rows, mean_block=mean_block) for count in (50, 70)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_compiled_and_plain_draw_the_same_rows():
    compiled, plain = np.empty((2, 5, 30), dtype=np.int64)
    draw_nb(np.random.default_rng(1), 0.2, compiled)
    draw_nb.py_func(np.random.default_rng(1), 0.2, plain)
    np.testing.assert_array_equal(compiled, plain)
