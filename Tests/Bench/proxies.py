"""The four proxies, each set up to do the same: take a login, find the store, log in there, relay.

A front is a protocol and perhaps a kind of key; with a key, TLS begins with the first byte. TLS is 1.3 with whatever
each negotiates by default, sessions are not resumed, and nobody who can be told otherwise hands out tickets for that.
Every program keeps the log it keeps by itself, in a file.
"""

import os
import pathlib
import shutil
import typing

import certificates
from programs import HOST, Failed, Program, free_port, run, write
from tools import USERS


class Front(typing.NamedTuple):
    protocol: str
    key: typing.Optional[str] = None

    @property
    def tls(self):
        return self.key is not None


class Place:
    """What the proxies stand on: a temporary folder, the tools, the stores, the popmap."""

    def __init__(self, folder, tools, binaries, stores, authhttp=None):
        self.folder, self.tools, self.binaries = folder, tools, binaries
        self.stores, self.authhttp, self.count = stores, authhttp, 0

    def sub(self, name):
        """A new folder that any user can enter."""
        self.count += 1
        folder = self.folder / f"{self.count}-{name}"
        folder.mkdir(mode=0o755)
        return folder

    def popmap(self, protocol):
        """A GDBM file of 100,000 users, all of whom are at our store."""
        file = self.folder / f"popmap.{protocol}.db"
        if not file.exists():
            make = shutil.which("makegdbm", path="/usr/bin:/bin") or str(self.binaries / "makegdbm")
            lines = "".join(f"user{n}:{HOST}:{self.stores[protocol].port}\n" for n in range(USERS))
            run([make, str(file)], input=lines)
            file.chmod(0o644)
        return file


def find(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Failed(f"no {name} here: run `make deps-bench`")
    return path


class Nginx:
    name, title = "nginx", "nginx"
    idle, pace = 4000, 1.0

    def version(self, place):
        # It answers on standard error.
        return run(["sh", "-c", f"{find('nginx')} -v 2>&1"]).strip().rpartition("/")[2]

    def start(self, place, front, processors=None):
        folder, port = place.sub(self.name), free_port()
        tls = ""
        if front.tls:
            certificate, key = certificates.make(place.folder, front.key)
            tls = (f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"
                   " ssl_session_cache none; ssl_session_tickets off;")
        module = pathlib.Path("/usr/lib/nginx/modules/ngx_mail_module.so")
        configuration = write(folder, "nginx.conf", f"""
{f"load_module {module};" if module.exists() else ""}
daemon off;
user nobody nogroup;
worker_processes auto;
worker_rlimit_nofile {min(65536, os.sysconf("SC_OPEN_MAX"))};
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; }}
mail {{
    auth_http {HOST}:{place.authhttp}/;
    server_name localhost;
    {tls}
    server {{ listen {HOST}:{port}{" ssl" if front.tls else ""}; protocol {front.protocol}; }}
}}
""")
        program = Program(self.name, [find("nginx"), "-c", str(configuration), "-e", f"{folder}/error.log"], folder,
                          processors=processors)
        program.port = port
        return program


class Dovecot:
    name, title = "dovecot", "Dovecot"
    idle, pace = 4000, 1.0

    def version(self, place):
        return run([find("dovecot"), "--version"]).split()[0]

    def start(self, place, front, processors=None):
        folder, port, cores = place.sub(self.name), free_port(), len(os.sched_getaffinity(0))
        tls = "ssl = no"
        if front.tls:
            certificate, key = certificates.make(place.folder, front.key)
            tls = f"ssl = required\nssl_cert = <{certificate}\nssl_key = <{key}\nssl_options = no_ticket"
        listeners = {front.protocol: 0, front.protocol + "s": 0, front.protocol + ("s" if front.tls else ""): port}
        inet = "".join(f"inet_listener {name} {{\n    port = {number}\n  }}\n  " for name, number in listeners.items())
        configuration = write(folder, "dovecot.conf", f"""
protocols = {front.protocol}
listen = {HOST}
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
disable_plaintext_auth = no
{tls}
passdb {{
  driver = static
  args = proxy=y host={HOST} port={place.stores[front.protocol].port} nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
default_client_limit = 30000
service {front.protocol}-login {{
  chroot =
  service_count = 0
  process_min_avail = {cores}
  process_limit = {cores}
  client_limit = 9000
  vsz_limit = 2G
  {inet}
}}
service auth {{
  client_limit = 60000
}}
service anvil {{
  chroot =
  client_limit = 60000
}}
service stats {{
  chroot =
}}
""")
        program = Program(self.name, [find("dovecot"), "-F", "-c", str(configuration)], folder, processors=processors)
        program.port = port
        return program


def perdition_options(place, front, port):
    """What the original and ours are both told."""
    options = [
        "--protocol", {"imap": "IMAP4", "pop3": "POP3"}[front.protocol], "--bind_address", HOST, "--listen_port",
        str(port), "--map_library_opt", str(place.popmap(front.protocol)), "--no_lookup", "--no_bind_banner",
        "--pid_file", "", "--log_facility", "-", "--config_file", "/dev/null", "--no_daemon", "--username", "nobody",
        "--group", "nogroup"]
    if front.tls:
        certificate, key = certificates.make(place.folder, front.key)
        options += ["--ssl_mode", "ssl_listen", "--ssl_cert_file", str(certificate), "--ssl_key_file", str(key),
                    "--ssl_ca_path", "", "--ssl_no_client_cert_verify"]
    return options


class Original:
    name, title = "original", "perdition"
    idle, pace = 1000, 0.4

    def version(self, place):
        return run(["dpkg-query", "-W", "-f=${Version}", "perdition"]).partition("-")[0]

    def start(self, place, front, processors=None):
        folder, port = place.sub(self.name), free_port()
        # With more descriptors it closes them one by one for each session, and costs three times as much.
        program = Program(self.name, ["/usr/sbin/perdition", *perdition_options(place, front, port)], folder,
                          limit=1024, processors=processors)
        program.port = port
        return program


class Ours:
    name, title = "ours", "ours"
    idle, pace = 4000, 1.0

    def version(self, place):
        return ""

    def command(self, place, front, port, extra=()):
        tls = ["--ssl_no_session_tickets"] if front.tls else []
        return [str(place.binaries / "perdition"), *perdition_options(place, front, port), *tls,
                "--map_library", "gdbm", "--map_provider_dir", str(place.binaries), *extra]

    def start(self, place, front, processors=None, extra=()):
        folder, port = place.sub(self.name), free_port()
        program = Program(self.name, self.command(place, front, port, extra), folder, processors=processors)
        program.port = port
        return program


ALL = {proxy.name: proxy for proxy in (Nginx(), Dovecot(), Original(), Ours())}
