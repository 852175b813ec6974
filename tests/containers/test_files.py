"""The container files say what docs/guides/containers.md promises. No engine and no cluster is
needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(
    path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"
)  # fmt: skip
KUSTOMIZATIONS = sorted(KUBERNETES.rglob("kustomization.yaml"))
PATCHES = ("gpu", "own-code")
"""Components that change the worker of the base."""
OVERLAYS = sorted((KUBERNETES / "overlays").iterdir())


def _documents(path: Path) -> list[Any]:
    # 1.1, as Kubernetes and Compose read it: 0440 is octal.
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return list(yaml.load_all(path.read_text()))


def _name(path: Path) -> str:
    return str(path.relative_to(KUBERNETES))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    [document] = _documents(ROOT / "docker-compose.yml")
    return dict(document)


def _containers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    yield from pod.get("initContainers", [])
    yield from pod.get("containers", [])


def _pods() -> Iterator[Any]:
    for path in MANIFESTS:
        for document in _documents(path):
            if path.parent.name not in PATCHES and any(_containers(document)):
                pod = document["spec"]["template"]["spec"]
                yield pytest.param(pod, id=document["metadata"]["name"])


# --- the image -----------------------------------------------------------------------------------


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint: pip install 'hpsearch[test]'")
    done = subprocess.run(
        [hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_ends_as_a_user_without_rights_and_takes_signals() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert 'ENTRYPOINT ["hpsearch"]' in lines


def test_only_what_the_image_needs_reaches_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    shipped = {
        f"studies/{path.name}"
        for path in (ROOT / "studies").iterdir()
        if path.is_file() and path.suffix != ".yaml"
    }
    copied = {"hpsearch", "studies/*.yaml", *shipped, "pyproject.toml", "README.md", "LICENSE"}
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied


# --- Compose -------------------------------------------------------------------------------------


def _config(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`docker compose config`, away from any .env of the developer's."""
    plugin = shutil.which("docker") and not subprocess.call(
        ["docker", "compose", "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if not plugin and not shutil.which("docker-compose"):
        pytest.skip("neither docker compose nor docker-compose is installed")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME")}
    return subprocess.run(
        [*(["docker", "compose"] if plugin else ["docker-compose"]), "config"],
        cwd=tmp_path, env={**kept, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_compose_reads_its_file(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    filled = example.replace("POSTGRES_PASSWORD=\n", "POSTGRES_PASSWORD=p@:/?#\n")
    assert filled != example
    (tmp_path / ".env").write_text(filled)
    done = _config(tmp_path, COMPOSE_PROFILES="cpu,gpu")
    assert done.returncode == 0, done.stderr
    services = YAML(typ="safe").load(done.stdout)["services"]
    assert set(services) == {"db", "prepare", "worker", "worker-gpu", "dashboard"}
    assert services["worker"]["environment"]["PGPASSWORD"] == "p@:/?#"
    reservations = services["worker-gpu"]["deploy"]["resources"]["reservations"]
    assert reservations["devices"][0]["capabilities"] == ["gpu"]


def test_compose_refuses_to_start_without_a_password(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    done = _config(tmp_path)
    assert done.returncode != 0
    assert "set it in .env" in done.stdout + done.stderr


def test_compose_publishes_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = {name: s.get("ports", []) for name, s in compose["services"].items()}
    assert sorted(name for name, listed in ports.items() if listed) == ["dashboard", "db"]
    for port in [port for listed in ports.values() for port in listed]:
        assert port.startswith("127.0.0.1:"), port
    assert not any("network_mode" in service for service in compose["services"].values())


def test_compose_builds_the_same_image_as_docker_does(compose: dict[str, Any]) -> None:
    """An argument that is passed on but empty would take the Dockerfile's default away."""
    said = re.search(r"^ARG EXTRAS=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    arguments = compose["services"]["prepare"]["build"]["args"]
    assert said
    assert arguments["EXTRAS"] == f"${{EXTRAS:-{said[1]}}}"
    example = (ROOT / ".env.example").read_text()
    assert all(f"#{name}=" in example for name in arguments)


def test_compose_holds_no_password(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key:
                assert str(value).startswith(("${", "/run/secrets/")), key
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), key


def test_compose_confines_every_service(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_compose_lets_workers_wait_for_the_schema_and_leave_in_time(
    compose: dict[str, Any],
) -> None:
    for name in ("worker", "worker-gpu"):
        service = compose["services"][name]
        waits = {on: how["condition"] for on, how in service["depends_on"].items()}
        assert waits == {"db": "service_healthy", "prepare": "service_completed_successfully"}
        assert int(service["stop_grace_period"].removesuffix("s")) >= 10


# --- Kubernetes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MANIFESTS, ids=_name)
def test_manifests_are_valid(path: Path) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate: pip install 'hpsearch[test]'"
    )
    version = validate.latest_version()
    for document in _documents(path):
        if path.parent.name in PATCHES:
            # A patch leaves out what it does not change.
            document["spec"]["selector"] = {"matchLabels": {}}
            document["spec"]["template"]["spec"]["containers"][0]["image"] = "hpsearch"
        validate.validate(document, version, strict=True)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=_name)
def test_kustomizations_name_files_that_are_there(path: Path) -> None:
    [document] = _documents(path)
    named = [*document.get("resources", []), *document.get("components", [])]
    named += [patch["path"] for patch in document.get("patches", [])]
    for name in named:
        target = path.parent / name
        assert target.is_file() or (target / "kustomization.yaml").is_file(), name
    # Secrets are written by anyone who deploys, after the examples beside them.
    for generator in document.get("secretGenerator", []):
        for name in generator["envs"]:
            assert (path.parent / f"{name}.example").is_file(), name
    listed = {path.parent / name for name in named} | {path}
    assert set(path.parent.glob("*.yaml")) <= listed, "a manifest that no kustomization names"


def _example(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_overlays_bring_every_secret_and_no_password(overlay: Path) -> None:
    [document] = _documents(overlay / "kustomization.yaml")
    secrets = {
        generator["name"]: _example(overlay / f"{generator['envs'][0]}.example")
        for generator in document["secretGenerator"]
    }
    assert secrets["hpsearch-dashboard"]["password"] == ""
    assert secrets["hpsearch-database"]["PGPASSWORD"] == ""
    for document in (d for path in MANIFESTS for d in _documents(path)):
        for reference in _references(document):
            assert reference.get("key", "PGPASSWORD") in secrets[reference["name"]]
    ignored = subprocess.run(
        ["git", "check-ignore", "-q", overlay / "database.env", overlay / "dashboard.env"],
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert ignored.returncode in (0, 128)  # 128: this is no clone


def _references(node: Any) -> Iterator[dict[str, str]]:
    """Every reference to a Secret, or to a key of one."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("secretRef", "secretKeyRef"):
                yield value
            elif key == "secret":
                for item in value["items"]:
                    yield {"name": value["secretName"], "key": item["key"]}
            else:
                yield from _references(value)


@pytest.mark.parametrize("pod", list(_pods()))
def test_pods_are_confined_and_leave_in_time(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] >= 10
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} <= set(container["resources"])


def test_an_outage_of_the_database_restarts_no_worker() -> None:
    [worker] = [pod.values[0] for pod in _pods() if pod.id == "hpsearch-worker"]
    [container] = worker["containers"]
    assert "livenessProbe" not in container


def test_nothing_is_offered_outside_the_cluster() -> None:
    for document in (d for path in MANIFESTS for d in _documents(path)):
        assert document["kind"] != "Ingress"
        if document["kind"] == "Service":
            assert document["spec"]["type"] == "ClusterIP"


# --- both ----------------------------------------------------------------------------------------


def test_images_are_pinned_and_the_same_everywhere(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()}
    for document in (d for path in MANIFESTS for d in _documents(path)):
        images |= {c["image"] for c in _containers(document) if "image" in c}
    theirs = {i for i in images if "hpsearch" not in i}
    assert theirs == {"postgres:18-bookworm"}
    base = re.search(r"^ARG PYTHON=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", base[1])
