#!/bin/sh
# Who keeps candles in Azure tries that out with Azurite, Microsoft's emulator of it. With deltalake 1.6.6 and Azurite
# 3.35.0 a table is made, appended to once and read, and every later append is refused with "Invalid table version: 1":
# deltalake asks for the log from its newest version on (object_store sends that as startFrom), Azurite answers with the
# whole log, and the first entry is not the one that was asked for. A check for the table that appends once sees nothing
# of it. An append is taken again where what lies before startFrom is left out of the answer, as here by a proxy.
set -eu
work=$(mktemp -d)
trap 'kill "${emulator:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -m pip install --quiet --disable-pip-version-check --target "$work/lib" \
    deltalake==1.6.6 pyarrow==26.0.1 azure-storage-blob==12.31.1 2>"$work/pip" || { cat "$work/pip" >&2; exit 2; }
npm install --silent --no-audit --no-fund --prefix "$work/js" azurite@3.35.0 >"$work/npm" 2>&1 || { cat "$work/npm" >&2; exit 2; }

cat > "$work/ask.py" <<'PY'
import http.client, re, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
from azure.storage.blob import BlobServiceClient
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

PORT, ACCOUNT, KEY = int(sys.argv[1]), "candles", sys.argv[2]


class Filtered(BaseHTTPRequestHandler):
    """The emulator, with the blobs before startFrom left out of its lists."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        asked = http.client.HTTPConnection("127.0.0.1", PORT)
        asked.request(self.command, self.path, self.rfile.read(length) if length else None, dict(self.headers))
        given = asked.getresponse()
        content = given.read()
        if first := parse_qs(urlsplit(self.path).query).get("startFrom"):
            keep = lambda blob: blob[0] if blob[1] >= first[0] else ""
            content = re.sub(r"<Blob><Name>(.*?)</Name>.*?</Blob>", keep, content.decode()).encode()
        self.send_response(given.status)
        for name, value in given.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "keep-alive"):
                self.send_header(name, value)
        size = given.getheader("content-length") if self.command == "HEAD" else len(content)
        self.send_header("content-length", str(size or 0))
        self.end_headers()
        self.wfile.write(content if self.command != "HEAD" else b"")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

    def log_message(self, *_):
        pass


def commits(port, name):
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    options = {"azure_storage_account_name": ACCOUNT, "azure_storage_account_key": KEY,
               "azure_storage_endpoint": url, "allow_http": "true"}
    table, told = f"az://candles/{name}", []
    for close in (1.0, 2.0, 3.0):
        try:
            write_deltalake(table, pa.table({"pair": ["EURUSD"], "close": [close]}), mode="append", storage_options=options)
            told.append("committed")
        except DeltaError as error:
            told.append(str(error))
    return ", ".join(told), sorted(DeltaTable(table, storage_options=options).to_pyarrow_table()["close"].to_pylist())


service = BlobServiceClient(f"http://127.0.0.1:{PORT}/{ACCOUNT}", credential={"account_name": ACCOUNT, "account_key": KEY})
service.create_container("candles")
proxy = ThreadingHTTPServer(("127.0.0.1", 0), Filtered)
Thread(target=proxy.serve_forever, daemon=True).start()
print("as it is:", *commits(PORT, "plain"))
print("startFrom heeded:", *commits(proxy.server_address[1], "filtered"))
PY
port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
key=$("$python" -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())')
AZURITE_ACCOUNTS="candles:$key" "$work/js/node_modules/.bin/azurite-blob" --inMemoryPersistence --skipApiVersionCheck --disableTelemetry --silent \
    --blobPort "$port" >"$work/emulator" 2>&1 & emulator=$!
for _ in $(seq 100); do
    "$python" -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && break
    sleep 0.2
done
said=$(PYTHONPATH="$work/lib" "$python" "$work/ask.py" "$port" "$key" 2>"$work/error") || { cat "$work/error" >&2; exit 2; }
echo "$said"
expected="as it is: committed, committed, Invalid table version: 1 [1.0, 2.0]
startFrom heeded: committed, committed, committed [1.0, 2.0, 3.0]"
[ "$said" = "$expected" ] || { echo "changed; it said so far:"; echo "$expected"; exit 1; }
