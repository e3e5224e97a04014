/* SPDX-License-Identifier: MIT */
/*
 * safe_text.c - a strict UTF-8 filter (Unicode 15, table 3-7: no overlong forms, no surrogates).
 */
#include "collect/safe_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE_BYTES 4 /* \xNN */

static bool is_unwanted(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || /* control characters */
	       (point >= 0x200e && point <= 0x200f) ||		  /* direction marks */
	       (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/* Bytes of the well-formed character at `text`, its code point in *point; 0: not well-formed. */
static size_t decode(const unsigned char *text, size_t count, uint32_t *point)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = text[0] < 0x80		   ? 1
			: (text[0] & 0xe0) == 0xc0 ? 2
			: (text[0] & 0xf0) == 0xe0 ? 3
			: (text[0] & 0xf8) == 0xf0 ? 4
						   : 0;

	if (length == 0 || length > count)
		return 0;
	*point = length == 1 ? text[0] : text[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (text[i] & 0x3f);
	}
	if (*point < smallest[length] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000))
		return 0;
	return length;
}

size_t safe_text(char *out, size_t out_bytes, const char *text, size_t count)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t used = 0;

	for (size_t i = 0, length; i < count; i += length) {
		char escape[ESCAPE_BYTES * 4 + 1];
		uint32_t point = 0;
		size_t piece;

		length = decode(bytes + i, count - i, &point);
		piece = length;
		if (length == 0 || is_unwanted(point)) {
			length = length == 0 ? 1 : length;
			piece = length * ESCAPE_BYTES;
			for (size_t k = 0; k < length; k++)
				sprintf(escape + k * ESCAPE_BYTES, "\\x%02x", bytes[i + k]);
		}
		if (used + piece >= out_bytes)
			break;
		memcpy(out + used, piece == length ? text + i : escape, piece);
		used += piece;
	}
	out[used] = '\0';
	return used;
}
