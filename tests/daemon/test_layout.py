"""While a reload lays the board out anew, a helper of the former configuration writes into nobody's place."""

import pytest
from support import board as boards
from support.fpm import Fpm
from support.helper import Helper


@pytest.fixture
def board():
    board = boards.Board({"a": 2, "b": 2})
    yield board
    board.close()


def test_what_is_asked_for_meanwhile_is_for_the_pool_that_was_named(workdir, board):
    with Fpm(workdir, {"a": {}, "b": {}}) as fpm:
        board.set_master(fpm.pid)
        pools = [{"name": name, "listen": fpm.listen(name), "pm": "static", "max_children": 2} for name in "ab"]
        with Helper(workdir, pools, board=board) as helper:
            for name in "ab":
                helper.wait_state("healthy", name)
            board.layout({"b": 2, "a": 2})
            helper.cli("drain", "a")  # a look at the board goes with it
            helper.cli("maint", "on", "b", "--reason", "disk")
            for index in range(2):
                info = board.info(index)
                assert (info.drain, info.maintenance, info.state, info.since_s, info.weight) == (0, 0, 0, 0, 0)
            helper.reload(pools=pools[::-1])
            helper.wait_state("draining", "a")
            helper.wait_state("maintenance", "b")
            assert [board.info(index).drain for index in range(2)] == [0, 1]
            assert [board.info(index).control_reason.bytes for index in range(2)] == [b"disk", b""]
            assert [board.state(index) for index in range(2)] == ["maintenance", "draining"]
