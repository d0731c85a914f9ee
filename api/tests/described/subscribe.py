"""Reads a feed from standard input as a reader of feeds does, and tells its entries: id, title, updated, link.

usage: subscribe.py
"""

import sys

import feedparser

feed = feedparser.parse(sys.stdin.buffer.read())
assert not feed.bozo, feed.bozo_exception
assert feed.version == "atom10", feed.version
assert feed.feed.id and feed.feed.title and feed.feed.updated_parsed and feed.feed.author, feed.feed
for entry in feed.entries:
    assert entry.updated_parsed and entry.published_parsed and entry.content[0].value, entry
    print(entry.id, entry.title, entry.updated, entry.link, sep="\t")
