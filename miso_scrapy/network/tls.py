"""TLS: the roots that are trusted, and explanations of why a server is refused.

The trusted roots are those of OpenSSL's default paths, of certifi and of MISO_CA_FILE. The default
paths are empty on macOS without Homebrew's ``openssl@3``, and in an image without
``ca-certificates``. See ``set_default_verify_paths`` in
https://www.pyopenssl.org/en/stable/api/ssl.html

Every command imports this module to read its options, so slow imports are inside the functions.
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

_CHECK_SERVER = "check MISO_API_URL, and whether a proxy answers instead of MISO's server"
_CHECK_CLOCK = "check this machine's clock"
_SHOWN = 200  # characters of a name: whoever made the certificate chose its length


# --- Trusted roots ------------------------------------------------------------------------------


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
    """Add certifi's roots and *ca_file*'s certificates to *store*, which has the system's roots."""
    import certifi
    from OpenSSL.crypto import X509StoreFlags

    for file in (certifi.where(), ca_file):
        if file:
            store.load_locations(file)
    # Each certificate in MISO_CA_FILE is trusted itself: an intermediate is enough, without its root.
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)


def client_context(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the same roots, for clients that use Python's own ``ssl``.

    If the server is refused, the handshake raises ssl.SSLCertVerificationError with the server's
    chain in ``.chain``.
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
    """Add the server's chain of certificates to the error when the server is refused.

    ``SSLObject.get_unverified_chain`` is public since Python 3.13. Before, only the inner object has it.
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


# --- Explanations -------------------------------------------------------------------------------


def explain_refusal(error: Exception) -> tuple[str, str]:
    """Call :func:`explain` for an *error* in the handshake of a :func:`client_context`."""
    chain = getattr(error, "chain", [])
    message = getattr(error, "verify_message", "")
    return explain(getattr(error, "verify_code", 0), chain, message)


def explain(code: int, chain: list[x509.Certificate], message: str = "") -> tuple[str, str]:
    """Return what is wrong with a server's certificate, and what to do, as two parts of a line.

    *code* and *message* are OpenSSL's. *chain* is what the server sent, its own certificate first.
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
        # If no certificate of the chain has expired, a trusted one has.
        fix = "" if which else "remove the expired certificate from MISO_CA_FILE, or "
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


def explain_no_tls(reason: str) -> tuple[str, str]:
    """Return what is wrong where a handshake fails for OpenSSL's *reason*, and what to do."""
    return f"no TLS at this address ({reason.replace('_', ' ').lower()})", _CHECK_SERVER


def _no_issuer(chain: list[x509.Certificate]) -> tuple[str, str]:
    """Distinguish an incomplete chain from an unknown root by the certificates that were sent.

    A server sends its own certificate and every intermediate, but need not send the root. So if the
    issuer of its own certificate was not sent, an intermediate is missing. It may also be that a
    root issued that certificate directly, as small private authorities do. The chain does not show
    which of the two it is, and the fix is the same.
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
            f"an incomplete chain of certificates ({issuer}, which issued {subject}, is missing, and "
            "is not a trusted root)",
            f"make sure that MISO answers there, then {fix}",
        )
    why = "is self-signed" if last is chain[0] else f"issued {subject}"
    if last is not chain[0] and last.issuer == last.subject:
        why = f"is where the chain of {_text(chain[0].subject)} ends"
    return (
        f"a certificate of an unknown root ({issuer} {why}, and is not trusted)",
        f"{_CHECK_SERVER}, and if you trust it, {fix}",
    )


def _issuers_place(certificate: x509.Certificate) -> str:
    """Return the URL of the issuer's certificate, "CA Issuers" in RFC 5280, 4.2.2.1, or ""."""
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID

    try:
        places = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
        urls = [
            place.access_location.value
            for place in places.value
            if place.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        ]
    except (x509.ExtensionNotFound, ValueError):  # ValueError: a malformed extension
        return ""
    return next((_printable(url) for url in urls if str(url).startswith("http")), "")


def _hosts(certificate: x509.Certificate) -> str:
    """Return the hosts that *certificate* names, cut after some; "" if it names none."""
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
    """Return untrusted *text* as part of a line: cut, without control characters and semicolons."""
    shown = "".join(each if each.isprintable() else "?" for each in text).replace(";", ",")
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
