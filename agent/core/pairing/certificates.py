"""What a device checks in the certificates of a bundle before it believes who the core is."""

from agent.errors import TrustError
from agent.wire import x509

if False:
    from typing import Any

    from agent.port import contract


def check_certificates(crypto: "contract.Crypto", bundle: "dict[str, Any]", core: str, public65: bytes) -> None:
    """The core that said hello owns the CA that signed a certificate over our key. So nobody can pair in
    another core's name, which would overwrite that core's record here. TrustError, PeerError "certificate"."""
    authority = x509.read_certificate(bundle["ca"])
    ours = x509.read_certificate(bundle["cert"])
    if bundle["core"] != core or crypto.sha256(authority.public)[:8].hex() != core:
        raise TrustError("certificate", "the CA certificate is not the one of the core that asked to pair")
    if ours.public != public65:
        raise TrustError("certificate", "the device certificate is for another key than this device's")
    if not crypto.ecdsa_verify(authority.public, ours.signed, ours.signature):
        raise TrustError("certificate", "the device certificate was not signed by this core's CA")
