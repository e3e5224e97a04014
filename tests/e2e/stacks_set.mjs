// stacks_set.mjs - what the dashboard's control does: sample stacks after so many bytes on average.
//
//	node stacks_set.mjs http://127.0.0.1:PORT/ BYTES

import assert from 'node:assert/strict';
import WebSocket from '../../web/node_modules/ws/wrapper.mjs';

const [url, bytes] = [process.argv[2].replace('http', 'ws') + 'ws', Number(process.argv[3])];
const socket = new WebSocket(url, 'mmviz.1');
await new Promise((resolve, reject) => {
	socket.on('open', resolve);
	socket.on('error', reject);
});
socket.send(JSON.stringify({type: 'sample', bytes}));
// The answer to a later question: the first one has been carried out.
const answered = new Promise((resolve) =>
	socket.on('message', (data) => data.readUInt16LE(2) === 10 && resolve()),
);
socket.send(JSON.stringify({type: 'block', request: 1, arena: 1, place: 0}));
await Promise.race([
	answered,
	new Promise((_, reject) => setTimeout(() => reject(new Error('no answer')), 5000)),
]);
assert.equal(socket.readyState, WebSocket.OPEN);
socket.close();
