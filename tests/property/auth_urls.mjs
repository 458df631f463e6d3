// Reads what the program auth_urls prints and takes each URL apart with the WHATWG URL parser of
// Node: every parameter decodes to what was put in, in that order, none occurs twice, and nothing
// else is in the URL.
import { isDeepStrictEqual } from 'node:util';
import { createInterface } from 'node:readline';

const uses = new Set();
const redirectCharacters = new Set();
let urls = 0;
let failures = 0;

function faults({ url, endpoint, parameters, fragment }) {
  const parsed = new URL(url);
  const expected = new URL(endpoint);
  const all = [...expected.searchParams, ...parameters];
  const names = all.map(([name]) => name.toLowerCase());
  // A form's decoding and plain percent-decoding must not differ: no "+" for a space.
  const raw = parsed.search
    .slice(1)
    .split('&')
    .map((pair) => [...pair.match(/^([^=]*)=(.*)$/)].slice(1).map(decodeURIComponent));
  const checks = {
    'scheme https': parsed.protocol === 'https:',
    'host of the catalog': parsed.host === expected.host,
    'path of the catalog': parsed.pathname === expected.pathname,
    'no userinfo': parsed.username === '' && parsed.password === '',
    'fragment of the catalog': parsed.hash === (fragment && `#${fragment}`),
    'nothing after the fragment': url.split('#').length === (fragment ? 2 : 1),
    'left as it is': parsed.href === url,
    'parameters as put in': isDeepStrictEqual([...parsed.searchParams], all),
    'the same percent-decoded': isDeepStrictEqual(raw, all),
    'none twice': new Set(names).size === names.length,
    'nothing raw but unreserved characters': parameters.every(([name]) => /^[\w.~-]+$/.test(name)) &&
      /^[A-Za-z0-9._~%=&-]*$/.test(parsed.search.slice(1)),
  };
  return Object.keys(checks).filter((name) => !checks[name]);
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const each = JSON.parse(line);
  urls += 1;
  uses.add(`${each.network}/${each.variant}`);
  const redirect = each.parameters.find(([name]) => name === 'redirect_uri')[1];
  for (const c of decodeURIComponent(new URL(redirect).search.slice(1))) redirectCharacters.add(c);
  const found = faults(each);
  if (found.length === 0) continue;
  failures += 1;
  if (failures <= 10) console.error(`FAILED: not "${found.join('", "')}": ${line}`);
}

for (let c = 0x20; c < 0x7f; c += 1) {
  if (redirectCharacters.has(String.fromCharCode(c))) continue;
  failures += 1;
  console.error(`FAILED: no redirect URI had ${JSON.stringify(String.fromCharCode(c))} in its query`);
}
console.log(
  `WHATWG (Node ${process.versions.node}): ${urls} URLs of ${uses.size} networks and variants, ` +
    `${failures} failures`,
);
process.exitCode = failures === 0 && urls > 0 ? 0 : 1;
