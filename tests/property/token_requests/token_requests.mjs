// Compares what we send to token endpoints, as the vectors of tests/core/flow say it, with what
// other people's clients send for the same code and tokens. Their HTTP is replaced: nothing leaves
// this process. Every difference has a row in `deliberate`, with the reason, and every row occurs.
// Usage: token_requests.mjs <the folder of the vectors>
import assert from 'node:assert/strict';
import { generateKeyPairSync, verify } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import https from 'node:https';
import { createRequire } from 'node:module';
import net from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { socialProviders } from '@better-auth/core/social-providers';
import * as arctic from 'arctic';

const require = createRequire(import.meta.url);
const grantConfig = require('grant/lib/config');
const grantFlow = require('grant/lib/flow/oauth2').access({ request: {} });

// The values of the vectors' README.md.
const id = 'app/1';
const secret = 's3cret/+1';
const code = 'code/+1';
const redirect = 'https://app.example.com/cb?x=1';
const verifier = 'verifier-0123456789-0123456789-0123456789-0';
const refreshToken = 'rt/+1';

const inParameters = 'client in client_id, client_secret';
const google = ['google', 'youtube', 'google_business', 'blogger'];
// One endpoint for all apps of Facebook's.
const facebook = ['facebook', 'instagram/facebook_login', 'whatsapp'];

// ---- What differs on purpose: libraries, networks, steps, what theirs has otherwise, and why. A row
// occurs for each of its libraries, networks and steps; with "*" for both, somewhere. A network is
// NETWORK or NETWORK/VARIANT.
const deliberate = [
  // All or several.
  ['arctic grant', '*', '*', ['Basic without percent-encoding'],
    'RFC 6749 section 2.3.1 encodes id and secret first; letters and digits are the same either way'],
  ['arctic @better-auth/core grant', 'naver', 'exchange',
    [`redirect_uri=${redirect}`, 'no state'],
    "Naver's documentation has the state here, and no redirect URI"],
  ['arctic @better-auth/core', 'kakao', 'exchange', ['no code_verifier'],
    'Kakao takes PKCE, which they do not use'],
  ['arctic @better-auth/core', 'tiktok', 'exchange', [`code_verifier=${verifier}`],
    'TikTok wants it of desktop and mobile apps only'],
  ['@better-auth/core grant', 'discord discord/webhook', 'exchange', [inParameters],
    'Discord takes both; its examples have Basic'],
  ['@better-auth/core grant', 'spotify', 'exchange', [inParameters],
    "Spotify's documentation has Basic alone"],
  ['grant @auth/core', facebook.join(' '), 'exchange',
    ['https://graph.facebook.com/oauth/access_token'],
    'Without a version Facebook takes the oldest one that the app may call'],
  ['arctic grant @auth/core', 'vk/classic', 'exchange', ['https://oauth.vk.com/access_token'],
    'VK is moving to vk.ru; the entry has a variable for it'],

  ['arctic', facebook.join(' '), 'exchange',
    ['https://graph.facebook.com/v16.0/oauth/access_token'],
    'An old version; the entry has a variable for it'],
  ['arctic', 'github', 'exchange refresh', ['client in Basic'],
    'GitHub takes both and documents the parameters'],
  ['arctic', 'github', 'exchange', ['no code_verifier'], 'GitHub has had PKCE since July 2025'],
  ['arctic', google.join(' '), 'exchange refresh', ['client in Basic'],
    'Google takes both and documents the parameters'],
  ['arctic', google.join(' '), 'revocation', ['client in Basic'],
    "Google's documentation has the token alone"],
  ['arctic', 'kick', 'revocation', ['parameters in form'],
    "Kick's documentation has the token in the query"],
  ['arctic', 'mastodon mastodon/pixelfed', 'exchange',
    ['https://social.example/api/v1/oauth/token'],
    "Mastodon's documentation has no such path, nor have grant and @auth/core"],
  ['arctic', 'mastodon mastodon/pixelfed', 'revocation',
    ['https://social.example/api/v1/oauth/revoke'],
    "Mastodon's documentation has no such path"],
  ['arctic', 'mastodon mastodon/pixelfed', 'exchange revocation', ['client in Basic'],
    'Mastodon takes both and documents the parameters'],
  ['arctic', 'microsoft', 'exchange refresh', ['client in Basic'],
    'Microsoft takes both; its examples have the parameters'],
  ['arctic', 'slack/sign_in', 'exchange', ['client in Basic'],
    'Slack takes both and documents the parameters of this method'],
  ['arctic', 'tumblr', 'exchange refresh', ['client in Basic'],
    'Tumblr takes both and documents the parameters'],
  ['arctic', 'x', 'exchange refresh', ['https://api.twitter.com/2/oauth2/token'], 'The old host'],
  ['arctic', 'x', 'revocation', ['https://api.twitter.com/2/oauth2/revoke'], 'The old host'],
  ['arctic', 'discord/webhook', 'revocation', ['POST https://discord.com/api/oauth2/token/revoke'],
    'What posts there is the webhook, so it is what we delete'],

  ['@better-auth/core', 'apple', 'exchange', [`code_verifier=${verifier}`],
    "Apple's documentation has no PKCE"],
  ['@better-auth/core', 'discord discord/webhook', 'exchange', ['no code_verifier'],
    'Discord takes PKCE, which it does not use'],
  ['@better-auth/core', 'discord discord/webhook', 'refresh', [inParameters],
    'Discord takes both; its examples have Basic'],
  ['@better-auth/core', 'facebook instagram/facebook_login', 'refresh',
    ['grant_type=refresh_token', 'refresh_token=rt/+1', 'no fb_exchange_token'],
    'Facebook has no refresh tokens: the access token is exchanged for one with a longer life'],
  ['@better-auth/core', 'whatsapp', 'refresh', ['a step that we do not have'],
    'Facebook has no refresh tokens, and the token is that of a system user'],
  ['@better-auth/core', 'microsoft', 'refresh',
    ['scope=openid profile email User.Read offline_access'],
    'Without it Microsoft keeps to the scopes of the grant'],
  ['@better-auth/core', 'spotify', 'refresh', [inParameters],
    "Spotify's documentation has Basic alone"],
  ['@better-auth/core', 'vk', 'exchange refresh', ['https://id.vk.com/oauth2/auth'],
    'VK is moving to vk.ru; the entry has a variable for it'],
  ['@better-auth/core', 'vk', 'exchange refresh', [inParameters],
    "VK ID takes no secret with PKCE, as VK's own programs have it"],
  ['@better-auth/core', 'vk', 'exchange refresh', ['no state'], "VK's own programs send it"],
  ['@better-auth/core', 'vk', 'refresh', ['no device_id'], "VK's own programs send it"],

  ['grant', 'pinterest', 'exchange',
    ['https://api.pinterest.com/v1/oauth/token', inParameters, 'no continuous_refresh'],
    'API v1, which is gone'],
  ['grant', 'reddit', 'exchange', ['https://ssl.reddit.com/api/v1/access_token'], 'An old host'],
  ['grant', 'slack slack/user', 'exchange',
    ['https://slack.com/api/oauth.access', inParameters],
    'That of classic apps, which Slack no longer admits; for the present one it advises Basic'],
  ['grant', 'soundcloud', 'exchange', ['https://api.soundcloud.com/oauth2/token'],
    'OAuth 2.0, closed in October 2024; the host of OAuth 2.1 is another one'],
  ['grant', 'tiktok tiktok/desktop', 'exchange',
    ['https://open-api.tiktok.com/oauth/access_token/'],
    'OAuth v1, which TikTok has withdrawn'],
  ['grant', 'vimeo', 'exchange', [inParameters],
    "Vimeo's documentation has Basic alone"],
  ['grant', 'wechat wechat/official_account', 'exchange', [`redirect_uri=${redirect}`],
    "WeChat's documentation has none here"],
  ['grant', 'x', 'exchange', ['https://api.twitter.com/2/oauth2/token'], 'The old host'],
  ['grant', 'x', 'exchange', ['client in Basic, client_id'],
    'X wants the parameter of apps without a secret only'],

  ['@auth/core', 'threads', 'exchange', ['https://graph.threads.net/oauth/access_token'],
    'The host until 2026'],
];

// ---- Their HTTP.
net.Socket.prototype.connect = () => {
  throw new Error('a test that only reads tried to connect');
};

let sent = [];
const answer = { access_token: 'at', token_type: 'bearer', expires_in: 3600, scope: 'a' };

globalThis.fetch = async (input, init) => {
  const request = new Request(input, init);
  sent.push({
    method: request.method,
    url: request.url,
    headers: Object.fromEntries(request.headers),
    body: await request.text(),
  });
  return Response.json(answer);
};

// That of grant.
https.request = ({ method, hostname, path, headers }) => {
  const call = new EventEmitter();
  call.setTimeout = () => call;
  call.end = (body) => {
    sent.push({ method, url: `https://${hostname}${path}`, headers, body: body?.toString() ?? '' });
    const response = Readable.from([Buffer.from(JSON.stringify(answer))]);
    response.statusCode = 200;
    response.headers = { 'content-type': 'application/json' };
    process.nextTick(() => call.emit('response', response));
  };
  return call;
};

async function requestOf(call) {
  sent = [];
  await call();
  assert.equal(sent.length, 1, 'one request');
  return sent[0];
}

// ---- What a request says.
const idNames = ['client_id', 'client_key', 'appid', 'app_id'];
const secretNames = ['client_secret', 'secret', 'app_secret'];
const isJwt = (text) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

// Where Basic is by RFC 7617 alone: an API's own (GitHub), and a server that does not decode (Vimeo).
const plainBasic = ['github, revocation', 'vimeo, exchange'];

function read({ method, url: whole, headers = {}, body = '' }, clientSecret) {
  const url = new URL(whole);
  const header = (name) => Object.entries(headers).find(([each]) => each.toLowerCase() === name)?.[1];
  const type = header('content-type')?.split(';')[0];
  const json = type === 'application/json';
  if (body && !json) assert.equal(type, 'application/x-www-form-urlencoded');
  const inBody = json ? Object.entries(JSON.parse(body)) : [...new URLSearchParams(body)];
  const inQuery = [...url.searchParams];
  const all = [...inQuery, ...inBody];
  const parameters = new Map(all);
  assert.equal(parameters.size, all.length, 'no name twice');

  // Where the client is, and by which names.
  const client = [];
  const authorization = header('authorization') ?? '';
  let rawBasic = false;
  if (authorization.startsWith('Basic ')) {
    const pair = Buffer.from(authorization.slice(6), 'base64').toString();
    rawBasic = pair === `${id}:${clientSecret}`;
    if (!rawBasic) {
      // RFC 6749 section 2.3.1: id and secret are encoded as in a form first.
      const decoded = pair.split(':').map((each) => new URLSearchParams(`v=${each}`).get('v'));
      assert.deepEqual(decoded, [id, clientSecret]);
    }
    client.push('Basic');
  } else if (authorization) {
    client.push(authorization);
  }
  for (const [names, value] of [[idNames, id], [secretNames, clientSecret]]) {
    for (const name of names.filter((each) => parameters.has(each))) {
      const has = parameters.get(name);
      if (!(names === secretNames && isJwt(has))) assert.equal(has, value, name);
      client.push(name);
      parameters.delete(name);
    }
  }
  const places = [];
  if (inQuery.length > 0) places.push('query');
  if (inBody.length > 0) places.push(json ? 'JSON' : 'form');
  return {
    method,
    url: url.origin + url.pathname,
    parametersIn: places.join(' and ') || 'nothing',
    client: client.join(', ') || 'nothing',
    rawBasic,
    parameters,
  };
}

// Theirs, where it is not as ours. What a library does not tell is not compared.
function differences(ours, theirs) {
  const found = [];
  const method = theirs.method && theirs.method !== ours.method;
  const url = theirs.url && theirs.url !== ours.url;
  // Another request altogether: there is nothing to compare in it.
  if (method && url) return [`${theirs.method} ${theirs.url}`];
  if (method) found.push(theirs.method);
  if (url) found.push(theirs.url);
  if (theirs.parametersIn && theirs.parametersIn !== ours.parametersIn) {
    found.push(`parameters in ${theirs.parametersIn}`);
  }
  if (theirs.client && theirs.client !== ours.client) found.push(`client in ${theirs.client}`);
  if (theirs.rawBasic && !ours.rawBasic) found.push('Basic without percent-encoding');
  if (theirs.parameters) {
    for (const [name, value] of theirs.parameters) {
      if (ours.parameters.get(name) !== value) found.push(`${name}=${value}`);
    }
    for (const name of ours.parameters.keys()) {
      if (!theirs.parameters.has(name)) found.push(`no ${name}`);
    }
  }
  return found;
}

// ---- The libraries, and which networks each of their clients is for.
const apple = {
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  teamId: 'TEAM123456',
  keyId: 'KEY1234567',
};

const arcticClients = {
  Apple: ['apple'],
  Discord: ['discord', 'discord/webhook'],
  Dribbble: ['dribbble'],
  Facebook: facebook,
  GitHub: ['github'],
  Google: google,
  Kakao: ['kakao'],
  Kick: ['kick'],
  Line: ['line'],
  LinkedIn: ['linkedin', 'linkedin/page'],
  Mastodon: ['mastodon', 'mastodon/pixelfed'],
  MicrosoftEntraId: ['microsoft'],
  Naver: ['naver'],
  Patreon: ['patreon'],
  Reddit: ['reddit'],
  Slack: ['slack/sign_in'],
  Spotify: ['spotify'],
  TikTok: ['tiktok', 'tiktok/desktop'],
  Tumblr: ['tumblr'],
  Twitch: ['twitch'],
  Twitter: ['x'],
  VK: ['vk/classic'],
};
// Those of them that take an app without a secret, and those of better-auth that do not.
const arcticPublic = ['Discord', 'Google', 'Mastodon', 'MicrosoftEntraId', 'Spotify', 'Twitter'];
const betterAuthConfidential = ['apple', 'facebook', 'reddit', 'twitter', 'wechat'];

function arcticArguments(name, { instance }, clientSecret) {
  const usual = [id, clientSecret, redirect];
  if (name === 'Mastodon') return [`https://${instance}`, ...usual];
  if (name === 'MicrosoftEntraId') return ['common', ...usual];
  if (name === 'Apple') {
    const pkcs8 = apple.privateKey.export({ type: 'pkcs8', format: 'der' });
    return [id, apple.teamId, apple.keyId, pkcs8, redirect];
  }
  return usual;
}

const libraries = [
  {
    name: 'arctic',
    clients: arcticClients,
    steps(name, { settings, clientSecret, token }) {
      if (clientSecret === null && !arcticPublic.includes(name)) return null;
      const client = new arctic[name](...arcticArguments(name, settings, clientSecret));
      return {
        exchange: () => client.validateAuthorizationCode(code, verifier),
        refresh: client.refreshAccessToken && (() => client.refreshAccessToken(refreshToken, [])),
        revocation: client.revokeToken && (() => client.revokeToken(token)),
      };
    },
  },
  {
    name: '@better-auth/core',
    clients: {
      apple: ['apple'],
      discord: ['discord', 'discord/webhook'],
      facebook,
      github: ['github'],
      google,
      kakao: ['kakao'],
      kick: ['kick'],
      line: ['line'],
      linkedin: ['linkedin', 'linkedin/page'],
      microsoft: ['microsoft'],
      naver: ['naver'],
      reddit: ['reddit'],
      slack: ['slack/sign_in'],
      spotify: ['spotify'],
      tiktok: ['tiktok', 'tiktok/desktop'],
      twitch: ['twitch'],
      twitter: ['x'],
      vk: ['vk'],
      wechat: ['wechat', 'wechat/official_account'],
    },
    steps(name, { callback, clientSecret }) {
      if (clientSecret === null && betterAuthConfidential.includes(name)) return null;
      const client = socialProviders[name]({
        clientId: id,
        ...(clientSecret !== null && { clientSecret }),
        ...(name === 'tiktok' && { clientKey: id }),
      });
      const given = { code, codeVerifier: verifier, redirectURI: redirect };
      const deviceId = callback.device_id;
      return {
        exchange: () => client.validateAuthorizationCode({ ...given, deviceId }),
        refresh: client.refreshAccessToken && (() => client.refreshAccessToken(refreshToken)),
      };
    },
  },
  {
    name: 'grant',
    clients: {
      apple: ['apple'],
      dailymotion: ['dailymotion'],
      deviantart: ['deviantart'],
      discord: ['discord', 'discord/webhook'],
      dribbble: ['dribbble'],
      facebook,
      github: ['github'],
      google,
      instagram: ['instagram'],
      kakao: ['kakao'],
      line: ['line'],
      linkedin: ['linkedin', 'linkedin/page'],
      mastodon: ['mastodon', 'mastodon/pixelfed'],
      medium: ['medium'],
      microsoft: ['microsoft'],
      naver: ['naver'],
      patreon: ['patreon'],
      pinterest: ['pinterest'],
      reddit: ['reddit'],
      slack: ['slack', 'slack/user'],
      snapchat: ['snapchat/login_kit'],
      soundcloud: ['soundcloud'],
      spotify: ['spotify'],
      tiktok: ['tiktok', 'tiktok/desktop'],
      twitch: ['twitch'],
      twitter2: ['x'],
      vimeo: ['vimeo'],
      vk: ['vk/classic'],
      wechat: ['wechat', 'wechat/official_account'],
      weibo: ['weibo', 'weibo/mobile'],
      wordpress: ['wordpress', 'wordpress/all_sites'],
    },
    // The exchange is all that it does. PKCE is left to its user, who is taken to be as we are.
    steps(name, { settings, clientSecret, pkce }) {
      if (clientSecret === null) return null;
      const provider = grantConfig({
        [name]: { key: id, secret, redirect_uri: redirect, pkce, subdomain: settings.instance },
      })[name];
      const input = { query: { code }, session: { code_verifier: verifier } };
      return { exchange: () => grantFlow({ provider, input }) };
    },
  },
  {
    // Read, not run: its exchange needs a whole sign-in. Where it names no endpoint, that comes
    // from the network's metadata; where it names no method, Basic is its default, no opinion.
    name: '@auth/core',
    clients: {
      discord: ['discord', 'discord/webhook'],
      dribbble: ['dribbble'],
      facebook,
      github: ['github'],
      instagram: ['instagram'],
      kakao: ['kakao'],
      mastodon: ['mastodon', 'mastodon/pixelfed'],
      medium: ['medium'],
      naver: ['naver'],
      patreon: ['patreon'],
      pinterest: ['pinterest'],
      reddit: ['reddit'],
      spotify: ['spotify'],
      threads: ['threads'],
      twitter: ['x'],
      vk: ['vk/classic'],
      wordpress: ['wordpress', 'wordpress/all_sites'],
      apple: ['apple'],
      linkedin: ['linkedin', 'linkedin/page'],
      twitch: ['twitch'],
      wechat: ['wechat', 'wechat/official_account'],
    },
    async read(name, { settings }) {
      const provider = (await import(`@auth/core/providers/${name}`)).default({
        clientId: id,
        clientSecret: secret,
        issuer: `https://${settings.instance}`,
      });
      const token = typeof provider.token === 'string' ? provider.token : provider.token?.url;
      const url = token && new URL(token);
      const methods = {
        client_secret_basic: 'Basic',
        client_secret_post: 'client_id, client_secret',
      };
      return {
        url: url && url.origin + url.pathname,
        client: methods[provider.client?.token_endpoint_auth_method],
      };
    },
  },
];

// ---- The comparison.
const folder = process.argv[2];
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
const nameOf = ({ network, variant }) => network + (variant ? `/${variant}` : '');

const occurred = new Set();
const known = new Set();
let same = 0;
let otherwise = 0;
const failures = [];

const key = (...each) => each.join(' | ');
const covers = (list, one) => list === '*' || list.split(' ').includes(one);

function rowFor(library, network, step, difference) {
  const row = deliberate.find(
    ([libraries, networks, steps, those]) =>
      covers(libraries, library) &&
      covers(networks, network) &&
      covers(steps, step) &&
      those.includes(difference),
  );
  if (!row) return null;
  const [, networks, steps] = row;
  const place = networks === '*' && steps === '*' ? ['*', '*'] : [network, step];
  occurred.add(key(library, ...place, difference));
  return row;
}

function report(library, network, title, step, found) {
  const told = `${library}: ${title}, ${step}`;
  known.add(network);
  if (found.length === 0) {
    same += 1;
    console.log(`${told}: same`);
    return;
  }
  otherwise += 1;
  // By reason, of which several differences may have one.
  const reasons = new Map();
  for (const difference of found) {
    const row = rowFor(library, network, step, difference);
    if (!row) failures.push(`${told}: ${difference}: not in the table`);
    const why = row ? row[4] : 'NOT IN THE TABLE';
    reasons.set(why, [...(reasons.get(why) ?? []), difference]);
  }
  const all = [...reasons].map(([why, those]) => `${those.join(', ')} (${why})`);
  console.log(`${told}: differs: ${all.join('; ')}`);
}

async function compare(library, name, vector) {
  const settings = vector.settings ?? {};
  const clientSecret = settings.client_secret === undefined ? secret : settings.client_secret;
  const network = nameOf(vector);
  const title = network + (clientSecret === null ? ' without a secret' : '');
  const ours = Object.fromEntries(
    ['exchange', 'refresh', 'revocation']
      .filter((step) => vector[step]?.request)
      .map((step) => [step, read(vector[step].request, clientSecret)]),
  );
  for (const [step, request] of Object.entries(ours)) {
    const plain = plainBasic.includes(`${network}, ${step}`);
    if (request.client === 'Basic' && request.rawBasic !== plain) {
      failures.push(`${network}, ${step}: our Basic is ${plain ? '' : 'not '}percent-encoded`);
    }
  }
  if (library.read) {
    if (clientSecret === null) return;
    const theirs = await library.read(name, { settings });
    report(library.name, network, title, 'exchange', differences(ours.exchange, theirs));
    return;
  }
  const given = {
    settings,
    clientSecret,
    callback: vector.callback ?? {},
    pkce: ours.exchange.parameters.has('code_verifier'),
    // Theirs revoke whichever token they are given.
    token: ours.revocation?.parameters.get('token') ?? refreshToken,
  };
  for (const [step, call] of Object.entries(library.steps(name, given) ?? {})) {
    if (!call) continue;
    const theirs = read(await requestOf(call), clientSecret);
    const found = ours[step] ? differences(ours[step], theirs) : ['a step that we do not have'];
    report(library.name, network, title, step, found);
  }
}

for (const library of libraries) {
  for (const [name, networks] of Object.entries(library.clients)) {
    for (const network of networks) {
      const those = vectors.filter((each) => nameOf(each) === network);
      if (those.length === 0) failures.push(`${network}: there is no vector of it`);
      for (const vector of those) {
        try {
          await compare(library, name, vector);
        } catch (error) {
          failures.push(`${library.name}: ${network}: ${error.stack}`);
        }
      }
    }
  }
}

for (const [all, networks, steps, those] of deliberate) {
  for (const library of all.split(' ')) {
    for (const network of networks.split(' ')) {
      for (const step of steps.split(' ')) {
        for (const difference of those) {
          const one = key(library, network, step, difference);
          if (!occurred.has(one)) failures.push(`${one}: in the table, and does not occur`);
        }
      }
    }
  }
}

// ---- Apple's client secret: arctic's JWT has the header and claims of core/flow/client_secret.cc.
{
  const call = libraries[0].steps('Apple', { settings: {}, clientSecret: secret }).exchange;
  const jwt = new URLSearchParams((await requestOf(call)).body).get('client_secret');
  const [header, claims, signature] = jwt.split('.');
  const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
  assert.deepEqual(decoded(header), { typ: 'JWT', alg: 'ES256', kid: apple.keyId });
  const { iat, exp, ...rest } = decoded(claims);
  // RFC 7519 has one audience as a text or a list; Apple's documentation, and ours, has the text.
  assert.deepEqual(rest, { iss: apple.teamId, sub: id, aud: ['https://appleid.apple.com'] });
  assert.ok(exp > iat && exp - iat <= 15777000, 'six months at most');
  const signed = Buffer.from(`${header}.${claims}`);
  const es256 = { key: apple.publicKey, dsaEncoding: 'ieee-p1363' };
  assert.ok(verify('sha256', signed, es256, Buffer.from(signature, 'base64url')), 'signed');
  console.log('arctic: apple, client secret: the same but for its aud, which is a list');
}

for (const failure of failures) console.error(`FAILED: ${failure}`);
const unknown = [...new Set(vectors.map(nameOf))].filter((network) => !known.has(network));
console.log(`None of them knows ${unknown.join(', ')}`);
console.log(
  `${same + otherwise} requests of ${known.size} networks and variants: ${same} as ours, ` +
    `${otherwise} otherwise (${deliberate.length} rows), ${failures.length} failures`,
);
process.exitCode = failures.length === 0 && same > 0 ? 0 : 1;
