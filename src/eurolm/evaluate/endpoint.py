"""Texts written by a model behind an OpenAI-compatible server, such as vLLM's: for tasks in which a model writes.

Only `/completions` with prompts as eurolm makes them: a server gives no log-probabilities of choices that could be
trusted to mean what eurolm's scorer means. The key comes from the environment, goes into one header, and nowhere else:
not into a message, not to a server that the given one refers to.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from eurolm.errors import InputError, MachineError
from eurolm.scoring.choices import Generated

KEY_VARIABLE = "EUROLM_ENDPOINT_KEY"
AT_ONCE = 16
"""Requests in flight: a server batches what it gets at one time."""
TIMEOUT_S = 600.0
WAITS_S = (1.0, 5.0, 25.0)
"""Before each further attempt at a request that a busy or restarting server refused."""
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
MOST_STOPS = 4
"""Stop strings the interface takes; further ones cut the text here."""


@dataclass(frozen=True)
class Endpoint:
    """A server and the model asked of it."""

    url: str
    """Base address, such as `http://node:8000/v1`."""
    model: str
    key: str | None = field(default=None, repr=False)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to wherever it points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def open_endpoint(url: str, model: str) -> Endpoint:
    """The endpoint with the key of this process's environment. Raises InputError for an address of another kind."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise InputError(
            f"{parts.scheme or url!r} is not the address of an OpenAI-compatible server: http(s)://HOST:PORT/v1 is "
            f"wanted, without user or query. A key is read from {KEY_VARIABLE}."
        )
    return Endpoint(url.rstrip("/"), model, os.environ.get(KEY_VARIABLE) or None)


def write_remotely(
    endpoint: Endpoint,
    contexts: Sequence[str],
    stops: Sequence[Sequence[str]],
    max_new_tokens: int,
    *,
    at_once: int = AT_ONCE,
    advance: Callable[[float], None] | None = None,
) -> list[Generated]:
    """The greedy text after each context up to the first of its `stops`, in order.

    The server cuts nothing off a prompt: one beyond its context is refused. Raises InputError for what the server
    refuses, MachineError for a server that does not answer or answers something else.
    """

    def write(place: int) -> Generated:
        body = {
            "model": endpoint.model,
            "prompt": contexts[place],
            "max_tokens": max_new_tokens,
            "temperature": 0,
            "stop": list(stops[place])[:MOST_STOPS],
        }
        return _generated(endpoint, _ask(endpoint, body), stops[place])

    found = []
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="endpoint")
    try:
        for generated in pool.map(write, range(len(contexts))):
            found.append(generated)
            if advance is not None:
                advance(1 / len(contexts))
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _generated(endpoint: Endpoint, answer: Any, stops: Sequence[str]) -> Generated:
    try:
        text, tokens = str(answer["choices"][0]["text"]), int(answer["usage"]["completion_tokens"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise MachineError(
            f"{endpoint.url}/completions answered without choices[0].text and usage.completion_tokens: it is not an "
            "OpenAI-compatible server."
        ) from None
    found = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return Generated(text[: min(found)] if found else text, tokens, 0)


def _ask(endpoint: Endpoint, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    request = urllib.request.Request(f"{endpoint.url}/completions", json.dumps(body).encode(), headers)  # noqa: S310
    opener = urllib.request.build_opener(_NoRedirect)
    waits = iter(WAITS_S)
    while True:
        wait = next(waits, None)
        try:
            with opener.open(request, timeout=TIMEOUT_S) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            if error.code not in PASSING or wait is None:
                raise _refused(endpoint, error) from None
        except (OSError, HTTPException, ValueError) as error:
            if wait is None:
                raise MachineError(f"{endpoint.url} does not answer: {error}. Is the server running?") from None
        time.sleep(wait)


def _refused(endpoint: Endpoint, error: urllib.error.HTTPError) -> InputError | MachineError:
    words = error.read(2000).decode(errors="replace").strip()
    if endpoint.key:
        words = words.replace(endpoint.key, "[key]")
    kind = MachineError if error.code in PASSING else InputError
    return kind(f"{endpoint.url}/completions refused with status {error.code}: {words or error.reason}")
