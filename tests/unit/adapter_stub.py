"""A server that loads adapters while it runs, as vLLM does, around a real small model."""

from __future__ import annotations

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from peft import PeftModel


@torch.no_grad()
def draw(model, prompt, seed, max_tokens, temperature, ends):
    """Token ids, and their log-probs at temperature 1; the whole text is read for each."""
    generator, ids, logps = torch.Generator().manual_seed(seed), list(prompt), []
    while len(logps) < max_tokens and (not logps or ids[-1] not in ends):
        own = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        scaled = (own / (temperature or 1)).softmax(-1)
        pick = torch.multinomial(scaled, 1, generator=generator) if temperature else own.argmax()
        ids.append(int(pick))
        logps.append(float(own[ids[-1]]))
    return ids[len(prompt) :], logps


class AdapterStub:
    """Holds a base model; `loads` and `unloads` are the names in order."""

    def __init__(self, base) -> None:
        self.base, self.model, self.lock = base, None, threading.Lock()
        self.loads, self.unloads, self.bodies = [], [], []
        self.stale = False  # keeps its first adapter, whatever it is told to load
        self.instead = lambda body: None  # (status, text) instead of a response
        self.refuses = ""  # what it answers to a request to load, if anything
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path, body):
        if path == "/v1/load_lora_adapter":
            return self._load(body)
        if path == "/v1/unload_lora_adapter":
            self.unloads.append(body["lora_name"])
            return 200, "Success"
        assert path == "/v1/completions"
        self.bodies.append(body)
        if body["model"] not in self.loads:
            return 404, f"no model {body['model']}"
        self.model.set_adapter(self.loads[0] if self.stale else body["model"])
        ids, logps = draw(
            self.model,
            body["prompt"],
            body["seed"],
            body["max_tokens"],
            body["temperature"],
            body["stop_token_ids"],
        )
        finish = "stop" if ids[-1] in body["stop_token_ids"] else "length"
        choice = {"token_ids": ids, "logprobs": {"token_logprobs": logps}, "finish_reason": finish}
        if (other := self.instead(body)) is not None:
            return other
        return 200, json.dumps({"choices": [choice]})

    def _load(self, body):
        if self.refuses:
            return 400, self.refuses
        name, path = body["lora_name"], body["lora_path"]
        if self.model is None:
            self.model = PeftModel.from_pretrained(copy.deepcopy(self.base), path, name).eval()
        else:
            self.model.load_adapter(path, name)
        self.loads.append(name)
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _handler(self):
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub.lock:
                    status, text = stub.answer(self.path, body)
                content = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        return Handler
