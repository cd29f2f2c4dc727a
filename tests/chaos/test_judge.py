"""The gate: each promise is broken by just what breaks it, and the report says so."""

from dataclasses import replace

import cli
import judge
import pytest
import report
from cases import CASES, CUT_OFF, DIED, PLANNED, SILENT
from results import Results

FAULT = 1000.0


def request(start, failure="", late=0.0, kind="get", node="a"):
    return judge.Request(
        id=f"{kind}-{start}",
        kind=kind,
        idempotent=kind.startswith("get"),
        expected=0.3,
        start=FAULT + start,
        latency=0.3 + late,
        failure=failure,
        node=node,
    )


def seen(*requests, **more):
    return judge.Seen(requests=[request(0.0), *requests], fault=FAULT, end=FAULT + 10, **more)


def verdict(promise, *requests, **more):
    return judge.broken(judge.figures(seen(*requests, **more)), promise)


def test_what_was_answered_in_time_keeps_every_promise():
    assert verdict(PLANNED, request(1.0)) == []
    well = {"out_of_consul": [1.5], "out_of_balancer": [1.6], "back": [0.8]}
    assert verdict(SILENT, request(1.0), **well) == []


def test_nothing_sent_is_no_success():
    assert judge.broken(judge.figures(judge.Seen([], FAULT, FAULT + 1)), PLANNED) == ["no request was sent"]


@pytest.mark.parametrize("kind", ["get", "post"])
def test_a_planned_change_may_lose_nothing(kind):
    assert len(verdict(PLANNED, request(0.1, "closed", kind=kind))) == 1


def test_a_death_may_cost_posts_in_flight_but_no_get():
    assert verdict(DIED, request(0.1, "status 503", kind="post")) == []
    assert verdict(DIED, request(0.1, "status 503", kind="get")) == ["idempotent requests failed: 1, promised 0"]
    (text,) = verdict(DIED, request(1.2, "status 503", kind="post"))
    assert text.startswith("a request failed that started after the fault by: 1.2")


def test_after_silence_nothing_that_starts_later_is_slow():
    assert verdict(SILENT, request(2.4, late=9.0), back=[0.1]) == []
    assert len(verdict(SILENT, request(2.6, late=1.1), back=[0.1])) == 1
    assert verdict(SILENT, request(2.6, late=0.9), back=[0.1]) == [], "under a second is not slow"


@pytest.mark.parametrize("what", ["duplicates", "ghosts", "missing"])
def test_duplicates_ghosts_and_missing_nodes_are_never_allowed(what):
    assert len(verdict(PLANNED, **{what: ["x"]})) == 1


def test_a_node_that_stays_in_service_is_out_never():
    (text,) = verdict(SILENT, out_of_consul=[None], out_of_balancer=[None], back=[0.1])
    assert text == "out of the balancer after: never s, promised 2.5 s"
    late = {"out_of_balancer": [0.1, 2.6], "out_of_consul": [0.1, 0.1], "back": [0.1]}
    assert len(verdict(SILENT, **late)) == 1, "the last one counts"


def test_return_and_false_removals_are_judged_where_promised():
    promise = replace(PLANNED, back=5.0, removals=0)
    assert verdict(promise, back=[1.0, 4.9]) == []
    assert len(verdict(promise, back=[None])) == 1
    assert len(verdict(promise, back=[1.0], removals=1)) == 1


def test_workers_that_still_wait_are_counted_where_promised():
    well = {"out_of_consul": [1.5], "out_of_balancer": [1.6], "back": [0.8]}
    assert verdict(CUT_OFF, notes={"stuck": 0}, **well) == []
    assert len(verdict(CUT_OFF, notes={"stuck": 1}, **well)) == 1


def test_the_last_that_failed_or_were_slow_are_kept_as_evidence():
    bad = [request(0.1, "reset"), request(0.9, late=1.1), request(0.5, "closed", kind="post")]
    kept = judge.evidence(seen(request(0.2), *bad), most=2)
    assert [(one["id"], pytest.approx(one["start"])) for one in kept] == [("post-0.5", 0.5), ("get-0.9", 0.9)]


def test_the_window_is_from_the_first_to_the_last_failure():
    figures = judge.figures(seen(request(0.1, "reset"), request(0.5), request(0.9, "closed", kind="post")))
    assert figures["window"] == pytest.approx(0.8)
    assert figures["kinds"] == {"get: reset": 1, "post: closed": 1}


@pytest.mark.parametrize(
    ("values", "text"),
    [([0, 0, 0], "0"), ([3, 1, 2], "1/2/3"), ([0.5, 1.25, 0.01], "0.010/0.500/1.25"), ([None], "never"), ([], "–")],
)
def test_the_table_has_minimum_median_and_maximum(values, text):
    assert report.spread(values) == text


def test_every_control_repeats_a_case_with_a_promise():
    controls = [case for case in CASES.values() if case.control]
    assert any(case.short for case in controls)
    for case in controls:
        assert case.promise in [other.promise for other in CASES.values() if not other.control]
        assert case.stack != "cluster"


@pytest.mark.parametrize(
    ("name", "generator_late", "bad", "runs"),
    [
        ("pause", [0.6] * 9, {"late": 1.1}, 3),
        ("pause", [0.6, 0.4], {"late": 1.1}, 2),
        ("pause", [0.6], {"late": 0.9}, 1),
        ("pause", [0.6], {"failure": "closed", "late": 1.1}, 1),
        ("starved", [0.6], {"late": 1.1}, 1),
    ],
    ids=["in the end the verdict stands", "in time", "good all the same", "a loss is a loss", "meant to be"],
)
def test_a_run_that_was_slow_as_the_whole_machine_was_is_void(monkeypatch, tmp_path, name, generator_late, bad, runs):
    performed, case = [], CASES[name]

    def perform(*_):
        figures = judge.figures(seen(request(2.6, **bad), out_of_consul=[0.1], out_of_balancer=[0.1], back=[0.1]))
        figures["generator_late"] = generator_late[len(performed)]
        performed.append({"figures": figures, "broken": judge.broken(figures, case.promise)})
        return performed[-1]

    monkeypatch.setattr(cli, "perform", perform)
    runner = cli.Runner(full=False, directory=tmp_path)
    monkeypatch.setattr(runner, "laboratory", lambda _: None)
    assert runner.perform(case, 0) == performed[-1]
    assert len(performed) == runs


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "published" / "runs.jsonl")


def stopped(**more):
    return {"case": "stop", "figures": judge.figures(seen(out_of_consul=[0.1], out_of_balancer=[0.2])) | more}


def test_the_page_keeps_what_is_around_the_figures(tmp_path, results):
    page = tmp_path / "failover.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for repeat in range(2):
        results.add(stopped(), repeat)
    report.write(results, page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "; 2 runs, of `" in text
    assert "| `docker stop` of one node, and its start (`stop`) | 2 |" in text


def test_a_page_without_runs_says_so(tmp_path, results):
    page = tmp_path / "failover.md"
    page.write_text(f"{report.BEGIN}{report.END}")
    report.write(results, page)
    assert "Not measured." in page.read_text()


def test_a_run_that_was_had_is_found_again_and_held_against_the_promise_of_today(results):
    case = CASES["stop"]
    assert results.find(case, 0) is None
    results.add(stopped(), 0)
    results.add({"case": "stop", "figures": None, "broken": ["could not be had"]}, 1)
    results.add(stopped(failed_other=1), 2)
    assert results.find(case, 0)["broken"] == []
    assert results.find(case, 1) is None
    assert results.find(case, 2)["broken"] == ["other requests failed: 1, promised 0"]


def test_only_the_runs_of_the_named_cases_are_forgotten(results):
    results.add(stopped(), 0)
    results.add(stopped() | {"case": "reload"}, 0)
    results.forget({"stop"})
    assert list(results.by_case()) == ["reload"]
