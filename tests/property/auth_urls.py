"""Reads what the program auth_urls prints and takes each URL apart with urllib.parse: every
parameter decodes to what was put in, in that order, and nothing else is in the URL."""

import json
import sys
from urllib.parse import parse_qsl, urlsplit


def faults(case):
    split = urlsplit(case["url"])
    endpoint = urlsplit(case["endpoint"])
    found = parse_qsl(split.query, keep_blank_values=True, strict_parsing=True, errors="strict")
    expected = parse_qsl(endpoint.query) + [tuple(pair) for pair in case["parameters"]]
    checks = {
        "scheme https": split.scheme == "https",
        "host of the catalog": split.netloc == endpoint.netloc,
        "path of the catalog": split.path == endpoint.path,
        "fragment of the catalog": split.fragment == case["fragment"],
        "left as it is": split.geturl() == case["url"],
        "parameters as put in": found == expected,
        "none twice": len({name.lower() for name, _ in found}) == len(found),
        "redirect_uri byte for byte": dict(found)["redirect_uri"]
        == dict(expected)["redirect_uri"],
    }
    return [name for name, holds in checks.items() if not holds]


def main():
    urls = failures = 0
    for line in sys.stdin:
        urls += 1
        found = faults(json.loads(line))
        if found:
            failures += 1
            if failures <= 10:
                print(f"FAILED: not {found}: {line}", file=sys.stderr)
    print(f"urllib (Python {sys.version.split()[0]}): {urls} URLs, {failures} failures")
    return 1 if failures or not urls else 0


sys.exit(main())
