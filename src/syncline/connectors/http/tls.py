"""The one TLS context.

What lives here: its making. There is no way to turn verification off, and no environment variable is read: that is why
this does not use `ssl.create_default_context`, which obeys SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE.
"""

from __future__ import annotations

import ssl

from syncline.errors import DefinitionError

__all__ = ["tls_context"]


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that verifies certificate and host name, from TLS 1.2 on.

    Trusted are the authorities in `ca_file` (PEM), or Mozilla's, as certifi carries them, where none is given. Raises
    `DefinitionError` for a file that cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if ca_file is None:
        import certifi

        context.load_verify_locations(cafile=certifi.where())
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise DefinitionError(
            f"The file of certificate authorities cannot be read ({type(error).__name__}).",
            remedy="Give the path of a PEM file.",
        ) from None
    return context
