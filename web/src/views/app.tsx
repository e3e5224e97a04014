/* The page as a whole. */

import { choices, store } from '../app';
import { ArenasPage } from './arenas';
import { Banner } from './banner';
import { BlockPanel } from './block';
import { announcement } from './commands';
import { ContextBar, ContextsPage, ContextTable } from './contexts';
import { EventsPage } from './events';
import { Findings } from './findings';
import { Help } from './help';
import { LifetimesPage } from './lifetimes';
import { MapView } from './map';
import { Notices } from './notices';
import { StacksPage } from './stacks';
import { Status } from './status';
import { TimelineView } from './timeline';
import { Top } from './top';

function MapPage() {
	return (
		<main class="main">
			<MapView />
			<aside class="side" aria-label="Contexts">
				<ContextBar />
				<ContextTable isFull={false} />
				<BlockPanel />
			</aside>
		</main>
	);
}

function Page() {
	switch (choices.view.value) {
		case 'map':
			return <MapPage />;
		case 'contexts':
			return (
				<main class="main wide">
					<ContextsPage />
				</main>
			);
		case 'arenas':
			return (
				<main class="main wide">
					<ArenasPage />
				</main>
			);
		case 'stacks':
			return (
				<main class="main wide">
					<StacksPage />
				</main>
			);
		case 'lifetimes':
			return (
				<main class="main wide">
					<LifetimesPage />
				</main>
			);
		case 'events':
			return (
				<main class="main">
					<EventsPage />
				</main>
			);
	}
}

export function App() {
	const isFrozen = store.connection.value.state === 'lost';
	return (
		<div class={isFrozen ? 'app is-frozen' : 'app'}>
			<Top />
			<Banner />
			<Findings />
			<Page />
			<TimelineView />
			<Status />
			<Notices />
			<Help />
			<p class="unseen" role="status">
				{announcement.value}
			</p>
		</div>
	);
}
