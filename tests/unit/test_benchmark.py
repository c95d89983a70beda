"""The benchmark's judgement: what does not count, what a figure is, which goal is met."""

from __future__ import annotations

import contextlib
import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.before import parts, trimmed
from benchmarks.course import Case
from benchmarks.figures import Figures, number, percentile, spread
from benchmarks.flames import flame_graph, tree
from benchmarks.goals import goals
from benchmarks.growth import INCIDENTS, PLAYBOOKS, write_finished
from benchmarks.ledger import Arrival, Faulty, Ledger
from benchmarks.plot import plot
from benchmarks.programme import Result
from benchmarks.trials import repeats


def ledger(*requests: tuple[int, str, int]) -> Ledger:
    """A ledger of requests (channel, incident, status), one each second."""
    return Ledger(Arrival(float(at), *request) for at, request in enumerate(requests))


def test_a_run_in_which_each_channel_took_each_incident_once_counts() -> None:
    """A refusal before the one success is no fault."""
    ledger((0, "a", 503), (0, "a", 200), (1, "a", 200)).check(["a"], range(2))


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([(0, "a", 200)], "1 were lost and 0 doubled"),
        ([(0, "a", 200), (1, "a", 503)], "1 were lost and 0 doubled"),
        ([(0, "a", 200), (1, "a", 200), (1, "a", 200)], "0 were lost and 1 doubled"),
        ([(0, "a", 200), (1, "a", 200), (2, "a", 200)], "nobody asked for"),
        ([(0, "a", 200), (1, "a", 200), (1, "b", 503)], "nobody asked for"),
    ],
)
def test_a_run_that_lost_or_doubled_something_does_not_count(requests: list[tuple[int, str, int]], words: str) -> None:
    """However fast it was, a run with a lost, doubled or strange request is a fault."""
    with pytest.raises(Faulty, match=words):
        ledger(*requests).check(["a"], range(2))


def test_times_are_those_of_the_first_request_to_each_channel() -> None:
    """A repeat moves neither the first nor the last arrival; other incidents and channels left out do not count."""
    book = ledger((0, "x", 200), (0, "a", 503), (1, "a", 200), (0, "a", 200), (7, "a", 0))

    times = book.times("a", 0.5, {0, 1})

    assert (times.first, times.last, times.skew) == (0.5, 1.5, 1.0)


def test_figures_are_medians_with_the_least_and_the_most() -> None:
    """Each sample is seen in a figure: the middle one, the ends, and for a percentile the one that so many do not exceed."""
    samples = [0.001, 0.009, 0.002]

    assert spread(samples, 1e3) == "2.00 (1.00 to 9.00)"
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99
    assert [number(one) for one in (0.123, 12.34, 1234.0)] == ["0.12", "12.3", "1,234"]


def result(measure: str, who: str, case: Case, **samples: list[float]) -> Result:
    """Samples of one contestant."""
    return Result(measure, who, case, dict(samples))


def figures() -> Figures:
    """One alarm to 100 channels, twice as long as the rival's limit, and half as long as Alertmanager's."""
    ours = {"ready": [1.0], "idle": [60.0]}
    return Figures([
        result("fan-out", who, Case(100), cold_last=[seconds], warm_last=[seconds], **ours)
        for who, seconds in (("dispatcher", 0.02), ("alertmanager", 0.039), ("limit", 0.01))
    ] + [result("told-to-wait", "dispatcher", Case(100), after=[2.05, 2.1], requests=[2.0, 2.0])])  # fmt: skip


def test_a_goal_is_met_only_by_a_figure_that_was_measured() -> None:
    """Each goal says met, missed or not measured, and shows the figure it judges."""
    said = {one.goal: (one.figure, one.met) for one in goals(figures())}

    assert said["100 channels, warm, to the last: at most 0.5 x Alertmanager's time"] == ("0.51 x", False)
    assert said["100 channels, warm, to the last: at most 4 x the C program's"] == ("2.00 x", True)
    assert said["1,000 channels, cold, to the last: at most 4 x the C program's"] == ("-", None)
    assert said["429 with Retry-After 2: said after 2.0 to 2.2 s, with 2 requests for each channel"] == (
        "2.05 to 2.10 s, 2 to 2 requests", True,
    )  # fmt: skip


def test_what_must_not_slow_an_alarm_down_is_judged_by_pairs() -> None:
    """Growth is a ratio or a difference of two medians taken in turns, for each channel as well, and TLS is beside the plain one."""
    measured = Figures([
        result("fan-out", "dispatcher", Case(100), warm_last=[0.04]),
        result("fan-out", "dispatcher", Case(1_000), warm_last=[0.46]),
        result("history", "dispatcher", Case(100), few=[0.040, 0.042, 0.2], many=[0.042, 0.1, 0.001]),
        result("playbooks", "dispatcher", Case(100), few=[0.040], many=[0.046]),
        result("slow-disk", "dispatcher", Case(1_000), fast=[0.5], slow=[0.51]),
        result("tls", "dispatcher", Case(100), cold_last=[0.3], handshakes=[0.0, 1.0]),
        result("tls", "plain", Case(100), cold_last=[0.2]),
        result("kill", "dispatcher", Case(1_000), delivered=[0.5, 1.2]),
        result("open", "dispatcher", Case(1_000), peak=[399.0]),
    ])  # fmt: skip

    said = {one.goal.partition(":")[0]: (one.figure, one.met) for one in goals(measured) if one.met is not None}

    assert said == {
        "time for each channel, warm": ("1.15 x", False),
        f"to the last of 100 channels, over {INCIDENTS:,} finished incidents": ("1.00 x", True),
        f"to the last of 100 channels, with {PLAYBOOKS:,} playbooks": ("6.00 ms", False),
        "to the last of 1,000 channels, with 5 ms for every flush": ("10.0 ms", True),
        "kill -9 in mid fan-out of 1,000": ("1.20 s", False),
        "TLS, warm": ("1 handshakes", False),
        "100 channels over TLS 1.3, cold, to the last": ("1.50 x", True),
        "memory, 100,000 open deliveries": ("399 MiB", True),
    }


def test_time_is_booked_to_the_part_whose_work_it_is() -> None:
    """What is nobody's own, as json or a value of the model, counts for its caller; the loop has what is asyncio's own."""
    main = "MainThread;dispatcher.cli.run;asyncio.runners.Runner.run"
    found = parts(
        f"{main} 10\n{main};dispatcher.pipeline.Pipeline.run;dispatcher.plan.compose.compose;json.dumps 20\n"
        f"{main};dispatcher.worker.run;dispatcher.channels.http.ask;asyncio.tasks.wait 30\n"
        f"{main};dispatcher.worker.run;dispatcher.model.delivery.Delivery.move 40\n"
        f"journal-writer;threading.Thread.run 50\n{main};dispatcher.pulse.beat 60\n",
        deliveries=10,
    )

    assert found == {
        "journal": 5.0, "HTTP": 0.0, "plan, templates": 2.0, "MQTT": 0.0, "the road between them": 4.0, "event loop": 4.0, "rest": 6.0,
    }  # fmt: skip
    assert trimmed(f"{main};a;b 7\n{main} 9\njournal-writer;c 8\n") == (
        "MainThread;a;b 7\nMainThread;event loop 9\njournal-writer;c 8\n"
    )


def test_a_channel_that_was_told_twice_is_a_fault_unless_the_journal_knows() -> None:
    """After a kill, a repeat is allowed where the journal has two attempts, and nowhere else."""
    twice = ledger((0, "a", 200), (1, "a", 200), (1, "a", 200))

    assert repeats(twice, {1, 2}) == 1
    with pytest.raises(Faulty, match="1 channels were told twice"):
        repeats(twice, {2})


def test_a_long_history_is_one_incident_many_times(tmp_path: Path) -> None:
    """Each of the finished incidents has its own name, an alert and an all-clear that were accepted, and facts of its own."""
    journal = tmp_path / "journal.sqlite"
    write_finished(journal, ["c0"], 7)

    def count(asked: str) -> int:
        with contextlib.closing(sqlite3.connect(journal)) as connection:
            return int(connection.execute(f"SELECT count(DISTINCT {asked}").fetchone()[0])

    assert count("id) FROM incidents WHERE open = 0") == 7
    assert count("incident) FROM alerts WHERE purpose = 'all_clear' AND body LIKE '%' || incident || '%'") == 7
    assert count("id) FROM deliveries WHERE state = 'accepted'") == 14
    assert count("seq) FROM facts") == count("seq) FROM facts WHERE seq <= 7 * 13")


def test_the_page_keeps_its_words_and_says_what_was_left_out(tmp_path: Path) -> None:
    """Only what stands between the marks is written anew, with what was skipped and which runs failed."""
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- beside-others -->\nlast week\n<!-- end of beside-others -->\nafter\n")
    measured = figures()
    measured.results[0].failures.append("Faulty: of 100 requests 1 were lost and 0 doubled")

    report.write(measured, ["Node-RED is not installed"], tmp_path)

    text = page.read_text()
    assert text.startswith("before\n<!-- beside-others -->\n")
    assert text.endswith("\n<!-- end of beside-others -->\nafter\n")
    assert "last week" not in text
    assert "Skipped: Node-RED is not installed." in text
    assert "Failed: dispatcher, fan-out with 100 channels at 0 ms: Faulty: of 100 requests 1 were lost" in text
    assert "| 100 | 0 ms | cold | 0.51 | 2.00 |" in text


def test_pictures_are_well_formed() -> None:
    """The plot has a bar for each contestant and state, the flame graph one for each call, whatever their names hold."""
    bars = ET.fromstring(plot(figures()))
    flames = ET.fromstring(flame_graph("main;a<b> 100\nmain;c 300\n"))

    assert len(bars.findall("{*}rect")) == 1 + 2 + 3 * 2
    assert [one.text.partition(":")[0] for one in flames.findall(".//{*}title") if one.text] == [
        "all",
        "main",
        "a<b>",
        "c",
    ]
    assert {name: node.time for name, node in tree("m;a<b> 100\nm;c 300\n").callees["m"].callees.items()} == {
        "a<b>": 100,
        "c": 300,
    }
