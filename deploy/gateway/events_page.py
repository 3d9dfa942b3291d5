"""The catalogue of messages as one page of HTML, made from the AsyncAPI document."""

import json
import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

Json = dict[str, Any]
# Read as a file: the page needs none of the message classes.
DOCUMENT = files("contracts") / "asyncapi.json"


def page(template: str) -> str:
    """Fill the template's places with every message, by the service that owns it."""
    document: Json = json.loads(DOCUMENT.read_text())
    messages: Json = document["components"]["messages"]
    owners = sorted({name.partition(".")[0] for name in messages})
    index = "".join(f'<a href="#{owner}">{owner}</a>' for owner in owners)
    sections = "".join(section(owner, messages, document) for owner in owners)
    return template.replace("<!-- index -->", index).replace("<!-- messages -->", sections)


def section(owner: str, messages: Json, document: Json) -> str:
    """What one service publishes and handles, its events first."""
    own = {name: one for name, one in messages.items() if name.startswith(f"{owner}.")}
    ordered = sorted(own.items(), key=lambda one: (kind_of(one[1]) != "event", one[0]))
    articles = "".join(article(name, message, document) for name, message in ordered)
    return f'<section id="{owner}"><h2>{owner}</h2>{articles}</section>'


def article(name: str, message: Json, document: Json) -> str:
    """One message: what it means, its producers and consumers, its fields and an example."""
    kind = kind_of(message)
    schema = document["components"]["schemas"][name]
    example = json.dumps(message["examples"][0]["payload"], indent=2, ensure_ascii=False)
    text = prose(f"{message['summary']} {message.get('description', '')}".strip())
    return (
        f'<article id="{escape(name)}" data-words="{escape(name.lower())}">'
        f'<h3><a href="#{escape(name)}">{escape(message["title"])}</a> '
        f'<span class="kind {kind}">{kind}</span> <code>{escape(message["name"])}</code></h3>'
        f"<p>{text}</p>"
        f'<p class="ends">from {names(message["x-producers"])} · '
        f"to {names(message['x-consumers'] or ['other systems'])}</p>"
        f"<details><summary>Fields</summary>{fields(schema)}</details>"
        f"<details><summary>Example</summary><pre>{escape(example)}</pre></details>"
        "</article>"
    )


def prose(text: str) -> str:
    """Text of a docstring, its `names` set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def kind_of(message: Json) -> str:
    """`event` or `command`."""
    return str(message["tags"][1]["name"])


def names(services: Iterable[str]) -> str:
    """Services, one after another."""
    return ", ".join(f"<b>{escape(name)}</b>" for name in services)


def fields(schema: Json) -> str:
    """A table of the fields of `data`."""
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(type_of(field))}</td>"
        f"<td>{'required' if name in required else 'optional'}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<table><tr><th>field</th><th>type</th><th></th></tr>{rows}</table>"


def type_of(field: Json) -> str:
    """The type of a field in a few words."""
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "anyOf" in field:
        return " or ".join(type_of(each) for each in field["anyOf"])
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        return f"list of {type_of(field['items'])}"
    return str(field.get("format") or field.get("type") or "any")
