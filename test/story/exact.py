# SPDX-License-Identifier: MIT
"""JSON compared to the last digit: order of members, text of numbers. And the two versions' ways to say one thing."""
import json
import re

from world import StoryFailed


class Number(str):
    """A number as it is written."""

    def __repr__(self):
        return str(self)


def read(text):
    """Objects become lists of pairs behind a mark, numbers stay text."""
    if isinstance(text, bytes):
        text = text.decode()
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=lambda pairs: ("object", pairs))


def canonical(value, is_part=False):
    """Members in their order, but kind last: 1.0 has none, so its place tells nothing. In a part, where file members
    change places between the versions, by name."""
    if isinstance(value, tuple):
        pairs = [(k, [canonical(v, True) for v in x] if k == "parts" else canonical(x)) for k, x in value[1]]
        if is_part:
            pairs = [(k, canonical(x, True)) if k == "file" else (k, x) for k, x in pairs]
            return ("object", sorted(pairs, key=lambda p: p[0]))
        return ("object", [p for p in pairs if p[0] != "kind"] + [p for p in pairs if p[0] == "kind"])
    if isinstance(value, list):
        return [canonical(v) for v in value]
    return value


def same(got, want, what):
    """Two JSON texts say the same in the same words, whatever the place of kind."""
    if canonical(read(got)) != canonical(read(want)):
        raise StoryFailed(f"{what}:\n  got      {got}\n  expected {want}")


def minified(text):
    """What the gateway makes of a text: only insignificant whitespace goes."""
    out, in_string, i = [], False, 0
    while i < len(text):
        c = text[i]
        if in_string and c == "\\":
            out.append(text[i:i + 2])
            i += 2
            continue
        if c == '"':
            in_string = not in_string
        if in_string or c not in " \t\r\n":
            out.append(c)
        i += 1
    return "".join(out)


def raw_member(text, name):
    """The text of a member of the outermost object, byte for byte."""
    if isinstance(text, bytes):
        text = text.decode()
    found = re.search(r'"%s":' % name, text)
    if not found:
        raise StoryFailed(f"no {name} in {text[:400]}")
    begin = end = found.end()
    depth, in_string = 0, False
    while end < len(text):
        c = text[end]
        if in_string:
            if c == "\\":
                end += 1
            elif c == '"':
                in_string = False
        elif c == '"':
            in_string = True
        elif c in "[{":
            depth += 1
        elif c in "]}":
            if depth == 0:
                break
            depth -= 1
        elif c == "," and depth == 0:
            break
        end += 1
    return text[begin:end]


# --- one thing said in both versions ---------------------------------------------------------------------------------

_METADATA = '{"k":1.50,"big":12345678901234567890,"e":1E+2,"nul":"a\\u0000b","nested":{"kind":"mine","role":"user"}}'

PARTS = {
    "0.3": '[{"kind":"text","text":"@TEXT@","metadata":{"p":1e2}},'
           '{"kind":"file","file":{"uri":"https://x.example/y","name":"n","mimeType":"text/plain"}},'
           '{"kind":"file","file":{"bytes":"AAEC","name":"b","mimeType":"a/b"},"metadata":{}},'
           '{"kind":"data","data":{"n":1.0,"kind":"x"}}]',
    "1.0": '[{"text":"@TEXT@","metadata":{"p":1e2}},'
           '{"url":"https://x.example/y","filename":"n","mediaType":"text/plain"},'
           '{"raw":"AAEC","filename":"b","mediaType":"a/b","metadata":{}},'
           '{"data":{"n":1.0,"kind":"x"}}]',
}


def message_text(version, text, role="user", message_id="m-1", extra=""):
    kind = '"kind":"message",' if version == "0.3" else ""
    role = "ROLE_" + role.upper() if version == "1.0" else role
    return (f'{{{kind}"messageId":"{message_id}","role":"{role}","parts":{PARTS[version].replace("@TEXT@", text)},'
            f'"metadata":{_METADATA},"referenceTaskIds":["r1"],"extensions":["urn:x"]{extra}}}')


def task_text(version, task_id, state, context="ctx-1"):
    """A whole task with everything in it."""
    new = version == "1.0"
    name = "TASK_STATE_" + state.upper().replace("-", "_") if new else state
    kind = "" if new else ',"kind":"task"'
    return (f'{{"id":"{task_id}","contextId":"{context}","status":{{"state":"{name}",'
            f'"message":{message_text(version, "status", "agent", "m-s")},"timestamp":"2026-01-02T03:04:05.678Z"}},'
            f'"history":[{message_text(version, "first", "user", "m-h1")},'
            f'{message_text(version, "second", "agent", "m-h2")}],'
            f'"artifacts":[{{"artifactId":"a1","name":"n","description":"d",'
            f'"parts":{PARTS[version].replace("@TEXT@", "result")},'
            f'"metadata":{_METADATA},"extensions":["urn:y"]}}],"metadata":{_METADATA}{kind}}}')


def params_text(version, text, blocking=None, history_length=None, with_metadata=True, message_extra=""):
    """The params of a send. blocking: None for not said."""
    config = ['"acceptedOutputModes":["text/plain"]']
    if history_length is not None:
        config.append(f'"historyLength":{history_length}')
    if blocking is not None:
        config.append(f'"blocking":{str(blocking).lower()}' if version == "0.3"
                      else f'"returnImmediately":{str(not blocking).lower()}')
    metadata = f'"metadata":{_METADATA},' if with_metadata else ""
    message = message_text(version, text, extra=message_extra)
    return f'{{{metadata}"configuration":{{{",".join(config)}}},"message":{message}}}'
