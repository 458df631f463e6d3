// Calls the gateway with openapi-fetch and the types that openapi-typescript makes of openapi.yaml.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './authurl.js';

const client = (key: string) =>
  createClient<paths>({
    baseUrl: process.env.AUTHURL_URL,
    headers: { Authorization: `Bearer ${key}` },
    signal: AbortSignal.timeout(20_000),
  });

const api = client(process.env.AUTHURL_API_KEY!);
const networks = await api.GET('/v1/networks');
assert.ok(networks.data && networks.data.data.length > 40, JSON.stringify(networks.error));

const name = 'openapi_typescript';
const created = await api.POST('/v1/social-networks', {
  body: {
    network: 'linkedin',
    name,
    client_key: '1234',
    client_secret: 's3cret',
    default_redirect_uri: 'https://app.example.com/cb',
  },
});
assert.equal(created.data?.data.name, name, JSON.stringify(created.error));

const path = { network: 'linkedin' };
const minted = await api.POST('/v1/social-networks/{network}/auth-url', { params: { path }, body: { configuration: name } });
assert.ok(minted.data?.data.auth_url.startsWith('https://www.linkedin.com/'), JSON.stringify(minted.error));

const refused = await api.POST('/v1/social-networks/{network}/auth-url', {
  params: { path },
  body: { configuration: name, redirect_uri: 'http://app.example.com/cb', scopes: ['openid', 'a,b'] },
});
assert.equal(refused.response.status, 400);
assert.ok(refused.error && 'details' in refused.error);
const details: components['schemas']['Details'] = refused.error.details;
// TypeScript has no word for "any member but _errors": those of a field come as either.
type Below = components['schemas']['DetailsBelow'];
assert.equal((details['redirect_uri'] as Below)._errors?.length, 1);
assert.equal(((details['scopes'] as Below)['1'] as Below)._errors?.length, 1);

const accounts = await api.GET('/v1/social-accounts');
assert.equal(accounts.data?.total, 0);
assert.deepEqual(accounts.data?.data, []);

const unknown = await client(process.env.AUTHURL_WRONG_KEY!).GET('/v1/networks');
assert.equal(unknown.response.status, 401);
assert.ok(unknown.error && 'code' in unknown.error);
assert.equal(unknown.error.code, 'API_KEY_INVALID');

const example: components['schemas']['SocialAccountListReply'] = JSON.parse(process.env.AUTHURL_EXAMPLE!);
assert.equal(example.data[0].tenant_id, example.data[0]['tenantId']);
