#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An ssh server that misbehaves, on a free port of 127.0.0.1, which is all that it prints. It ends
on SIGTERM.

    ssh_server.py HOW
        mute      accepts and says nothing
        close     closes every connection at once
        garbage   sends bytes that are no ssh
        banner    sends 1 MB of lines before it says who it is, then nothing
        stall     says that it is a server, then nothing
        kex       says so, and closes when the client's first packet of the key exchange is there
        kex-junk  says so, and sends bytes that are no packet
    ssh_server.py proxy PORT ORDERS
        passes everything to the server on PORT and back. The file ORDERS, read all the time,
        says what it does to all connections that there are; none, or an empty one: nothing.
        cut       resets them, and new ones
        end       ends them in an orderly way, and new ones
        cut N     resets each once N bytes came from the server
        stall     passes nothing on, as long as the order stands
        delay MS  passes everything on later, by that much
"""
import select
import socket
import struct
import sys
import threading
import time

HELLO = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"
LOOK = 0.02


def drain(sock):
    while sock.recv(65536):
        pass


def reset(sock):
    """Closes with an RST, as a peer does that is gone."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    except OSError:
        pass


def shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def await_kex(sock):
    """Until the client has named itself and sent bytes of a packet."""
    got = b""
    while b"\n" not in got or not got.split(b"\n", 1)[1]:
        more = sock.recv(65536)
        if not more:
            return
        got += more


def misbehave(how, sock):
    try:
        if how == "garbage":
            sock.sendall(bytes(range(256)) * 256)
        elif how == "banner":
            sock.sendall((b"x" * 998 + b"\r\n") * 1024)
        elif how in ("stall", "kex", "kex-junk"):
            sock.sendall(HELLO)
        if how == "kex-junk":
            sock.sendall(bytes(range(255, -1, -1)) * 64)
        if how == "kex":
            await_kex(sock)
        elif how != "close":
            drain(sock)
    except OSError:
        pass
    finally:
        sock.close()


class Connection:
    """One client, one connection to the real server, and two threads that pass bytes on."""

    def __init__(self, orders, client, server):
        self.orders, self.client, self.server = orders, client, server
        self.from_server = 0
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def order(self):
        try:
            with open(self.orders, encoding="ascii") as file:
                word, _, number = file.read().strip().partition(" ")
                return word, int(number or -1)
        except (FileNotFoundError, ValueError):
            return "", -1

    def obey(self):
        """Carries out what ends the connection; true when it did."""
        word, number = self.order()
        if word == "cut" and self.from_server > number:
            for sock in (self.client, self.server):
                reset(sock)
            return True
        if word == "end":
            for sock in (self.client, self.server):
                shut(sock)
            return True
        return False

    def hold(self):
        """What has been read waits here; false when the connection is to end."""
        word, number = self.order()
        if word == "delay":
            time.sleep(number / 1000)
        while self.order()[0] == "stall":
            time.sleep(LOOK)
        return not self.obey()

    def pump(self, source, sink):
        try:
            while not self.obey():
                if not select.select([source], [], [], LOOK)[0]:
                    continue
                data = source.recv(4096)
                if not self.hold():
                    return
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if source is self.server:
                    self.from_server += len(data)
                sink.sendall(data)
        except (OSError, ValueError):  # the other thread has closed them
            reset(self.client)
            reset(self.server)


def main():
    how = sys.argv[1]
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        if how != "proxy":
            threading.Thread(target=misbehave, args=(how, sock), daemon=True).start()
            continue
        try:
            server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
        except OSError:
            reset(sock)
            continue
        Connection(sys.argv[3], sock, server)


main()
