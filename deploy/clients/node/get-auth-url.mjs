// Asks authurl for authorization URLs as a service in production does: with a deadline, retries, all replicas in turn,
// only those that are well, and errors read to their details.
//
//   node get-auth-url.mjs NETWORK [TENANT_ID [COUNT]]
//
// AUTHURL_ADDRESS: host:port, or another target of gRPC such as dns:///authurl.internal:50051; address:port,address:port
// for several. AUTHURL_API_KEY: a key of role ROLE_ORG or ROLE_MINT. AUTHURL_CA_FILE, AUTHURL_CERT_FILE and
// AUTHURL_KEY_FILE: for a server with TLS, which asks for a certificate. Prints the last URL. Exit code 1: the server said
// no.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';

const deadlineMs = 5000; // Of one call, its retries included.
const patienceMs = 30000; // How long to wait for room under the rate limit.
const protos = 'authurl-protos';

const definitions = loader.loadSync(
  ['authurl/v1/auth_url_service.proto', 'google/rpc/error_details.proto', healthProto],
  { includeDirs: [protos], keepCase: true, longs: String, enums: String, defaults: true },
);
const { authurl, grpc: { health } } = grpc.loadPackageDefinition(definitions);

function credentials() {
  const { AUTHURL_CA_FILE: ca, AUTHURL_CERT_FILE: certificate, AUTHURL_KEY_FILE: key } = process.env;
  if (!ca) return grpc.credentials.createInsecure();
  return grpc.credentials.createSsl(readFileSync(ca), readFileSync(key), readFileSync(certificate));
}

function metadata() {
  const sent = new grpc.Metadata();
  sent.set('authorization', `Bearer ${process.env.AUTHURL_API_KEY}`);
  return sent;
}

// What the server says beside code and message, by type: { ErrorInfo, BadRequest, RetryInfo, RequestInfo }, as far as
// it does.
function detailsOf(error) {
  const details = {};
  for (const bytes of error.metadata?.get('grpc-status-details-bin') ?? []) {
    for (const { type_url: type, value } of definitions['google.rpc.Status'].deserialize(bytes).details) {
      const name = type.slice(type.lastIndexOf('/') + 1);
      details[name.replace('google.rpc.', '')] = definitions[name]?.deserialize(value);
    }
  }
  return details;
}

function report(error) {
  const { ErrorInfo, BadRequest, RequestInfo } = detailsOf(error);
  console.log(`error: ${grpc.status[error.code]} ${ErrorInfo?.reason ?? ''}: ${error.details}`);
  for (const { field, description } of BadRequest?.field_violations ?? []) console.log(`  ${field}: ${description}`);
  if (RequestInfo) console.log(`  request id: ${RequestInfo.request_id}`); // The server's log has it, too.
}

// Calls again when the server says when.
async function patiently(call) {
  const giveUp = Date.now() + patienceMs;
  for (let waits = 0; ; ++waits) {
    try {
      return { reply: await call(), waits };
    } catch (error) {
      const { retry_delay: delay } = detailsOf(error).RetryInfo ?? {};
      if (error.code !== grpc.status.RESOURCE_EXHAUSTED || !delay) throw error;
      const pauseMs = Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6);
      if (Date.now() + pauseMs > giveUp) throw error;
      await sleep(pauseMs);
    }
  }
}

const [network, tenant_id, count = '1'] = process.argv.slice(2);
let target = process.env.AUTHURL_ADDRESS;
if (target.includes(',')) target = `ipv4:${target}`; // A name in DNS has all replicas' addresses; these are listed.
const client = new authurl.v1.AuthUrlService(target, credentials(), {
  // Retries, and replicas in turn.
  'grpc.service_config': readFileSync(`${protos}/authurl/v1/service_config.json`, 'utf8'),
});
const healthClient = new health.v1.Health(target, credentials(), { channelOverride: client.getChannel() });
const check = promisify(healthClient.Check.bind(healthClient));
const getAuthUrl = promisify(client.GetAuthUrl.bind(client));
const soon = () => ({ deadline: Date.now() + deadlineMs });

try {
  const { status } = await check({}, new grpc.Metadata(), soon());
  console.log(`health: ${status}`);
  let last;
  let waits = 0;
  for (let left = Number(count); left > 0; --left) {
    last = await patiently(() => getAuthUrl({ network, tenant_id }, metadata(), soon()));
    waits += last.waits;
  }
  console.log(`auth_url: ${last.reply.auth_url}`);
  console.log(`waits: ${waits}`);
} catch (error) {
  if (error.code === undefined) throw error;
  report(error);
  process.exitCode = 1;
} finally {
  client.close();
}
