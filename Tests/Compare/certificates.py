"""Keys and certificates for the cases, made by openssl(1) once a run."""

import os
import pathlib
import subprocess

CONFIG = """
[ca]
default_ca = {ca}
[{ca}]
dir = .
database = ./{ca}.index
new_certs_dir = .
serial = ./{ca}.serial
certificate = ./{ca}.crt
private_key = ./{ca}.key
default_md = sha256
policy = policy
unique_subject = no
[policy]
commonName = supplied
"""
AUTHORITY = """basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
LEAF = """basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
"""
LONG = ("20240101000000Z", "20490101000000Z")
PAST = ("20200101000000Z", "20210101000000Z")
FUTURE = ("20480101000000Z", "20490101000000Z")
# name, common name, subjectAltName, signed by, dates
LEAVES = [
    ("perdition", "mail.example.net", "DNS:mail.example.net", "ca", LONG),
    ("one", "one.example.net", "DNS:one.example.net,IP:127.0.0.2", "ca", LONG),
    ("cn-address", "127.0.0.2", "", "ca", LONG),
    ("cn-only", "one.example.net", "", "ca", LONG),
    ("ip-san", "somebody.example.net", "IP:127.0.0.2", "ca", LONG),
    ("wrong-name", "two.example.org", "DNS:two.example.org", "ca", LONG),
    ("wildcard", "somebody.example.org", "DNS:*.example.net", "ca", LONG),
    ("expired", "one.example.net", "DNS:one.example.net", "ca", PAST),
    ("not-yet", "one.example.net", "DNS:one.example.net", "ca", FUTURE),
    ("unknown-ca", "one.example.net", "DNS:one.example.net", "other", LONG),
    ("below", "one.example.net", "DNS:one.example.net", "middle", LONG),
    ("client", "joe", "", "ca", LONG),
    ("client-unknown", "joe", "", "other", LONG),
    ("client-expired", "joe", "", "ca", PAST),
]


class Certificates:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def openssl(self, *arguments):
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr}")

    def authority(self, name, signed_by=None):
        (self.folder / f"{name}.cnf").write_text(CONFIG.format(ca=name))
        (self.folder / f"{name}.index").write_text("")
        (self.folder / f"{name}.serial").write_text("1000\n")
        self.sign(name, f"{name} authority", "", signed_by or name, LONG, AUTHORITY)

    def sign(self, name, common_name, alternative, authority, dates, extensions):
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")
        (self.folder / f"{name}.req").write_text(
            f"[req]\ndistinguished_name = name\nprompt = no\n[name]\ncommonName = {common_name}\n")
        self.openssl("req", "-new", "-key", f"{name}.key", "-config", f"{name}.req", "-out", f"{name}.csr")
        if alternative:
            extensions += f"subjectAltName = {alternative}\n"
        (self.folder / f"{name}.ext").write_text(f"[e]\n{extensions}")
        signer = ["-selfsign", "-keyfile", f"{name}.key"] if name == authority else []
        self.openssl(
            "ca", "-batch", "-notext", "-config", f"{authority}.cnf", "-name", authority, *signer, "-in", f"{name}.csr",
            "-out", f"{name}.crt", "-startdate", dates[0], "-enddate", dates[1], "-extfile", f"{name}.ext",
            "-extensions", "e")

    def self_signed(self, name, common_name):
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3000",
            "-subj", f"/CN={common_name}", "-addext", f"subjectAltName=DNS:{common_name}", "-keyout", f"{name}.key",
            "-out", f"{name}.crt")

    def make(self):
        self.folder.mkdir()
        self.authority("ca")
        self.authority("other")
        self.authority("middle", signed_by="ca")
        for leaf in LEAVES:
            self.sign(*leaf, LEAF)
        self.self_signed("self-signed", "one.example.net")
        self.openssl("pkey", "-in", "perdition.key", "-aes256", "-passout", "pass:sesame", "-out", "locked.key")
        self.openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", "dh.pem")
        text = {name: (self.folder / name).read_text() for name in ("perdition.crt", "middle.crt", "ca.crt", "below.crt")}
        (self.folder / "chain.crt").write_text(text["below.crt"] + text["middle.crt"])
        (self.folder / "chain.key").write_text((self.folder / "below.key").read_text())
        (self.folder / "garbage.pem").write_text("this is no certificate\n")
        (self.folder / "cadir").mkdir()
        (self.folder / "cadir" / "ca.pem").write_text(text["ca.crt"])
        self.openssl("rehash", "cadir")
        for path in self.folder.rglob("*"):
            if path.is_file():
                os.chmod(path, 0o644)
