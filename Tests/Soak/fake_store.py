"""A mail store that knows everybody: after the login it sends each word back, with the name that logged in.

Usage: fake_store.py; prints a port for each of IMAP4, POP3 and ManageSieve, and serves until it is ended.
"""
import asyncio
import base64
import re

GREETING = {"imap4": "* OK ready\r\n", "pop3": "+OK ready\r\n", "managesieve": '"SASL" "PLAIN"\r\nOK\r\n'}


async def imap4(reader, writer):
    while True:
        line = (await reader.readline()).decode()
        tag, _, command = line.strip().partition(" ")
        if not line:
            return None
        if command.upper() == "CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1\r\n")
        writer.write(f"{tag} OK\r\n".encode())
        if found := re.match(r'LOGIN "?([^" ]+)"? ', command, re.IGNORECASE):
            return found[1]


async def pop3(reader, writer):
    user = None
    while True:
        line = (await reader.readline()).decode()
        command, _, rest = line.strip().partition(" ")
        if not line:
            return None
        if command.upper() in ("CAPA", "STLS"):
            writer.write(b"-ERR\r\n")
            continue
        writer.write(b"+OK\r\n")
        if command.upper() == "USER":
            user = rest
        if command.upper() == "PASS":
            return user


async def managesieve(reader, writer):
    while True:
        line = (await reader.readline()).decode()
        if not line:
            return None
        if line.upper().startswith("AUTHENTICATE"):
            word = re.search(r'"PLAIN" (?:"([^"]*)"|\{(\d+)\+?\})', line, re.IGNORECASE)
            if word[1] is None:
                plain = await reader.readexactly(int(word[2]))
                await reader.readline()
            else:
                plain = word[1].encode()
            writer.write(b"OK\r\n")
            return base64.b64decode(plain).split(b"\0")[1].decode()
        if line.upper().startswith("CAPABILITY"):
            writer.write(b'"SASL" "PLAIN"\r\n')
        writer.write(b"OK\r\n")


def door(protocol, login):
    async def serve(reader, writer):
        try:
            writer.write(GREETING[protocol].encode())
            user = await login(reader, writer)
            while user and (word := (await reader.readline()).strip()):
                writer.write(f"echo {user} ".encode() + word + b"\r\n")
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
    return serve


async def main():
    servers = []
    for protocol, login in ("imap4", imap4), ("pop3", pop3), ("managesieve", managesieve):
        servers.append(await asyncio.start_server(door(protocol, login), "127.0.0.1", 0, backlog=1000))
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
