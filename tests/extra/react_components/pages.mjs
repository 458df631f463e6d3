// The pages that a person at the provider looks after: a list for whoever shows that person's access token.
import { createServer } from 'node:http';

export const pages = [
  { id: '101', name: 'Zoë’s Bakery', username: 'zoes.bakery' },
  { id: '102', name: 'Chess Club', username: 'chess.club' },
  { id: '103', name: 'Old Town Cinema', username: 'old.town.cinema' },
];

// Whether a token is good, the provider says: `userinfo` is where. Ends with the process.
export function servePages(port, userinfo) {
  const server = createServer(async (request, response) => {
    const { authorization = '' } = request.headers;
    const { ok } = await fetch(userinfo, { headers: { authorization } });
    response.writeHead(ok ? 200 : 401, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(ok ? { data: pages } : { error: 'invalid_token' }));
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject).listen(port, '127.0.0.1', () => resolve(server.unref()));
  });
}
