"""Reads what the program redirect_uris prints: whatever is accepted, urllib.parse reads alike."""

import json
import sys
from urllib.parse import urlsplit


def difference(uri, parts):
    """What differs, or None."""
    scheme, host, port, path, query = parts
    split = urlsplit(uri)
    expected = {
        "scheme": scheme,
        "hostname": host or None,
        "port": port,
        "path": path,
        "query": query or "",
        "fragment": "",
        "username": None,
        "password": None,
    }
    for part, value in expected.items():
        if getattr(split, part) != value:
            return f"{part} is {getattr(split, part)!r} there, and {value!r} here"
    # urllib drops an empty query.
    if split.geturl() != (uri[:-1] if query == "" else uri):
        return f"geturl() is {split.geturl()!r}"
    return None


def main():
    accepted = failures = 0
    for line in sys.stdin:
        uri, *parts = json.loads(line)
        if len(parts) == 1:
            continue
        accepted += 1
        try:
            what = difference(uri, parts)
        except ValueError as error:
            what = f"urllib refuses it: {error}"
        if what is not None:
            failures += 1
            if failures <= 20:
                print(f"FAILED: {uri!r}: {what}", file=sys.stderr)
    print(f"urllib (Python {sys.version.split()[0]}): {accepted} accepted URIs, {failures} failures")
    return 1 if failures or not accepted else 0


sys.exit(main())
