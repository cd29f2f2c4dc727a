"""What a worker that is taken over can write: the numbers of its pool. Who reads them stays whole."""

import json
import os
import socket

import pytest
from support.board import Board
from support.helper import Helper
from support.waiting import until


@pytest.fixture
def pools(workdir):
    """Two pools that listen, so that a helper stays even where it takes the master for gone."""
    listeners = []
    for name in ("web", "api"):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(str(workdir / f"{name}.sock"))
        listeners[-1].listen()
    yield [{"name": name, "listen": str(workdir / f"{name}.sock")} for name in ("web", "api")]
    for listener in listeners:
        listener.close()


def test_a_workers_wildest_numbers_leave_status_json(workdir, pools):
    board = Board({"web": 2, "api": 2})
    board.set_master(os.getpid())
    with Helper(workdir, pools, board=board) as helper:
        slot = board.slot(0, 0)
        slot.pid, slot.busy, slot.requests = 1, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
        board.set_text(board.pool(0).hold_reason, 'a"\x01\n\\é\x7f')
        board.pool(0).hold = 2
        board.ring()
        until(lambda: helper.pool()["requests"] > 0, what="the helper has looked")
        status = helper.status()
        assert status["pools"][0]["requests"] < 1 << 63
        assert status["pools"][1]["requests"] == 0
        top = helper.cli("top", "--count", "1")
        assert top.returncode == 0, top.stderr


def test_a_master_that_is_none_and_a_time_to_come_are_not_believed(workdir, pools):
    board = Board({"web": 2, "api": 2})
    board.header.master_pid = -5
    board.info(0).since_s = 0xFFFFFFFFFFFFFFFF
    board.info(0).state = 5  # as it will be found, so that the time is not taken anew
    with Helper(workdir, pools, board=board) as helper:
        status = json.loads(helper.get("/status")[2])
        assert status["master"]["pid"] is None
        assert status["pools"][0]["since"] < 1 << 40
