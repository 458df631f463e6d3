// Reads what the program redirect_uris prints and compares it with the WHATWG URL parser of Node:
// whatever is accepted must parse there to the same parts, and be left byte for byte as it is. The
// one exception: a host with an "xn--" label that is not punycode may be refused there, if it is
// that label alone.
//
// Then it counts what is refused and WHATWG accepts, by class, and fails when a class has no row in
// the table of README.md.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

// A refusal's message tells its class.
const classes = [
  ['non-ASCII', /^must be ASCII/],
  ['space or control character', /^must not contain (a space|control)/],
  ['space, line break or quotation mark around it', /^(begins|ends) with a/],
  ['wildcard', /^has the host .* must not have a wildcard/],
  ['character that no URI holds', /^(must not contain . as it is|has \$\{ or \{\{ in it)/],
  ['fragment', /^must not have a fragment/],
  ['quote in the query', /^must not have ' in its query/],
  ['% without two digits', /^has a % without/],
  ['percent-encoding in lower case', /^must have its percent-encoding in upper case/],
  ['percent-encoded unreserved character', /^must not percent-encode/],
  ['[ or ] misplaced', /^has \[ or \]/],
  ['not absolute', /^must be an absolute URI/],
  ['scheme in upper case', /^must have its scheme in lower case/],
  ['another scheme', /^(must begin with https:|has the scheme .* which browsers run)/],
  ['app scheme of odd form', /^(has the scheme|must have one slash after the scheme)/],
  ['query after an app scheme', /^must not have a query after an app/],
  ['no host, or slashes amiss', /^must name a host/],
  ['userinfo', /^must not have a user name/],
  ['no slash after the authority', /^must have a "\/" after/],
  ['no path before the query', /^must have a path before its query/],
  ['host in upper case', /^has the host .* must be lower case/],
  ['host with other characters', /^has the host .* must hold letters/],
  ['host label empty or with outer hyphen', /^has the host .* must have no (dot|hyphen)/],
  ['host or label too long', /^has the host .* (a host name has at most|must have at most)/],
  ['IPv4 in another spelling', /^has the host .* ends in a number/],
  ['IPv6 in another spelling', /^has the host .* must be spelled as in RFC 5952/],
  ['IPv4 inside IPv6', /^has the host .* must be written as IPv4/],
  ['IPvFuture', /^has the host .* is of no known kind/],
  ['default port', /^must not name the port/],
  ['empty port', /^has a ":" without a port/],
  ['port zero, too large or odd', /^must have a port from 1/],
  ['dot segment', /^must have no "\." or "\.\."/],
  ['too long', /^is \d+ bytes long/],
  ['empty', /^must not be empty/],
];

const count = { total: 0, accepted: 0, punycode: 0 };
const refused = new Map(classes.map(([name]) => [name, { all: 0, taken: 0, kept: 0 }]));
let failures = 0;

function fail(uri, what) {
  failures += 1;
  if (failures <= 20) console.error(`FAILED: ${JSON.stringify(uri)}: ${what}`);
}

function parse(uri) {
  try {
    return new URL(uri);
  } catch {
    return null;
  }
}

// What differs, or null.
function difference(uri, [scheme, host, port, path, query], url) {
  const web = scheme === 'https' || scheme === 'http';
  const expected = {
    protocol: `${scheme}:`,
    hostname: host.includes(':') ? `[${host}]` : host,
    port: port === null ? '' : String(port),
    pathname: web && path === '' ? '/' : path,
    search: query ? `?${query}` : '',
    username: '',
    password: '',
    hash: '',
    // Byte for byte, but for the slash of an empty path.
    href: web && path === '' ? `${uri}/` : uri,
  };
  for (const [part, value] of Object.entries(expected)) {
    if (url[part] !== value) return `${part} is ${url[part]} there, and ${value} here`;
  }
  return null;
}

function checkAccepted(uri, parts) {
  count.accepted += 1;
  const url = parse(uri);
  if (url !== null) {
    const what = difference(uri, parts, url);
    if (what !== null) fail(uri, what);
    return;
  }
  // The same with every such label made a plain one must parse to the same parts.
  const [scheme, host, ...rest] = parts;
  const plain = host.replace(/(^|\.)xn--/g, '$1xx--');
  const plainUri = uri.replace(`://${host}`, `://${plain}`);
  const plainUrl = parse(plainUri);
  if (plain === host || plainUrl === null) return fail(uri, 'WHATWG refuses it');
  const what = difference(plainUri, [scheme, plain, ...rest], plainUrl);
  if (what !== null) return fail(uri, what);
  count.punycode += 1;
}

function countRefused(uri, message) {
  const found = classes.find(([, pattern]) => pattern.test(message));
  if (found === undefined) return fail(uri, `no class for: ${message}`);
  const numbers = refused.get(found[0]);
  const url = parse(uri);
  numbers.all += 1;
  numbers.taken += url !== null;
  numbers.kept += url?.href === uri;
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const [uri, ...answer] = JSON.parse(line);
  count.total += 1;
  if (answer.length === 1) countRefused(uri, answer[0]);
  else checkAccepted(uri, answer);
}

const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8');
console.log('| class of what we refuse | generated | WHATWG takes | and changes |');
console.log('|---|---|---|---|');
for (const [name, { all, taken, kept }] of refused) {
  console.log(`| ${name} | ${all} | ${taken} | ${taken - kept} |`);
  if (taken > 0 && !readme.includes(`\n| ${name} |`)) fail('', `README.md has no row "${name}"`);
}
const share = count.accepted / count.total;
if (!(share >= 0.1)) fail('', `only ${count.accepted} of ${count.total} were accepted`);
console.log(
  `WHATWG (Node ${process.versions.node}): ${count.total} URIs, ${count.accepted} accepted ` +
    `(${(100 * share).toFixed(1)} %), of which WHATWG refuses ${count.punycode} for an ill-formed ` +
    `xn-- label and reads all others alike; ${failures} failures`,
);
process.exitCode = failures === 0 ? 0 : 1;
