/* SPDX-License-Identifier: MIT */
/*
 * publisher.c - who gets what, and when.
 *
 * State messages (totals, arenas, contexts, marks) are encoded once for all clients and sent when
 * they differ from the last ones. The time line is a stream with a cursor; a new client gets all of
 * it, up to the cursor. A context's name is sent to all before the first message that uses its id;
 * when a client comes, all names count as not sent. A window of the map belongs to one client,
 * which acknowledges each frame before the next.
 *
 * Equation: what a welcomed client knows of the time line = all points up to timeline_ns.
 */
#define _GNU_SOURCE
#include "serve/publisher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mmviz/abi.h>

#define NS_PER_MS	  1000000ull
#define TOTALS_PERIOD_NS  (100 * NS_PER_MS)
#define TABLES_PERIOD_NS  (250 * NS_PER_MS)
#define MAP_PERIOD_NS	  (100 * NS_PER_MS)
#define MAP_NEW_PERIOD_NS (16 * NS_PER_MS)
#define MAP_COST_SHARE	  5 /* a map is drawn at most a fifth of the time */
#define QUEUED_BYTES_MAX  (4u << 20)
#define CONTEXTS_SENT_MAX 512u
#define POINTS_SENT_MAX	  65536u
#define BLOCKS_TEXEL_MAX  8u /* places per texel, up to which blocks are sent besides */
#define NAMES_PER_MESSAGE 256u
#define NOTICE_BYTES	  256u

struct client {
	uint32_t id; /* 0: nobody */
	bool is_paused, has_window, awaits_ack;
	struct wire_window window;
	uint64_t drawn_ns, cost_ns; /* when the last map was made, and how long that took */
	uint64_t drawn_hash;	    /* of the last map sent; 0: none */
};

struct publisher {
	struct channel *channel;
	const struct server_options *options;
	struct client clients[CHANNEL_CLIENTS_MAX];
	struct wire_buffer scratch, state[WIRE_TYPES]; /* state: as last broadcast */
	uint64_t totals_due_ns, tables_due_ns;
	uint64_t timeline_ns; /* the newest point sent */
	uint8_t *is_named;    /* bit per context id: its name was sent */
	struct {
		uint32_t ids[NAMES_PER_MESSAGE];
		const char *texts[NAMES_PER_MESSAGE];
		uint32_t count;
	} names; /* to be sent before the next message */
	struct view_arena *arenas;
	struct view_context *contexts;
	struct view_mark *marks;
	struct view_point *points;
	struct view_texel *texels;
	struct view_block *blocks;
	struct {
		char level[8], text[NOTICE_BYTES]; /* "": none yet */
		bool is_sent;
	} notice; /* the newest */
};

/* One round of service: everything in it speaks of the same instant. */
struct round {
	const struct view *view;
	const struct wire_hello *hello;
	uint64_t at_ns;	 /* CLOCK_REALTIME of the view */
	uint64_t now_ns; /* CLOCK_MONOTONIC */
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int publisher_open(struct channel *channel, const struct server_options *options,
		   struct publisher **out)
{
	struct publisher *publisher = calloc(1, sizeof(*publisher));

	if (publisher == NULL)
		return -ENOMEM;
	publisher->channel = channel;
	publisher->options = options;
	publisher->is_named = calloc(MMVIZ_CONTEXTS_MAX / 8, 1);
	publisher->arenas = calloc(MMVIZ_ARENAS_MAX, sizeof(*publisher->arenas));
	publisher->contexts = calloc(CONTEXTS_SENT_MAX, sizeof(*publisher->contexts));
	publisher->marks = calloc(MMVIZ_MARKS_MAX, sizeof(*publisher->marks));
	publisher->points = calloc(POINTS_SENT_MAX, sizeof(*publisher->points));
	publisher->texels = calloc(WIRE_TEXELS_MAX, sizeof(*publisher->texels));
	publisher->blocks = calloc(WIRE_BLOCKS_MAX, sizeof(*publisher->blocks));
	if (publisher->is_named == NULL || publisher->arenas == NULL ||
	    publisher->contexts == NULL || publisher->marks == NULL || publisher->points == NULL ||
	    publisher->texels == NULL || publisher->blocks == NULL) {
		publisher_close(publisher);
		return -ENOMEM;
	}
	*out = publisher;
	return 0;
}

void publisher_close(struct publisher *publisher)
{
	if (publisher == NULL)
		return;
	free(publisher->is_named);
	free(publisher->arenas);
	free(publisher->contexts);
	free(publisher->marks);
	free(publisher->points);
	free(publisher->texels);
	free(publisher->blocks);
	wire_buffer_fini(&publisher->scratch);
	for (size_t type = 0; type < WIRE_TYPES; type++)
		wire_buffer_fini(&publisher->state[type]);
	free(publisher);
}

bool publisher_has_clients(const struct publisher *publisher)
{
	for (size_t i = 0; i < CHANNEL_CLIENTS_MAX; i++)
		if (publisher->clients[i].id != 0)
			return true;
	return false;
}

/* ------------------------------------------------------------------ sending */

/* The scratch buffer, to one client or (client 0) to all. */
static int send_scratch(struct publisher *publisher, uint32_t client)
{
	struct channel_header header = {
		.kind = client != 0 ? CHANNEL_SEND : CHANNEL_BROADCAST,
		.client = client,
	};

	if (publisher->scratch.is_failed)
		return -ENOMEM;
	return channel_send(publisher->channel, header, publisher->scratch.bytes,
			    publisher->scratch.used);
}

/* Broadcast the scratch buffer if it says anything else than the last message of its type. */
static int send_state(struct publisher *publisher, enum wire_type type)
{
	struct wire_buffer *last = &publisher->state[type], *now = &publisher->scratch;
	struct wire_buffer swapped;
	int error;

	if (!now->is_failed && last->used == now->used &&
	    memcmp(last->bytes + WIRE_HEADER_BYTES, now->bytes + WIRE_HEADER_BYTES,
		   now->used - WIRE_HEADER_BYTES) == 0)
		return 0;
	error = send_scratch(publisher, 0);
	swapped = *last;
	*last = *now;
	*now = swapped;
	return error;
}

static int send_names(struct publisher *publisher, const struct round *round)
{
	if (publisher->names.count == 0)
		return 0;
	wire_names(&publisher->scratch, round->at_ns, publisher->names.ids, publisher->names.texts,
		   publisher->names.count);
	publisher->names.count = 0;
	return send_scratch(publisher, 0);
}

/* Make sure that clients know what `id` is called before they meet it. */
static int use_name(struct publisher *publisher, const struct round *round, uint32_t id)
{
	uint8_t bit = (uint8_t)(1u << (id & 7));
	const char *text;

	if (id >= MMVIZ_CONTEXTS_MAX || (publisher->is_named[id >> 3] & bit) != 0)
		return 0;
	publisher->is_named[id >> 3] |= bit;
	text = view_context_text(round->view, id);
	publisher->names.ids[publisher->names.count] = id;
	publisher->names.texts[publisher->names.count++] = text != NULL ? text : "";
	return publisher->names.count == NAMES_PER_MESSAGE ? send_names(publisher, round) : 0;
}

static int send_totals(struct publisher *publisher, const struct round *round)
{
	struct view_totals totals;

	view_totals(round->view, &totals);
	wire_totals(&publisher->scratch, &totals);
	return send_state(publisher, WIRE_TOTALS);
}

static int send_timeline(struct publisher *publisher, const struct round *round)
{
	uint32_t count = view_timeline(round->view, publisher->timeline_ns, publisher->points,
				       POINTS_SENT_MAX);

	if (count == 0)
		return 0;
	publisher->timeline_ns = publisher->points[count - 1].at_ns;
	wire_timeline(&publisher->scratch, round->at_ns, publisher->points, count);
	return send_scratch(publisher, 0);
}

static int send_contexts(struct publisher *publisher, const struct round *round)
{
	uint32_t count = view_contexts(round->view, 0, publisher->contexts, CONTEXTS_SENT_MAX);
	int error = 0;

	for (uint32_t i = 0; i < count && error == 0; i++)
		error = use_name(publisher, round, publisher->contexts[i].id);
	if (error == 0)
		error = send_names(publisher, round);
	if (error != 0)
		return error;
	wire_contexts(&publisher->scratch, round->at_ns, publisher->contexts, count);
	return send_state(publisher, WIRE_CONTEXTS);
}

/* Events mode only. */
static int send_events(struct publisher *publisher, const struct round *round)
{
	const struct server_options *options = publisher->options;
	char *text = NULL;
	size_t bytes = 0;
	int error = options->render_events == NULL
			    ? -ENODATA
			    : options->render_events(options->documents_context, &text, &bytes);

	if (error != 0)
		return error == -ENODATA ? 0 : error;
	wire_events(&publisher->scratch, round->at_ns, text, bytes);
	free(text);
	return send_state(publisher, WIRE_EVENTS);
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int send_tables(struct publisher *publisher, const struct round *round)
{
	uint32_t count;
	int error;

	count = least(view_arenas(round->view, publisher->arenas, MMVIZ_ARENAS_MAX),
		      MMVIZ_ARENAS_MAX);
	wire_arenas(&publisher->scratch, round->at_ns, publisher->arenas, count);
	error = send_state(publisher, WIRE_ARENAS);
	if (error == 0)
		error = send_contexts(publisher, round);
	if (error == 0)
		error = send_events(publisher, round);
	if (error != 0)
		return error;
	count = least(view_marks(round->view, publisher->marks, MMVIZ_MARKS_MAX), MMVIZ_MARKS_MAX);
	wire_marks(&publisher->scratch, round->at_ns, publisher->marks, count);
	return send_state(publisher, WIRE_MARKS);
}

/* ------------------------------------------------------------------ windows */

/* FNV-1a over 8-byte words: a message is a multiple of 8 plus a short rest. */
static uint64_t hash_body(const struct wire_buffer *buffer)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	size_t at = WIRE_HEADER_BYTES;

	for (; at + 8 <= buffer->used; at += 8) {
		uint64_t word;

		memcpy(&word, buffer->bytes + at, 8);
		hash = (hash ^ word) * 0x100000001b3ull;
		hash ^= hash >> 32;
	}
	for (; at < buffer->used; at++)
		hash = (hash ^ buffer->bytes[at]) * 0x100000001b3ull;
	return hash | 1;
}

static uint64_t arena_base(struct publisher *publisher, const struct round *round, uint32_t id)
{
	uint32_t count = least(view_arenas(round->view, publisher->arenas, MMVIZ_ARENAS_MAX),
			       MMVIZ_ARENAS_MAX);

	for (uint32_t i = 0; i < count; i++)
		if (publisher->arenas[i].id == id)
			return publisher->arenas[i].base_addr;
	return 0;
}

static int send_blocks(struct publisher *publisher, const struct round *round,
		       const struct client *client)
{
	const struct wire_window *window = &client->window;
	uint64_t texel_bytes = (uint64_t)window->places_per_texel << MMVIZ_PLACE_SHIFT;
	uint64_t offset_bytes = (uint64_t)window->first_place << MMVIZ_PLACE_SHIFT;
	uint32_t count =
		view_blocks(round->view, window->arena_id, offset_bytes,
			    texel_bytes * window->texels, publisher->blocks, WIRE_BLOCKS_MAX);
	int error = 0;

	for (uint32_t i = 0; i < count && error == 0; i++)
		error = use_name(publisher, round, publisher->blocks[i].context);
	if (error == 0)
		error = send_names(publisher, round);
	if (error != 0)
		return error;
	wire_blocks(&publisher->scratch, round->at_ns, window,
		    arena_base(publisher, round, window->arena_id), publisher->blocks, count);
	return send_scratch(publisher, client->id);
}

static int send_notice(struct publisher *publisher, uint32_t client, uint64_t at_ns)
{
	wire_notice(&publisher->scratch, at_ns, publisher->notice.level, publisher->notice.text);
	publisher->notice.is_sent = true;
	return send_scratch(publisher, client);
}

static int refuse_window(struct publisher *publisher, const struct round *round,
			 struct client *client)
{
	char text[64];

	client->has_window = false;
	snprintf(text, sizeof(text), "there is no arena %u", client->window.arena_id);
	wire_notice(&publisher->scratch, round->at_ns, "warning", text);
	return send_scratch(publisher, client->id);
}

static int send_window(struct publisher *publisher, const struct round *round,
		       struct client *client)
{
	const struct wire_window *window = &client->window;
	uint64_t hash;
	int error = 0;

	if (view_map(round->view, window->arena_id,
		     (uint64_t)window->first_place << MMVIZ_PLACE_SHIFT,
		     (uint64_t)window->places_per_texel << MMVIZ_PLACE_SHIFT, publisher->texels,
		     window->texels) != 0)
		return refuse_window(publisher, round, client);
	for (uint32_t i = 0; i < window->texels && error == 0; i++)
		error = use_name(publisher, round, publisher->texels[i].context);
	if (error == 0)
		error = send_names(publisher, round);
	if (error != 0)
		return error;
	wire_map(&publisher->scratch, round->at_ns, window, publisher->texels);
	hash = hash_body(&publisher->scratch);
	if (hash == client->drawn_hash)
		return 0;
	client->drawn_hash = hash;
	client->awaits_ack = true;
	error = send_scratch(publisher, client->id);
	if (error == 0 && window->places_per_texel <= BLOCKS_TEXEL_MAX)
		error = send_blocks(publisher, round, client);
	return error;
}

/* A new window is answered soon; one that is looked at changes with the period. */
static bool is_due(const struct client *client, uint64_t now_ns)
{
	bool is_new = client->drawn_hash == 0;
	uint64_t pause_ns = client->cost_ns * (is_new ? 1 : MAP_COST_SHARE);
	uint64_t least_ns = is_new ? MAP_NEW_PERIOD_NS : MAP_PERIOD_NS;

	return client->id != 0 && client->has_window && !client->awaits_ack && !client->is_paused &&
	       now_ns >= client->drawn_ns + (pause_ns > least_ns ? pause_ns : least_ns);
}

static int send_windows(struct publisher *publisher, const struct round *round)
{
	for (size_t i = 0; i < CHANNEL_CLIENTS_MAX; i++) {
		struct client *client = &publisher->clients[i];
		uint64_t begun_ns = monotonic_ns();
		int error;

		if (!is_due(client, begun_ns))
			continue;
		error = send_window(publisher, round, client);
		if (error != 0)
			return error;
		client->drawn_ns = begun_ns;
		client->cost_ns = monotonic_ns() - begun_ns;
	}
	return 0;
}

static int publish(struct publisher *publisher, const struct round *round)
{
	int error = 0;

	if (publisher->notice.text[0] != '\0' && !publisher->notice.is_sent)
		error = send_notice(publisher, 0, round->at_ns);
	if (error == 0 && round->now_ns >= publisher->totals_due_ns) {
		publisher->totals_due_ns = round->now_ns + TOTALS_PERIOD_NS;
		error = send_totals(publisher, round);
		if (error == 0)
			error = send_timeline(publisher, round);
	}
	if (error == 0 && round->now_ns >= publisher->tables_due_ns) {
		publisher->tables_due_ns = round->now_ns + TABLES_PERIOD_NS;
		error = send_tables(publisher, round);
	}
	return error == 0 ? send_windows(publisher, round) : error;
}

/* ------------------------------------------------------------------ what clients ask */

/* id 0: a free place. */
static struct client *find_client(struct publisher *publisher, uint32_t id)
{
	for (size_t i = 0; i < CHANNEL_CLIENTS_MAX; i++)
		if (publisher->clients[i].id == id)
			return &publisher->clients[i];
	return NULL;
}

/* Send every state message and every name again: somebody has missed the last ones. */
static void forget_sent(struct publisher *publisher)
{
	memset(publisher->is_named, 0, MMVIZ_CONTEXTS_MAX / 8);
	for (size_t type = 0; type < WIRE_TYPES; type++)
		publisher->state[type].used = 0;
	publisher->totals_due_ns = publisher->tables_due_ns = 0;
}

static int send_history(struct publisher *publisher, const struct round *round, uint32_t client)
{
	uint32_t count = view_timeline(round->view, 0, publisher->points, POINTS_SENT_MAX);

	if (count > 0)
		publisher->timeline_ns = publisher->points[count - 1].at_ns;
	wire_timeline(&publisher->scratch, round->at_ns, publisher->points, count);
	return send_scratch(publisher, client);
}

/* The others get the time line's newest points first, so that one cursor stands for all. */
static int welcome(struct publisher *publisher, const struct round *round, uint32_t id)
{
	struct client *client = find_client(publisher, 0);
	int error = 0;

	if (client == NULL)
		return -EPROTO;
	if (publisher_has_clients(publisher))
		error = send_timeline(publisher, round);
	if (error != 0)
		return error;
	*client = (struct client){.id = id};
	wire_hello(&publisher->scratch, round->at_ns, round->hello);
	error = send_scratch(publisher, id);
	if (error == 0)
		error = send_history(publisher, round, id);
	if (error == 0 && publisher->notice.is_sent)
		error = send_notice(publisher, id, round->at_ns);
	forget_sent(publisher);
	return error;
}

static int set_window(struct client *client, const struct wire_window *window)
{
	if (window->texels == 0 || window->texels > WIRE_TEXELS_MAX ||
	    window->places_per_texel == 0)
		return -EPROTO;
	client->window = *window;
	client->has_window = true;
	client->awaits_ack = false;
	client->drawn_hash = 0;
	return 0;
}

static int answer_place(struct publisher *publisher, const struct round *round, uint32_t client,
			const struct channel_place *place)
{
	struct view_block block;
	bool is_found = view_block_at(round->view, place->arena_id,
				      (uint64_t)place->place << MMVIZ_PLACE_SHIFT, &block) == 0;
	const char *text = is_found ? view_context_text(round->view, block.context) : NULL;

	wire_block(&publisher->scratch, round->at_ns, place->request, is_found ? &block : NULL,
		   text != NULL ? text : "");
	return send_scratch(publisher, client);
}

static int answer_document(struct publisher *publisher, const struct channel_header *question)
{
	const struct server_options *options = publisher->options;
	struct channel_header header = {.kind = CHANNEL_REPLY, .request = question->request};
	char *text = NULL;
	size_t bytes = 0;
	int error;

	if (question->detail >= options->documents_count)
		return -EPROTO;
	error = options->documents[question->detail].render(options->documents_context, &text,
							    &bytes);
	header.detail = error == 0 ? 200 : 500;
	error = channel_send(publisher->channel, header, text, bytes);
	free(text);
	return error;
}

/* From a POST: an answer. */
static int answer_choice(struct publisher *publisher, uint32_t request, const char *why)
{
	struct channel_header header = {
		.kind = CHANNEL_REPLY, .detail = why == NULL ? 200 : 400, .request = request};
	char text[256];
	int length = why == NULL ? snprintf(text, sizeof(text), "{\"chosen\":true}\n")
				 : snprintf(text, sizeof(text), "{\"error\":\"%s\"}\n", why);

	return channel_send(publisher->channel, header, text, (size_t)length);
}

/* From a page, which hears of it at once, or why not; or from a POST, without a client. */
static int choose_events(struct publisher *publisher, const struct round *round,
			 const struct channel_header *header, const uint8_t *bytes)
{
	const struct server_options *options = publisher->options;
	struct events_settings settings;
	const char *why = "this collector has no events to choose from";

	if (header->bytes != sizeof(settings))
		return -EPROTO;
	memcpy(&settings, bytes, sizeof(settings));
	if (options->choose_events != NULL)
		why = options->choose_events(options->documents_context, &settings);
	publisher->tables_due_ns = 0;
	if (header->client == 0)
		return answer_choice(publisher, header->request, why);
	if (why == NULL)
		return 0;
	wire_notice(&publisher->scratch, round->at_ns, "warning", why);
	return send_scratch(publisher, header->client);
}

/* What it is now is told with the stacks themselves. */
static int change_sampling(struct publisher *publisher, const struct round *round, uint32_t client,
			   uint64_t mean_bytes)
{
	const struct server_options *options = publisher->options;
	int error = options->set_sample_bytes != NULL
			    ? options->set_sample_bytes(options->documents_context, mean_bytes)
			    : -EOPNOTSUPP;

	if (error == 0)
		return 0;
	wire_notice(&publisher->scratch, round->at_ns, "warning",
		    error == -EOPNOTSUPP ? "no stacks are sampled: they were turned off"
		    : error == -ESRCH	 ? "the target has ended: it takes no more samples"
					 : "sampling could not be changed");
	return send_scratch(publisher, client);
}

static void pause_client(struct publisher *publisher, struct client *client, bool is_on)
{
	client->is_paused = is_on;
	client->drawn_hash = 0;
	if (!is_on)
		forget_sent(publisher);
}

/* The payload as a struct of this size, or a breach of protocol. */
static bool take(const struct channel_header *header, const uint8_t *bytes, void *out, size_t size)
{
	if (header->bytes != size)
		return false;
	memcpy(out, bytes, size);
	return true;
}

static int handle_client(struct publisher *publisher, const struct round *round,
			 struct client *client, const struct channel_header *header,
			 const uint8_t *bytes)
{
	struct wire_window window;
	struct channel_place place;
	uint64_t mean_bytes;

	switch (header->kind) {
	case CHANNEL_CLOSE:
		*client = (struct client){0};
		return 0;
	case CHANNEL_WINDOW:
		return take(header, bytes, &window, sizeof(window)) ? set_window(client, &window)
								    : -EPROTO;
	case CHANNEL_ACK:
		if (header->request == client->window.request)
			client->awaits_ack = false;
		return 0;
	case CHANNEL_PLACE:
		return take(header, bytes, &place, sizeof(place))
			       ? answer_place(publisher, round, client->id, &place)
			       : -EPROTO;
	case CHANNEL_SAMPLE:
		return take(header, bytes, &mean_bytes, sizeof(mean_bytes))
			       ? change_sampling(publisher, round, client->id, mean_bytes)
			       : -EPROTO;
	case CHANNEL_PAUSE:
		pause_client(publisher, client, header->detail != 0);
		return 0;
	case CHANNEL_EVENTS:
		return choose_events(publisher, round, header, bytes);
	default:
		return -EPROTO;
	}
}

static int handle(struct publisher *publisher, const struct round *round,
		  const struct channel_header *header, const uint8_t *bytes)
{
	struct client *client;

	if (header->kind == CHANNEL_DOCUMENT)
		return answer_document(publisher, header);
	if (header->kind == CHANNEL_EVENTS && header->client == 0)
		return choose_events(publisher, round, header, bytes);
	if (header->client == 0)
		return -EPROTO;
	client = find_client(publisher, header->client);
	if (header->kind == CHANNEL_OPEN)
		return client == NULL ? welcome(publisher, round, header->client) : -EPROTO;
	return client != NULL ? handle_client(publisher, round, client, header, bytes) : -EPROTO;
}

/* Answers wait while the web server does not take what lies here for it. */
static int answer(struct publisher *publisher, const struct round *round)
{
	struct channel_header header;
	const uint8_t *bytes;
	int result;

	while (channel_queued_bytes(publisher->channel) < QUEUED_BYTES_MAX) {
		result = channel_next(publisher->channel, &header, &bytes);
		if (result <= 0)
			return result;
		result = handle(publisher, round, &header, bytes);
		if (result != 0)
			return result;
	}
	return 0;
}

int publisher_service(struct publisher *publisher, const struct view *view,
		      const struct wire_hello *hello)
{
	struct round round = {.view = view, .hello = hello, .now_ns = monotonic_ns()};
	struct view_totals totals;
	int fill_error, error;

	view_totals(view, &totals);
	round.at_ns = totals.at_ns;
	error = channel_flush(publisher->channel);
	if (error != 0)
		return error;
	fill_error = channel_fill(publisher->channel);
	error = answer(publisher, &round);
	if (error == 0)
		error = fill_error;
	if (error == 0 && publisher_has_clients(publisher) &&
	    channel_queued_bytes(publisher->channel) < QUEUED_BYTES_MAX)
		error = publish(publisher, &round);
	return error;
}

void publisher_notice(struct publisher *publisher, const char *level, const char *text)
{
	snprintf(publisher->notice.level, sizeof(publisher->notice.level), "%s", level);
	snprintf(publisher->notice.text, sizeof(publisher->notice.text), "%s", text);
	publisher->notice.is_sent = false;
}
