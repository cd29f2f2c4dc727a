"""The page at `/`: what the person on call sees, in a real browser."""

import base64
import hashlib
import json
import re

import pytest
from support.browser import Browser
from support.fpm import Fpm
from support.helper import Helper
from support.waiting import free_port, until

HOSTILE = "<img src=x onerror=document.title='taken'>\"'&amp;"


@pytest.fixture(scope="module")
def browser(module_directory):
    with Browser(module_directory) as browser:
        yield browser


@pytest.fixture(scope="module")
def fpm(module_directory):
    with Fpm(module_directory) as fpm:
        yield fpm


@pytest.fixture
def helper(workdir, fpm):
    """A healthy pool, and one with a hostile name that nobody listens for."""
    port = free_port()
    pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2}, {"name": HOSTILE, "listen": "/nonexistent"}]
    listen = [f"127.0.0.1:{port}", f"unix:{workdir}/health.sock"]
    with Helper(workdir, pools, health_listen=listen) as helper:
        helper.url = f"http://127.0.0.1:{port}/"
        helper.wait_state("healthy")
        yield helper


def test_page_is_503_only_while_no_pool_serves_and_is_the_page_all_the_same(helper):
    status, headers, body = helper.get("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert int(headers["Content-Length"]) == len(body.encode())
    helper.cli("maint", "on")
    assert helper.get("/")[::2] == (503, body)
    assert helper.request("HEAD", "/")[0] == 503


def test_options_of_the_root_is_short_for_probers_that_ask_so(helper):
    status, _, body = helper.request("OPTIONS", "/")
    assert status == 200
    assert body == f"web healthy\n{HOSTILE} starting: not listening yet\n"


def test_policy_lets_the_pages_own_style_and_script_run_and_nothing_else(helper):
    _, headers, body = helper.get("/")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", body, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy, f"fpm-health/page.c has another hash of the {tag}"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_page_is_light_and_parses_nothing_as_html(helper):
    body = helper.get("/")[2]
    assert len(body.encode()) <= 16 * 1024
    assert not re.search(
        r"(inner|outer)HTML|insertAdjacent|document\.write|eval\(|https?://(?!www\.w3\.org/2000/svg)", body
    )


def test_page_shows_pools_states_reasons_and_consul(helper, browser):
    browser.look(1200)
    browser.open(helper.url)
    for fact in ("n1", "web", "healthy", "busy 0 of 2", "queue 0", "starting", "not listening yet", "Consul", "off"):
        browser.wait_text(fact)
    pid = helper.status()["helper"]["pid"]
    assert f"pid {pid}" in browser.text()
    names = browser.run("[...document.querySelectorAll('h2')].map((n) => n.textContent)")
    assert names == [HOSTILE, "web"]  # what needs a look comes first


def test_hostile_names_stay_text(helper, browser):
    browser.open(helper.url)
    browser.wait_text(HOSTILE)
    assert browser.run("document.images.length") == 0
    assert browser.run("document.title") == "1 starting – n1"


def test_page_asks_its_own_helper_alone_and_the_browser_has_no_complaint(helper, browser):
    browser.open("about:blank")
    browser.requests()
    browser.events.clear()
    browser.open(helper.url)
    until(lambda: any("/trend/" in url for url in browser.requests()), 10, "trends are asked for")
    assert all(url.startswith(helper.url) or url == "data:," for url in browser.requests())
    assert browser.complaints() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_fits_400_pixels_in_light_and_dark(helper, browser, dark):
    browser.look(400, dark=dark)
    browser.open(helper.url)
    browser.wait_text("not listening yet")
    assert browser.run("document.documentElement.scrollWidth") <= 400
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) < 128 * 3) == dark


def test_page_follows_a_change_without_being_loaded_again(helper, browser):
    browser.look(1200)
    browser.open(helper.url)
    browser.wait_text("1 healthy")
    helper.cli("maint", "on", "web", "--reason", "disk <swap>")
    browser.wait_text("disk <swap>")
    assert "1 maintenance" in browser.text()


def test_page_says_when_the_helper_is_gone_and_when_it_is_back(helper, browser):
    browser.open(helper.url)
    browser.wait_text("healthy")
    helper.stop()
    browser.wait_text("does not answer", 15)
    assert "web" in browser.text()  # what was last known stays to be seen
    helper.start()
    until(lambda: "does not answer" not in browser.text(), 15, "the alarm is over")


def test_trend_has_a_span_each_five_seconds_and_the_page_draws_it(helper, browser):
    browser.look(1200)
    browser.open(helper.url)
    trend = until(lambda: (t := json.loads(helper.get("/trend/web")[2]))["states"] and t, 10, "a span is over")
    assert trend["span_s"] == 5
    assert {key: len(trend[key]) for key in ("active", "total", "queue", "requests", "states")} == dict.fromkeys(
        ("active", "total", "queue", "requests", "states"), len(trend["states"])
    )
    assert trend["total"][0] == 2
    assert trend["states"][0] == "starting"  # the worst that it was, though for a moment
    assert helper.get("/trend/nope")[0] == 404
    unknown = json.loads(helper.get("/trend/" + HOSTILE.replace("%", "%25").replace(" ", "%20"))[2])
    assert unknown["queue"][-1] is None
    shades = "[...document.querySelectorAll('article')][0].querySelector('.shade.starting').getAttribute('d')"
    until(lambda: browser.run(shades), 15, "the chart shows the time it was starting")


def test_many_pools_are_shown_part_by_part_and_found_by_name(workdir, browser):
    port = free_port()
    pools = [{"name": f"pool{i:03}", "listen": f"/nonexistent/{i}"} for i in range(120)]
    with Helper(workdir, pools, health_listen=[f"127.0.0.1:{port}", f"unix:{workdir}/health.sock"]):
        browser.look(1200)
        browser.open(f"http://127.0.0.1:{port}/")
        browser.wait_text("70 more")
        assert browser.run("document.querySelectorAll('article').length") == 50
        browser.run("document.getElementById('more').click()")
        browser.wait_text("pool119")
        browser.run("Object.assign($('filter'), {value: '07'}).dispatchEvent(new Event('input'))")
        until(lambda: browser.run("document.querySelectorAll('article').length") == 12, what="those with 07 alone")
        browser.wait_text("pool107")
