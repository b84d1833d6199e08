"""A newcomer at a machine: types each line of "One machine, by systemd", and what else the documentation has them type.

PostgreSQL is the wheel's and `python3` this test's, for those of the machine may be too old; all that the lines write lies
in a directory (`tests/drills/machine.py`). The rest is theirs: the wheels from this checkout, the units' own commands, nginx with TLS.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import ssl
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg import conninfo

from tests.drills.machine import Machine, is_root
from tests.drills.test_proxy import NGINX, a_certificate, listens
from tests.waiting import DEADLINE_S, until

ROOT = Path(__file__).resolve().parents[2]
OPERATING = ROOT / "exchange/docs/operating.md"
PASSWORD = secrets.token_urlsafe(12)


class Newcomer:
    """Types the lines. One that this drill does not know fails it: the documentation and the drill go together."""

    def __init__(self, machine: Machine, database_url: str, *, checkout: Path = ROOT) -> None:
        self.machine, self.database_url, self.checkout = machine, database_url, checkout
        self.base = f"https://localhost:{machine.ports['443']}"
        self.operator = self.doctor = ""
        self.came_since: list[str] = []

    def types(self, line: str) -> None:
        words = shlex.split(line)
        for begins, does in (
            ("apt-get install ", self._has_packages),
            ("useradd ", lambda *_: None),  # users are the machine's that runs this test
            ("-u postgres psql ", self._asks_postgres),
            ("systemd-tmpfiles --create ", self._makes_places),
            ("systemctl daemon-reload", self._verifies_units),
            ("systemctl start ", self._starts),
            ("systemctl enable ", lambda _, names: self.machine.enabled.extend(names[2:])),
            ("nginx -t && sudo systemctl reload nginx", self._starts_nginx),
            ("systemd-run ", self._runs_as_a_unit),
            ("python3 -m venv ", self._at_a_shell),
            ("/opt/exchange/bin/pip ", self._at_a_shell),
            ("install ", self._at_a_shell),
            ("cp ", self._at_a_shell),
        ):
            if line.startswith(begins):
                does(line, words)
                return
        raise AssertionError(f"this drill does not know what to do with: {line}")

    def _has_packages(self, line: str, words: list[str]) -> None:
        assert set(words[2:]) == {"postgresql", "nginx", "python3-venv"}

    def _asks_postgres(self, line: str, words: list[str]) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as database:
            for said, statement in zip(words[3::2], words[4::2], strict=True):
                assert said == "-c"
                database.execute(statement.replace("…", PASSWORD).encode())

    def _starts(self, line: str, words: list[str]) -> None:
        """A unit that the release does not have yet is started once it is upgraded."""
        for name in words[2:]:
            if name == "exchange.target" or self.machine.has(name):
                self.machine.start(name)
            else:
                assert (ROOT / f"deploy/systemd/{name}.service").exists(), name
                self.came_since.append(name)

    def copies_units(self) -> None:
        """The new release's units in the place of the old ones."""
        self.types("cp deploy/systemd/*.service deploy/systemd/*.timer deploy/systemd/*.target /etc/systemd/system/")
        self.types("systemctl daemon-reload")

    def _at_a_shell(self, line: str, words: list[str]) -> None:
        line = self.machine.here(line).replace("-o exchange ", "")
        for folder in ("etc/systemd/system", "etc/tmpfiles.d", "etc/nginx/conf.d", "opt", "var/lib", "var/backups"):
            (self.machine.root / folder).mkdir(parents=True, exist_ok=True)
        if "deploy/build.lock" in line and not (self.checkout / "deploy/build.lock").exists():
            shutil.copy(ROOT / "deploy/build.lock", self.checkout / "deploy")  # a release before it had none
        environment = self.machine.environment() | _REGISTRY
        self.machine.run(["bash", "-euc", line], environment, what=line, cwd=self.checkout)
        if is_root() and "/var/backups/exchange" in line:  # where units run as root, PostgreSQL runs as another user
            Path(self.machine.here("/var/backups/exchange")).chmod(0o711)
        if "/etc/exchange/env" in line:
            self._fills_in(Path(self.machine.here("/etc/exchange/env")))

    def _fills_in(self, path: Path) -> None:
        """Each setting stands in the file, perhaps as a comment."""
        text = path.read_text()
        url = conninfo.conninfo_to_dict(self.database_url)
        for name, value in {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "AUDIT_SIGNING_KEY": secrets.token_hex(32),
            "DATABASE_URL": f"postgresql://exchange:{PASSWORD}@/exchange?host={url['host']}",
            "ALLOWED_HOSTS": "localhost",
            "BASE_URL": self.base,
            "DATA_DIR": self.machine.here("/var/lib/exchange"),
            "BACKUP_DIR": self.machine.here("/var/backups/exchange"),
            "MTLS_PROXIES": "127.0.0.1/32",
            "MTLS_SUBJECT_HEADER": "X-Client-Subject",
            "MTLS_CERTIFICATE_HEADER": "X-Client-Certificate",
        }.items():
            text, found = re.subn(rf"^#?{name}=.*$", f"{name}={value}", text, count=1, flags=re.MULTILINE)
            assert found == 1, name
        path.write_text(text)

    def _makes_places(self, line: str, words: list[str]) -> None:
        for said in Path(self.machine.here(words[-1])).read_text().splitlines():
            if not said.startswith("#"):
                Path(self.machine.here(said.split()[1])).mkdir(parents=True, exist_ok=True)

    def _verifies_units(self, line: str, words: list[str]) -> None:
        if not shutil.which("systemd-analyze"):
            return
        place = Path(self.machine.here("/etc/systemd/system"))
        for unit in place.iterdir():
            unit.with_suffix(unit.suffix).write_text(self.machine.here(unit.read_text()))
        units = [str(unit) for unit in sorted(place.glob("exchange*.*")) if "@" not in unit.name]
        said = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
        )
        assert [line for line in said.stderr.splitlines() if "exchange" in line] == []

    def _starts_nginx(self, line: str, words: list[str]) -> None:
        machine, place = self.machine, self.machine.root / "etc/nginx"
        (place / "tls").mkdir()
        for name in ("exchange.example", "partners-ca"):
            a_certificate(place / "tls", name)
        for path in (place / "conf.d").iterdir():
            text = machine.here(path.read_text()).replace("    listen [::]:443 ssl;\n", "")
            text = text.replace("server_name exchange.example", "server_name localhost")
            text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{machine.ports['443']} ssl")
            for port in ("8000", "8001", "8010"):
                text = text.replace(f"127.0.0.1:{port};", f"127.0.0.1:{machine.ports[port]};")
                text = text.replace(f"127.0.0.1:{port} ", f"127.0.0.1:{machine.ports[port]} ")
            path.write_text(text)
        kept = "".join(
            f"{kind}_temp_path {place}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (place / "nginx.conf").write_text(
            f"{'user root;' if is_root() else ''}\ndaemon off; pid {place}/pid; error_log {place}/error.log;\n"
            f"events {{}}\nhttp {{ access_log {place}/access.log;\n{kept}include {place}/conf.d/*.conf;\n}}\n"
        )
        command = [NGINX, "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]
        machine.run([*command, "-t"], machine.environment())
        self.begins_nginx()

    def begins_nginx(self) -> None:
        """Start the proxy, and wait until all answer behind it."""
        place = self.machine.root / "etc/nginx"
        command = [NGINX, "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]
        self.machine.running["nginx"] = subprocess.Popen(command)
        until(lambda: all(listens(port) for port in self.machine.ports.values()))

    def _runs_as_a_unit(self, line: str, words: list[str]) -> None:
        (path,) = re.findall(r"--property=EnvironmentFile=(\S+)", line)
        command = shlex.split(self.machine.here(line.partition(path)[2]))
        environment = self.machine.environment() | self.machine.settings(path)
        if command[-1] == "doctor":
            self.doctor = self.machine.run(command, environment)
        else:
            self.operator = self.machine.run(command, environment)

    def ails(self) -> list[str]:
        """What `doctor` finds wrong, but mail, for which there is no server here."""
        try:
            said = self.manages("doctor")
        except AssertionError as failed:
            said = str(failed)
        return [line for line in said.splitlines() if line.startswith("WRONG") and not line.startswith("WRONG mail")]

    def manages(self, *line: str) -> str:
        """`exchange-manage` with the settings of the services."""
        program = self.machine.here("/opt/exchange/bin/exchange-manage")
        return self.machine.run(
            [program, *line], self.machine.environment() | self.machine.settings("/etc/exchange/env")
        )


#: A registry other than the public one is said by these, as pip reads them.
_REGISTRY = {
    name: value
    for name, value in os.environ.items()
    if name.startswith("PIP_") or name in {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"}
}


class Portal:
    """A person's browser, through nginx and TLS."""

    def __init__(self, base: str, context: ssl.SSLContext) -> None:
        self.client = httpx.Client(base_url=base, verify=context, timeout=DEADLINE_S, headers={"Referer": f"{base}/"})

    def posts(self, path: str, **fields: object) -> httpx.Response:
        token = {"csrfmiddlewaretoken": self.client.cookies.get("__Host-csrftoken") or self._csrf()}
        return self.client.post(path, data=token | fields)

    def _csrf(self) -> str:
        return next((value for name, value in self.client.cookies.items() if "csrf" in name), "")

    def enters(self, link: str, name: str) -> None:
        """Whom a link invited chooses a name and a password."""
        address = urlsplit(link)
        assert self.client.get(f"{address.path}?{address.query}").status_code == 200
        chosen = {"token": address.query.partition("token=")[2], "username": name, "password": "correct horse battery"}
        entered = self.posts(address.path, **chosen, again=chosen["password"])
        assert entered.status_code == 302, entered.text[-3_000:]

    def key(self, *scopes: str) -> str:
        """A new key, shown once."""
        self.client.get("/organisation/keys/")
        shown = self.posts("/organisation/keys/", name="first", scopes=list(scopes), life="43200")
        found = re.search(r"exk_[\w-]{20,}", unescape(shown.text))
        assert found, shown.text[-3_000:]
        return found[0]
