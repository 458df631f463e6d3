// A web page on which people connect their accounts: the smallest program that goes all the way with authurl, from the
// button to an access token. first-integration.md says how to see it work.
//
//   node first-integration.mjs
//
// AUTHURL_ADDRESS: host:port of a server on this machine. AUTHURL_API_KEY: a key of role ROLE_ORG with read_tokens.
// NETWORK: what to connect; "demo". PORT: 3000; 0 for any.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const { AUTHURL_ADDRESS, AUTHURL_API_KEY, NETWORK = 'demo', PORT = '3000' } = process.env;
const deadlineMs = 25000; // As long as completing a flow may take.

const definitions = loader.loadSync(
  ['authurl/v1/auth_url_service.proto', 'authurl/v1/social_account_service.proto', 'google/rpc/error_details.proto'],
  { includeDirs: ['authurl-protos'], keepCase: true, longs: String, enums: String, arrays: true },
);
const { v1 } = grpc.loadPackageDefinition(definitions).authurl;
const urls = new v1.AuthUrlService(AUTHURL_ADDRESS, grpc.credentials.createInsecure());
const accounts = new v1.SocialAccountService(AUTHURL_ADDRESS, grpc.credentials.createInsecure());

function call(client, method, request) {
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${AUTHURL_API_KEY}`);
  return promisify(client[method].bind(client))(request, metadata, { deadline: Date.now() + deadlineMs });
}

// Why a call failed, such as "USER_DENIED".
function reasonOf(error) {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (!bytes) return error.details ?? error.message;
  const info = definitions['google.rpc.Status'].deserialize(bytes).details.find((d) => d.type_url.endsWith('.ErrorInfo'));
  return definitions['google.rpc.ErrorInfo'].deserialize(info.value).reason;
}

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// Who is at the browser. A product has users who sign in; here everyone with a cookie is one.
function sessionOf(request, response) {
  const [, known] = /(?:^|; *)session=([\w-]{43})(?:;|$)/.exec(request.headers.cookie ?? '') ?? [];
  const session = known ?? randomBytes(32).toString('base64url');
  if (!known) response.setHeader('Set-Cookie', `session=${session}; HttpOnly; SameSite=Lax; Path=/`);
  return { session, tenant: `customer_${createHash('sha256').update(session).digest('hex').slice(0, 12)}` };
}

function show(response, status, text) {
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(`<!DOCTYPE html><meta charset="utf-8"><title>First integration</title>${text}`);
}

async function home(request, response) {
  const { tenant } = sessionOf(request, response);
  const { accounts: connected } = await call(accounts, 'ListSocialAccounts', { tenant_id: tenant });
  const items = connected.map((account) => `<li>${escaped(account.display_name)} at ${escaped(account.network)}</li>`);
  show(response, 200, `<h1>Your accounts</h1><ul>${items.join('')}</ul>
    <form method="post" action="/connect"><button>Connect</button></form>`);
}

async function connect(request, response) {
  const { session, tenant } = sessionOf(request, response);
  const { auth_url } = await call(urls, 'GetAuthUrl', {
    network: NETWORK,
    redirect_uri: `${base}/callback`,
    tenant_id: tenant,
    session_binding: session, // Only this browser can finish what it has begun.
  });
  response.writeHead(303, { Location: auth_url }).end();
}

async function callback(request, response) {
  const { session } = sessionOf(request, response);
  const { accounts: connected, pending } = await call(accounts, 'CompleteAuth', {
    response: base + request.url, // The whole of what the browser came back with.
    session_binding: session,
  });
  if (pending) return show(response, 200, '<p>There is a choice to make: see FinalizePendingConnection.');
  const [account] = connected;
  // A secret: it stays here. What it is good for is in the network's documentation.
  const { access_token, expires_at } = await call(accounts, 'GetAccessToken', { account_id: account.id });
  const end = expires_at ? new Date(Number(expires_at.seconds) * 1000).toISOString() : 'further notice';
  return show(response, 200, `<h1>Connected: ${escaped(account.display_name)}</h1>
    <p>Account ${account.id} of ${account.tenant_id}.
    Its access token has ${access_token.length} characters and is good until ${end}.</p><a href="/">Your accounts</a>`);
}

const routes = { 'GET /': home, 'POST /connect': connect, 'GET /callback': callback };
const server = createServer((request, response) => {
  const [path] = request.url.split('?');
  const route = routes[`${request.method} ${path}`];
  if (!route) return show(response, 404, '<p>There is no such page.');
  return route(request, response).catch((error) => {
    console.error(`${path}: ${error.message}`);
    show(response, 400, `<h1>Not connected</h1><p>${escaped(reasonOf(error))}</p><a href="/">Your accounts</a>`);
  });
});
let base;
server.listen(Number(PORT), '127.0.0.1', () => {
  base = `http://127.0.0.1:${server.address().port}`;
  console.log(`open ${base}/`);
});
