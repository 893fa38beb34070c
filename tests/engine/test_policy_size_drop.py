import pytest

from dfr_backup.engine.policy.size_drop import shrinkage


@pytest.mark.parametrize(
    "size, earlier, threshold, expected",
    [
        (40, [100, 100, 100], 50, 60),
        (50, [100, 100, 100], 50, 50),
        (51, [100, 100, 100], 50, 0),  # 49 percent
        (0, [100, 100, 100], 50, 100),
        (200, [100, 100, 100], 50, 0),  # growing is no loss
        (40, [100, 100], 50, 0),  # too few
        (40, [], 50, 0),
        (40, [100, 100, 100], 0, 0),  # switched off
        (40, [0, 0, 0], 50, 0),
        (
            40,
            [1000, 100, 100, 100, 100],
            50,
            60,
        ),  # one that was huge is not what is usual
        (40, [40, 40, 40, 100, 100], 50, 0),  # the new size has become the usual one
    ],
)
def test_shrinkage(size, earlier, threshold, expected):
    assert shrinkage(size, earlier, threshold) == expected
