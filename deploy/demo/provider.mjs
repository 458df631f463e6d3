// An OpenID Connect provider on 127.0.0.1, in place of a social network: deploy/demo.sh and deploy/compose.yaml show a flow
// with it, and tests use it. npm's oidc-provider, which is certified, does the protocol; here are its settings, and the one page on which
// anybody signs in with any name and grants what is asked for, or says no. All is kept in memory.
//
//   provider.mjs --client_id=ID --client_secret_file=FILE --redirect_uri=URI [--redirect_uri=URI…] [--port=N]
//                [--listen=IP] [--network_file=FILE]
//
// A file for the client secret that is not there yet is made. --network_file is written: this provider as a network, for
// the server's --networks_file. Once it serves, it says so in a line of JSON, with its address. The issuer is http:// and
// that address, also where --listen=0.0.0.0 lets others in, to a container whose port is published on 127.0.0.1. PKCE (S256) is
// required; refresh tokens come with the scope offline_access and prompt=consent, and work once. oidc-provider 8 is the
// last one that runs on Debian 12's Node.js 18.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';

const { values: flags } = parseArgs({
  options: {
    client_id: { type: 'string' },
    client_secret_file: { type: 'string' },
    redirect_uri: { type: 'string', multiple: true },
    port: { type: 'string', default: '0' },
    listen: { type: 'string', default: '127.0.0.1' },
    network_file: { type: 'string' },
  },
});

const pagePath = '/sign-in/';
const maxBodyBytes = 16384;
const names = new Map(); // By the id that stands for each of them.

const idOf = (name) => createHash('sha256').update(name).digest('hex').slice(0, 16);
const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// Nobody ever reads half of it.
function writeSecretly(file, text) {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function clientSecret() {
  const file = flags.client_secret_file;
  if (!existsSync(file)) writeSecretly(file, randomBytes(24).toString('base64url'));
  return readFileSync(file, 'utf8').trim();
}

function writeNetwork(issuer) {
  const template = readFileSync(new URL('network.textproto', import.meta.url), 'utf8');
  writeSecretly(flags.network_file, template.replaceAll('ISSUER', issuer));
}

function settings() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: 'demo', alg: 'RS256', use: 'sig' };
  const day = 24 * 60 * 60;
  return {
    clients: [
      {
        client_id: flags.client_id,
        client_secret: clientSecret(),
        redirect_uris: flags.redirect_uri,
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'] },
    findAccount: (ctx, id) =>
      names.has(id) && {
        accountId: id,
        claims: () => ({ sub: id, name: names.get(id), preferred_username: names.get(id) }),
      },
    interactions: { url: (ctx, interaction) => pagePath + interaction.uid },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: false },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    jwks: { keys: [key] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    ttl: { AccessToken: 3600, Grant: day, IdToken: 3600, Interaction: 3600, RefreshToken: day, Session: day },
  };
}

const page = ({ params }) => `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sign in</title>
<style>
  body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem }
  input, button { font: inherit; padding: .4rem .8rem }
  input { width: 100%; box-sizing: border-box; margin: .3rem 0 1rem }
</style>
<h1>Sign in</h1>
<form method="post">
  <p>${escaped(params.client_id)} wants to know who you are. It asks for: ${escaped(params.scope)}.</p>
  <label>Any name <input name="name" value="${escaped(params.login_hint ?? '')}" maxlength="64" required autofocus></label>
  <button name="answer" value="yes">Continue</button>
  <button name="answer" value="no" formnovalidate>Cancel</button>
</form>
</html>
`;

// Nobody stays signed in: each flow asks for a name.
function forgetSession({ headers }) {
  const kept = (headers.cookie ?? '').split(/; */).filter((cookie) => !cookie.startsWith('_session'));
  headers.cookie = kept.join('; ');
}

async function formOf(request) {
  let body = '';
  request.setEncoding('utf8');
  for await (const chunk of request) {
    body += chunk;
    if (body.length > maxBodyBytes) throw new Error('the form is too large');
  }
  return new URLSearchParams(body);
}

// What oidc-provider is to do next: the sign-in and the grant in one step.
async function outcomeOf(provider, form, { params, prompt }) {
  const name = (form.get('name') ?? '').trim();
  if (form.get('answer') !== 'yes' || name === '') {
    return { error: 'access_denied', error_description: 'The person said no' };
  }
  const accountId = idOf(name);
  names.set(accountId, name);
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return { login: { accountId }, consent: { grantId: await grant.save() } };
}

async function signIn(provider, request, response) {
  const interaction = await provider.interactionDetails(request, response);
  if (request.method === 'POST') {
    const outcome = await outcomeOf(provider, await formOf(request), interaction);
    return provider.interactionFinished(request, response, outcome, { mergeWithLastSubmission: false });
  }
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
  return response.end(page(interaction));
}

// Of a container, the first process ends at no signal that it does not ask for.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(0));

const server = createServer();
server.listen(Number(flags.port), flags.listen, () => {
  const address = `127.0.0.1:${server.address().port}`;
  const issuer = `http://${address}`;
  const provider = new Provider(issuer, settings());
  const protocol = provider.callback();
  server.on('request', (request, response) => {
    forgetSession(request);
    if (!request.url.startsWith(pagePath)) return protocol(request, response);
    return signIn(provider, request, response).catch((error) => {
      console.error(error.message);
      response.writeHead(400, { 'Content-Type': 'text/plain' }).end('This page is no longer good: begin again.\n');
    });
  });
  if (flags.network_file) writeNetwork(issuer);
  console.log(JSON.stringify({ event: 'serving', address }));
});
