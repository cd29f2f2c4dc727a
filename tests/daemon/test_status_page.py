"""A pool whose workers are known by FPM's status page alone, which nobody can ask while all of them are busy."""

from support import fcgi
from support.fpm import Fpm, Held
from support.helper import Helper
from support.waiting import until


def ask(fpm, script):
    sock = fcgi.connect(fpm.listen())
    fcgi.send(sock, script)
    return sock


def test_a_crowd_is_seen_though_no_page_can_be_asked_for(workdir):
    with Fpm(workdir, {"web": {"pm.max_children": 3, "pm.status_path": "/status"}}) as fpm:
        held = Held(fpm)
        pools = [{"name": "web", "listen": fpm.listen(), "max_children": 3, "status_path": "/status"}]
        with Helper(workdir, pools) as helper:
            helper.wait_state("healthy")
            crowd = [ask(fpm, held.script) for _ in range(2)]
            until(lambda: helper.pool()["workers"]["active"] == 2, what="the page tells of two")
            crowd += [ask(fpm, held.script) for _ in range(5)]
            helper.wait_state("degraded")
            pool = helper.pool()
            assert pool["reason"] == "saturated"
            assert pool["workers"]["active"] == pool["workers"]["total"] == 3 and pool["queue"]["length"] == 4
            held.release()
            for sock in crowd:
                fcgi.receive(sock)
                sock.close()
            until(lambda: helper.pool()["workers"]["active"] == 0, what="they are idle again")
            until(lambda: helper.pool()["requests"] == 7, what="the page is read again")
            helper.wait_state("healthy")
