/* SPDX-License-Identifier: MIT */
/*
 * live.h - the live dashboard, for commands that bring a target of their own.
 */
#ifndef MMVIZ_LIVE_H
#define MMVIZ_LIVE_H

#include <sys/types.h>

#include "commands/options.h"

struct live_hooks {
	void *context;
	/* Called when the web server is there: find or make the target. 0 and its pid, or -errno,
	 * reported. NULL: it is options.pid. */
	int (*start)(void *context, pid_t *out);
	/* The picture is complete, and privileges are given up. NULL: nothing more to do. */
	void (*attached)(void *context);
};

/* Serve, attach, follow until told to stop or an error. Reports. 0 or -errno. */
int live_serve(const struct options *options, const struct live_hooks *hooks);

#endif
