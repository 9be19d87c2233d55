# SPDX-License-Identifier: MIT
# python3 client.py http://localhost:4000/agents/demo/ "hello"       (standard library only)
import json
import sys
import urllib.request
import uuid

base = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:4000/agents/demo/"
text = sys.argv[2] if len(sys.argv) > 2 else "hello"

message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": text}]}
call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
request = urllib.request.Request(base, json.dumps(call).encode(),
                                 {"Content-Type": "application/json", "A2A-Version": "1.0"})
answer = json.load(urllib.request.urlopen(request))  # when the task is over, or the agent asks for more
if "error" in answer:
    sys.exit(f"{answer['error']['code']}: {answer['error']['message']}")
task = answer["result"].get("task", {})
if task:
    print(f"task {task['id']}: {task['status']['state']}")
parts = [p for a in task.get("artifacts", []) for p in a["parts"]] or answer["result"].get("message", {}).get("parts", [])
print(*(part["text"] for part in parts if "text" in part), sep="\n")
