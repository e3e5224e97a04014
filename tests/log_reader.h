/* SPDX-License-Identifier: MIT */
/*
 * log_reader.h - a collector in small, in the target's own process: reads every log of one arena,
 * applies the events to a picture of its own, and compares that with a walk. Knows nothing of
 * user/model: two readings of one protocol.
 *
 * Batches come through the spy while the library waits, tails are read by log_reader_drain. Call
 * that after each operation that ran, so that the events of all heaps come in the order in which
 * they were made.
 */
#ifndef MMVIZ_TESTS_LOG_READER_H
#define MMVIZ_TESTS_LOG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include <mmviz/abi.h>
#include <mmviz/mmviz.h>

#define LOG_READER_HEAPS 600u
#define LOG_READER_TRACE 65536u /* characters; what comes later is dropped */

struct log_reader;

/* Raises the semaphore; the arena must hold no blocks yet. Drops everything before. */
struct log_reader *log_reader_attach(struct mmviz_arena *arena);
void log_reader_detach(struct log_reader *reader);

void log_reader_drain(struct log_reader *reader);
/* NULL, or what is different: blocks, unit map, committed units, order. */
const char *log_reader_compare(struct log_reader *reader);

/* The kinds of the events since the last call, as text: "ORDER UNITS ALLOC". Label slots are
 * "label". */
const char *log_reader_trace(struct log_reader *reader);
uint64_t log_reader_seen(const struct log_reader *reader);
uint64_t log_reader_lost(const struct log_reader *reader);

#endif
