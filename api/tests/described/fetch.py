"""Asks everything that the description tells of, by the client that was made from it.

usage: fetch.py FOLDER URL    FOLDER holds the package `client`
"""

import importlib
import inspect
import pkgutil
import sys

folder, url = sys.argv[1:]
sys.path.insert(0, folder)

import client.api
from client import Client
from client.models import Kind, Problem

KNOWN = {"id": "main", "kind": Kind.UPTIME}
# The client keeps these as they are.
AS_THEY_ARE = {"feed", "service_feed", "page_badge", "service_badge"}

asked = 0
for module in pkgutil.walk_packages(client.api.__path__, "client.api."):
    question = importlib.import_module(module.name)
    if not hasattr(question, "sync_detailed"):
        continue
    parameters = inspect.signature(question.sync_detailed).parameters
    needed = {name: KNOWN[name] for name in parameters if name in KNOWN}
    answer = question.sync_detailed(client=Client(base_url=url), **needed)
    name = module.name.rpartition(".")[2]
    assert answer.status_code == 200, (name, answer)
    assert answer.content, name
    if name not in AS_THEY_ARE:
        assert answer.parsed is not None and not isinstance(answer.parsed, Problem), (name, answer)
    asked += 1
print(f"asked {asked} questions")
