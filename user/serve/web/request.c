/* SPDX-License-Identifier: MIT */
/*
 * request.c - a closed list of messages, each a flat object of whole numbers.
 */
#include "serve/web/request.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static bool get_u32(const json_t *object, const char *key, uint32_t *out)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || number > UINT32_MAX)
		return false;
	*out = (uint32_t)number;
	return true;
}

static const char *parse_map(const json_t *object, struct request *out)
{
	struct wire_window *window = &out->window;

	out->type = REQUEST_MAP;
	if (!get_u32(object, "request", &window->request) ||
	    !get_u32(object, "arena", &window->arena_id) ||
	    !get_u32(object, "first_place", &window->first_place) ||
	    !get_u32(object, "places_per_texel", &window->places_per_texel) ||
	    !get_u32(object, "texels", &window->texels))
		return "map needs request, arena, first_place, places_per_texel and texels";
	if (window->places_per_texel == 0 || window->texels == 0 ||
	    window->texels > WIRE_TEXELS_MAX)
		return "map wants 1 to 262144 texels of at least one place";
	return NULL;
}

static const char *parse_ack(const json_t *object, struct request *out)
{
	out->type = REQUEST_ACK;
	return get_u32(object, "request", &out->acknowledged) ? NULL : "ack needs request";
}

static const char *parse_block(const json_t *object, struct request *out)
{
	out->type = REQUEST_BLOCK;
	return get_u32(object, "request", &out->place.request) &&
			       get_u32(object, "arena", &out->place.arena_id) &&
			       get_u32(object, "place", &out->place.place)
		       ? NULL
		       : "block needs request, arena and place";
}

static const char *parse_pause(const json_t *object, struct request *out)
{
	const json_t *on = json_object_get(object, "on");

	out->type = REQUEST_PAUSE;
	out->is_on = json_is_true(on);
	return json_is_boolean(on) ? NULL : "pause needs on";
}

/* What is not named is left as it is. */
static bool get_number(const json_t *object, const char *key, uint64_t max, uint64_t *out)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if (value == NULL || json_is_null(value))
		return true;
	if (!json_is_integer(value) || number < 0 || (uint64_t)number > max)
		return false;
	*out = (uint64_t)number;
	return true;
}

/* A name that is too long has no end: whoever checks the settings refuses it. */
static bool get_tag(const json_t *object, struct events_settings *out)
{
	const json_t *value = json_object_get(object, "tag");

	if (value == NULL || json_is_null(value))
		return true;
	if (json_is_string(value))
		memcpy(out->tag, json_string_value(value),
		       strnlen(json_string_value(value), sizeof(out->tag)));
	return json_is_string(value);
}

static bool get_by(const json_t *object, struct events_settings *out)
{
	const json_t *value = json_object_get(object, "by");
	const char *by = json_string_value(value);

	out->is_by_bytes = by != NULL && strcmp(by, "bytes") == 0;
	return value == NULL || (by != NULL && (out->is_by_bytes || strcmp(by, "count") == 0));
}

static const char *find_unknown(const json_t *object)
{
	static const char *const known[] = {"type",	 "by",	"sample", "min_bytes",
					    "max_bytes", "tag", "tag_id", "thread"};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && strcmp(key, known[i]) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return key;
	}
	return NULL;
}

static const char *parse_settings(const json_t *object, struct events_settings *out)
{
	uint64_t thread = 0, tag_id = EVENTS_ANY_TAG;

	*out = (struct events_settings){
		.sample = 1, .max_bytes = EVENTS_BLOCK_MAX, .tag_id = EVENTS_ANY_TAG};
	if (!json_is_object(object))
		return "settings are one JSON object";
	if (find_unknown(object) != NULL)
		return "events knows by, sample, min_bytes, max_bytes, tag, tag_id and thread";
	if (!get_by(object, out))
		return "by is count or bytes";
	if (!get_number(object, "sample", UINT64_MAX, &out->sample))
		return "sample is a whole number";
	if (!get_number(object, "min_bytes", UINT64_MAX, &out->min_bytes) ||
	    !get_number(object, "max_bytes", UINT64_MAX, &out->max_bytes))
		return "min_bytes and max_bytes are whole numbers";
	if (!get_number(object, "thread", UINT32_MAX, &thread))
		return "thread is a thread's number";
	if (!get_number(object, "tag_id", EVENTS_ANY_TAG - 1, &tag_id))
		return "tag_id is a tag's number";
	if (!get_tag(object, out))
		return "tag is a tag's name";
	out->thread_id = (uint32_t)thread;
	out->tag_id = (uint32_t)tag_id;
	return NULL;
}

static const char *parse_events(const json_t *object, struct request *out)
{
	out->type = REQUEST_EVENTS;
	return parse_settings(object, &out->events);
}

static const char *parse_sample(const json_t *object, struct request *out)
{
	json_int_t bytes = json_integer_value(json_object_get(object, "bytes"));

	out->type = REQUEST_SAMPLE;
	out->sample_bytes = (uint64_t)bytes;
	return bytes >= REQUEST_SAMPLE_BYTES_MIN && bytes <= (json_int_t)REQUEST_SAMPLE_BYTES_MAX
		       ? NULL
		       : "sample needs bytes, from 1024 to 2^40";
}

static const char *parse_object(const json_t *object, struct request *out)
{
	static const struct {
		const char *type;
		const char *(*parse)(const json_t *object, struct request *out);
	} kinds[] = {
		{"map", parse_map},	{"ack", parse_ack},	  {"block", parse_block},
		{"pause", parse_pause}, {"events", parse_events}, {"sample", parse_sample},
	};
	const char *type = json_string_value(json_object_get(object, "type"));

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && type != NULL; i++)
		if (strcmp(type, kinds[i].type) == 0)
			return kinds[i].parse(object, out);
	return "the type of this message is not known";
}

int request_parse_events(const char *text, size_t bytes, struct events_settings *out,
			 const char **why)
{
	json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	struct events_settings parsed;

	*why = object != NULL ? parse_settings(object, &parsed) : "the settings are not JSON";
	json_decref(object);
	if (*why != NULL)
		return -EINVAL;
	*out = parsed;
	return 0;
}

int request_parse(const char *text, size_t bytes, struct request *out, const char **why)
{
	json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	struct request parsed = {0};

	*why = object != NULL ? parse_object(object, &parsed) : "this message is not JSON";
	json_decref(object);
	if (*why != NULL)
		return -EINVAL;
	*out = parsed;
	return 0;
}
