// Looks at /docs and /docs/errors in Chromium as a reader does, on a wide and on a narrow screen, and tries calls there
// with a key. Whatever goes wrong in the browser meanwhile is a failure: a word on the console, a request to another host,
// a page that is wider than its window, a barrier that axe-core knows.
//
//   check.mjs --gateway=URL --chromium=FILE [--pictures=FOLDER]      AUTHURL_API_KEY has a key of role ROLE_ORG
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values: flags } = parseArgs({
  options: { gateway: { type: 'string' }, chromium: { type: 'string' }, pictures: { type: 'string' } },
});
const key = process.env.AUTHURL_API_KEY;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const anchor = '#tag/authorization-urls/POST/v1/social-networks/{network}/auth-url';
// What axe-core finds in the renderer's own dialog for trying a call, which we can't change: each rule with where it may be
// broken. Anywhere else it is a failure.
const exceptions = {
  // The editors of a body and of a reply have no name.
  'aria-input-field-name': '[role="dialog"] .cm-editor',
  // The buttons "More Information" have role=none beside their label.
  'aria-prohibited-attr': '[role="dialog"] button[role="none"]',
  // The fields for keys and values of parameters are comboboxes that don't say whether they are open.
  'aria-required-attr': '[role="dialog"] .code-input-lite__editor',
  // The buttons that copy name a hint which is not there yet.
  'aria-valid-attr-value': '[role="dialog"] button',
  // A long reply is scrolled by its editor, which takes no focus itself.
  'scrollable-region-focusable': '[role="dialog"] .cm-editor',
};
// Chromium asks its maker for updates and the like, and a proxy where the environment names one: so it finds nobody.
const browserFlags = [
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  '--no-proxy-server',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
];

// Calls look(page) with a page that has nothing of before, and fails for what went wrong there.
async function visit(browser, width, colorScheme, path, look) {
  const context = await browser.newContext({ viewport: { width, height: width < 500 ? 844 : 900 }, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error}`));
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== flags.gateway && protocol !== 'data:') complaints.push(`request to ${request.url()}`);
  });
  const name = `${path} at ${width} px, ${colorScheme}`;
  try {
    const response = await page.goto(flags.gateway + path);
    assert.equal(response.status(), 200);
    await look(page);
    const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(needed <= there, `the page is ${needed} px wide`);
    assert.deepEqual(complaints, []);
    console.log(`${name}: good`);
  } catch (error) {
    error.message = `${name}: ${error.message}\n${complaints.join('\n')}`;
    await takePicture(page, `failed-${width}`);
    throw error;
  } finally {
    await context.close();
  }
}

async function takePicture(page, name) {
  if (flags.pictures) await page.screenshot({ path: join(flags.pictures, `${name}.png`) });
}

// Fails for what axe-core calls serious or critical. It is run past the page's policy, which lets in no script of ours.
async function expectAccessible(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: axe });
  const { result } = await session.send('Runtime.evaluate', {
    expression: 'axe.run().then((found) => JSON.stringify(found.violations))',
    awaitPromise: true,
    returnByValue: true,
  });
  const barriers = [];
  for (const { id, impact, nodes } of JSON.parse(result.value)) {
    if (!['serious', 'critical'].includes(impact)) continue;
    for (const { target, html, failureSummary } of nodes) {
      const selector = target.flat(Infinity).join(' ');
      const isExcepted = await page.evaluate(
        ([one, where]) => !!where && !!document.querySelector(one)?.closest(where),
        [selector, exceptions[id]],
      );
      if (!isExcepted) barriers.push(`${impact} ${id}: ${html.slice(0, 200)}: ${failureSummary.slice(0, 300)}`);
    }
  }
  assert.deepEqual(barriers, []);
}

// Resolves once the element stands in the window, where a reader sees it without looking for it.
async function expectInView(page, locator) {
  await locator.waitFor();
  const handle = await locator.elementHandle();
  await page.waitForFunction((element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight;
  }, handle);
}

const heading = (page, name) => page.getByRole('heading', { name, exact: true });

async function readReference(page, width) {
  await expectInView(page, heading(page, 'Get an authorization URL'));
  const operation = page.locator(`[id$="${anchor.slice(1)}"]`);
  // The fields of the request and of the reply, with types and limits; a sample for the shell.
  const field = (name) => operation.getByRole('listitem').filter({ hasText: `${name} ` }).first();
  assert.match(await field('session_binding').innerText(), /string[^]*min length:\s*16[^]*max length:\s*256/);
  await field('tenant_id').getByRole('button', { name: 'Pattern' }).focus();
  await operation.getByText('^[A-Za-z0-9_-]{1,128}$').first().waitFor();
  await operation.getByText('curl').first().waitFor();
  await operation.getByRole('button', { name: /^200/ }).click();
  await operation.getByRole('button', { name: 'data', exact: true }).click();
  assert.match(await field('flow_id').innerText(), /string[^]*required[^]*Names the flow/);
  await page.mouse.move(0, 0);
  await takePicture(page, `operation-${width}`);
  await expectAccessible(page);
}

// Goes to another operation by the navigation.
async function navigate(page, width) {
  await heading(page, 'authurl').waitFor();
  await takePicture(page, `introduction-${width}`);
  await expectAccessible(page);
  if (width < 500) await page.getByRole('button', { name: 'Open Menu' }).click();
  await page.getByRole('link', { name: 'Social networks', exact: true }).first().click();
  await page.getByRole('link', { name: /^Configure a network/ }).first().click();
  await expectInView(page, heading(page, 'Configure a network'));
  assert.match(page.url(), /#tag\/social-networks\/POST\/v1\/social-networks$/);
}

// Tries a POST, which browsers mark with the page's origin, with the key of an organisation.
async function tryCall(page, width) {
  await expectInView(page, heading(page, 'Get an authorization URL'));
  await page.getByRole('button', { name: /Test Request/ }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByPlaceholder('Token').fill(key);
  const answered = page.waitForResponse((response) => response.request().method() === 'POST');
  await dialog.getByRole('button', { name: /Send/ }).first().click();
  const response = await answered;
  const { success, data } = await response.json();
  assert.equal(response.status(), 200, JSON.stringify(data));
  assert.ok(success && data.auth_url.startsWith('https://www.instagram.com/oauth/authorize?'));
  assert.equal((await response.request().allHeaders()).origin, flags.gateway);
  // The reply is shown, not only received.
  await dialog.getByText(data.flow_id).first().waitFor();
  await takePicture(page, `tried-${width}`);
  await expectAccessible(page);
  const stored = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  assert.ok(!stored.includes(key), 'the key is kept beyond the page');
}

async function readErrors(page, width) {
  await expectInView(page, page.locator('#RATE_LIMITED'));
  await takePicture(page, `errors-${width}`);
  await expectAccessible(page);
}

const browser = await chromium.launch({
  executablePath: flags.chromium,
  args: browserFlags,
  // Its sandbox refuses to run as root.
  chromiumSandbox: process.getuid() !== 0,
});
try {
  for (const [width, scheme] of [[1280, 'light'], [390, 'dark']]) {
    await visit(browser, width, scheme, '/docs', (page) => navigate(page, width));
    await visit(browser, width, scheme, `/docs${anchor}`, (page) => readReference(page, width));
    await visit(browser, width, scheme, `/docs${anchor}`, (page) => tryCall(page, width));
    await visit(browser, width, scheme, '/docs/errors#RATE_LIMITED', (page) => readErrors(page, width));
  }
  // The other colours have the same words.
  await visit(browser, 1280, 'dark', `/docs${anchor}`, (page) => readReference(page, '1280-dark'));
  await visit(browser, 390, 'light', `/docs${anchor}`, (page) => readReference(page, '390-light'));
} finally {
  await browser.close();
}
