/*
 * The line to the collector: one WebSocket, opened again by itself whenever it breaks. Decodes what
 * comes in, hands it to `receive`; knows nothing of its meaning.
 */

import { decode, PROTOCOL, type Message, type Request } from './wire';

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8000;

export interface SocketEvents {
	opened(): void;
	received(message: Message): void;
	lost(reason: string, retry_in_ms: number): void;
	failed(error: unknown): void; /* a message that could not be understood */
}

export class Socket {
	private socket: WebSocket | null = null;
	private retry_ms = RETRY_FIRST_MS;

	constructor(
		private readonly url: string,
		private readonly events: SocketEvents,
	) {}

	open(): void {
		const socket = new WebSocket(this.url, PROTOCOL);
		socket.binaryType = 'arraybuffer';
		socket.onopen = () => {
			this.retry_ms = RETRY_FIRST_MS;
			this.events.opened();
		};
		socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => this.receive(data);
		socket.onclose = ({ code, reason }) =>
			this.reopenLater(reason || `closed with code ${code}`);
		this.socket = socket;
	}

	/* Requests made while the line is down are dropped: the page asks again when it is up. */
	send(request: Request): void {
		if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(request));
	}

	private receive(data: ArrayBuffer): void {
		let message: Message;
		try {
			message = decode(data);
		} catch (error) {
			this.events.failed(error);
			return;
		}
		this.events.received(message);
	}

	private reopenLater(reason: string): void {
		this.socket = null;
		this.events.lost(reason, this.retry_ms);
		setTimeout(() => this.open(), this.retry_ms);
		this.retry_ms = Math.min(this.retry_ms * 2, RETRY_MAX_MS);
	}
}
