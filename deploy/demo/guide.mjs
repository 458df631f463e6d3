// Sets up the demo of compose.yaml and shows a flow: makes an organisation, an API key and a configuration of the demo
// network (those that are not there yet), prints a URL, waits until somebody has signed in there, and shows the account
// that this connected. demo.sh does the same without containers.
//
//   guide.mjs --gateway=URL --public_url=URL --admin_key_file=FILE --client_secret_file=FILE --api_key_file=FILE
//
// --gateway is where the gateway is reached from here, --public_url from a browser. The API key is kept in
// --api_key_file. Prints no secret. Ends with 0 once an account is connected, with 1 if something went wrong.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values: flags } = parseArgs({
  options: {
    gateway: { type: 'string' },
    public_url: { type: 'string' },
    admin_key_file: { type: 'string' },
    client_secret_file: { type: 'string' },
    api_key_file: { type: 'string' },
  },
});

const callTimeoutMs = 20_000;
const pollMs = 1000;
const tenant = 'customer_42';
const compose = 'docker compose -f deploy/compose.yaml';

const secretIn = (file) => readFileSync(file, 'utf8').trim();

class Refused extends Error {
  constructor(call, reply) {
    super(`${call} failed: ${reply.code}: ${reply.message}`);
    this.code = reply.code;
  }
}

async function call(key, method, path, body) {
  const answer = await fetch(flags.gateway + path, {
    method,
    headers: { Authorization: `Bearer ${key}`, ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(callTimeoutMs),
  });
  const reply = await answer.json();
  if (!reply.success) throw new Refused(`${method} ${path}`, reply);
  return reply.data;
}

// Makes something that an earlier run may have made.
async function make(code, ...request) {
  try {
    await call(...request);
  } catch (error) {
    if (error.code !== code) throw error;
  }
}

// The key of an earlier run, unless its database is gone.
async function keptApiKey() {
  try {
    const key = secretIn(flags.api_key_file);
    await call(key, 'GET', '/v1/social-networks');
    return key;
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'API_KEY_INVALID') throw error;
    return undefined;
  }
}

async function newApiKey() {
  const adminKey = secretIn(flags.admin_key_file);
  await make('ORGANIZATION_EXISTS', adminKey, 'POST', '/v1/organizations', { org_id: 'demo' });
  const { key } = await call(adminKey, 'POST', '/v1/organizations/demo/api-keys', {
    role: 'ROLE_ORG',
    read_tokens: true,
  });
  writeFileSync(`${flags.api_key_file}.new`, key, { mode: 0o600 });
  renameSync(`${flags.api_key_file}.new`, flags.api_key_file);
  return key;
}

async function outcomeOf(key, flowId) {
  for (;;) {
    const flow = await call(key, 'GET', `/v1/auth-flows/${flowId}`);
    const status = flow.status.replace(/^STATUS_/, '');
    if (status !== 'PENDING' && status !== 'COMPLETING') return { status, reason: flow.reason };
    await sleep(pollMs);
  }
}

async function connect(key) {
  const path = '/v1/social-networks/demo/auth-url';
  const { auth_url: authUrl, flow_id: flowId } = await call(key, 'POST', path, { tenant_id: tenant });
  console.log(`the authorization URL for the tenant ${tenant}, of POST ${flags.public_url}${path}:\n\n  ${authUrl}\n`);
  console.log('open it in the browser, sign in with any name');
  return outcomeOf(key, flowId);
}

// Of a container, the first process ends at no signal that it does not ask for.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

try {
  const key = (await keptApiKey()) ?? (await newApiKey());
  await make('SOCIAL_NETWORK_EXISTS', key, 'POST', '/v1/social-networks', {
    network: 'demo',
    client_key: 'authurl-demo',
    client_secret: secretIn(flags.client_secret_file),
  });
  const { status, reason } = await connect(key);
  if (status !== 'COMPLETED') {
    throw new Error(`the flow has ended as ${status} ${reason ?? ''}: \`${compose} restart guide\` begins another`);
  }
  const accounts = await call(key, 'GET', `/v1/social-accounts?tenantId=${tenant}`);
  console.log(`connected: GET ${flags.public_url}/v1/social-accounts?tenantId=${tenant} says`);
  console.log(JSON.stringify(accounts, null, 2));
  console.log(`to call it yourself, in another terminal (the API is described at ${flags.public_url}/docs):

  export AUTHURL_URL=${flags.public_url}
  export AUTHURL_API_KEY=$(${compose} exec -T provider cat ${flags.api_key_file})
  curl "$AUTHURL_URL/v1/social-accounts?tenantId=${tenant}" -H "Authorization: Bearer $AUTHURL_API_KEY"
`);
} catch (error) {
  console.error(`guide: ${error.message}`);
  process.exitCode = 1;
}
