/* What the collector, or this page, has to say. Errors stay until dismissed. */

import { useEffect } from 'preact/hooks';
import { store } from '../app';
import type { ShownNotice } from '../store';

const SHOWN_MS = 10_000;

function NoticeBox({ notice }: { notice: ShownNotice }) {
	useEffect(() => {
		if (notice.level === 'error') return undefined;
		const timer = setTimeout(() => store.dismiss(notice.key), SHOWN_MS);
		return () => clearTimeout(timer);
	}, [notice.key]);
	return (
		<div class={`notice ${notice.level}`} role={notice.level === 'error' ? 'alert' : 'status'}>
			<p>{notice.text}</p>
			<button type="button" aria-label="Dismiss" onClick={() => store.dismiss(notice.key)}>
				✕
			</button>
		</div>
	);
}

export function Notices() {
	return (
		<div class="notices">
			{store.notices.value.map((notice) => (
				<NoticeBox key={notice.key} notice={notice} />
			))}
		</div>
	);
}
