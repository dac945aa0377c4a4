"""TLS: which roots are trusted, and why a server's certificate is not.

Trusted are the roots of OpenSSL's default paths, certifi's, and MISO_CA_FILE's: the default paths hold
nothing on macOS without Homebrew's ``openssl@3``, or in an image without ``ca-certificates``. See
``set_default_verify_paths`` in https://www.pyopenssl.org/en/stable/api/ssl.html

What is slow to import is imported where it is needed: every command reads the options.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from miso_scrapy.feed.ref_id import iso_utc

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL.crypto import X509Store

# Results of OpenSSL's verification: X509_V_ERR_... in openssl/x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
# No trusted issuer: of any certificate (2), self-signed alone (18) or in the chain (19), of the last
# one (20), of the only one (21).
_NO_ISSUER = (2, 18, 19, 20, 21)
OTHER_HOST = 62
_OTHER_ADDRESS = 64

_CHECK_SERVER = "check MISO_API_URL, and who answers in MISO's place"
_CHECK_CLOCK = "check this machine's clock"
_SHOWN = 200  # characters of a name: the certificate's maker chose it


# --- What is trusted ----------------------------------------------------------------------------


def check_ca_file(path: str) -> None:
    """Raise ValueError, with one line for the user, unless *path* is a PEM file of certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        pass
    except OSError as error:
        raise ValueError(f"MISO_CA_FILE={path!r} cannot be read: {error.strerror}") from None
    if not context.cert_store_stats()["x509"]:
        raise ValueError(f"MISO_CA_FILE={path!r} must be a PEM file: there is no certificate in it")


def add_roots(store: X509Store, ca_file: str) -> None:
    """Trust certifi's roots and *ca_file*'s certificates in *store*, which has the system's roots."""
    import certifi
    from OpenSSL.crypto import X509StoreFlags

    for file in (certifi.where(), ca_file):
        if file:
            store.load_locations(file)
    # What is in MISO_CA_FILE is trusted as it is: an intermediate is enough, its root need not be known.
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)


def client_context(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the same roots, for a client that uses Python's own ``ssl``.

    A handshake that it refuses raises an ssl.SSLCertVerificationError with the server's chain in
    ``.chain``.
    """
    import certifi

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_default_verify_paths()
    for file in (certifi.where(), ca_file):
        if file:
            context.load_verify_locations(file)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.sslobject_class = _ChainKeeper
    return context


class _ChainKeeper(ssl.SSLObject):
    """Keep the chain of a server that is refused, in the error.

    ``SSLObject.get_unverified_chain`` is public from Python 3.13 on; until then it is one level below.
    """

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            from cryptography import x509

            sent: Any = self._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
            error.chain = [  # type: ignore[attr-defined]
                x509.load_pem_x509_certificate(each.public_bytes().encode()) for each in sent or ()
            ]
            raise


# --- Why a server is not ------------------------------------------------------------------------


def explain_refusal(error: Exception) -> tuple[str, str]:
    """Return what :func:`explain` does of an *error* in the handshake of a :func:`client_context`."""
    chain = getattr(error, "chain", [])
    message = getattr(error, "verify_message", "")
    return explain(getattr(error, "verify_code", 0), chain, message)


def explain(code: int, chain: list[x509.Certificate], message: str = "") -> tuple[str, str]:
    """Return what is wrong with a server's certificate, and what to do: each a part of a line.

    *code* and *message* are OpenSSL's, *chain* is what the server sent, its own certificate first.
    """
    if chain and code in _NO_ISSUER:
        return _no_issuer(chain)
    if chain and code in (OTHER_HOST, _OTHER_ADDRESS):
        subject, hosts = _text(chain[0].subject), _hosts(chain[0]) or "no host"
        return f"another host's certificate ({subject}, for {hosts})", _CHECK_SERVER
    now = datetime.now(UTC)
    if code == _EXPIRED:
        which = [
            f"{_text(each.subject)}, until {iso_utc(each.not_valid_after_utc)}"
            for each in chain
            if each.not_valid_after_utc < now
        ]
        # None of those that were sent: one of those that are trusted.
        fix = "" if which else "remove what has expired from MISO_CA_FILE, or "
        return (
            f"an expired certificate ({' and '.join(which) or 'a trusted one'})",
            f"{fix}{_CHECK_CLOCK}, or wait for the server's new certificate",
        )
    if code == _NOT_YET_VALID:
        which = [
            f"{_text(each.subject)}, from {iso_utc(each.not_valid_before_utc)}"
            for each in chain
            if each.not_valid_before_utc > now
        ]
        return (
            f"a certificate that is not valid yet ({' and '.join(which) or 'a trusted one'})",
            _CHECK_CLOCK,
        )
    return (
        f"a certificate that cannot be trusted ({message or f'error {code} of OpenSSL'})",
        _CHECK_SERVER,
    )


def _no_issuer(chain: list[x509.Certificate]) -> tuple[str, str]:
    """Tell an incomplete chain from an unknown root, by how far the chain goes that was sent.

    A server sends its own certificate and every intermediate; it need not send the root. So an
    intermediate is missing where no issuer of its own certificate was sent. Where a root issued that
    one directly, as a small authority of one's own may do, nothing tells; the fix is the same.
    """
    last, others = chain[0], chain[1:]
    while last.issuer != last.subject:
        issuers = [each for each in others if each.subject == last.issuer]
        if not issuers:
            break
        last = issuers[0]
        others.remove(last)
    issuer, subject = _text(last.issuer), _text(last.subject)
    fix = f"put the certificate of {issuer} into a PEM file, and its path into MISO_CA_FILE"
    if place := _issuers_place(last):
        fix += f" (it is at {place})"
    if last is chain[0] and last.issuer != last.subject:
        return (
            f"an incomplete chain of certificates (without {issuer}, which issued {subject}, and "
            "which is not a trusted root)",
            f"make sure that MISO answers there, then {fix}",
        )
    why = "is self-signed" if last is chain[0] else f"issued {subject}"
    if last is not chain[0] and last.issuer == last.subject:
        why = f"is where the chain of {_text(chain[0].subject)} ends"
    return (
        f"a certificate of an unknown root ({issuer} {why}, and is not trusted)",
        f"{_CHECK_SERVER}, and if you trust that, {fix}",
    )


def _issuers_place(certificate: x509.Certificate) -> str:
    """Return the URL of the issuer's certificate: "CA Issuers" (RFC 5280, 4.2.2.1); "" without one."""
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID

    try:
        places = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
        urls = [
            place.access_location.value
            for place in places.value
            if place.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        ]
    except (x509.ExtensionNotFound, ValueError):  # ValueError: an extension that is broken
        return ""
    return next((_printable(url) for url in urls if str(url).startswith("http")), "")


def _hosts(certificate: x509.Certificate) -> str:
    """Return the hosts that *certificate* is for, the first of them; "" where it names none."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = [*names.get_values_for_type(x509.DNSName)]
        hosts += map(str, names.get_values_for_type(x509.IPAddress))
    except (x509.ExtensionNotFound, ValueError):
        hosts = []
    return _printable(", ".join(hosts))


def _text(name: x509.Name) -> str:
    return _printable(name.rfc4514_string())


def _printable(text: str) -> str:
    """Return *text*, which a stranger wrote, as a part of a line: no control characters, no end."""
    shown = "".join(each if each.isprintable() else "?" for each in text).replace(";", ",")
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
