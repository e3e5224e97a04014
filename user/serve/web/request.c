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
		{"pause", parse_pause}, {"sample", parse_sample},
	};
	const char *type = json_string_value(json_object_get(object, "type"));

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && type != NULL; i++)
		if (strcmp(type, kinds[i].type) == 0)
			return kinds[i].parse(object, out);
	return "the type of this message is not known";
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
