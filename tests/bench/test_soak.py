"""A minute of script/soak, the same each time."""

from bench.soak import Soak

SEED, MINUTES = 5, 1


def test_a_minute_of_random_faults_loses_nothing_and_leaves_nothing_behind():
    assert Soak(MINUTES, SEED).run() == []
