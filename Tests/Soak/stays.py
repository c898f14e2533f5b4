"""Sessions that stay for a while and say a word now and then; each has to come back with the name that logged in."""
import asyncio
import base64
import re

from stores import HOST
from visits import PATIENCE, Crossed, Lost


def plain(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


class Stay:
    """A connection that is logged in."""

    @classmethod
    async def enter(cls, proxy, security, user, password, context):
        self = cls()
        self.user = user
        async with asyncio.timeout(PATIENCE):
            over = {"ssl": context, "server_hostname": "localhost"} if security == "tls" else {}
            self.reader, self.writer = await asyncio.open_connection(HOST, proxy.port, **over)
            try:
                await getattr(self, proxy.protocol)(security, user, password, context)
            except BaseException:
                self.writer.close()
                raise
        return self

    async def say(self, line, answer):
        """Sends a line, if any, and waits for one that begins as it should."""
        if line:
            self.writer.write(line.encode() + b"\r\n")
        while heard := (await self.reader.readline()).decode(errors="replace"):
            if re.match(answer, heard):
                return heard
            if re.match(r"\w+ (NO|BAD)|\* BYE|-ERR|NO|BYE", heard):
                break
        raise Lost(f"heard {heard!r} instead of {answer} to {(line or 'nothing').split()[0]}")

    async def imap4(self, security, user, password, context):
        await self.say(None, r"\* OK")
        if security == "starttls":
            await self.say("s STARTTLS", "s OK")
            await self.writer.start_tls(context, server_hostname="localhost")
        await self.say(f"a LOGIN {user} {password}", "a OK")

    async def pop3(self, security, user, password, context):
        await self.say(None, r"\+OK")
        if security == "starttls":
            await self.say("STLS", r"\+OK")
            await self.writer.start_tls(context, server_hostname="localhost")
        await self.say(f"USER {user}", r"\+OK")
        await self.say(f"PASS {password}", r"\+OK")

    async def managesieve(self, security, user, password, context):
        await self.say(None, "OK")
        if security == "starttls":
            await self.say("STARTTLS", "OK")
            await self.writer.start_tls(context, server_hostname="localhost")
            await self.say(None, "OK")
        await self.say(f'AUTHENTICATE "PLAIN" "{plain(user, password)}"', "OK")

    async def echo(self, word):
        """A word to the fake store and back."""
        async with asyncio.timeout(PATIENCE):
            self.writer.write(word.encode() + b"\r\n")
            heard = (await self.reader.readline()).decode(errors="replace")
        if not heard:
            raise Lost("the session has ended")
        if heard.split() != ["echo", self.user, word]:
            raise Crossed(f"{self.user} sent {word} and got {heard!r}")

    def leave(self):
        self.writer.close()
