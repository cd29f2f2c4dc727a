"""The short set: each case keeps its promise, and each control is seen to break it."""

import cli
import pytest

SHORT = cli.chosen([], full=False)


@pytest.mark.parametrize("case", SHORT, ids=[case.name for case in SHORT])
def test_nothing_is_lost_that_is_not_allowed_to_be(case, runner, record_property):
    for repeat in range(cli.repeats_of(case, 0, full=False)):
        result = runner.perform(case, repeat)
        record_property(f"{case.name} {repeat + 1}", str(result["figures"]))
        assert cli.tell(case, repeat, result), f"{case.about}: {result['broken'] or 'the gate cannot see a loss'}"
