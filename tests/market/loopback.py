"""An exchange on loopback: a TLS proxy that answers for api.binance.com, as real ccxt asks it.

Nothing of ccxt or of our own code is replaced: HTTPS_PROXY leads here, REQUESTS_CA_BUNDLE makes
its certificate trusted.
"""

import contextlib
import datetime
import json
import ssl
import threading
import time
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import ccxt
import numpy as np
import pandas as pd
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOUR = 3_600_000
INTERVALS = {"1h": 1, "1d": 24, "1w": 168}
MONDAY = 4 * 24 * HOUR  # of the epoch's first week
START = int(pd.Timestamp("2024-01-01", tz="UTC").timestamp()) * 1000


def make_bars(count, *, start=START, seed=0):
    """Hourly bars as an exchange tells them: [ms, open, high, low, close, volume]."""
    rng = np.random.default_rng(seed)
    close = np.round(40_000 * np.exp(np.cumsum(rng.normal(0, 0.005, count))), 2)
    opened = np.r_[40_000.0, close[:-1]]
    high, low = np.maximum(opened, close) + 10.5, np.minimum(opened, close) - 10.25
    volume = np.round(rng.exponential(20, count), 3)
    times = start + HOUR * np.arange(count)
    rows = zip(times.tolist(), opened, high, low, close, volume, strict=True)
    return {row[0]: [row[0], *map(float, row[1:])] for row in rows}


def candles(rows, hours):
    """Hourly bars in order of time as candles of so many hours."""
    if hours == 1:
        return rows
    made = {}
    for time_, opened, high, low, close, volume in rows:
        first = time_ - (time_ - MONDAY) % (hours * HOUR)
        candle = made.setdefault(first, [first, opened, high, low, close, 0.0])
        candle[2:] = [max(candle[2], high), min(candle[3], low), close, candle[5] + volume]
    return list(made.values())


def frame_of(bars):
    """Bars as the frame that should come out."""
    table = pd.DataFrame(
        list(bars.values()), columns=["timestamp", "open", "high", "low", "close", "volume"]
    )
    table["timestamp"] = pd.to_datetime(table["timestamp"], unit="ms", utc=True)
    table["timestamp"] = table["timestamp"].dt.as_unit("ms")
    return table.set_index("timestamp")


def client(*, page=None, **options):
    """A client of the user's own making, in a hurry; `page` is the limit that ccxt knows of."""
    made = ccxt.binance({"requests_trust_env": True, "rateLimit": 1, **options})
    if page is not None:
        made.features["spot"]["fetchOHLCV"]["limit"] = page
    return made


@contextlib.contextmanager
def serving(folder):
    """An exchange whose files lie in `folder`, the cache among them."""
    exchange = Exchange(folder)
    try:
        yield exchange
    finally:
        exchange.server.shutdown()
        exchange.server.server_close()


class Exchange:
    """The exchange's state, changed by a test while it serves."""

    def __init__(self, folder):
        self.bars = make_bars(251)
        self.now = START + 250 * HOUR  # the 250th bar has just closed, the 251st is unfinished
        self.page = 100  # bars an answer holds at most, whatever is asked
        self.faults = deque()  # for the next requests of bars: "429", "500", "stall", "html", ...
        self.hidden_once = set()  # bars that the next answer lacks
        self.windowed = False  # answers with what lies in [since, since + page bars)
        self.down = False  # whatever is asked is refused
        self.delay = 0.0
        self.held_from = None  # bars from this moment (ms) on are answered once `released` is set
        self.released = threading.Event()
        self.asked = []  # (path, since in ms) of each request of bars
        self.hosts = Counter()
        self.cache = folder / "cache"
        self.bundle = folder / "ca.pem"
        context = _tls(folder, self.bundle)
        handler = type("Handler", (_Handler,), {"exchange": self, "tls": context})
        self.server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def environment(self):
        """What leads a user's process here."""
        proxy = f"http://127.0.0.1:{self.server.server_port}"
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": str(self.bundle),
            "CONVNEXT_VBT_CACHE": str(self.cache),
        }

    def finished(self):
        """The frame of all finished bars: what should be stored."""
        return frame_of({t: row for t, row in self.bars.items() if t + HOUR <= self.now})

    def is_held(self, since):
        return self.held_from is not None and since >= self.held_from

    def holds_back(self):
        """Whether there has been a request of bars that is answered later, if at all."""
        return any(self.is_held(since) for _, since in self.asked)

    def klines(self, path, query):
        since = int(query.get("startTime", 0))
        self.asked.append((path, since))
        if self.is_held(since):
            self.released.wait()
        time.sleep(self.delay)
        hours = INTERVALS[query["interval"]]
        rows = candles(sorted(self.bars.values()), hours)
        if self.windowed:
            rows = [row for row in rows if row[0] < since + self.page * hours * HOUR]
        rows = [row for row in rows if since <= row[0] <= int(query.get("endTime", 10**15))]
        hidden, self.hidden_once = self.hidden_once, set()
        rows = [row for row in rows if row[0] not in hidden]
        limit = min(self.page, int(query.get("limit", 500)))
        return [[row[0], *map(str, row[1:])] for row in rows[:limit]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that was killed or has given up is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for its head to be acknowledged

    def finish(self):
        super().finish()
        self.connection.close()

    def do_CONNECT(self):
        self.exchange.hosts[self.path] += 1
        self.send_response(200, "Connection established")
        self.end_headers()
        self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_GET(self):
        url = urlsplit(self.path)
        kind = url.path.rsplit("/", 1)[-1]
        if self.exchange.down:
            self.fail("451")
        elif kind == "exchangeInfo":
            self.answer(200, _markets(url.path))
        elif kind == "time":
            self.answer(200, {"serverTime": self.exchange.now})
        elif kind == "klines":
            fault = self.exchange.faults.popleft() if self.exchange.faults else None
            if fault is None or not self.fail(fault):
                self.answer(200, self.exchange.klines(url.path, dict(parse_qsl(url.query))))
        else:
            self.answer(404, {"path": url.path})

    def fail(self, fault):
        if fault == "stall":
            time.sleep(0.6)
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "10000")
            self.end_headers()
            self.wfile.write(b"[[17040")
            self.close_connection = True
        elif fault == "html":
            self.answer(200, "<html>please log in</html>")
        else:
            status, _, wait = fault.partition("/")
            text = "forbidden" if status == "403" else {"code": -1, "msg": "not now"}
            self.answer(int(status), text, wait)
        return fault != "stall"

    def answer(self, status, value, retry_after=""):
        text = value if isinstance(value, str) else json.dumps(value)
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if text is value else "application/json")
        self.send_header("Content-Length", str(len(text)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        try:
            self.wfile.write(text.encode())
        except OSError:  # the client has given up waiting
            self.close_connection = True

    def log_message(self, *_):
        pass


def _markets(path):
    if path.startswith("/dapi"):
        return {"symbols": []}
    market = {
        "symbol": "BTCUSDT", "pair": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC",
        "quoteAsset": "USDT", "marginAsset": "USDT", "filters": [], "permissions": ["SPOT"],
        "orderTypes": [], "isSpotTradingAllowed": True,
    }  # fmt: skip
    if path.startswith("/fapi"):
        market |= {"contractType": "PERPETUAL", "deliveryDate": 4133404800000}
    return {"symbols": [market]}


def _tls(folder, bundle):
    """A server context for Binance's hosts, signed by an authority written to `bundle`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback test")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName(host) for host in ("api.binance.com", "*.binance.com")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, private)
    return context
