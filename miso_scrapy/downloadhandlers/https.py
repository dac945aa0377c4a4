"""The download handler for HTTPS, which reports why a server is not trusted."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL, crypto
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadFailedError
from scrapy.http import Response
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from miso_scrapy.downloadhandlers.http import StoppableDownloadHandler
from miso_scrapy.exceptions import UntrustedServer
from miso_scrapy.network import tls


class TrustingDownloadHandler(StoppableDownloadHandler):
    """The handler for HTTP, which also trusts the roots of :mod:`miso_scrapy.network.tls`.

    Scrapy has deprecated ``DOWNLOADER_CLIENTCONTEXTFACTORY``, and recommends a custom handler instead:
    https://github.com/scrapy/scrapy/issues/7352
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        if crawler.settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"):
            ca_file = crawler.settings.get("MISO_CA_FILE") or ""
            self._contextFactory = _Policy(self._contextFactory, ca_file)  # type: ignore[assignment]

    async def download_request(self, request: Request) -> Response:
        """Download *request*. Raises UntrustedServer if the server's certificate is not trusted."""
        try:
            return await super().download_request(request)
        except DownloadFailedError as error:
            for reason in getattr(error.__cause__, "reasons", ()):
                if isinstance(reason.value, UntrustedServer):
                    raise reason.value from None
                if isinstance(reason.value, SSL.Error) and (why := _openssls(reason.value)):
                    raise UntrustedServer(*tls.explain_no_tls(why)) from None
            raise


def _openssls(error: SSL.Error) -> str:
    """Return the reason that OpenSSL gives for *error*; "" if the connection has broken off."""
    told = error.args[0] if error.args else ()
    why = str(told[0][-1]) if isinstance(told, list) and told else ""
    return "" if "unexpected eof" in why else why


@implementer(IPolicyForHTTPS)
class _Policy:
    """Scrapy's TLS policy, with additional roots for each host."""

    def __init__(self, scrapys: Any, ca_file: str) -> None:
        self._scrapys = scrapys
        self._ca_file = ca_file
        self._creators: dict[bytes, _Creator] = {}

    def creatorForNetloc(self, hostname: bytes, port: int) -> _Creator:  # noqa: N802
        """Return the connection creator for *hostname*. It is cached, so that roots are read once."""
        if hostname not in self._creators:
            creator = self._scrapys.creatorForNetloc(hostname, port)
            self._creators[hostname] = _Creator(creator, hostname.decode("ascii"), self._ca_file)
        return self._creators[hostname]


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Create the connections to one host. They share one context, and so one store of roots."""

    def __init__(self, creator: Any, host: str, ca_file: str) -> None:
        self._creator = creator
        self._host = host
        self._ca_file = ca_file
        self._has_roots = False

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N802
        """Create the connection for *protocol*."""
        connection: SSL.Connection = self._creator.clientConnectionForTLS(protocol)
        if not self._has_roots:
            store = connection.get_context().get_cert_store()
            assert store is not None
            tls.add_roots(store, self._ca_file)
            self._has_roots = True
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        connection.set_verify(mode, _verifier(self._host, protocol))
        return connection


def _verifier(
    host: str, protocol: TLSMemoryBIOProtocol
) -> Callable[[SSL.Connection, crypto.X509, int, int, int], bool]:
    """Return the callback that OpenSSL calls for each certificate of *host*, instead of Twisted's.

    Twisted's callback does not report the reason. Up to Twisted 26.10 it also accepts, for every host, a
    certificate that names no host.
    """
    identity: IPAddress_ID | DNS_ID
    try:
        ipaddress.ip_address(host)
        identity = IPAddress_ID(host)
    except ValueError:
        identity = DNS_ID(host)

    def verify(
        connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, ok: int
    ) -> bool:
        if ok and depth == 0:
            try:
                verify_service_identity(extract_patterns(certificate), [identity], [])
            except (VerificationError, CertificateError):
                code, ok = tls.OTHER_HOST, 0
        if not ok:
            chain = connection.get_peer_cert_chain(as_cryptography=True) or []
            refused = Failure(UntrustedServer(*tls.explain(code, chain)))  # type: ignore[no-untyped-call]
            protocol.failVerification(refused)  # type: ignore[no-untyped-call]
        return bool(ok)

    return verify
