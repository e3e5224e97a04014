/* The sheet of keys. A modal dialog: the browser keeps the focus in it and Esc closes it. */

import { useEffect, useRef } from 'preact/hooks';
import { choices } from '../app';
import { MOUSE_SHEET, SHEET } from '../keys';

function Sheet({ title, rows }: { title: string; rows: typeof SHEET }) {
	return (
		<section>
			<h3>{title}</h3>
			<dl class="sheet">
				{rows.map(({ keys, does }) => (
					<>
						<dt>
							{keys.map((key) => (
								<kbd key={key}>{key}</kbd>
							))}
						</dt>
						<dd>{does}</dd>
					</>
				))}
			</dl>
		</section>
	);
}

export function Help() {
	const dialog = useRef<HTMLDialogElement>(null);
	const isOpen = choices.isHelpOpen.value;
	useEffect(() => {
		if (isOpen && !dialog.current!.open) dialog.current!.showModal();
		if (!isOpen) dialog.current!.close();
	}, [isOpen]);
	const close = () => (choices.isHelpOpen.value = false);
	return (
		<dialog ref={dialog} onClose={close} onCancel={close} aria-labelledby="help-title">
			<h2 id="help-title">
				Keys and mouse
				<button type="button" aria-label="Close" onClick={close}>
					✕
				</button>
			</h2>
			<div class="sheets">
				<Sheet title="Keyboard" rows={SHEET} />
				<Sheet title="On the map" rows={MOUSE_SHEET} />
			</div>
		</dialog>
	);
}
