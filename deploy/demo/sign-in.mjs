// Plays an end-user's browser at provider.mjs: reads a reply of GetAuthUrl from standard input, opens the URL in it,
// signs in, and prints what came back, ready for CompleteAuth: {"response":"<the URL that the browser was sent to>"}, or
// {"response":"<the body of the form that it posts>","redirect_uri":"<where>"} (response_mode form_post).
//
//   … GetAuthUrl | sign-in.mjs [--name=NAME] [--follow]
//
// --follow: goes there, as a browser would, and fails unless what it ends at says that all went well. Of no use where
// nobody serves the redirect URI.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { parseArgs } from 'node:util';

const { values: flags } = parseArgs({
  options: { name: { type: 'string', default: 'alice' }, follow: { type: 'boolean', default: false } },
});

const maxSteps = 10;
const cookies = new Map(); // By name; the provider has no two of a name that matter.

// Resolves to { status, location, body }.
function open(url, form) {
  const headers = { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  if (form) headers['Content-Type'] = 'application/x-www-form-urlencoded';
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: form ? 'POST' : 'GET', headers }, (answer) => {
      for (const cookie of answer.headers['set-cookie'] ?? []) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
        if (value) cookies.set(name, value);
        else cookies.delete(name);
      }
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk) => (body += chunk));
      answer.on('end', () => {
        const { location } = answer.headers;
        resolve({ status: answer.statusCode, location: location && new URL(location, url).href, body });
      });
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(form?.toString());
  });
}

// The form of a page that posts itself, or undefined. The provider escapes nothing that is in our values.
function formThatPostsItself(body, action) {
  if (!body.includes(`<form method="post" action="${action}"`)) return undefined;
  const fields = [...body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
  return new URLSearchParams(fields.map(([, name, value]) => [name, value]));
}

// What the provider sends the browser back with, as CompleteAuth takes it.
async function signIn(authUrl) {
  const redirectUri = new URL(authUrl).searchParams.get('redirect_uri');
  let url = authUrl;
  let form;
  for (let step = 0; step < maxSteps; ++step) {
    const { status, location, body } = await open(url, form);
    form = undefined;
    if (location?.startsWith(redirectUri)) return { response: location };
    const posted = formThatPostsItself(body, redirectUri);
    if (posted) return { response: posted.toString(), redirect_uri: redirectUri };
    if (location) {
      url = location;
    } else if (status === 200 && body.includes('<form method="post">')) {
      form = new URLSearchParams({ name: flags.name, answer: 'yes' });
    } else {
      throw new Error(`the provider answered ${status}`);
    }
  }
  throw new Error('the provider does not send the browser back');
}

try {
  const reply = JSON.parse(readFileSync(0, 'utf8'));
  const back = await signIn((reply.data ?? reply).auth_url);
  if (flags.follow) {
    const { status } = await (back.redirect_uri ? open(back.redirect_uri, back.response) : open(back.response));
    if (status >= 400) throw new Error(`the redirect URI answered ${status}`);
  }
  console.log(JSON.stringify(back));
} catch (error) {
  console.error(`sign-in.mjs: ${error.message}`);
  process.exitCode = 1;
}
