#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Kubernetes API server, as far as kubectl get, auth can-i and exec need one. Pods are Docker
containers that somebody else started.

    api_server.py DIR POD=CONTAINER[,label=value...] ...

It makes a CA of its own and DIR/kubeconfig, writes DIR/ready when it listens, and ends on SIGTERM.
It listens on loopback only. DIR/trouble says how it misbehaves, one word, read for every request:
401 403 404 500 refuse-upgrade, cut (the stream, after its first output), mute (the same, but no
connection error: an orderly end of the stream without a status), delay (before the answer),
delete (the pod, under the exec).
"""
import base64
import hashlib
import json
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "test-token"
DIR = sys.argv[1]
PODS = {}
GONE = set()
STDIN, STDOUT, STDERR, ERROR = 0, 1, 2, 3
for word in sys.argv[2:]:
    name, _, rest = word.partition("=")
    container, *labels = rest.split(",")
    PODS[name] = {"container": container, "labels": dict(x.split("=", 1) for x in labels)}

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


def trouble():
    try:
        with open(os.path.join(DIR, "trouble"), encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def status(code, reason, message, details=None):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code, "details": details or {}}


def exit_status(code):
    if code == 0:
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return status(500, "NonZeroExitCode",
                  f"command terminated with non-zero exit code: exit status {code}",
                  {"causes": [{"reason": "ExitCode", "message": str(code)}]})


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
        self.tls.shutdown(socket.SHUT_RDWR)


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


def run_exec(transport, pod, command, wanted, how):
    """Runs the command in the pod's container, and connects it to the client."""
    transport.open(wanted)
    process = subprocess.Popen(["docker", "exec", "-i", pod["container"], *command], bufsize=0,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)

    def feed():
        try:
            for data in transport.messages():
                try:
                    if data is None:
                        process.stdin.close()
                    elif not process.stdin.closed:
                        view = memoryview(data)
                        while view:
                            view = view[process.stdin.write(view):]
                except (BrokenPipeError, ValueError):
                    pass
        except (EOFError, OSError, ssl.SSLError):
            pass
        finally:
            try:
                process.stdin.close()
            except (BrokenPipeError, ValueError):
                pass

    broken = threading.Event()

    def drain(pipe, channel):
        while data := pipe.read(32768):
            if broken.is_set():
                continue
            try:
                if how in ("cut", "mute") and channel == STDOUT:
                    transport.write(channel, data[:max(1, len(data) - 1)])
                    broken.set()
                    if how == "mute":
                        transport.end()
                    transport.connection.cut()
                else:
                    transport.write(channel, data)
            except (OSError, ValueError):
                broken.set()

    threading.Thread(target=feed, daemon=True).start()
    drains = [threading.Thread(target=drain, args=(process.stdout, STDOUT)),
              threading.Thread(target=drain, args=(process.stderr, STDERR))]
    for thread in drains:
        thread.start()
    if how == "delete":
        time.sleep(0.5)
        GONE.add(pod["container"])
        subprocess.run(["docker", "kill", pod["container"]], check=False, capture_output=True)
    for thread in drains:
        thread.join()
    code = process.wait()
    if not broken.is_set():
        transport.write(ERROR, json.dumps(exit_status(code)).encode())
        transport.end()
        time.sleep(0.05)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def answer(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code, reason, message, details=None):
        self.answer(code, status(code, reason, message, details))

    def pod(self, name):
        gone = PODS[name]["container"] in GONE
        return {"kind": "Pod", "apiVersion": "v1",
                "metadata": {"name": name, "namespace": "default", "labels": PODS[name]["labels"],
                             "uid": name, "resourceVersion": "1"},
                "spec": {"containers": [{"name": "main", "image": "x"}], "nodeName": "node"},
                "status": {"phase": "Failed" if gone else "Running", "conditions": [
                    {"type": "Ready", "status": "False" if gone else "True"}]}}

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.url = urlsplit(self.path)
        self.query = parse_qs(self.url.query)
        how = trouble()
        if how == "delay":
            time.sleep(5)
        if how == "401" or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, "Unauthorized", "Unauthorized")
        if self.url.path == "/version":
            return self.answer(200, {"major": "1", "minor": "30", "gitVersion": "v1.30.0"})
        if self.url.path == "/api":
            return self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        if self.url.path == "/apis":
            return self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
        if self.url.path == "/api/v1":
            return self.answer(200, {
                "kind": "APIResourceList", "groupVersion": "v1", "resources": [
                    {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod",
                     "shortNames": ["po"], "verbs": ["get", "list", "watch", "create"]},
                    {"name": "pods/exec", "singularName": "", "namespaced": True,
                     "kind": "PodExecOptions", "verbs": ["create", "get"]}]})
        if self.url.path.endswith("/selfsubjectaccessreviews"):
            # What is asked may be protobuf; it is always the right to exec.
            return self.answer(201, {
                "kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": how != "403"},
                "apiVersion": self.url.path[len("/apis/"):].rpartition("/")[0]})
        match = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+)(/exec)?)?", self.url.path)
        if not match:
            return self.refuse(404, "NotFound", "the server could not find the requested resource")
        return self.do_pods(how, *match.groups())

    do_POST = do_GET

    def do_pods(self, how, _namespace, name, execute):
        if how == "403":
            return self.refuse(403, "Forbidden", f'pods "{name}" is forbidden: User "t" cannot '
                               'create resource "pods/exec" in API group ""')
        if how == "500":
            return self.refuse(500, "InternalError", "Internal error occurred: on demand")
        if name is None:
            wanted = dict(pair.split("=", 1) for pair in filter(None, self.query.get(
                "labelSelector", [""])[0].split(",")))
            return self.answer(200, {
                "kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"},
                "items": [self.pod(n) for n in sorted(PODS)
                          if wanted.items() <= PODS[n]["labels"].items()]})
        if how == "404" or name not in PODS or PODS[name]["container"] in GONE and execute:
            return self.refuse(404, "NotFound", f'pods "{name}" not found',
                               {"name": name, "kind": "pods"})
        if not execute:
            return self.answer(200, self.pod(name))
        if self.query.get("container", ["main"])[0] != "main":
            return self.refuse(400, "BadRequest",
                               f"container {self.query['container'][0]} is not valid for pod {name}")
        if how == "refuse-upgrade":
            return self.refuse(500, "InternalError", "upgrade is refused on demand")
        return self.upgrade(how, PODS[name])

    def upgrade(self, how, pod):
        self.close_connection = True
        wanted = 1 + sum(k in self.query for k in ("stdin", "stdout", "stderr"))
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        if self.headers.get("Upgrade", "").lower() == "websocket":
            offered = [p.strip() for h in self.headers.get_all("Sec-WebSocket-Protocol", [])
                       for p in h.split(",")]
            chosen = [p for p in ("v5.channel.k8s.io", "v4.channel.k8s.io") if p in offered][0]
            accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] +
                                   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            self.send_header("Upgrade", "websocket")
            self.send_header("Sec-WebSocket-Protocol", chosen)
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
            transport = WebSocket
        else:
            self.send_header("Upgrade", "SPDY/3.1")
            self.send_header("X-Stream-Protocol-Version", "v4.channel.k8s.io")
            transport = Spdy
        self.end_headers()
        self.wfile.flush()
        try:
            run_exec(transport(Connection(self.connection)), pod, self.query["command"], wanted, how)
        except (EOFError, OSError):
            pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=DIR)


def make_certificates():
    with open(f"{DIR}/san", "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:127.0.0.1\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test-ca", "-days", "3650")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            "tls.key", "-out", "tls.csr", "-subj", "/CN=127.0.0.1")
    openssl("x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "tls.crt", "-days", "3650", "-extfile", "san")


def write_kubeconfig(port):
    config = {"kind": "Config", "apiVersion": "v1", "current-context": "test",
              "clusters": [{"name": "test", "cluster": {
                  "server": f"https://127.0.0.1:{port}",
                  "certificate-authority": f"{os.path.abspath(DIR)}/ca.crt"}}],
              "users": [{"name": "test", "user": {"token": TOKEN}}],
              "contexts": [{"name": "test", "context": {
                  "cluster": "test", "user": "test", "namespace": "default"}}]}
    with open(f"{DIR}/kubeconfig", "w", encoding="ascii") as file:
        json.dump(config, file)
    os.chmod(f"{DIR}/kubeconfig", 0o600)


def main():
    make_certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{DIR}/tls.crt", f"{DIR}/tls.key")
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
    write_kubeconfig(server.server_address[1])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with open(f"{DIR}/ready", "w", encoding="ascii"):
        pass
    server.serve_forever()


main()
