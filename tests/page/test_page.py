"""The page says who answered, counts with the others, and stays honest and quick when a part is missing."""

import html.parser
import json
import re
import socket

import pytest
from conftest import PAGE
from support import fcgi
from support.fpm import Fpm

POOL = {
    "name": "web",
    "service": "shop",
    "service_id": "svcreg:web-1:etc-php-8.4-fpm-php-fpm.conf:web",
    "state": "degraded",
    "reason": "saturated",
    "weight": 40,
    "workers": {"max": 8, "total": 5, "active": 2, "idle": 3},
    "queue": {"length": 7, "max": 128},
    "requests": 12345,
    "registered": True,
}
STATUS = {
    "version": "0.1.0",
    "helper": {"pid": 4321, "uptime_s": 3700, "error": ""},
    "consul": {"url": "http://consul:8500", "state": "ok", "error": ""},
    "pools": [POOL],
}


def text_of(page):
    """What a person reads: without tags, style and script, white space folded."""
    page = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


@pytest.mark.parametrize("body", [None, b"a=1", b"x" * 100_000], ids=["get", "post", "large post"])
def test_plain_is_the_node_and_a_newline(serve, body):
    answer = serve(node="web-7").get("/?plain", body)
    assert (answer.status, answer.text) == (200, "web-7\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


def test_plain_is_not_counted(serve, redis):
    server = serve(redis=redis)
    server.get("/?plain")
    assert server.json()["redis"]["total"] == 1


def test_json_has_everything(serve, redis):
    all_ = serve(node="web-1", redis=redis, status=STATUS).json()
    assert all_["node"] == "web-1"
    assert all_["pool"] == "web"
    assert all_["worker"]["requests"] == 18
    assert all_["worker"]["uptime_s"] == 95
    assert all_["worker"]["pid"] > 1
    assert all_["svcreg"]["pools"] == [POOL]
    assert all_["redis"]["error"] is None
    assert all_["redis"]["nodes"] == [{"name": "web-1", "hits": 1, "seen_s": 0}]
    assert all_["request"] == {"method": "GET", "body_bytes": 0, "slept_ms": 0}


def test_json_counts_the_bytes_of_a_post(serve):
    assert serve().json(body=b"x" * 70_000)["request"] == {
        "method": "POST",
        "body_bytes": 70_000,
        "slept_ms": 0,
    }


def test_page_shows_node_pool_worker_and_state(serve, redis):
    server = serve(node="web-1", redis=redis, status=STATUS)
    answer = server.get()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    text = text_of(answer.text)
    for fact in (
        "Answered by web-1 degraded pool web worker",
        "State degraded: saturated Check warning Service shop",
        "ID svcreg: web-1: etc-php-8.4-fpm-php-fpm.conf: web",
        "http://consul:8500 ok",
        "Active 2 of 5, at most 8 Queue 7 Weight 40 Requests 12,345",
        "up 1 min 35 s Served 18 requests and pings Helper pid 4321, up 1 h 1 min svcreg 0.1.0",
        "1 hit on all nodes",
    ):
        assert fact in text
    assert answer.text.count('<i class="active">') == 2
    assert answer.text.count('<i class="idle">') == 3


@pytest.mark.parametrize(
    ("state", "registered", "check"),
    [
        ("healthy", True, "passing"),
        ("degraded", True, "warning"),
        ("draining", True, "critical"),
        ("down", True, "critical"),
        ("healthy", False, "not registered"),
    ],
)
def test_page_says_what_consul_says(serve, state, registered, check):
    pool = {**POOL, "state": state, "registered": registered, "reason": ""}
    text = text_of(serve(status={**STATUS, "pools": [pool]}).get().text)
    assert f"State {state} Check {check} Service" in text


def test_page_shows_errors_of_consul_and_helper(serve):
    status = {
        **STATUS,
        "consul": {"url": "http://consul:8500", "state": "failing", "error": "connection refused"},
        "helper": {"pid": 0, "uptime_s": 0, "error": "exited with 78"},
    }
    text = text_of(serve(status=status).get().text)
    assert "failing Error connection refused" in text
    assert "Helper away Error exited with 78" in text


def test_counter_is_shared_by_two_servers(serve, redis):
    one, two = serve(node="web-1", redis=redis), serve(node="web-2", redis=redis)
    one.get()
    two.get()
    two.get()
    counted = one.json()["redis"]
    assert counted["total"] == 4
    assert [(n["name"], n["hits"]) for n in counted["nodes"]] == [("web-1", 2), ("web-2", 2)]
    text = text_of(two.get().text)
    assert "5 hits on all nodes" in text


def test_redis_refused_is_said_and_the_page_is_quick(serve):
    server = serve()
    answer = server.get()
    assert answer.status == 200
    assert answer.seconds < 0.5
    assert "redis is away" in text_of(answer.text)
    assert "Connection refused" in text_of(answer.text)
    assert server.json()["redis"]["total"] is None


def test_redis_that_never_answers_is_said_and_the_page_is_quick(serve):
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        answer = serve(redis=frozen.getsockname()[1]).get()
    assert answer.status == 200
    assert answer.seconds < 0.9
    assert "redis is away" in text_of(answer.text)


def test_redis_that_answers_errors_is_said(serve, redis):
    with socket.create_connection(("127.0.0.1", redis)) as client:
        client.sendall(b"CONFIG SET maxmemory 1\r\n")
        assert client.recv(100) == b"+OK\r\n"
    text = text_of(serve(redis=redis).get().text)
    assert "redis is away" in text
    assert "OOM" in text


def test_works_without_svcreg_and_without_phpredis(serve):
    server = serve(node="bare", php=["-n"])
    text = text_of(server.get().text)
    assert "Answered by bare not registered worker" in text
    assert "The extension is not loaded in this PHP (cli-server)" in text
    assert "PHP has no redis extension here" in text
    assert server.json()["svcreg"] is None
    assert server.get("/?plain").text == "bare\n"


def test_svcreg_that_is_not_at_work_is_said(serve):
    server = serve(node="bare", status={})
    assert "The extension is loaded, but not at work in this PHP (cli-server)" in text_of(server.get().text)
    assert server.json()["svcreg"] is None


def test_in_fpm_the_worker_counts_its_requests(workdir):
    with Fpm(workdir, {"web": {"pm.max_children": 1, "env[REDIS_HOST]": "127.0.0.1", "env[REDIS_PORT]": 1}}) as fpm:
        page = fpm.script("index.php", PAGE.read_text())
        answers = [fcgi.request(fpm.listen(), page, "json", REQUEST_URI="/?json") for _ in range(3)]
        workers = [json.loads(answer.body)["worker"] for answer in answers]
        assert [worker["requests"] for worker in workers] == [1, 2, 3]
        assert {worker["pid"] for worker in workers} == set(fpm.workers())


@pytest.mark.parametrize("target", ["/?plain&sleep=300", "/?json&sleep=300", "/?sleep=300"])
def test_sleep_delays_the_answer(serve, target):
    answer = serve().get(target)
    assert answer.status == 200
    assert 0.3 <= answer.seconds < 2


@pytest.mark.parametrize("value", ["10001", "99999999999999999999", "-1", "1.5", "abc", "", "1%0A"])
def test_wrong_sleep_is_refused_at_once(serve, value):
    answer = serve().get(f"/?plain&sleep={value}")
    assert (answer.status, answer.text) == (400, "sleep wants whole milliseconds, 0 to 10000: ?sleep=250\n")
    assert answer.seconds < 1


def test_wrong_sleep_is_refused_in_each_form(serve):
    server = serve()
    assert server.get("/?sleep[]=1").status == 400
    assert "sleep wants whole milliseconds" in text_of(server.get("/?sleep=x").text)
    assert server.json("/?json&sleep=x")["error"].startswith("sleep wants whole milliseconds")


def test_unknown_path_is_not_found_in_the_same_look(serve):
    server = serve(node="web-1")
    answer = server.get("/nothing/here?x=1")
    assert answer.status == 404
    assert "Not found, says web-1" in text_of(answer.text)
    assert ":root {" in answer.text
    assert server.get("/nothing?json").status == 404


def test_hostile_names_are_escaped(serve, redis):
    evil = "<script>alert(1)</script>\"'&"
    pool = {**POOL, **dict.fromkeys(("name", "service", "service_id", "state", "reason", "weight"), evil)}
    status = {
        "version": evil,
        "consul": {"url": evil, "state": evil, "error": evil},
        "helper": {"pid": evil, "uptime_s": 0, "error": evil},
        "pools": [pool],
    }
    server = serve(node=evil, redis=redis, status=status)
    for target in ("/", "/not-found"):
        answer = server.get(target)
        assert "<script>" not in answer.text
        assert 'alert(1)</script>"' not in answer.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#039;&amp;" in answer.text
    assert server.json()["node"] == evil
    assert server.get("/?json").headers["X-Content-Type-Options"] == "nosniff"


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_page_asks_nobody_else_and_keeps_its_own_security_policy(serve, redis):
    answer = serve(redis=redis, status=STATUS).get()
    parser = Tags()
    parser.feed(answer.text)
    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)[1]
    assert "default-src 'none'" in policy
    assert f"style-src 'nonce-{nonce}'" in policy
    for tag, attrs in parser.tags:
        assert "style" not in attrs
        assert not [name for name in attrs if name.startswith("on")]
        if tag in ("style", "script"):
            assert attrs["nonce"] == nonce
        for name in ("src", "href"):
            assert attrs.get(name, "/").startswith(("/", "data:"))
    assert answer.headers["X-Powered-By"] is None


def test_nonce_is_new_each_time(serve):
    server = serve()
    assert server.get().headers["Content-Security-Policy"] != server.get().headers["Content-Security-Policy"]


def test_page_is_whole_without_script(serve, redis):
    """All that the script does is to ask for the same page again."""
    text = text_of(serve(redis=redis, status=STATUS).get().text)
    assert "Answered by web-1" in text
    assert "1 hit on all nodes" in text
