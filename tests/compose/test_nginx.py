"""nginx before real FPMs and a real Consul: who gets traffic, what is tried elsewhere, what clients see at worst."""

import json
import socket
from collections import Counter

import pytest
from conftest import idle_allowance
from load import Load
from nginx_lab import Registration, assert_unavailable, docker, image, laboratory, new_consul, requests
from support.waiting import until

# The image has no pkill.
KILL_CONSUL_TEMPLATE = """
for process in /proc/[0-9]*; do
    [[ $(readlink $process/exe) != *consul-template ]] || kill -9 ${process#/proc/}
done
"""


@pytest.fixture(scope="module")
def consul():
    """For all tests here, none of which breaks it; each has a service of its own."""
    with new_consul() as agent:
        yield agent


@pytest.fixture
def lab(consul):
    with laboratory(consul) as made:
        yield made


def answers(nginx, count):
    """-> how often each member answered, on one connection: one worker's round robin, as it is."""
    return requests(nginx, count).by_node


# What clients see at worst


def test_no_member_registered_is_a_plain_503_with_retry_after(lab):
    nginx = lab.nginx()
    assert_unavailable(nginx.get())
    assert_unavailable(nginx.get(method="POST"))


def test_all_members_down_is_a_503_with_retry_after_and_heals_by_itself(lab):
    members = lab.members("a", "b", "c")
    nginx = lab.nginx()
    for member in members:
        member.die()
    for method in ("GET", "POST"):
        assert_unavailable(nginx.get(method=method))
    for member in members:
        member.say("down")
    nginx.wait_states(dict.fromkeys(members, "down"))
    for _ in range(20):
        assert_unavailable(nginx.get())
    for member in members:
        member.start()
        member.say("healthy")
    nginx.wait_states(dict.fromkeys(members, "healthy"))
    result = requests(nginx, 30)
    assert result.failed == 0, result
    assert set(result.by_node) == {"a", "b", "c"}


def test_members_back_before_consul_knows_serve_at_once(lab):
    members = lab.members("a", "b")
    nginx = lab.nginx()
    for member in members:
        member.die()
        member.say("down")
    nginx.wait_states(dict.fromkeys(members, "down"))
    assert_unavailable(nginx.get())
    members[0].start()
    assert nginx.get()[::2] == (200, "a\n")


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_an_error_of_the_application_passes_unchanged(lab, code):
    lab.members("a", "b")
    nginx = lab.nginx()
    status, headers, body = nginx.get(f"/?status={code}")
    assert (status, body) == (code, f"{'ab'['b' in body]}\n")
    assert "Retry-After" not in headers
    assert not any(member["failing"] for member in nginx.status()["members"])


# Who gets traffic


def test_only_passing_members_get_traffic(lab):
    members = dict(zip("abcdefg", lab.members(*"abcdefg"), strict=True))
    nginx = lab.nginx()
    states = dict(zip(members, ["healthy"] * 4 + ["degraded", "draining", "down"], strict=True))
    for name, state in states.items():
        members[name].say(state)
    nginx.wait_states({members[name]: state for name, state in states.items()})
    assert set(answers(nginx, 60)) == set("abcd")


def test_degraded_members_help_when_fewer_than_half_are_passing(lab):
    a, b, c, d = lab.members("a", "b", "c", "d")
    nginx = lab.nginx()
    c.say("degraded")
    d.say("degraded")
    nginx.wait_states({a: "healthy", b: "healthy", c: "degraded", d: "degraded"})
    assert set(answers(nginx, 40)) == {"a", "b"}
    b.say("degraded")
    nginx.wait_states({a: "healthy", b: "degraded", c: "degraded", d: "degraded"})
    assert set(answers(nginx, 40)) == {"a", "b", "c", "d"}


def test_down_serves_only_as_last_resort(lab):
    a, b = lab.members("a", "b")
    nginx = lab.nginx()
    a.say("down")
    nginx.wait_states({a: "down", b: "healthy"})
    assert set(answers(nginx, 20)) == {"b"}
    b.say("draining")
    nginx.wait_states({a: "down", b: "draining"})
    assert set(answers(nginx, 20)) == {"a"}


@pytest.mark.parametrize("state", ["draining", "maintenance", "starting"])
def test_who_wants_no_traffic_gets_none_even_as_last_resort(lab, state):
    (member,) = lab.members("a")
    nginx = lab.nginx()
    member.say(state)
    nginx.wait_states({member: state})
    assert_unavailable(nginx.get())
    member.say("healthy")
    nginx.wait_states({member: "healthy"})
    assert nginx.get()[2] == "a\n"


def test_a_member_whose_answers_say_that_it_drains_is_asked_no_more(lab):
    """What it does for a stop while Consul is away: nobody else says so."""
    a, b = lab.members("a", "b")
    nginx = lab.nginx()
    assert set(answers(nginx, 20)) == {"a", "b"}
    a.drains.touch()
    said = answers(nginx, 40)
    assert 0 < said["a"] <= 2 < said["b"]  # the one that said so, and who was on the way in nginx's other workers
    assert set(answers(nginx, 40)) == {"b"}
    marks = {
        member["id"]: (member["draining"], member["failing"], member["failures"])
        for member in nginx.status()["members"]
    }
    assert marks == {a.id: (True, False, 0), b.id: (False, False, 0)}
    assert "Svcreg-State" not in nginx.get()[1]


def test_a_drain_that_is_over_is_noticed_by_consuls_word_or_when_nobody_else_is_left(lab):
    a, b = lab.members("a", "b")
    nginx = lab.nginx()
    a.drains.touch()
    assert answers(nginx, 20)["a"] <= 2
    for state in ("draining", "healthy"):
        a.say(state)
        nginx.wait_states({a: state, b: "healthy"})
        a.drains.unlink(missing_ok=True)
    assert set(answers(nginx, 20)) == {"a", "b"}

    a.drains.touch()
    assert answers(nginx, 20)["a"] <= 2
    b.die()
    assert nginx.get()[2] == "a\n"  # better than nothing
    a.drains.unlink()
    assert nginx.get()[2] == "a\n"
    b.start()
    until(lambda: set(answers(nginx, 20)) == {"a", "b"}, 10, "both serve")


def test_a_member_just_registered_waits_for_its_first_word(lab):
    a, b = lab.members("a", "b", register=False)
    a.register()
    nginx = lab.nginx()
    b._update = lambda: None
    b.register("healthy")
    nginx.wait_states({a: "healthy", b: "starting"})
    assert set(answers(nginx, 20)) == {"a"}


def test_weights_are_honoured(lab):
    lab.members("heavy", weight=6)
    lab.members("middle", weight=3)
    lab.members("light", weight=1)
    nginx = lab.nginx()
    result = requests(nginx, 1000, clients=8)
    assert result.failed == 0, result
    for name, share in {"heavy": 0.6, "middle": 0.3, "light": 0.1}.items():
        assert abs(result.by_node[name] / result.total - share) < 0.02, result


# What is tried elsewhere


def test_a_dead_member_still_registered_costs_no_request(lab):
    a, b = lab.members("a", "b")
    nginx = lab.nginx()
    a.die()
    for method in ("GET", "POST"):
        result = requests(nginx, 1000, method=method, clients=10)
        assert result.failed == 0, result
        assert set(result.by_node) == {"b"}
    assert nginx.states() == {a.id: "healthy", b.id: "healthy"}, "it was still registered"
    assert {m["id"]: m["failures"] > 0 for m in nginx.status()["members"]} == {a.id: True, b.id: False}


def test_eight_of_ten_dead_at_a_stroke_cost_no_request(lab):
    members = lab.members(*"abcdefghij")
    nginx = lab.nginx()
    for member in members[:8]:
        member.die()
    result = requests(nginx, 500, method="POST", clients=10)
    assert result.failed == 0, result
    assert set(result.by_node) == {"i", "j"}


def test_a_silent_member_costs_a_quarter_second_and_no_request(lab):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        fill = [socket.socket() for _ in range(4)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(silent.getsockname())
        lab.members("a")
        mute = lab.add(Registration(lab.consul, lab.service, "mute", silent.getsockname()[1]))
        mute.register()
        nginx = lab.nginx()
        result = requests(nginx, 300, method="POST", clients=4)
        for sock in fill:
            sock.close()
    assert result.failed == 0, result
    assert 200 < result.slowest_ms < 1000, result
    assert sum(latency > 0.2 for latency in result.latencies) < 20, "it is left alone for a while after each failure"


def test_a_get_whose_worker_died_is_repeated_at_most_twice_and_a_post_never(lab):
    lab.members(*"abcde")
    nginx = lab.nginx()

    def failures():
        return sum(member["failures"] for member in nginx.status()["members"])

    assert_unavailable(nginx.get("/?die=1", method="POST"))
    until(lambda: failures() == 1, 5, f"one failure: {nginx.status()}")
    assert_unavailable(nginx.get("/?die=1"))
    until(lambda: failures() == 4, 5, f"three more failures: {nginx.status()}")
    assert nginx.get()[0] == 200


def test_all_tries_on_dead_members_fail_only_until_one_is_back(lab):
    a, b = lab.members("a", "b")
    nginx = lab.nginx()
    a.die()
    b.die()
    assert_unavailable(nginx.get())
    b.start()
    result = requests(nginx, 50, clients=2)
    assert result.failed == 0, result


# What PHP and plain services are told


@pytest.mark.parametrize(
    ("path", "body"),
    [("/", "a\n"), ("/some/route", "a\n"), ("/other.php", "other \n"), ("/other.php/more", "other /more\n")],
)
def test_paths_lead_to_php_files_or_the_front_controller(lab, path, body):
    lab.members("a")
    assert lab.nginx().get(path)[::2] == (200, body)


def test_php_sees_the_request_as_the_client_sent_it(lab):
    lab.members("a")
    nginx = lab.nginx()
    server = json.loads(nginx.get("/deep/link?server=1&q=%20x", headers={"Host": "shop.example", "Proxy": "evil"})[2])
    assert server["REQUEST_URI"] == "/deep/link?server=1&q=%20x"
    assert server["HTTP_HOST"] == server["SERVER_NAME"] == "shop.example"
    assert server["REMOTE_ADDR"] == "127.0.0.1"
    assert server.get("HTTP_PROXY", "") == ""
    assert json.loads(nginx.get("/?server=1", method="POST")[2])["CONTENT_LENGTH"] == "3"


def test_a_foreign_http_service_is_served_round_robin(lab):
    lab.plain("one", "two", "three")
    nginx = lab.nginx()
    result = requests(nginx, 300)
    counts = [result.by_node[name] for name in ("one", "two", "three")]
    assert max(counts) - min(counts) <= 1, counts
    assert sum(counts) == result.total
    assert nginx.status()["protocol"] == "http"


def test_a_foreign_http_service_is_told_of_client_and_host(lab):
    lab.plain("one")
    nginx = lab.nginx()
    sent = json.loads(nginx.get("/headers", headers={"Host": "shop.example:81"})[2])
    assert sent["protocol"] == "HTTP/1.1"
    assert sent["host"] == sent["x-forwarded-host"] == "shop.example:81"
    assert sent["x-real-ip"] == sent["x-forwarded-for"] == "127.0.0.1"
    assert (sent["x-forwarded-proto"], sent["x-forwarded-port"]) == ("http", str(nginx.port))


def test_a_foreign_http_service_that_is_all_busy_gives_its_own_answer(lab):
    lab.plain("one", "two")
    status, headers, body = lab.nginx().get("/busy")
    assert (status, headers["Retry-After"]) == (503, None)
    assert body in ("one\n", "two\n")


def test_dead_members_of_a_foreign_http_service_cost_no_request(lab):
    one, two = lab.plain("one", "two")
    nginx = lab.nginx()
    two.die()
    counts = Counter(nginx.get()[2] for _ in range(20))
    assert counts == {"one\n": 20}
    one.die()
    assert_unavailable(nginx.get())


# The container itself


def test_the_configuration_reloads_only_when_it_changed_and_is_right(lab):
    folder = lab.directory / "conf"
    folder.mkdir(mode=0o755)
    conf = folder / "server.conf"
    conf.write_text("")
    lab.members("a")
    nginx = lab.nginx(configuration=folder)
    master = min(nginx.processes())
    assert nginx.get("/hello")[2] == "a\n"
    conf.write_text('location = /hello { return 200 "hello\\n"; }\n')
    until(lambda: nginx.get("/hello")[2] == "hello\n", 10, f"the new configuration: {nginx.logs()}", every=0.1)
    conf.write_text("location = /hello { nonsense; }\n")
    until(lambda: "serves on with what it had" in nginx.logs(), 10, "the refusal", every=0.1)
    assert 'unknown directive "nonsense"' in nginx.logs()
    assert nginx.get("/hello")[2] == "hello\n"
    assert min(nginx.processes()) == master


def test_consul_template_is_started_again_and_nginx_serves_on(lab):
    (a,) = lab.members("a")
    nginx = lab.nginx()
    before = nginx.processes()
    nginx.run("bash", "-c", KILL_CONSUL_TEMPLATE)
    assert nginx.get()[2] == "a\n"
    (b,) = lab.members("b")
    nginx.wait_states({a: "healthy", b: "healthy"})
    assert nginx.processes() == before
    assert "consul-template ended with 137, starting it again in 1 s" in nginx.logs()


def test_the_container_ends_when_nginx_ends(lab):
    lab.members("a")
    nginx = lab.nginx()
    nginx.signal("TERM")
    until(lambda: nginx.exit_code() is not None, 10, "the container has ended")
    assert nginx.exit_code() == 0


def test_a_stop_lets_requests_in_flight_end(lab):
    lab.members("a")
    nginx = lab.nginx()
    begun = lab.directory / "begun"
    begun.touch()
    begun.chmod(0o666)
    with Load(f"{nginx.url}/?begun={begun}&sleep=2000", clients=2) as running:
        until(lambda: begun.read_text() == "..", 5, "requests in flight")
        running.stopping.set()
        nginx.signal("QUIT")
        until(lambda: nginx.exit_code() is not None, 10, "the container has ended")
    assert nginx.exit_code() == 0
    assert running.result.total == 2, running.result
    assert running.result.failed == 0, running.result


def test_the_container_is_healthy_and_hides_its_version(lab):
    lab.members("a")
    nginx = lab.nginx()
    until(lambda: nginx.inspect("{{.State.Health.Status}}") == "healthy", 25, "Docker calls it healthy", every=0.2)
    assert nginx.run("svcreg-nginx", "status").count('"state":"healthy"') == 1
    assert nginx.inspect("{{.Config.User}} {{.Config.StopSignal}}") == "www-data SIGQUIT"
    assert "Server: nginx\r\n" in raw_answer(nginx), "no version number"


def test_clients_are_told_to_let_go_of_an_idle_connection_before_nginx_does(lab):
    lab.members("a")
    assert idle_allowance(lab.nginx().url) == "timeout=60"


def test_what_is_missing_or_wrong_in_the_environment_is_said_and_ends_the_container():
    def said(*options):
        return docker("run", "--rm", *options, image(), check=False)

    assert "say which service of Consul to serve: -e SERVICE=name" in said()
    assert "NGINX_GRACE is a number of seconds, not soon" in said("--env=SERVICE=web", "--env=NGINX_GRACE=soon")
    assert '[emerg] 1#1: invalid port in ":eighty" of the "listen"' in said(
        "--env=SERVICE=web", "--env=NGINX_PORT=:eighty"
    )


def raw_answer(nginx):
    with socket.create_connection(("127.0.0.1", nginx.port), 5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()
