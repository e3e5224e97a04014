/*
 * The keyboard: which key means which command. Pure: it neither listens nor acts.
 */

export type Command =
	| 'view-1'
	| 'view-2'
	| 'view-3'
	| 'view-4'
	| 'view-5'
	| 'closer'
	| 'farther'
	| 'up'
	| 'down'
	| 'start'
	| 'fit'
	| 'pause'
	| 'theme'
	| 'filter'
	| 'help'
	| 'escape'
	| 'cursor-left'
	| 'cursor-right'
	| 'cursor-up'
	| 'cursor-down';

export interface Key {
	key: string;
	ctrlKey: boolean;
	metaKey: boolean;
	altKey: boolean;
}

const COMMANDS: Record<string, Command> = {
	1: 'view-1',
	2: 'view-2',
	3: 'view-3',
	4: 'view-4',
	5: 'view-5',
	w: 'closer',
	'+': 'closer',
	'=': 'closer',
	s: 'farther',
	'-': 'farther',
	a: 'up',
	d: 'down',
	pageup: 'up',
	pagedown: 'down',
	0: 'start',
	home: 'start',
	f: 'fit',
	' ': 'pause',
	t: 'theme',
	'/': 'filter',
	'?': 'help',
	escape: 'escape',
	arrowleft: 'cursor-left',
	arrowright: 'cursor-right',
	arrowup: 'cursor-up',
	arrowdown: 'cursor-down',
};

export function commandOf({ key, ctrlKey, metaKey, altKey }: Key): Command | null {
	if (altKey || metaKey) return null;
	if (ctrlKey) return key.toLowerCase() === 'f' ? 'filter' : null;
	return COMMANDS[key.toLowerCase()] ?? null;
}

/* The help sheet: keys and what they do. */
export const SHEET: { keys: string[]; does: string }[] = [
	{
		keys: ['1', '2', '3', '4', '5'],
		does: 'Map, contexts, arenas, stacks, lifetimes; in their mode, events',
	},
	{ keys: ['W', 'S', '+', '−'], does: 'Zoom in, zoom out' },
	{ keys: ['A', 'D'], does: 'Pan up, pan down' },
	{ keys: ['F'], does: 'Fit the selection; again: the whole arena' },
	{ keys: ['0'], does: 'Back to the start of the arena' },
	{ keys: ['←', '→', '↑', '↓'], does: 'Move the block cursor' },
	{ keys: ['Space'], does: 'Pause the picture; nothing is missed' },
	{ keys: ['/'], does: 'Filter contexts' },
	{ keys: ['T'], does: 'Light or dark' },
	{ keys: ['Esc'], does: 'Clear selection, focus and filter' },
	{ keys: ['?'], does: 'This sheet' },
];
export const MOUSE_SHEET: { keys: string[]; does: string }[] = [
	{ keys: ['Wheel'], does: 'Pan' },
	{ keys: ['Ctrl', 'Wheel'], does: 'Zoom at the pointer' },
	{ keys: ['Click'], does: 'Select a block' },
	{ keys: ['Drag'], does: 'Select a range' },
	{ keys: ['Shift', 'Drag'], does: 'Move the map' },
	{ keys: ['Double click'], does: 'Fit the whole arena' },
];
