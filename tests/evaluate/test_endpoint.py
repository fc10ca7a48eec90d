"""A real server on the loopback interface with a real tiny model behind it: same texts, no leak of the key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from eurolm.config.architecture import ModelConfig
from eurolm.errors import InputError, MachineError
from eurolm.evaluate import endpoint
from eurolm.evaluate.endpoint import open_endpoint, write_remotely
from eurolm.model.build import build_model
from eurolm.scoring.generate import generate_until
from eurolm.tokenizer.load import load

KEY = "sk-very-secret-42"
CONTEXTS = ["Rīgā", "Tallinnas on", "Latvijas Republikas"]


@dataclass
class Served:
    """What the server answers with and what it has seen."""

    model: Any
    tokenizer: Any
    address: str = ""
    failures: list[int] = field(default_factory=list)
    """Statuses to answer with before it works."""
    seen: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            (found,) = generate_until(self.model, self.tokenizer, [body["prompt"]], [body["stop"]], body["max_tokens"])
        return {"choices": [{"text": found.text}], "usage": {"completion_tokens": found.tokens}}


@pytest.fixture
def served(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    tokenizer = load(model_dir)
    sizes = {"hidden_size": 32, "layers": 1, "attention_heads": 2, "key_value_heads": 1, "intermediate_size": 64}
    model = build_model(ModelConfig(**sizes), tokenizer.vocab_size, tokenizer.eod_id).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() == 2 else 1)
    state = Served(model, tokenizer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.seen.append((self.headers.get("Authorization"), {"path": self.path, **body}))
            if state.failures:
                status = state.failures.pop(0)
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(f"no, {self.headers.get('Authorization')}".encode())
                return
            answer = json.dumps(state.answer(body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}/v1/"
    monkeypatch.setenv("EUROLM_ENDPOINT_KEY", KEY)
    monkeypatch.setattr(endpoint, "WAITS_S", (0.0, 0.0))
    yield state
    server.shutdown()
    server.server_close()


def test_the_texts_are_those_of_the_model(served: Served) -> None:
    whole = generate_until(served.model, served.tokenizer, CONTEXTS, [()] * 3, 12)
    stops = [(), ("never", "not", "this", "either", str(whole[1].text)[4:6]), ()]
    expected = generate_until(served.model, served.tokenizer, CONTEXTS, stops, 12)
    shares: list[float] = []
    found = write_remotely(open_endpoint(served.address, "tiny"), CONTEXTS, stops, 12, advance=shares.append)
    assert [entry.text for entry in found] == [entry.text for entry in expected]
    assert sum(shares) == pytest.approx(1.0)
    for key, body in served.seen:
        assert key == f"Bearer {KEY}"
        assert body["path"] == "/v1/completions"
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("tiny", 0, 12)
        assert len(body["stop"]) <= 4  # the fifth cuts the text here


def test_a_busy_server_is_asked_again(served: Served) -> None:
    served.failures = [503, 429]
    (found,) = write_remotely(open_endpoint(served.address, "tiny"), CONTEXTS[:1], [()], 4)
    assert found.text
    assert len(served.seen) == 3


@pytest.mark.parametrize(
    ("failures", "kind", "words"),
    [([400], InputError, "refused with status 400: no, Bearer"), ([503] * 3, MachineError, "status 503"),
     ([302], InputError, "status 302")],
)  # fmt: skip
def test_a_refusal_is_told_without_the_key(
    served: Served, failures: list[int], kind: type[Exception], words: str
) -> None:
    served.failures = failures
    place = open_endpoint(served.address, "tiny")
    with pytest.raises(kind, match=words) as caught:
        write_remotely(place, CONTEXTS[:1], [()], 4)
    assert KEY not in str(caught.value)
    assert KEY not in repr(place)


def test_what_is_no_server_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("file:///etc/passwd", "localhost:8000", "http://user:pass@host/v1", "http://host/v1?key=1"):
        with pytest.raises(InputError, match="is not the address of an OpenAI-compatible server") as caught:
            open_endpoint(url, "tiny")
        assert "pass@" not in str(caught.value)
    with pytest.raises(MachineError, match="does not answer"):
        write_remotely(open_endpoint("http://127.0.0.1:1/v1", "tiny"), CONTEXTS[:1], [()], 4)
    monkeypatch.setattr(Served, "answer", lambda *_: {"choices": []})
    with pytest.raises(MachineError, match="it is not an OpenAI-compatible server"):
        write_remotely(open_endpoint(served.address, "tiny"), CONTEXTS[:1], [()], 4)
    monkeypatch.delenv("EUROLM_ENDPOINT_KEY")
    served.seen.clear()
    with pytest.raises(MachineError):
        write_remotely(open_endpoint(served.address, "tiny"), CONTEXTS[:1], [()], 4)
    assert served.seen[0][0] is None
