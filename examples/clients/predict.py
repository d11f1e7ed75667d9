"""Calls onnxd from Python: one row, many rows in one request, and an error. Needs nothing but the standard library.

usage: predict.py [URL]
One connection is kept for all requests; a connection for each would cost more than the prediction.
"""
import http.client
import json
import sys
import urllib.parse

URL = urllib.parse.urlsplit(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000")
ROW = [4, 15, 1, 1, 1, 3321, 282, 2, 77, 13, 0.728, 0.09, 0.5, 0.25, 0.125]


class Model:
    def __init__(self, host, port):
        self.connection = http.client.HTTPConnection(host, port, timeout=5)

    def ask(self, body):
        self.connection.request("POST", "/predict", json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = json.loads(answer.read())
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {text['error']}")
        return text

    def predict(self, row):
        return self.ask({"features": row})["ctr"]

    def rank(self, rows):
        """Row numbers, the most likely first, by one request."""
        chances = self.ask({"instances": [{"features": row} for row in rows]})["predictions"]
        return sorted(range(len(rows)), key=lambda i: -chances[i])


model = Model(URL.hostname, URL.port or 3000)
print("one row:", model.predict(ROW))
print("best of three:", model.rank([ROW, [0] + ROW[1:], [6] + ROW[1:]]))
try:
    model.predict(ROW[:3])
except ValueError as error:
    print("as expected:", error)
