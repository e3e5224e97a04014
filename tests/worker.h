/* SPDX-License-Identifier: MIT */
/*
 * worker.h - another thread that does what it is told, one task at a time: threads without races,
 * in a chosen order.
 */
#ifndef MMVIZ_TESTS_WORKER_H
#define MMVIZ_TESTS_WORKER_H

#include <pthread.h>
#include <semaphore.h>

struct worker {
	pthread_t thread;
	sem_t given, done;
	void (*task)(void *argument); /* NULL: end */
	void *argument;
};

static inline void *worker_main(void *argument)
{
	struct worker *worker = argument;

	for (;;) {
		sem_wait(&worker->given);
		if (!worker->task)
			return NULL;
		worker->task(worker->argument);
		sem_post(&worker->done);
	}
}

static inline void worker_start(struct worker *worker)
{
	sem_init(&worker->given, 0, 0);
	sem_init(&worker->done, 0, 0);
	pthread_create(&worker->thread, NULL, worker_main, worker);
}

/* Runs the task there, and waits for its end. */
static inline void worker_do(struct worker *worker, void (*task)(void *), void *argument)
{
	worker->task = task;
	worker->argument = argument;
	sem_post(&worker->given);
	sem_wait(&worker->done);
}

static inline void worker_stop(struct worker *worker)
{
	worker->task = NULL;
	sem_post(&worker->given);
	pthread_join(worker->thread, NULL);
}

#endif
