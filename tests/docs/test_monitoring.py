"""The alert rules and the dashboard of the documentation: they load, and ask for metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from tests.docs.pages import ROOT
from tests.docs.test_reference import SERIES

from hypercorn.metrics.board import Board
from hypercorn.metrics.openmetrics import render

FOLDER = ROOT / "docs" / "monitoring"
RULES = FOLDER / "alerts.yml"
DASHBOARD = FOLDER / "dashboard.json"
PROMTOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
NAME = re.compile(r"hypercorn_\w+")
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}


def known() -> set[str]:
    """The names of all series. One without samples here is known by its type."""
    board = Board.create(1)
    try:
        board.slot(0).claim()
        text = render(board, openmetrics=False).decode()
    finally:
        board.close()
    types = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    return types | {f"{name}_bucket" for name in types} | set(SERIES.findall(text))


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    """Every question of the dashboard, with values for its variables."""
    found = []
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            found.append(text)
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_rules_ask_for_what_there_is(rule: dict[str, Any]) -> None:
    names = set(NAME.findall(rule["expr"]))
    assert names <= known()
    assert names or rule["expr"].startswith("up")
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_dashboard_asks_for_what_there_is() -> None:
    asked = {name for text in expressions() for name in NAME.findall(text)}
    assert asked <= known()
    assert {"hypercorn_requests_total", "hypercorn_request_duration_seconds_bucket", "hypercorn_build_info"} <= asked


def test_panels_do_not_overlap() -> None:
    places = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & places
        assert max(x for x, _ in cells) < 24
        places |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


@with_promtool
def test_promtool_takes_the_rules() -> None:
    checked = subprocess.run([str(PROMTOOL), "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert f"SUCCESS: {len(rules())} rules found" in checked.stdout


@with_promtool
def test_promtool_takes_the_dashboards_questions(tmp_path: Any) -> None:
    recording = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recording}]}))
    checked = subprocess.run([str(PROMTOOL), "check", "rules", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@with_promtool
def test_the_alert_for_errors_fires(tmp_path: Any) -> None:
    """Prometheus's own unit test: two in a hundred responses are errors for ten minutes."""
    series = {"2xx": "0+98x20", "5xx": "0+2x20"}
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'hypercorn_responses_total{{job="app",class="{name}"}}', "values": values}
                    for name, values in series.items()
                ],
                "alert_rule_test": [
                    {"eval_time": "3m", "alertname": "HypercornErrors", "exp_alerts": []},
                    {
                        "eval_time": "15m",
                        "alertname": "HypercornErrors",
                        "exp_alerts": [
                            {
                                "exp_labels": {"severity": "critical", "job": "app"},
                                "exp_annotations": {
                                    "summary": "app: 2% of the responses are errors of the server",
                                    "description": rules()[0]["annotations"]["description"],
                                },
                            }
                        ],
                    },
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    checked = subprocess.run([str(PROMTOOL), "test", "rules", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
