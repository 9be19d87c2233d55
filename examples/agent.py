# SPDX-License-Identifier: MIT
# python3 agent.py 9001, then: superx agents add shout http://127.0.0.1:9001/       (standard library only)
import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

tasks = {}


class Agent(BaseHTTPRequestHandler):
    def do_GET(self):  # the card: who am I, and where is A2A spoken
        found = self.path == "/.well-known/agent-card.json"
        self.answer(CARD if found else {"error": "not found"}, 200 if found else 404)

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32601, "message": "Method not found"}}
        if call["method"] == "SendMessage":
            text = call["params"]["message"]["parts"][0]["text"].upper()  # the work
            task = {"id": str(uuid.uuid4()), "contextId": "shouting", "status": {"state": "TASK_STATE_COMPLETED"},
                    "artifacts": [{"artifactId": "shout", "parts": [{"text": text}]}]}
            tasks[task["id"]] = task
            answer = {"jsonrpc": "2.0", "id": call["id"], "result": {"task": task}}
        elif call["method"] == "GetTask" and call["params"]["id"] in tasks:
            answer = {"jsonrpc": "2.0", "id": call["id"], "result": tasks[call["params"]["id"]]}
        elif call["method"] in ("GetTask", "CancelTask"):
            answer["error"] = {"code": -32001, "message": "Task not found"}
        self.answer(answer)

    def answer(self, what, status=200):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9001), Agent)
URL = f"http://127.0.0.1:{server.server_port}/"
CARD = {"name": "Shout", "description": "Says it louder", "version": "1.0.0", "capabilities": {},
        "supportedInterfaces": [{"url": URL, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "shout", "name": "Shout", "description": "Says it louder", "tags": ["text"]}]}
print("agent at", URL, flush=True)
server.serve_forever()
