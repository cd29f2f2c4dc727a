"""FPM serves, with one clear line, whatever fails of ours."""

import os
import random
import signal
import struct
import time
from pathlib import Path

import pytest
from support.clock import least
from support.consul import Consul
from support.waiting import until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def serves(n):
    return n.request(n.page).body.startswith(n.name.encode())


def starts_and_stops(n, ini=None, within=1.0):
    """FPM starts, serves, and stops within so many seconds. Its log is of one start."""
    n.ini.update(ini or {})

    def stop_s():
        for path in (n.log, n.output):
            path.unlink(missing_ok=True)
        with n:
            assert serves(n)
            time.sleep(0.3)
            return n.seconds_to_stop()

    assert least(stop_s, within) < within


def test_a_missing_helper_is_said_once(node):
    n = node()
    starts_and_stops(n, {"svcreg.helper": "/nonexistent/fpm-health"})
    assert len(n.lines("fpm-health cannot be started, FPM serves without")) == 1


# without a sanitizer's library, which would take the shell's crash for one of ours
CRASH = "exec env -u LD_PRELOAD sh -c 'kill -SEGV $$'"


@pytest.mark.parametrize("name, source", [("fails", "exit 1"), ("crashes", CRASH)])
def test_a_helper_that_ends_at_once_is_backed_off(node, name, source):
    n = node()
    script = n.directory / name
    script.write_text(f"#!/bin/sh\necho x >> {n.directory}/starts\n{source}\n")
    script.chmod(0o755)
    (n.directory / "starts").touch()
    (n.directory / "starts").chmod(0o666)
    n.ini["svcreg.helper"] = script

    def starts():
        return len((n.directory / "starts").read_text().split())

    with n:
        time.sleep(2)
        assert starts() <= 7
        until(lambda: starts() >= 4, what="it is started again")
        assert serves(n)
        assert len(n.lines("fpm-health has died three times in a row")) == 1
        assert n.stop() == 0
    starts_and_stops(n)


def test_a_helper_that_hangs_delays_no_stop_by_more_than_the_bound(node):
    n = node()
    script = n.directory / "hangs"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    starts_and_stops(n, {"svcreg.helper": script}, within=2.5)


@pytest.mark.parametrize("options", [[], ["-n"]], ids=["php.ini", "no php.ini"])
def test_a_run_dir_that_cannot_be_made_is_said_once(node, options):
    n = node(options=options)
    (n.directory / "file").touch()
    starts_and_stops(n, {"svcreg.run_dir": n.directory / "file" / "run"})
    assert len(n.lines("FPM serves without svcreg")) == 1 and not n.helper_pids()


def test_a_setting_that_cannot_be_used_is_said_once(node):
    n = node(options=["-n"])
    starts_and_stops(n, {"svcreg.ttl": "soon"})
    assert len(n.lines('svcreg.ttl: "soon" is not a duration')) == 1


def test_a_user_that_does_not_exist_is_said_once(node):
    n = node()
    starts_and_stops(n, {"svcreg.user": "no-such-user"})
    assert len(n.lines("cannot find the user no-such-user")) == 1


def test_consul_away_costs_the_start_nothing(node):
    n = node()
    n.ini["svcreg.consul"] = "http://127.0.0.1:1"
    starts_and_stops(n, within=2.0)  # a drain waits at most a second for a Consul that does not answer


def test_an_environment_that_names_a_false_board_is_not_believed(node):
    n = node(environment=os.environ | {"SVCREG_BOARD": "3:1,4:2,5"})
    with n:
        n.wait_passing()
        assert n.stop() == 0


def as_ordinary_user(n, *command):
    """Lets the node start as a user without a name and with no other process, who owns the directory of everything."""
    plain, uid = n.command(), random.randrange(1 << 20, 1 << 30)
    n.command = lambda: ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command, *plain]
    os.chown(n.directory, uid, uid)


@needs_root
def test_a_run_dir_that_may_not_be_written_is_said_once(node):
    n = node()
    as_ordinary_user(n)
    n.run_dir.mkdir(mode=0o755)
    with n:
        assert serves(n) and not n.helper_pids()
        assert len(n.lines("Permission denied; FPM serves without svcreg")) == 1
        assert n.stop() == 0


@needs_root
def test_a_configuration_that_may_no_longer_be_read_is_said_and_served_on_without(node):
    n = node()
    as_ordinary_user(n)
    with n:
        n.wait_passing()
        (n.instance_dir / "config.json").chmod(0)
        assert n.status()["consul"]["state"] == "ok"
        os.kill(n.helper_pid(), signal.SIGKILL)
        until(lambda: n.lines("fpm-health has died three times in a row"), 5, "it is backed off")
        assert serves(n) and n.lines("config.json: Permission denied")
        n.reload()
        n.wait_passing()
        assert serves(n) and n.stop() == 0


@needs_root
def test_a_fork_limit_that_leaves_no_room_for_the_helper_is_said_once(node):
    n = node(pools={"web": {"pm.max_children": 1}})
    # nobody else's processes count against the limit: this master, and one worker
    as_ordinary_user(n, "prlimit", "--nproc=2")
    with n:
        assert serves(n)
        time.sleep(0.5)  # some tries later
        assert serves(n) and not n.helper_pids()
        assert len(n.lines("fpm-health cannot be started, FPM serves without")) == 1
        assert n.stop() == 0


def below_full_file_system(n, path):
    """Lets the node start where `path` is a file system of its own that is full."""
    plain = n.command()
    fill = f"mount -t tmpfs -o size=16k none {path} && ! cat /dev/zero > {path}/fill 2>/dev/null"
    n.command = lambda: ["unshare", "--mount", "sh", "-c", f'{fill} && exec "$@"', "sh", *plain]


@needs_root
def test_a_full_run_dir_is_said_once(node):
    n = node()
    n.run_dir.mkdir()
    below_full_file_system(n, n.run_dir)
    with n:
        assert serves(n) and not n.helper_pids()
        assert len(n.lines("No space left on device; FPM serves without svcreg")) == 1
        assert n.stop() == 0


@needs_root
def test_a_full_dev_shm_harms_nobody(node, consul):
    n = node()
    below_full_file_system(n, "/dev/shm")
    with n:
        n.wait_passing()
        assert serves(n) and n.stop() == 0
    consul.wait_gone(n.service())


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("{"), lambda path: path.rename(f"{path}.away")])
def test_a_configuration_that_cannot_be_read_stops_helpers_alone_until_the_next_reload(node, spoil):
    with node() as n:
        n.wait_passing()
        spoil(n.instance_dir / "config.json")
        os.kill(n.helper_pid(), signal.SIGKILL)
        until(lambda: n.lines("fpm-health has died three times in a row"), 5, "it is backed off")
        assert serves(n) and n.lines("config.json")
        n.reload()
        n.wait_passing()
        assert serves(n) and n.stop() == 0
        assert len(n.lines("fpm-health has died three times in a row")) == 1


PATTERNS = {
    "zeros": lambda size: bytes(size),
    "ones": lambda size: b"\xff" * size,
    "noise": os.urandom,
    "small numbers": lambda size: struct.pack("=Q", 3) * (size // 8),
}


@needs_root
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_board_that_a_hostile_process_scribbles_on_kills_neither_master_nor_workers(node, pattern):
    own = {"pm.max_children": 2, "pm.max_requests": 3}  # each few requests a worker joins a spoilt board
    with node(pools={"a": own, "b": own}, top={"process_control_timeout": "10s"}) as n:
        n.wait_passing("a")
        n.wait_passing("b")
        script = n.script("x.php", "<?php svcreg_status(); svcreg_unready('x'); svcreg_ready(); echo svcreg_node();")
        fd = next(fd for fd in Path(f"/proc/{n.pid}/fd").iterdir() if "svcreg-board" in os.readlink(fd))
        with fd.open("r+b", buffering=0) as board:  # the file itself, as whoever holds a descriptor has it
            size = os.fstat(board.fileno()).st_size
            for _ in range(10):
                os.pwrite(board.fileno(), PATTERNS[pattern](size), 0)
                for pool in ("a", "b"):
                    assert n.request(script, pool=pool).body == n.name.encode()
            with pytest.raises(PermissionError):
                os.ftruncate(board.fileno(), 0)
            n.reload()
            os.pwrite(board.fileno(), PATTERNS[pattern](size), 0)
        assert n.request(script, pool="b").body == n.name.encode()
        n.reload()  # and lays the board out anew
        n.wait_passing("a", timeout=10)
        n.wait_passing("b", timeout=10)
        assert not n.lines("exited on signal") and not n.lines("SIG")
        assert n.stop() == 0


def test_a_wrong_token_is_said_once_and_shown_nowhere(node, workdir):
    wrong = "7e57ab1e-0000-4000-8000-00000badc0de"
    root = "00000000-0000-4000-8000-000000000001"
    tokens = f'initial_management = "{root}", agent = "{root}"'
    agent = Consul(workdir, "-hcl", f'acl {{ enabled = true, default_policy = "deny", tokens {{ {tokens} }} }}')
    agent.token = root
    with agent:
        n = node(consul=agent, environment=os.environ | {"CONSUL_HTTP_TOKEN": wrong})
        with n:
            n.wait_state("healthy")
            refused = until(lambda: n.lines("403"), 5, "the refusal is logged")
            time.sleep(1)  # some tries later
            assert n.lines("403") == refused and len(refused) == 1
            assert serves(n) and n.status()["consul"]["state"] == "failing"
            info = n.script("info.php", "<?php phpinfo(INFO_MODULES); echo json_encode(svcreg_status());")
            shown = n.request(info).body.decode().partition("svcreg")[2].partition("Environment")[0]
            assert wrong not in shown and wrong not in str(n.status()) and not n.lines(wrong)
            assert n.stop() == 0
