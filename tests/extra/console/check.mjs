// Plays an operator in Chromium who uses the console by keyboard; looks at every page with axe-core, and at every request,
// cookie and complaint of the browser.
//
//   check.mjs --gateway=URL --issuer=URL --admin_key_file=FILE --client_secret_file=FILE --site_port=N --pages_port=N
//             --chromium=FILE [--pictures=FOLDER]
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { follow, press, tabTo, type } from './keyboard.mjs';
import { pages, servePages } from './pages.mjs';

const { values: flags } = parseArgs({
  options: {
    gateway: { type: 'string' },
    issuer: { type: 'string' },
    admin_key_file: { type: 'string' },
    client_secret_file: { type: 'string' },
    site_port: { type: 'string' },
    pages_port: { type: 'string' },
    chromium: { type: 'string' },
    pictures: { type: 'string', default: '' },
  },
});
// Another site than 127.0.0.1 to browsers.
const foreignSite = `http://localhost:${flags.site_port}`;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const widths = [390, 1280];
const schemes = ['light', 'dark'];
// A name that would do harm if it were not escaped, and one that reads from right to left.
const hostileName = '<img src=x onerror=alert(1)>"\'&';
const rightToLeft = 'دانا';
// Chromium asks its maker for updates and the like, and a proxy where the environment names one: so it finds nobody.
const browserFlags = [
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
  '--no-proxy-server',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
];
const complaints = [];
const origins = new Set();
const read = (file) => readFileSync(file, 'utf8').trim();
const clientSecret = read(flags.client_secret_file);
const adminKey = read(flags.admin_key_file);

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

const makeKey = async (role, more) =>
  (await call(adminKey, 'POST', '/v1/organizations/demo/api-keys', { role, ...more })).data.key;

function watch(page) {
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:') origins.add(url.origin);
  });
  page.on('requestfailed', (request) => {
    const { errorText } = request.failure();
    // Of a page that was left before its icon came.
    if (errorText !== 'net::ERR_ABORTED') complaints.push(`${errorText} of ${request.url()}`);
  });
  page.on('console', (message) => {
    const { url } = message.location();
    if (!['error', 'warning'].includes(message.type())) return;
    // The provider is a stranger, whose page has no icon; and that a form was refused is told by its status, too.
    if (url.startsWith(`${flags.issuer}/`) || /status of (400|403|404)/.test(message.text())) return;
    complaints.push(`on the console, of ${url}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`in the page: ${error.message}`));
  page.on('dialog', (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
}

// The pages are looked at as they are, in all four looks.
const looked = [];
async function look(page, name) {
  const seen = await page.content();
  assert.ok(!seen.includes(clientSecret), `${name} shows the client secret`);
  assert.ok(!/auk_[0-9A-Za-z]{12}_/.test(seen), `${name} shows a key`);
  assert.equal(await page.evaluate(() => document.cookie), '', `${name} has cookies in reach of scripts`);
  assert.equal(await page.locator('h1').count(), 1, `${name} has not one h1`);
  await page.evaluate(axe); // As a tool of the browser's, which the page's policy does not bind.
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme });
    for (const width of widths) {
      await page.setViewportSize({ width, height: 900 });
      const place = `${name}, ${colorScheme}, ${width} px`;
      const room = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(room <= width, `${place}: is ${room} px wide`);
      if (flags.pictures) {
        await page.screenshot({ path: join(flags.pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
      const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
      assert.deepEqual(found, [], place);
    }
  }
  looked.push(name);
}

const heading = (page, name) => page.getByRole('heading', { level: 1, name });
const link = (page, name) => page.getByRole('link', { name, exact: true });
const button = (page, name) => page.getByRole('button', { name, exact: true });
const tellsSomething = (page) => page.getByRole('status').innerText();

async function signIn(page, apiKey) {
  await page.goto(`${flags.gateway}/console`);
  await heading(page, 'Sign in').waitFor();
  await look(page, 'sign-in');

  // No key is asked of the server that can't be one; which are good and for what, it says.
  const refused = [
    ['auk_nonsense', /not an API key/],
    [`${apiKey.slice(0, -1)}${apiKey.endsWith('A') ? 'B' : 'A'}`, /does not know this key/],
    [await makeKey('ROLE_MINT'), /role ROLE_MINT/],
    [adminKey, /role ROLE_ADMIN.*Make a key of role ROLE_ORG/],
  ];
  for (const [key, why] of refused) {
    await type(page, page.getByLabel('API key'), key);
    await follow(page, button(page, 'Sign in'));
    assert.match(await page.getByRole('alert').innerText(), why);
    const field = page.getByLabel('API key');
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    assert.match(await page.locator(`#${(await field.getAttribute('aria-describedby')).split(' ')[1]}`).innerText(), why);
  }
  await look(page, 'sign-in-refused');

  await type(page, page.getByLabel('API key'), apiKey);
  await follow(page, button(page, 'Sign in'));
  await heading(page, 'Networks').waitFor();
}

async function checkCookies(context) {
  const cookies = await context.cookies(`${flags.gateway}/console`);
  assert.deepEqual(cookies.map(({ name }) => name), ['authurl_console']);
  const [{ httpOnly, sameSite, path, expires, value }] = cookies;
  assert.deepEqual([httpOnly, sameSite, path], [true, 'Strict', '/console']);
  const hours = (expires - Date.now() / 1000) / 3600;
  assert.ok(hours > 7.9 && hours <= 8.01, `the session is kept for ${hours} hours`);
  assert.ok(!Buffer.from(value, 'base64url').toString('latin1').includes('auk_'));
}

async function configure(page) {
  await look(page, 'networks-empty');
  await follow(page, link(page, 'Add a network'));
  await look(page, 'catalog');
  await type(page, page.getByLabel('Name of the network'), 'no such network');
  await follow(page, button(page, 'Search'));
  await look(page, 'catalog-nothing');
  await type(page, page.getByLabel('Name of the network'), 'demo');
  await follow(page, button(page, 'Search'));
  await follow(page, link(page, 'Demo provider'));
  await look(page, 'network-new');

  const secret = page.getByLabel('Client secret');
  await type(page, page.getByLabel('Client key'), 'authurl demo');
  await type(page, secret, clientSecret);
  await type(page, page.getByLabel('Return URIs', { exact: false }).first(), 'https://app.example.com/done\nhttp://app.example.com/');
  await press(page, page.locator('summary', { hasText: 'Name and rules' }));
  await type(page, page.getByLabel('Name', { exact: true }), 'Brand B');
  await follow(page, button(page, 'Save'));
  // All of it at once, beside each field; what was entered is there, but for the secret.
  const alert = await page.getByRole('alert').innerText();
  for (const label of ['Return URIs', 'Name']) assert.ok(alert.includes(label), alert);
  assert.match(await page.locator('#f-allowed_return_uris-error').innerText(), /^http:\/\/app\.example\.com\/: must begin with https/);
  assert.equal(await page.getByLabel('Client key').inputValue(), 'authurl demo');
  assert.equal(await secret.inputValue(), '');
  await look(page, 'network-new-refused');

  await type(page, page.getByLabel('Client key'), 'authurl-demo');
  await type(page, secret, clientSecret);
  await type(page, page.getByLabel('Return URIs', { exact: false }).first(), 'https://app.example.com/done');
  await type(page, page.getByLabel('Name', { exact: true }), 'brand_b');
  await follow(page, button(page, 'Save'));
  await heading(page, 'Demo provider · brand_b').waitFor();
  assert.match(await tellsSomething(page), /is configured/);
  const callback = `${flags.gateway}/v1/social-networks/demo/callback`;
  assert.equal(await page.locator('.copy').inputValue(), callback);
  await look(page, 'network');
}

// From the button by the provider and the callback to the page that says how it went.
async function connect(page, name, start) {
  await follow(page, start);
  await link(page, 'Continue to 127.0.0.1').waitFor();
  if (!looked.includes('link')) await look(page, 'link');
  await tabTo(page, link(page, 'Continue to 127.0.0.1'));
  await page.keyboard.press('Enter');
  await page.waitForURL(`${flags.issuer}/**`);
  if (name) await type(page, page.getByLabel('Any name'), name);
  await press(page, button(page, name ? 'Continue' : 'Cancel'));
  await page.waitForURL(`${flags.gateway}/console/flows/**`);
}

async function tryConnection(page) {
  await type(page, page.getByLabel('Tenant'), 'customer_42');
  await connect(page, hostileName, button(page, 'Try a connection'));
  await heading(page, 'Connected').waitFor();
  await look(page, 'flow-connected');
  await follow(page, link(page, hostileName));
  await heading(page, hostileName).waitFor();
  assert.ok((await page.getByRole('main').innerText()).includes('An account was connected'));
  await follow(page, button(page, 'Check health'));
  assert.match(await tellsSomething(page), /confirms that the connection works/);
  await look(page, 'account');
}

// The person says no.
async function tryInVain(page) {
  await follow(page, link(page, 'Networks'));
  await look(page, 'networks');
  await follow(page, link(page, 'Demo provider · brand_b'));
  await connect(page, '', button(page, 'Try a connection'));
  await heading(page, 'Not connected').waitFor();
  assert.match(await page.getByRole('main').innerText(), /The person said no\./);
  await look(page, 'flow-failed');
}

async function choosePages(page, apiKey) {
  const body = { network: 'facebook', client_key: 'authurl-demo', client_secret: clientSecret, session_binding_policy: 'SESSION_BINDING_POLICY_REQUIRED' };
  const { id } = (await call(apiKey, 'POST', '/v1/social-networks', body)).data;
  await page.goto(`${flags.gateway}/console/networks/${id}`);
  await type(page, page.getByLabel('Tenant'), 'customer_43');
  await follow(page, button(page, 'Try a connection'));
  await look(page, 'permit');
  await connect(page, rightToLeft, button(page, 'Add it and go on'));
  await heading(page, 'Choose what to connect').waitFor();
  await follow(page, button(page, 'Connect'));
  assert.match(await page.getByRole('alert').innerText(), /Choose at least one/);
  await look(page, 'flow-choice');
  const [bakery, , cinema] = pages;
  for (const { name } of [bakery, cinema]) await press(page, page.getByRole('checkbox', { name }), 'Space');
  await follow(page, button(page, 'Connect'));
  await heading(page, 'Connected').waitFor();
  for (const { name } of [bakery, cinema]) await link(page, name).waitFor();
  return id;
}

// A consent that the person takes back at the network, and gives again.
async function loseAndReconnect(page, apiKey) {
  const { data } = await call(apiKey, 'GET', '/v1/social-accounts:export?tenantId=customer_42');
  const [{ account, tokens }] = data;
  const client = Buffer.from(`authurl-demo:${encodeURIComponent(clientSecret)}`).toString('base64');
  const revoked = await fetch(`${flags.issuer}/token/revocation`, {
    method: 'POST',
    headers: { Authorization: `Basic ${client}`, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: tokens.refresh_token }),
  });
  assert.equal(revoked.status, 200);
  await page.goto(`${flags.gateway}/console/accounts/${account.id}`);
  await follow(page, button(page, 'Check health'));
  assert.match(await tellsSomething(page), /must connect again/);
  await look(page, 'account-needs-reconnect');
  await connect(page, hostileName, button(page, 'Connect again'));
  await heading(page, 'Connected').waitFor();
  await follow(page, link(page, hostileName));
  await page.locator('.headline', { hasText: 'Active' }).waitFor();

  // For somebody else: a link to send, which does not come back here.
  await press(page, page.getByRole('radio', { name: 'I do, in this browser' }), 'ArrowDown');
  await follow(page, button(page, 'Connect again'));
  assert.match(await page.locator('.copy').inputValue(), new RegExp(`^${flags.issuer}/auth\\?`));
  await look(page, 'link-to-send');
  await follow(page, link(page, 'See how it goes'));
  await heading(page, 'Waiting for the person').waitFor();
  await look(page, 'flow-waiting');
  return account.id;
}

async function lookAround(page, facebookId) {
  await follow(page, link(page, 'Accounts'));
  await look(page, 'accounts');
  await type(page, page.getByLabel('Tenant'), 'customer_43');
  await follow(page, button(page, 'Filter'));
  assert.equal(await page.locator('.account').count(), 2);
  await type(page, page.getByLabel('Tenant'), 'nobody');
  await follow(page, button(page, 'Filter'));
  await look(page, 'accounts-nothing');

  await follow(page, link(page, 'Events'));
  const text = await page.getByRole('main').innerText();
  for (const word of ['account.connected', 'USER_DENIED', 'The person said no.', 'account.needs_reconnect']) assert.ok(text.includes(word), word);
  await look(page, 'events');
  await follow(page, link(page, 'how it went'));
  await heading(page, 'Not connected').waitFor();

  await page.goto(`${flags.gateway}/console/networks/${facebookId}`);
  await follow(page, link(page, 'Edit'));
  await press(page, page.locator('summary', { hasText: 'Scopes and parameters' }));
  await type(page, page.getByLabel('Scopes'), 'openid\nprofile\noffline_access');
  await look(page, 'network-edit');
  await follow(page, button(page, 'Save'));
  assert.match(await tellsSomething(page), /The changes are saved/);
  assert.ok((await page.getByRole('main').innerText()).includes('offline_access'));
  await follow(page, link(page, 'Replace the secret'));
  await look(page, 'secret');
  await type(page, page.getByLabel('Client secret'), clientSecret);
  await follow(page, button(page, 'Replace the secret'));
  assert.match(await tellsSomething(page), /The secret is replaced/);
  await follow(page, link(page, 'Delete'));
  await look(page, 'network-delete');
  await press(page, page.getByRole('radio', { name: /They are disconnected/ }), 'Space');
  await follow(page, button(page, 'Delete'));
  assert.match(await tellsSomething(page), /is deleted/);

  await page.goto(`${flags.gateway}/console/no-such-page`);
  await look(page, 'not-found');
}

// A page of another site can do nothing with the session, neither by a form nor in a frame.
async function attack(page, accountId) {
  const action = `${flags.gateway}/console/accounts/${accountId}/disconnect`;
  const html = `<!DOCTYPE html><html lang="en"><title>x</title><link rel="icon" href="data:,"><form method="post" action="${action}"><button>Win</button></form>`;
  const server = createServer((request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(html));
  await new Promise((resolve) => server.listen(Number(flags.site_port), '127.0.0.1', resolve));
  await page.goto(foreignSite);
  const [answer] = await Promise.all([page.waitForResponse(action), page.keyboard.press('Tab').then(() => page.keyboard.press('Enter'))]);
  assert.equal(answer.status(), 403);
  assert.ok(!/authurl/.test((await answer.request().allHeaders()).cookie));
  await page.getByText('CROSS_ORIGIN_REQUEST').waitFor();
  await look(page, 'refused');
  server.closeAllConnections();
  server.close();
}

async function disconnect(page, apiKey, accountId) {
  await page.goto(`${flags.gateway}/console/accounts/${accountId}`);
  await follow(page, link(page, 'Disconnect'));
  await look(page, 'disconnect');
  await follow(page, button(page, 'Disconnect'));
  assert.match(await tellsSomething(page), /is disconnected\. The consent was revoked at the network\./);
  await look(page, 'accounts-empty');
  assert.deepEqual((await call(apiKey, 'GET', '/v1/social-accounts?tenantId=customer_42')).data, []);
}

async function signOut(context, page) {
  await follow(page, button(page, 'Sign out'));
  assert.match(await tellsSomething(page), /You are signed out/);
  assert.deepEqual(await context.cookies(), []);
  await page.goto(`${flags.gateway}/console/accounts`);
  await heading(page, 'Sign in').waitFor();
}

async function check(browser) {
  await call(adminKey, 'POST', '/v1/organizations', { org_id: 'demo' });
  const apiKey = await makeKey('ROLE_ORG', { read_tokens: true });
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  watch(page);

  await signIn(page, apiKey);
  await checkCookies(context);
  await configure(page);
  await tryConnection(page);
  await tryInVain(page);
  const facebookId = await choosePages(page, apiKey);
  const accountId = await loseAndReconnect(page, apiKey);
  await lookAround(page, facebookId);
  await attack(page, accountId);
  await disconnect(page, apiKey, accountId);
  // The provider's cookies are no business of this.
  await context.clearCookies({ name: /^(?!authurl)/ });
  await signOut(context, page);

  assert.deepEqual(complaints, []);
  assert.deepEqual([...origins].sort(), [flags.gateway, flags.issuer, foreignSite].sort());
  console.log(`${looked.length} pages, each in ${schemes.length * widths.length} looks: ${looked.join(', ')}`);
}

if (flags.pictures) mkdirSync(flags.pictures, { recursive: true });
await servePages(Number(flags.pages_port), `${flags.issuer}/me`);
const browser = await chromium.launch({ executablePath: flags.chromium, args: browserFlags });
try {
  await check(browser);
} catch (error) {
  console.error('What was amiss in the pages:', complaints);
  throw error;
} finally {
  await browser.close();
}
