"""docs/performance.md, as it is written whole and in parts."""

import pytest

from bench import report
from bench.report import Plot, Section


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(report, "PLOTS", tmp_path)
    return tmp_path / "page.md"


def section(title, said):
    plot = Plot(title.lower(), title, "%", {"line": [(1, 2.0), (10, float(len(said)))]})
    return Section(title, said, ["", "what"], [["it", said]], plots=[plot])


def test_only_the_parts_that_were_measured_anew_are_replaced(page):
    old, new = [section("One", "old one"), section("Two", "old two")], section("Two", "anew")
    page.write_text(report.joined(["# The page\n\nMeasured.", *(part.markdown() for part in old)]))
    report.renew([new, section("Three", "not there before")])
    text = page.read_text()
    assert text.startswith("# The page\n\nMeasured.\n\n## One\n")
    assert "old one" in text and "old two" not in text
    assert text.index("## One") < text.index("## Two") < text.index("anew") < text.index("## Three")
    assert sorted(plot.name for plot in page.parent.glob("*.svg")) == ["three.svg", "two.svg"]
