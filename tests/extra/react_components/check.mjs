// Plays an end-user in Chromium who connects pages of theirs with Outstand's components, looks at the list of accounts
// and disconnects them again; and looks at every request, reply and word on the console while that goes on.
//
//   check.mjs --gateway=URL --issuer=URL --admin_key_file=FILE --client_secret_file=FILE --site_port=N --pages_port=N
//             --app=FILE --chromium=FILE
//
// The site is at localhost and the gateway at 127.0.0.1: to browsers, two sites. --app: app.jsx, bundled.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { pages, servePages } from './pages.mjs';
import { serveSite } from './site.mjs';

const { values: flags } = parseArgs({
  options: {
    gateway: { type: 'string' },
    issuer: { type: 'string' },
    admin_key_file: { type: 'string' },
    client_secret_file: { type: 'string' },
    site_port: { type: 'string' },
    pages_port: { type: 'string' },
    app: { type: 'string' },
    chromium: { type: 'string' },
  },
});
const site = `http://localhost:${flags.site_port}`;
const tenant = 'customer_42';
const [bakery, , cinema] = pages;
// Chromium asks its maker for updates and the like, and a proxy where the environment names one: so it finds nobody.
const browserFlags = [
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
  '--no-proxy-server',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
];
const whatWasSeen = []; // The complaints of every page, for whoever looks for the reason of a failure.
const read = (file) => readFileSync(file, 'utf8').trim();

// A call of the organisation's server, which must succeed.
async function call(key, method, path, body) {
  const response = await fetch(flags.gateway + path, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const reply = await response.json();
  assert.ok(reply.success, `${method} ${path}: ${JSON.stringify(reply)}`);
  return reply;
}

// Resolves to an API key of an organisation that has its app at the provider.
async function configure() {
  const adminKey = read(flags.admin_key_file);
  await call(adminKey, 'POST', '/v1/organizations', { org_id: 'demo' });
  const role = { role: 'ROLE_ORG', read_tokens: true };
  const { data } = await call(adminKey, 'POST', '/v1/organizations/demo/api-keys', role);
  await call(data.key, 'POST', '/v1/social-networks', {
    network: 'facebook',
    client_key: 'authurl-demo',
    client_secret: read(flags.client_secret_file),
    allowed_return_uris: [`${site}/connected`],
  });
  return data.key;
}

async function makeTenantToken(apiKey) {
  const actions = ['ACTION_CONNECT', 'ACTION_LIST', 'ACTION_FINALIZE', 'ACTION_DISCONNECT'];
  return (await call(apiKey, 'POST', '/v1/tenant-tokens', { tenant_id: tenant, actions })).data.token;
}

// A page in a browser that has nothing of before, with the calls of the gateway that it makes ("GET /path") and with
// all that is not as it should be.
async function openPage(browser) {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  const requests = [];
  const complaints = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    const isHere = url.protocol === 'data:' || ['localhost', '127.0.0.1'].includes(url.hostname);
    if (!isHere) complaints.push(`a request to ${url}`);
    if (url.origin === flags.gateway) requests.push(`${request.method()} ${url.pathname}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} of ${response.url()}`);
  });
  page.on('requestfailed', (request) => complaints.push(`${request.failure().errorText} of ${request.url()}`));
  page.on('console', (message) => {
    // The provider is a stranger, whose page has no icon.
    const { url } = message.location();
    if (!url.startsWith(`${flags.issuer}/`)) complaints.push(`on the console, of ${url}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`in the page: ${error.message}`));
  whatWasSeen.push(complaints);
  return { page, requests, complaints };
}

const connectButton = (page) => page.getByRole('button', { name: 'Connect Facebook' });
const heading = (page, name) => page.getByRole('heading', { level: 3, name });

// Waits until the page lists these accounts, and no others.
async function expectListed(page, wanted) {
  if (wanted.length === 0) await page.getByText('No accounts connected').waitFor();
  for (const each of pages) {
    await heading(page, each.name).waitFor({ state: wanted.includes(each) ? 'visible' : 'detached' });
  }
  assert.equal(await heading(page).count(), wanted.length);
}

// What the API tells the organisation's server of a tenant's accounts.
async function expectKept(apiKey, tenantId, wanted) {
  const { data } = await call(apiKey, 'GET', `/v1/social-accounts?tenantId=${tenantId}`);
  assert.deepEqual(data.map((account) => account.network_unique_id).sort(), wanted.map(({ id }) => id).sort());
  for (const account of data) assert.deepEqual([account.network, account.status], ['facebook', 'STATUS_ACTIVE']);
  return data;
}

// From the button by the provider and the callback to the page that the provider's answer ends at.
async function signIn(page) {
  await connectButton(page).click();
  await page.waitForURL(`${flags.issuer}/**`);
  await page.getByLabel('Any name').fill('Zoë B.');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(`${site}/connected?**`);
}

async function choose(page, wanted) {
  for (const { name, username } of pages) {
    const text = await page.getByRole('button', { name }).innerText();
    assert.ok(text.includes(`@${username} · organization`), text);
  }
  for (const { name } of wanted) await page.getByRole('button', { name }).click();
  await page.getByRole('button', { name: `Connect ${wanted.length} Accounts` }).click();
  const connected = (await page.getByText('Connected: ').innerText()).replace('Connected: ', '').split(', ');
  assert.deepEqual(connected.sort(), wanted.map(({ name }) => name).sort());
  await page.getByRole('link', { name: 'Back' }).click();
}

async function disconnect(page, { name }) {
  const card = heading(page, name).locator('xpath=ancestor::div[.//button][1]');
  await card.getByRole('button', { name: 'Disconnect' }).click();
  await card.getByRole('button', { name: 'Confirm' }).click();
}

// The browser keeps from a page what is answered to an API key in it.
async function tryApiKey(browser) {
  const { page, complaints } = await openPage(browser);
  await page.goto(site);
  await expectListed(page, []);
  await connectButton(page).click();
  assert.equal(await page.getByRole('alert').innerText(), 'Failed to fetch');
  for (const path of ['/v1/social-accounts?', '/v1/social-networks/facebook/auth-url']) {
    const refusal = complaints.find((text) => text.includes(`Access to fetch at '${flags.gateway}${path}`));
    assert.match(refusal ?? `not a word about ${path}`, /blocked by CORS policy/);
  }
  assert.equal(page.url(), `${site}/`);
  await page.close();
}

// Whether the provider still takes an access token.
async function isTaken(token) {
  const { status } = await fetch(`${flags.issuer}/me`, { headers: { Authorization: `Bearer ${token}` } });
  assert.ok(status === 200 || status === 401, `the provider answered ${status}`);
  return status === 200;
}

async function check(browser, apiKey) {
  const { page, requests, complaints } = await openPage(browser);
  await page.goto(site);
  await expectListed(page, []);
  await signIn(page);
  await choose(page, [cinema, bakery]);
  await expectListed(page, [cinema, bakery]);
  await expectKept(apiKey, tenant, [cinema, bakery]);
  await expectKept(apiKey, 'customer_43', []);

  await disconnect(page, bakery);
  await expectListed(page, [cinema]);
  const [{ id }] = await expectKept(apiKey, tenant, [cinema]);

  keyOfPage = apiKey;
  await tryApiKey(browser);
  await expectKept(apiKey, tenant, [cinema]);

  // The consent ends at the provider with the last account that came of it.
  const { data } = await call(apiKey, 'POST', `/v1/social-accounts/${id}/access-token`, {});
  assert.ok(await isTaken(data.access_token));
  await disconnect(page, cinema);
  await expectListed(page, []);
  await expectKept(apiKey, tenant, []);
  assert.ok(!(await isTaken(data.access_token)));

  assert.deepEqual(complaints, []);
  const calls = requests.map((request) => request.replace(/\b(sa|aus)_\w[^/]*/, '$1_…'));
  assert.deepEqual([...new Set(calls)].sort(), [
    'DELETE /v1/social-accounts/sa_…',
    'GET /v1/social-accounts',
    'GET /v1/social-accounts/pending/aus_…',
    'GET /v1/social-networks/facebook/callback',
    'POST /v1/social-accounts/pending/aus_…/finalize',
    'POST /v1/social-networks/facebook/auth-url',
  ]);
}

const apiKey = await configure();
let keyOfPage; // In place of a token of the tenant.
await servePages(Number(flags.pages_port), `${flags.issuer}/me`);
await serveSite(Number(flags.site_port), flags.app, async () => ({
  apiKey: keyOfPage ?? (await makeTenantToken(apiKey)),
  baseUrl: `${flags.gateway}/v1`,
  tenantId: tenant,
}));
const browser = await chromium.launch({ executablePath: flags.chromium, args: browserFlags });
try {
  await check(browser, apiKey);
} catch (error) {
  console.error('What was amiss in the pages:', whatWasSeen);
  throw error;
} finally {
  await browser.close();
}
