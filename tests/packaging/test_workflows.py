"""The workflows: valid, pinned, with the least permissions, and of the versions that pyproject.toml names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
USES = re.compile(r"^\s*-? ?uses: (.*)$", re.MULTILINE)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./\.github/workflows/[\w-]+\.yml( # .*)?")

WRITES = {("release", "publish"): {"id-token", "attestations"}, ("docs", "publish"): {"id-token", "pages"}}


def name_of(path: Path) -> str:
    return path.stem


def load(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text())
    return workflow


def test_the_schema_holds() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_workflows_are_there() -> None:
    wanted = {"docs", "checks", "tests", "conformance", "sanitizers", "fuzzing", "benchmarks", "wheels", "release"}
    assert {path.stem for path in WORKFLOWS} >= wanted


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    for used in USES.findall(path.read_text()):
        assert PINNED.fullmatch(used.strip()), used


def test_an_action_has_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for used in USES.findall(path.read_text()):
            action, _, version = used.partition("@")
            pins.setdefault(action, set()).add(version)
    assert [action for action, versions in pins.items() if len(versions) > 1] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_jobs_have_only_the_permissions_that_they_need(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        assert writes <= WRITES.get((path.stem, name), set())
        assert "timeout-minutes" in job or "uses" in job, name
        for step in job.get("steps", []):
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_what_runs_is_there() -> None:
    for path in WORKFLOWS:
        for script in re.findall(r"python(?:3[.\d]*)? (?:-I )?([\w/]+\.py)", path.read_text()):
            assert (ROOT / script).is_file(), f"{path.name} runs {script}"
        for script in re.findall(r"run: (tests/[\w/]+\.sh)", path.read_text()):
            assert os.access(ROOT / script, os.X_OK), f"{path.name} runs {script}"
        for module in re.findall(r"python -m (bench\.\w+)", path.read_text()):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()
        for folder in re.findall(r"(?<![\w/.])(tests/[\w/]+)(?![\w/*.])", path.read_text()):
            assert (ROOT / folder).is_dir(), f"{path.name} names {folder}"


def test_a_release_has_passed_the_suite() -> None:
    jobs = load(ROOT / ".github/workflows/release.yml")["jobs"]
    needed = [jobs[name]["uses"].rpartition("/")[2] for name in jobs["publish"]["needs"]]
    assert set(needed) == {"tests.yml", "checks.yml", "wheels.yml"}
    for name in needed:
        called = load(ROOT / ".github/workflows" / name)
        assert "workflow_call" in called[True]  # YAML reads the key `on` so
        assert "concurrency" not in called or not called["concurrency"]["group"].startswith("${{ github.workflow }}")


def test_wheels_of_every_python_that_is_supported() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    built = set(re.findall(r"cp3(\d+)-\*", text))
    tested = {version.removeprefix("3.") for version in load_matrix()["python"]}
    classified = set(re.findall(r"Python :: 3\.(\d+)", text))
    assert classified <= built == tested


def load_matrix() -> dict[str, Any]:
    matrix: dict[str, Any] = load(ROOT / ".github/workflows/tests.yml")["jobs"]["suite"]["strategy"]["matrix"]
    return matrix
