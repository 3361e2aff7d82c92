"""A hub in this process: data set repositories that the real client pushes to and pulls from."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = r"/api/datasets/([\w.-]+/[\w.-]+)"


class HubStub:
    """`repos`: name → path → content; `private`: of those that were created."""

    def __init__(self) -> None:
        self.repos, self.private, self.tokens, self.asked = {}, {}, set(), []
        self.token = "hf_right"
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def post(self, path, body):
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            content = json.loads(body)
            name = f"{content['organization']}/{content['name']}"
            if name in self.repos:
                told = "You already created this dataset repo"
                return 409, {"error": told, "url": f"{self.url}/datasets/{name}"}
            self.repos[name] = {}
            self.private[name] = content.get("visibility", "public") == "private"
            return 200, {"url": f"{self.url}/datasets/{name}"}
        if m := re.fullmatch(REPO + "/preupload/main", path):
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            return 200, {"files": modes}
        if m := re.fullmatch(REPO + "/commit/main", path):
            self._commit(self.repos[m[1]], body)
            url = f"{self.url}/datasets/{m[1]}/commit/{COMMIT}"
            return 200, {"success": True, "commitOid": COMMIT, "commitUrl": url}
        if m := re.fullmatch(REPO + "/paths-info/main", path):
            return 200, []
        return 404, {"error": f"no {path}"}

    def _commit(self, repo, body):
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                repo[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "deletedFile":
                del repo[entry["value"]["path"]]

    def get(self, path):
        if m := re.fullmatch(REPO + r"(/revision/[^/]+)?", path):
            if m[1] not in self.repos:
                return 404, {"error": "Repository not found"}
            files = [{"rfilename": name} for name in self.repos[m[1]]]
            return 200, {"_id": "0", "id": m[1], "sha": COMMIT, "siblings": files, "tags": []}
        if m := re.fullmatch(REPO + r"/tree/[^/]+", path):
            if m[1] not in self.repos:
                return 404, {"error": "Repository not found"}
            return 200, [
                {"type": "file", "path": name, "size": len(content), "oid": digest(content)}
                for name, content in self.repos[m[1]].items()
            ]
        if m := re.fullmatch(r"/datasets/([\w.-]+/[\w.-]+)/resolve/[^/]+/(.+)", path):
            return 200, self.repos[m[1]][m[2]]
        return 404, {"error": f"no {path}"}

    def _handler(self):
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.reply(lambda path: stub.post(path, body))

            def do_GET(self):
                self.reply(stub.get)

            do_HEAD = do_GET

            def reply(self, answer):
                path = unquote(self.path.partition("?")[0])
                stub.asked.append(f"{self.command} {path}")
                if self.headers.get("Authorization") != f"Bearer {stub.token}":
                    status, content = 401, {"error": "Invalid username or password."}
                else:
                    status, content = answer(path)
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.send_header("ETag", f'"{digest(raw)}"')
                self.send_header("X-Repo-Commit", COMMIT)
                if status >= 400:
                    self.send_header("X-Error-Message", content["error"])
                    if status == 404:
                        self.send_header("X-Error-Code", "RepoNotFound")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(raw)

            def log_message(self, *args):
                pass

        return Handler


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
