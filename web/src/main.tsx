/* Starts the dashboard: theme, choices from the URL, the page, the line to the collector. */

import './style.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { choices, startSession, store } from './app';
import { startTheme } from './theme';
import { App } from './views/app';
import { startCommands } from './views/commands';

startTheme();
choices.fromHash(location.hash);
addEventListener('hashchange', () => choices.fromHash(location.hash));
effect(() => {
	const hash = choices.toHash();
	if (hash !== location.hash) history.replaceState(null, '', hash);
});
effect(() => {
	const hello = store.hello.value;
	document.title = hello ? `${hello.comm} (${hello.pid}) – mmviz` : 'mmviz';
});
render(<App />, document.getElementById('app')!);
startCommands();
startSession();
