# SPDX-License-Identifier: MIT
"""The server's side of kubectl exec's streams: SPDY/3.1, and v4 and v5.channel.k8s.io."""
import os
import select
import socket
import ssl
import struct
import threading
import zlib

STDIN, STDOUT, STDERR, ERROR = 0, 1, 2, 3

SPDY_WORDS = """options head post put delete trace accept accept-charset accept-encoding
accept-language accept-ranges age allow authorization cache-control connection content-base
content-encoding content-language content-length content-location content-md5 content-range
content-type date etag expect expires from host if-match if-modified-since if-none-match if-range
if-unmodified-since last-modified location max-forwards pragma proxy-authenticate
proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent
vary via warning www-authenticate method get status""".split() + ["200 OK"] + """version HTTP/1.1 url
public set-cookie keep-alive origin""".split()
SPDY_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0.")
SPDY_DICTIONARY = b"".join(struct.pack(">I", len(w)) + w.encode() for w in SPDY_WORDS)
SPDY_DICTIONARY += SPDY_TAIL.encode()


class Connection:
    """TLS that one thread reads and others write, which OpenSSL allows one at a time only."""

    def __init__(self, tls):
        self.tls, self.lock = tls, threading.Lock()
        tls.setblocking(False)

    def read(self, size):
        data = b""
        while len(data) < size:
            try:
                with self.lock:
                    part = self.tls.recv(size - len(data))
                if not part:
                    break
                data += part
            except ssl.SSLWantReadError:
                select.select([self.tls], [], [])
        return data

    def sendall(self, data):
        view = memoryview(data)
        while view:
            try:
                with self.lock:
                    view = view[self.tls.send(view):]
            except ssl.SSLWantWriteError:
                select.select([], [self.tls], [])

    def cut(self):
        """Breaks it off. A client that still writes gets a reset, and does not wait for us."""
        self.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.tls.shutdown(socket.SHUT_RDWR)
        os.close(self.tls.detach())

    def close(self):
        """Says no more, and takes what still comes until the client has seen that."""
        self.tls.shutdown(socket.SHUT_WR)
        self.tls.settimeout(10)
        while self.tls.recv(65536):
            pass


class Spdy:
    """The server's side of SPDY/3.1, as moby/spdystream speaks it."""

    def __init__(self, connection):
        self.connection = self.reader = connection
        self.lock = threading.Lock()
        self.inflate = zlib.decompressobj(zdict=SPDY_DICTIONARY)
        self.deflate = zlib.compressobj(zdict=SPDY_DICTIONARY)
        self.streams = {}

    def send(self, data):
        with self.lock:
            self.connection.sendall(data)

    def control(self, kind, body, flags=0):
        self.send(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body)

    def read_frame(self):
        head = self.reader.read(8)
        if len(head) < 8:
            raise EOFError
        first, second = struct.unpack(">II", head)
        body = self.reader.read(second & 0xffffff)
        if len(body) < second & 0xffffff:
            raise EOFError
        return first, second >> 24, body

    def headers(self, packed):
        data, found = self.inflate.decompress(packed), {}
        count, at = struct.unpack(">I", data[:4])[0], 4
        for _ in range(count):
            pair = []
            for _ in range(2):
                size = struct.unpack(">I", data[at:at + 4])[0]
                pair.append(data[at + 4:at + 4 + size].decode())
                at += 4 + size
            found[pair[0].lower()] = pair[1]
        return found

    def reply(self, stream):
        with self.lock:
            packed = self.deflate.compress(struct.pack(">I", 0))
            packed += self.deflate.flush(zlib.Z_SYNC_FLUSH)
            body = struct.pack(">I", stream) + packed
            self.connection.sendall(struct.pack(">HHI", 0x8003, 2, len(body)) + body)

    def open(self, wanted):
        """Until the streams that the request asks for are there."""
        while len(self.streams) < wanted:
            self.read_other(*self.read_frame())

    def read_other(self, first, _flags, body):
        if first == 0x80030001:
            stream = struct.unpack(">I", body[:4])[0]
            kind = self.headers(body[10:])["streamtype"]
            self.streams[("stdin", "stdout", "stderr", "error").index(kind)] = stream
            self.reply(stream)
        elif first == 0x80030006:
            self.control(6, body)

    def messages(self):
        """Stdin, and None at its end."""
        while True:
            first, flags, body = self.read_frame()
            if first >> 31:
                self.read_other(first, flags, body)
            elif first == self.streams.get(STDIN):
                if body:
                    yield body
                if flags & 1:
                    yield None

    def write(self, channel, data):
        for at in range(0, len(data), 32768):
            part = data[at:at + 32768]
            self.send(struct.pack(">II", self.streams[channel], len(part)) + part)

    def end(self):
        for channel in (STDOUT, STDERR, ERROR):
            if channel in self.streams:
                self.send(struct.pack(">II", self.streams[channel], 1 << 24))


class WebSocket:
    """The server's side of v4 and v5.channel.k8s.io."""

    def __init__(self, connection):
        self.connection = self.reader = connection
        self.lock = threading.Lock()

    def open(self, _wanted):
        for channel in (STDIN, STDOUT, STDERR, ERROR):
            self.write(channel, b"", True)

    def send(self, opcode, data):
        size = len(data)
        head = bytes([0x80 | opcode]) + (
            bytes([size]) if size < 126 else
            b"\x7e" + struct.pack(">H", size) if size < 65536 else
            b"\x7f" + struct.pack(">Q", size))
        with self.lock:
            self.connection.sendall(head + data)

    def read(self, size):
        data = self.reader.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def messages(self):
        message = b""
        while True:
            first, second = self.read(2)
            size = second & 0x7f
            if size == 126:
                size = struct.unpack(">H", self.read(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.read(8))[0]
            mask = self.read(4)
            data = self.read(size)
            if size:
                long_mask = (mask * (size // 4 + 1))[:size]
                data = (int.from_bytes(data, "big") ^
                        int.from_bytes(long_mask, "big")).to_bytes(size, "big")
            opcode = first & 15
            if opcode == 8:
                raise EOFError
            if opcode == 9:
                self.send(10, data)
            elif opcode in (0, 1, 2):
                message += data
                if first & 0x80:
                    if message[:1] == b"\xff":
                        yield None
                    elif message[:1] == b"\0" and len(message) > 1:
                        yield message[1:]
                    message = b""

    def write(self, channel, data, empty=False):
        for at in range(0, len(data) or empty, 32768):
            self.send(2, bytes([channel]) + data[at:at + 32768])

    def end(self):
        self.send(8, struct.pack(">H", 1000))
