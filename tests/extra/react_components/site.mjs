// The web server of an organisation's app: its page, and for whoever opens it a token of a tenant, which only the
// server can get, because only it has the API key.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const html = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Accounts</title>
<link rel="icon" href="data:,">
<style>body { font-family: sans-serif; max-width: 40rem; margin: 2rem auto } svg { width: 1.5rem }</style>
<div id="root"></div>
<script type="module" src="/app.js"></script>
</html>
`;

// `makeSettings` resolves to what the components get: {apiKey, baseUrl, tenantId}. Ends with the process.
export function serveSite(port, script, makeSettings) {
  const page = ['text/html; charset=utf-8', () => html];
  const files = {
    '/': page,
    '/connected': page,
    '/app.js': ['text/javascript; charset=utf-8', () => readFileSync(script)],
    '/settings': ['application/json', async () => JSON.stringify(await makeSettings())],
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (!files[pathname]) return response.writeHead(404).end();
    const [type, read] = files[pathname];
    return response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(await read());
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject).listen(port, '127.0.0.1', () => resolve(server.unref()));
  });
}
