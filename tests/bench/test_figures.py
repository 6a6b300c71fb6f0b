"""The arithmetic of benches and load tests: ratios, percentiles, lines through samples."""

from __future__ import annotations

import random

import pytest

from loadtests.compare import Against, Failed, Outcome, alternate, rows
from loadtests.flatness import fit
from loadtests.measure import Figure
from loadtests.records import Record, by_kind, failures, per_second, percentile

MIB = 1024 * 1024


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_ratios_of_medians_against_the_best_of_those_that_were_measured() -> None:
    outcome = Outcome("stream", "GiB", 1.0)
    outcome.figures["eft"] = [Figure(4.0, 4.0, 100.0), Figure(2.0, 2.0, 110.0), Figure(8.0, 9.0, 90.0)]
    outcome.figures["fast"] = [Figure(2.0, 8.0, 10.0)]
    outcome.figures["cheap"] = [Figure(8.0, 2.0, 10.0)]
    against = [Against("one of two", ("fast", "cheap", "absent")), Against("nobody", ("absent",))]
    found = cells(rows(outcome, against)[0])
    assert found == ["stream", "eft", "0.50", "-", "2.00", "-", "256 (128 to 512)", "4.00 (2.00 to 9.00)", "110", "3"]


def test_things_are_counted_by_the_second_and_cost_milliseconds() -> None:
    outcome = Outcome("small", "file", 1000.0, {"eft": [Figure(4.0, 2.0, 1.0)]})
    assert cells(rows(outcome, [])[0])[2:4] == ["250", "2.00"]


def test_an_outcome_is_the_same_after_it_was_kept() -> None:
    outcome = Outcome("small", "file", 1000.0, {"eft": [Figure(4.0, 2.0, 1.0)]}, {"other": "why"}, 3.0)
    assert Outcome.of_json(outcome.as_json()) == outcome


class Server:
    pid = 0

    def __init__(self, name: str) -> None:
        self.name, self.done, self.cleared = name, 0, 0

    def clear(self) -> None:
        self.cleared += 1


def do(server: Server) -> float:
    server.done += 1
    if server.name == "weak" and server.done == 2:
        raise Failed("no more")
    return 0.5


def test_servers_take_turns_the_first_round_does_not_count_and_one_that_fails_is_left_out() -> None:
    outcome, servers = Outcome("stream", "GiB", 1.0), [Server("good"), Server("weak")]
    alternate(outcome, servers, do, do, rounds=2, seconds=60, clear=True, say=lambda line: None)
    assert [server.done for server in servers] == [3, 2]
    assert [each.wall_s for each in outcome.figures["good"]] == [0.5, 0.5]
    assert (outcome.failed, list(outcome.figures), servers[0].cleared) == ({"weak": "no more"}, ["good"], 3)


def test_without_time_for_more_one_round_is_made() -> None:
    outcome, server = Outcome("stream", "GiB", 1.0), Server("good")
    alternate(outcome, [server], do, do, rounds=5, seconds=0, clear=False, say=lambda line: None)
    assert (len(outcome.figures["good"]), server.cleared) == (1, 0)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (95, 95), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: int) -> None:
    values = list(range(1, 101))
    random.Random(1).shuffle(values)
    assert percentile(values, percent) == expected


def test_a_percentile_of_few_values_is_the_nearest_above() -> None:
    assert (percentile([], 50), percentile([7], 99), percentile([1, 2], 50), percentile([1, 2, 3], 95)) == (0, 7, 1, 3)


RECORDS = [
    Record(0.2, "PATCH part", 10, 5, ""),
    Record(0.4, "PATCH part", 999, 5, "500"),
    Record(0.9, "FILE small", 30, 2 * MIB, ""),
    Record(1.5, "FILE small", 50, 4 * MIB, "other bytes"),
    Record(9.0, "HEAD offset", 3, 0, ""),
]


def test_times_are_of_what_did_not_fail_and_whole_files_come_first() -> None:
    kinds = by_kind(RECORDS)
    assert [each.name for each in kinds] == ["FILE small", "HEAD offset", "PATCH part"]
    assert [(each.count, each.failed, each.slowest) for each in kinds] == [(2, 1, 30), (1, 0, 3), (2, 1, 10)]
    assert failures(RECORDS) == [("PATCH part", "500", 1), ("FILE small", "other bytes", 1)]


def test_throughput_counts_whole_files_that_did_not_fail_and_what_came_late_is_in_the_last_second() -> None:
    assert per_second(RECORDS, 3.0) == [(0.0, 2.0, 2.0), (1.0, 0.0, 0.0), (2.0, 0.0, 1.0)]


def test_a_line_rises_by_what_it_rises_in_an_hour() -> None:
    line = fit([(0, 500.0), *((at, 100 + at / 360) for at in range(300, 3600, 10))], after_s=300)
    assert (round(line.per_hour, 6), round(line.most)) == (10.0, 110)
    assert (line.is_flat(0.05, 0.0), line.is_flat(0.05, 12.0), line.is_flat(0.1, 0.0)) == (False, True, True)


def test_falling_is_flat() -> None:
    assert fit([(0, 10.0), (10, 5.0)]).is_flat(0.0, 0.0)


def test_one_sample_makes_no_line() -> None:
    with pytest.raises(ValueError):
        fit([(0, 10.0), (10, 5.0)], after_s=5)
