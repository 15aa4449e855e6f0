"""The root Dockerfile on stand-ins for both kinds of base; installing is written down, not done."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

#: What Astro Runtime does to a project built on it, with its check of requirements.txt.
ASTRO_ONBUILD = r"""
ONBUILD COPY packages.txt .
ONBUILD USER root
ONBUILD RUN if [ -s packages.txt ]; then \
      apt-get update && cat packages.txt | tr '\r\n' '\n' | sed -e 's/#.*//' \
      | xargs apt-get install -y --no-install-recommends; fi
ONBUILD COPY requirements.txt .
ONBUILD RUN if grep -Eqx 'apache-airflow\s*[=~>]{1,2}.*' requirements.txt; then \
      echo >&2 "Change the base image instead"; exit 1; fi; \
      pip install --no-cache-dir -r requirements.txt
ONBUILD USER astro
ONBUILD COPY --chown=astro:0 . .
"""

STAND_IN = r"""
FROM {base}
RUN useradd --uid 50000 --gid 0 --create-home {user} && mkdir -p {home} && chown 50000:0 {home} \
 && printf '#!/bin/sh\necho "$(id -un) $(basename $0) $*" >>/var/log/asked\n' >/usr/local/bin/pip \
 && cp /usr/local/bin/pip /usr/local/bin/apt-get && chmod 755 /usr/local/bin/* \
 && touch /var/log/asked && chmod 666 /var/log/asked
ENV AIRFLOW_HOME={home}
WORKDIR {home}
USER {user}
{onbuild}
"""

BASES = {
    "astro": ("astro", "/usr/local/airflow", ASTRO_ONBUILD),
    "apache": ("airflow", "/opt/airflow", ""),
}


def build(engine: Any, tag: str, **arguments: Any) -> None:
    said = list(engine.build(tag=tag, rm=True, forcerm=True, decode=True, **arguments))
    errors = [part["error"] for part in said if "error" in part]
    assert not errors, errors


def run_in(tag: str, *command: str) -> str:
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", tag, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", BASES)
def test_the_project_builds_on_both_kinds_of_base(
    kind: str, engine: Any, base_image: str, project_root: Path, tmp_path: Path
) -> None:
    user, home, onbuild = BASES[kind]
    recipe = STAND_IN.format(base=base_image, user=user, home=home, onbuild=onbuild)
    (tmp_path / "Dockerfile").write_text(recipe)
    base, tag = f"evergreen/test-{kind}-base:stand-in", f"evergreen/test-{kind}:project"
    try:
        build(engine, base, path=str(tmp_path))
        build(engine, tag, path=str(project_root), buildargs={"BASE_IMAGE": base})
        found = engine.inspect_image(tag)["Config"]
        assert found["User"] == "50000"
        assert found["WorkingDir"] == home
        asked = run_in(tag, "cat", "/var/log/asked").splitlines()
        assert f"{user} pip install --no-cache-dir -r /tmp/requirements.txt" in asked
        if kind == "astro":
            assert "root pip install --no-cache-dir -r requirements.txt" in asked
        script = (
            "import json, os; import include.evergreen.errors as e;"
            "print(json.dumps([e.__file__, sorted(os.listdir('.')), os.stat('dags').st_uid]))"
        )
        where, names, owner = json.loads(run_in(tag, "python3", "-c", script))
        assert where.startswith(home)
        assert owner == 50000
        assert {"dags", "include", "plugins", "config", "docker", "requirements.txt"} <= set(names)
        assert not {".git", ".venv", ".evergreen", "tests"} & set(names)
    finally:
        for image in (tag, base):
            subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)


def test_no_requirement_is_one_that_astro_refuses(project_root: Path) -> None:
    lines = (project_root / "requirements.txt").read_text().splitlines()
    assert any(line.startswith("apache-airflow<") for line in lines), "the core has its range"
    refused = re.compile(r"apache-airflow\s*[=~>]{1,2}.*")
    assert not [line for line in lines if refused.fullmatch(line)]
    assert refused.fullmatch("apache-airflow>=3.3.2,<3.4"), "the pattern is Astro's"
