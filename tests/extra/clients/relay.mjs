// Stands between a gRPC client and the server, for what a test can't have of a real one at will: the first calls of a
// method fail, or get no answer. All others go to the server, and so do their streams and trailers.
//
//   relay.mjs UPSTREAM METHOD fail COUNT    the first COUNT calls end with UNAVAILABLE
//   relay.mjs UPSTREAM METHOD hold          none is ever answered
//
// Says {"event":"serving","address":…}, then {"path":…,"fate":"passed"|"failed"|"held"} for each call.
import http2 from 'node:http2';

const [upstream, method, what, count = '0'] = process.argv.slice(2);
const { NGHTTP2_CANCEL } = http2.constants;
const say = (line) => console.log(JSON.stringify(line));
const server = http2.connect(`http://${upstream}`);
server.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
let failuresLeft = Number(count);

function pass(stream, headers) {
  const { ':path': path, ':method': verb, ...others } = headers;
  const sent = Object.fromEntries(Object.entries(others).filter(([name]) => !name.startsWith(':')));
  const call = server.request({ ':path': path, ':method': verb, ...sent });
  call.on('response', (answer, flags) => {
    if (stream.closed) return;
    const end = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.respond(answer, { waitForTrailers: !end, endStream: end });
    if (end) return;
    call.on('data', (bytes) => stream.write(bytes));
    call.on('trailers', (trailers) => {
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end();
    });
  });
  call.on('error', () => stream.close(NGHTTP2_CANCEL));
  stream.on('data', (bytes) => call.write(bytes));
  stream.on('end', () => call.end());
  stream.on('error', () => call.close(NGHTTP2_CANCEL));
  stream.on('close', () => call.closed || call.close(NGHTTP2_CANCEL));
}

const relay = http2.createServer();
relay.on('stream', (stream, headers) => {
  const path = headers[':path'];
  if (!path.endsWith(`/${method}`)) {
    say({ path, fate: 'passed' });
    pass(stream, headers);
  } else if (what === 'hold') {
    say({ path, fate: 'held' });
    stream.on('error', () => {});
    stream.resume();
  } else if (failuresLeft > 0) {
    --failuresLeft;
    say({ path, fate: 'failed' });
    stream.resume();
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14', 'grpc-message': 'not now' },
      { endStream: true },
    );
  } else {
    say({ path, fate: 'passed' });
    pass(stream, headers);
  }
});
relay.listen(0, '127.0.0.1', () => say({ event: 'serving', address: `127.0.0.1:${relay.address().port}` }));
