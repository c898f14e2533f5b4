"""Cases, read from cases/*.toml and checked, so that a typing error is found before anything runs."""

import pathlib
import shlex
import tomllib

FIELDS = {
    "name": str, "about": str, "program": str, "options": (str, list), "auto": bool, "config": str, "etc": dict,
    "files": dict, "popmap": str, "hosts": str, "pam": str, "client": (str, list), "each": list, "real": list,
    "inetd": bool, "detach": bool, "ready": int, "log": str, "wait": (int, float), "protocol": str,
    "host": str, "port": int, "linger": (int, float), "map": str, "fds": dict, "groups": list, "undefined": dict, "wire": bool, "repeats": bool,
}
REAL_FIELDS = {
    "name": str, "address": str, "port": int, "protocol": str, "tls": bool, "cert": str, "greeting": str,
    "reply": dict, "user": str, "password": str, "client_ca": bool, "ports": list,
}
PROTOCOLS = {
    "imap4": "imap", "imap4s": "imap", "imaps": "imap", "pop3": "pop", "pop3s": "pop", "managesieve": "sieve",
}

CERT = "--ssl_cert_file /srv/tls/perdition.crt --ssl_key_file /srv/tls/perdition.key"
CA = "--ssl_ca_file /srv/tls/ca.crt --ssl_ca_path ''"


class Mistake(Exception):
    """A case file that says something this harness does not know."""


def check(table, fields, where):
    for key, value in table.items():
        if key not in fields:
            raise Mistake(f"{where}: unknown field {key}")
        if not isinstance(value, fields[key]) or isinstance(value, bool) and fields[key] is not bool:
            raise Mistake(f"{where}: {key} is of the wrong kind")


def load_file(path):
    with open(path, "rb") as file:
        try:
            document = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise Mistake(f"{path.name}: {error}") from error
    defaults = document.get("defaults", {})
    for number, case in enumerate(document.get("case", [])):
        case = {**defaults, **case}
        where = f"{path.name}: {case.get('name', f'case {number + 1}')}"
        check(case, FIELDS, where)
        if "name" not in case or "program" not in case:
            raise Mistake(f"{where}: name and program are needed")
        if isinstance(case.get("options", ""), str):
            case["options"] = shlex.split(case.get("options", "").replace("$CERT", CERT).replace("$CA", CA))
        case.setdefault("protocol", PROTOCOLS.get(case["program"], "pop"))
        for real in case.get("real", []):
            check(real, REAL_FIELDS, where)
        yield case


def load(folder):
    """Every case of the folder, in the order of file names and of the lines in each."""
    cases, names = [], set()
    for path in sorted(pathlib.Path(folder).glob("*.toml")):
        for case in load_file(path):
            if case["name"] in names:
                raise Mistake(f"{path.name}: {case['name']} is there twice")
            names.add(case["name"])
            case["file"] = path.stem
            cases.append(case)
    return cases
