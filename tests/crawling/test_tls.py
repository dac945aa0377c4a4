"""Whom a run and `scrapy doctor` trust over TLS, and what they say of a server they cannot trust."""

import contextlib
import re
import select
import socket
import socketserver
import ssl
import threading
from datetime import UTC, datetime

import certifi
import pytest
from cryptography import x509
from OpenSSL import SSL, crypto

from miso_scrapy.network import tls
from tests.support.certificates import DAY, LOCALHOST, authority, server_side
from tests.support.scripted_server import Scripted
from tests.support.servers import live_body

JSON = {"Content-Type": "application/json"}
URL = "http://ca.example/between.crt"


@pytest.fixture(scope="module")
def root():
    return authority("Test Root")


@pytest.fixture(scope="module")
def between(root):
    return root.issue("Test Intermediate", ca=True)


@pytest.fixture(scope="module")
def leaf(between):
    return between.issue("feed", LOCALHOST, url=URL)


@pytest.fixture
def bare(tmp_path):
    """The environment of a machine whose OpenSSL knows no root."""
    (tmp_path / "no-roots").mkdir()
    nothing = tmp_path / "no-roots.pem"
    nothing.touch()
    return {"SSL_CERT_FILE": str(nothing), "SSL_CERT_DIR": str(tmp_path / "no-roots")}


@pytest.fixture
def pem(tmp_path):
    """Write certificates into a PEM file; return its path."""

    def write(*issued):
        path = tmp_path / f"ca-{len(list(tmp_path.iterdir()))}.pem"
        path.write_bytes(b"".join(each.pem for each in issued))
        return str(path)

    return write


@pytest.fixture
def ask(crawl, scrapy, feed, tmp_path, bare):
    """Serve the feed with the chain LEAF, *CHAIN*; ask it by a run and by doctor with *env*.

    Returns the run's one failed line, and what doctor says of the feed: both "" where all is well.
    """
    body = live_body(feed)

    def run(*chain, env, cold=False):
        with Scripted(lambda _: (200, JSON, body), tls=server_side(tmp_path, *chain)) as server:
            env = {**bare, "MISO_API_URL": server.url, "RETRY_TIMES": "0", **env}
            crawled = crawl(env=env, settings={"MISO_REQUIRE_COVERAGE": 0},
                            force=1, cold=cold)  # fmt: skip
            doctor = scrapy("doctor", env=env, cold=cold)
            asked = len(server.requests)
        assert "Traceback" not in crawled.log + doctor.stdout + doctor.stderr
        lines = [line.partition("ERROR: ")[2] for line in crawled.lines("ERROR")]
        said = re.search(r"^feed +FAIL +(.*)\n +fix: +(.*)$", doctor.stdout, re.MULTILINE)
        if not lines:
            assert said is None, doctor.stdout
            assert sum(crawled.outcomes.values()) == asked - 1 == 1
            return "", ""
        (line,) = lines
        assert asked == 0  # nothing was sent to a server that is not trusted
        assert line.startswith("failed realtime_total_load_")
        assert server.url in line
        return line, " ".join(said.groups())

    return run


# --- Who is trusted ---------------------------------------------------------------------------


def test_a_chain_that_ends_at_a_root_of_MISO_CA_FILE_is_trusted(ask, pem, root, between, leaf):  # noqa: N802
    assert ask(leaf, between, env={"MISO_CA_FILE": pem(root)}) == ("", "")


def test_certifis_roots_are_trusted_where_the_system_has_none(ask, tmp_path, root, between, leaf):
    """A certifi of the test's own, whose one root has issued the feed's certificate."""
    package = tmp_path / "site" / "certifi"
    package.mkdir(parents=True)
    (package / "cacert.pem").write_bytes(root.pem)
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "def where(): return str(Path(__file__).with_name('cacert.pem'))\n"
        "def contents(): return Path(where()).read_text()\n"
    )
    path = {"PYTHONPATH": str(package.parent)}
    assert ask(leaf, between, env=path, cold=True) == ("", "")


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_every_root_of_certifi_is_known_to_both(monkeypatch, bare):
    for name, value in bare.items():
        monkeypatch.setenv(name, value)
    with open(certifi.where(), "rb") as file:
        roots = x509.load_pem_x509_certificates(file.read())
    context = tls.client_context("")
    known = {ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True)}
    assert len(known) == len(roots) > 100
    theirs = SSL.Context(SSL.TLS_METHOD)
    tls.add_roots(theirs.get_cert_store(), "")
    now = datetime.now(UTC)
    valid = [root for root in roots if root.not_valid_before_utc < now < root.not_valid_after_utc]
    for root in valid:
        found = crypto.X509StoreContext(
            theirs.get_cert_store(), crypto.X509.from_cryptography(root)
        )
        found.verify_certificate()  # raises for a root that is not there


# --- Who is not, and why ------------------------------------------------------------------------


def test_an_incomplete_chain_is_told_and_mended_by_MISO_CA_FILE(ask, pem, root, between, leaf):  # noqa: N802
    known = {"SSL_CERT_FILE": pem(root)}  # the system's roots
    for line in ask(leaf, env=known):
        assert "an incomplete chain" in line
        assert "CN=Test Intermediate" in line
        assert "MISO_CA_FILE" in line
        assert URL in line
    assert ask(leaf, env={**known, "MISO_CA_FILE": pem(between)}) == ("", "")
    # The advice also holds where the intermediate's own root is not known.
    assert ask(leaf, env={"MISO_CA_FILE": pem(between)}) == ("", "")


def test_a_chain_with_another_intermediate_is_incomplete(ask, pem, root, between, leaf):
    other = root.issue("Another Intermediate", ca=True)
    for line in ask(leaf, other, env={"MISO_CA_FILE": pem(root)}):
        assert "an incomplete chain" in line
        assert "CN=Test Intermediate" in line
        assert "Another" not in line


def test_an_unknown_root_is_told(ask, root, between, leaf):
    for chain in ((leaf, between), (leaf, between, root)):
        for line in ask(*chain, env={}):
            assert "an unknown root" in line
            assert "CN=Test Root" in line
            assert "MISO_CA_FILE" in line
            assert "incomplete" not in line


def test_a_self_signed_certificate_is_told(ask, pem, root):
    alone = authority("feed on its own")
    for line in ask(alone, env={"MISO_CA_FILE": pem(root)}):
        assert "an unknown root" in line
        assert "CN=feed on its own" in line
        assert "self-signed" in line


def test_another_hosts_certificate_is_told(ask, pem, root):
    theirs = root.issue("them", x509.DNSName("elsewhere.example"), x509.DNSName("www.example"))
    for line in ask(theirs, env={"MISO_CA_FILE": pem(root)}):
        assert "another host's certificate" in line
        assert "elsewhere.example, www.example" in line
        assert "MISO_API_URL" in line
    for line in ask(root.issue("them"), env={"MISO_CA_FILE": pem(root)}):
        assert "another host's certificate" in line
        assert "no host" in line


def test_a_certificate_out_of_its_time_is_told(ask, pem, root):
    known = {"MISO_CA_FILE": pem(root)}
    old = root.issue("feed", LOCALHOST, begins=-3 * DAY, ends=-2 * DAY)
    for line in ask(old, env=known):
        assert "an expired certificate" in line
        assert f"{old.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}" in line
        assert "clock" in line
    young = root.issue("feed", LOCALHOST, begins=2 * DAY, ends=3 * DAY)
    for line in ask(young, env=known):
        assert "a certificate that is not valid yet" in line
        assert f"{young.certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}" in line
        assert "clock" in line


def test_an_expired_intermediate_is_told_by_its_name(ask, pem, root):
    old = root.issue("Old Intermediate", ca=True, ends=-DAY / 2)
    for line in ask(old.issue("feed", LOCALHOST), old, env={"MISO_CA_FILE": pem(root)}):
        assert "an expired certificate" in line
        assert "CN=Old Intermediate" in line


def test_a_name_in_a_certificate_cannot_forge_a_line_of_the_log():
    issuer = authority("Evil\n2025-12-05 ERROR: all is lost; run rm\x1b[2J" + "x" * 5)
    what, fix = tls.explain(20, [issuer.issue("feed", LOCALHOST).certificate])
    for text in (what, fix):
        assert text.isprintable()
        assert "lost; run" not in text  # "; " parts what happened from what to do


def test_what_openssl_says_is_passed_on_where_nothing_better_is_known(leaf):
    what, fix = tls.explain(66, [leaf.certificate], "EE certificate key too weak")
    assert "EE certificate key too weak" in what
    assert "MISO_API_URL" in fix
    assert tls.explain(20, [])[1]  # no certificate to look at: still something to do


# --- Through a proxy ----------------------------------------------------------------------------


class Tunnel(socketserver.ThreadingTCPServer):
    """An HTTP proxy that knows CONNECT alone, on a free port of localhost."""

    daemon_threads = True

    def __init__(self):
        self.asked = []
        super().__init__(("127.0.0.1", 0), self._Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    class _Handler(socketserver.StreamRequestHandler):
        def handle(self):
            line = self.rfile.readline().decode()
            while self.rfile.readline().strip():
                pass
            self.server.asked.append(line.split()[:2])
            host, _, port = line.split()[1].partition(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                ends = {self.connection: there, there: self.connection}
                with contextlib.suppress(OSError):
                    while True:
                        for end in select.select(list(ends), [], [])[0]:
                            if not (data := end.recv(65536)):
                                return
                            ends[end].sendall(data)


def test_through_a_proxy_the_same_is_trusted_and_told(ask, pem, root, leaf, between):
    with Tunnel() as proxy:
        env = {
            "https_proxy": f"http://127.0.0.1:{proxy.server_address[1]}",
            "no_proxy": "",
            "MISO_CA_FILE": pem(root),
        }
        assert ask(leaf, between, env=env) == ("", "")
        for line in ask(leaf, env=env):
            assert "an incomplete chain" in line
            assert URL in line
        proxy.shutdown()
        assert [method for method, _ in proxy.asked] == ["CONNECT"] * 4


# --- MISO_CA_FILE ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.touch(), "no certificate"),
        (lambda path: path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n"), "no certificate"),
        (lambda path: path.write_bytes(authority("x").certificate.tbs_certificate_bytes), "PEM"),
    ],
    ids=["missing", "a directory", "empty", "cut off", "DER"],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, write, reason):
    path = tmp_path / "ca.pem"
    write(path)
    with pytest.raises(ValueError, match=rf"\AMISO_CA_FILE='.*ca.pem' .*{reason}[^\n]*\Z"):
        tls.check_ca_file(str(path))


def test_a_file_that_cannot_be_used_is_wrong_usage_and_nothing_is_asked(scrapy, feed, tmp_path):
    missing = str(tmp_path / "missing.pem")
    given = (((), {"MISO_CA_FILE": missing}), (("-s", f"MISO_CA_FILE={missing}"), {}))
    for args, env in given:
        done = scrapy("crawl", "miso_rtload", *args, env=env)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("scrapy crawl: MISO_CA_FILE=")
        assert missing in line
    assert feed.requests == []
