"""Self-signed certificates of each kind of key."""

from programs import run

KINDS = {
    "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-newkey", "rsa:2048"],
    "rsa7680": ["-newkey", "rsa:7680"],
}


def make(folder, kind):
    """(certificate, key) of a kind, made when first asked for."""
    certificate, key = folder / f"{kind}.crt", folder / f"{kind}.key"
    if not certificate.exists():
        run(["openssl", "req", "-x509", *KINDS[kind], "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout",
             str(key), "-out", str(certificate)])
    return certificate, key
