/* What must not be overlooked while it lasts: that the numbers are not exact now. */

import { store } from '../app';
import * as format from '../format';

export function Banner() {
	const since_ms = store.totals.value?.fallback_since_ms ?? 0;
	if (!since_ms) return null;
	return (
		<p class="banner" role="alert" data-testid="banner">
			<b>Not exact since {format.clock(since_ms)}.</b> The target makes events faster than
			they can be followed: a walk about once a second, until that is possible again. What is
			missed counts as lost.
		</p>
	);
}
