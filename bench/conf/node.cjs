// node's http-proxy beside nginx: the example of its README, connections to the backend kept. It writes no log.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const httpProxy = require('http-proxy');

const app = httpProxy.createProxyServer({
  target: 'http://127.0.0.1:@backend@',
  agent: new http.Agent({ keepAlive: true, maxFreeSockets: 64 }),
});
const bulk = httpProxy.createProxyServer({ target: 'http://127.0.0.1:@bulk@' });
for (const proxy of [app, bulk]) {
  proxy.on('error', (error, request, response) => response.destroy());
}

function serve(server, port) {
  server.on('request', (request, response) => (request.url.startsWith('/bulk') ? bulk : app).web(request, response));
  server.on('upgrade', (request, socket, head) => app.ws(request, socket, head));
  server.listen({ host: '127.0.0.1', port, backlog: 511 });
}

serve(http.createServer(), @plain@);
serve(https.createServer({ cert: fs.readFileSync('@certificate@'), key: fs.readFileSync('@key@') }), @tls@);
