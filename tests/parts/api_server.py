#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Kubernetes API server, as far as kubectl get, wait, delete, auth can-i and exec need one. Pods
are Docker containers that somebody else started.

    api_server.py DIR POD=CONTAINER[,label=value...] ...

It makes a CA of its own and DIR/kubeconfig, writes DIR/ready when it listens, and ends on SIGTERM.
It listens on loopback only. DIR/log has a line for each exec: the pod, and how it was connected.

The token in DIR/kubeconfig is "test-token"; one with more words behind it, separated by dots, has
the server misbehave towards whoever uses it. Always:
    401 403 404 500     the answer
    delay-S             S seconds pass before each answer
    no-websocket        the upgrade to a WebSocket is refused, that to SPDY is not
    refuse-exec         every upgrade is refused
    nosh                no command sh is there
    dockershim          what cannot be started is told as old kubelets do: exit code and output
and at the first exec with this very token, so that what is asked after it finds all well:
    drop                the connection ends instead of an answer
    cut-WHERE           the connection breaks
    mute-WHERE          the stream has an orderly end, without a word on how the command ended
    delete              the pod goes, when the command has written "delete me" to stdout
WHERE is start (no command runs), out-N (after N bytes of its output), in-N (after N bytes of its
input) or end (when it has ended). Any other word makes a token another one.
"""
import base64
import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

sys.dont_write_bytecode = True
from api_streams import ERROR, STDERR, STDOUT, Connection, Spdy, WebSocket  # noqa: E402

TOKEN = "test-token"
DIR = sys.argv[1]
PODS = {}
USED = set()
LOCK = threading.Lock()
for word in sys.argv[2:]:
    name, _, rest = word.partition("=")
    container, *labels = rest.split(",")
    PODS[name] = {"container": container, "labels": dict(x.split("=", 1) for x in labels)}


def status(code, reason, message, details=None):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code, "details": details or {}}


def exit_status(code):
    if code == 0:
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return status(500, "NonZeroExitCode",
                  f"command terminated with non-zero exit code: exit status {code}",
                  {"causes": [{"reason": "ExitCode", "message": str(code)}]})


def delete_pod(name):
    with LOCK:
        pod = PODS.pop(name, None)
    if pod:
        subprocess.run(["docker", "kill", pod["container"]], check=False, capture_output=True)
    return pod


class Trouble:
    """What is to go wrong for one request."""

    def __init__(self, token):
        self.token, self.words = token, token.split(".")[1:]

    def __contains__(self, word):
        return word in self.words

    def number(self, word):
        """The N of word-N, or None."""
        found = [w[len(word) + 1:] for w in self.words if re.fullmatch(word + r"-[0-9.]+", w)]
        return float(found[0]) if found else None

    def once(self):
        """Those of an exec are for the first one."""
        with LOCK:
            first = self.token not in USED
            USED.add(self.token)
        return self if first else Trouble(TOKEN)


class Exec:
    """One command in a pod's container, connected to a client."""

    def __init__(self, transport, trouble, pod_name, command):
        self.transport, self.trouble, self.pod_name = transport, trouble, pod_name
        self.broken = threading.Event()
        self.refused = None
        if "nosh" in trouble:
            command = ["no-" + command[0] if command[0] == "sh" else command[0], *command[1:]]
        self.process = subprocess.Popen(
            ["docker", "exec", "-i", PODS[pod_name]["container"], *command], bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def breaks(self, where):
        """Is this the place to break at? Then it is broken now."""
        cut, mute = (f"{how}-{where}" in self.trouble for how in ("cut", "mute"))
        return (cut or mute) and self.break_off(mute)

    def break_off(self, mute):
        self.broken.set()
        if mute:
            self.transport.end()
            self.transport.connection.close()
        else:
            self.transport.connection.cut()
        return True

    def limit(self, stream):
        """After how many bytes it breaks, and whether silently."""
        for how in ("cut", "mute"):
            n = self.trouble.number(f"{how}-{stream}")
            if n is not None:
                return int(n), how == "mute"
        return None, False

    def feed(self):
        limit, mute = self.limit("in")
        total = 0
        try:
            for data in self.transport.messages():
                total += len(data or b"")
                if limit is not None and total >= limit:
                    self.write_stdin(data[:len(data) - (total - limit)] if data else b"")
                    self.break_off(mute)
                    break
                if data is None:
                    self.process.stdin.close()
                else:
                    self.write_stdin(data)
        except (EOFError, OSError, ValueError):
            pass
        finally:
            try:
                self.process.stdin.close()
            except (BrokenPipeError, ValueError):
                pass

    def write_stdin(self, data):
        try:
            view = memoryview(data)
            while view and not self.process.stdin.closed:
                view = view[self.process.stdin.write(view):]
        except (BrokenPipeError, ValueError):
            pass

    def drain(self, pipe, channel):
        limit, mute = self.limit("out") if channel == STDOUT else (None, False)
        total = 0
        while data := pipe.read(32768):
            if not total and data.startswith(b"OCI runtime exec failed: ") and \
                    "dockershim" not in self.trouble:
                self.refused = data.decode().strip().replace('"no-sh"', '"sh"')
                continue
            total += len(data)
            if self.broken.is_set():
                continue
            if "delete" in self.trouble and b"delete me" in data:
                delete_pod(self.pod_name)
            try:
                if limit is not None and total >= limit:
                    self.transport.write(channel, data[:len(data) - (total - limit)])
                    self.break_off(mute)
                else:
                    self.transport.write(channel, data)
            except (OSError, ValueError):
                self.broken.set()

    def run(self):
        threading.Thread(target=self.feed, daemon=True).start()
        drains = [threading.Thread(target=self.drain, args=(self.process.stdout, STDOUT)),
                  threading.Thread(target=self.drain, args=(self.process.stderr, STDERR))]
        for thread in drains:
            thread.start()
        for thread in drains:
            thread.join()
        code = self.process.wait()
        if self.broken.is_set() or self.breaks("end"):
            return
        end = exit_status(code)
        if self.refused:
            end = status(500, "InternalError", "Internal error occurred: error executing command "
                         f"in container: failed to exec in container: {self.refused}")
        self.transport.write(ERROR, json.dumps(end).encode())
        self.transport.end()
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

    def not_found(self, name, kind="pods"):
        self.refuse(404, "NotFound", f'{kind} "{name}" not found', {"name": name, "kind": kind})

    @staticmethod
    def pod(name, pod):
        return {"kind": "Pod", "apiVersion": "v1",
                "metadata": {"name": name, "namespace": "default", "labels": pod["labels"],
                             "uid": name, "resourceVersion": "1"},
                "spec": {"containers": [{"name": "main", "image": "x"}], "nodeName": "node"},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.url = urlsplit(self.path)
        self.query = parse_qs(self.url.query)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        trouble = Trouble(token)
        time.sleep(trouble.number("delay") or 0)
        if "401" in trouble or token.split(".")[0] != TOKEN:
            return self.refuse(401, "Unauthorized", "Unauthorized")
        fixed = self.fixed_answer(trouble)
        if fixed:
            return self.answer(*fixed)
        match = re.fullmatch(r"/api/v1/namespaces/([^/]+)", self.url.path)
        if match:
            return self.not_found(match.group(1), "namespaces")
        match = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+)(/exec)?)?", self.url.path)
        if not match:
            return self.refuse(404, "NotFound", "the server could not find the requested resource")
        return self.do_pods(trouble, *match.groups())

    do_POST = do_DELETE = do_GET

    def fixed_answer(self, trouble):
        path = self.url.path
        if path == "/version":
            return 200, {"major": "1", "minor": "30", "gitVersion": "v1.30.0"}
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
        if path == "/api/v1":
            return 200, {
                "kind": "APIResourceList", "groupVersion": "v1", "resources": [
                    {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod",
                     "shortNames": ["po"], "verbs": ["get", "list", "watch", "delete"]},
                    {"name": "pods/exec", "singularName": "", "namespaced": True,
                     "kind": "PodExecOptions", "verbs": ["create", "get"]}]}
        if path.endswith("/selfsubjectaccessreviews"):
            # What is asked may be protobuf; it is always the right to exec.
            return 201, {"kind": "SelfSubjectAccessReview", "spec": {},
                         "status": {"allowed": "403" not in trouble},
                         "apiVersion": path[len("/apis/"):].rpartition("/")[0]}
        return None

    def do_pods(self, trouble, namespace, name, execute):
        if "403" in trouble:
            what = ('create resource "pods/exec"' if execute else
                    'get resource "pods"' if name else 'list resource "pods"')
            pods = f'pods "{name}"' if name else "pods"
            return self.refuse(403, "Forbidden", f'{pods} is forbidden: User "t" cannot '
                               f'{what} in API group "" in the namespace "{namespace}"')
        if "500" in trouble:
            return self.refuse(500, "InternalError", "Internal error occurred: on demand")
        if name is None:
            return self.list_pods(namespace)
        if "404" in trouble or name not in PODS or namespace != "default":
            return self.not_found(name)
        if self.command == "DELETE":
            return self.answer(200, self.pod(name, delete_pod(name)))
        if not execute:
            return self.answer(200, self.pod(name, PODS[name]))
        if self.query.get("container", ["main"])[0] != "main":
            wrong = self.query["container"][0]
            return self.refuse(400, "BadRequest", f"container {wrong} is not valid for pod {name}")
        if "refuse-exec" in trouble:
            return self.refuse(500, "InternalError", "upgrade is refused on demand")
        return self.upgrade(trouble, name)

    def wanted_pods(self, namespace):
        labels = dict(pair.split("=", 1) for pair in filter(
            None, self.query.get("labelSelector", [""])[0].split(",")))
        field = self.query.get("fieldSelector", [""])[0]
        with LOCK:
            return {n: self.pod(n, pod) for n, pod in sorted(PODS.items())
                    if labels.items() <= pod["labels"].items() and namespace == "default" and
                    field in ("", f"metadata.name={n}")}

    def list_pods(self, namespace):
        selector = self.query.get("labelSelector", [""])[0]
        if not re.fullmatch(r"([\w./-]*\w=[\w.-]*(,|$))*", selector):
            return self.refuse(400, "BadRequest", 'Unable to find "/v1, Resource=pods" that match '
                               f'label selector "{selector}", field selector "": unable to parse')
        if self.query.get("watch", ["false"])[0] in ("true", "1"):
            return self.watch_pods(namespace)
        return self.answer(200, {
            "kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"},
            "items": list(self.wanted_pods(namespace).values())})

    def watch_pods(self, namespace):
        """An event for each pod that is there, and one for each that goes."""
        until = time.monotonic() + int(self.query.get("timeoutSeconds", ["30"])[0])
        known = {}
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while time.monotonic() < until:
                now = self.wanted_pods(namespace)
                for kind, names in (("ADDED", now.keys() - known), ("DELETED", known.keys() - now)):
                    for name in sorted(names):
                        event = json.dumps({"type": kind, "object": (now | known)[name]}).encode()
                        self.wfile.write(b"%x\r\n%s\n\r\n" % (len(event) + 1, event))
                self.wfile.flush()
                known = now
                time.sleep(0.1)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def upgrade(self, trouble, name):
        websocket = self.headers.get("Upgrade", "").lower() == "websocket"
        self.close_connection = True
        if websocket and "no-websocket" in trouble:
            return self.refuse(400, "BadRequest", "no WebSocket here")
        trouble = trouble.once()
        if "drop" in trouble:
            return self.connection.close()
        protocol = "v4.channel.k8s.io"
        if websocket:
            offered = [p.strip() for h in self.headers.get_all("Sec-WebSocket-Protocol", [])
                       for p in h.split(",")]
            protocol = [p for p in ("v5.channel.k8s.io", protocol) if p in offered][0]
        with LOCK, open(f"{DIR}/log", "a", encoding="ascii") as file:
            file.write(f"{name} {'websocket' if websocket else 'spdy'} {protocol}\n")
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        if websocket:
            accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] +
                                   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            self.send_header("Upgrade", "websocket")
            self.send_header("Sec-WebSocket-Protocol", protocol)
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        else:
            self.send_header("Upgrade", "SPDY/3.1")
            self.send_header("X-Stream-Protocol-Version", protocol)
        self.end_headers()
        self.wfile.flush()
        return self.run_exec((WebSocket if websocket else Spdy)(Connection(self.connection)),
                             trouble, name)

    def run_exec(self, transport, trouble, name):
        wanted = 1 + sum(k in self.query for k in ("stdin", "stdout", "stderr"))
        try:
            transport.open(wanted)
            if "cut-start" in trouble:
                return transport.connection.cut()
            if "mute-start" in trouble:
                transport.end()
                return transport.connection.close()
            return Exec(transport, trouble, name, self.query["command"]).run()
        except (EOFError, OSError, ValueError):
            return None


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
