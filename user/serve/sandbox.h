/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - giving up what is not needed any more, for good.
 *
 * File descriptors that are open stay usable, so open first, then give up. Each call reports its
 * own errors and returns 0 or a negative errno; after an error the process must not go on.
 */
#ifndef MMVIZ_SERVE_SANDBOX_H
#define MMVIZ_SERVE_SANDBOX_H

/* Become nobody (when root), without any capability, now and after any exec. */
int sandbox_drop_privileges(void);

/*
 * Allow only what a server on open sockets needs: read, write, accept, poll, memory without
 * execution, time, exit. Opening files, making sockets and all the rest fail with EPERM; exec,
 * ptrace, bpf and reaching into other processes kill.
 */
int sandbox_confine_server(void);

#endif
