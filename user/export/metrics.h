/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - a view in OpenMetrics text, for Prometheus and whatever scrapes like it.
 */
#ifndef MMVIZ_EXPORT_METRICS_H
#define MMVIZ_EXPORT_METRICS_H

#include <stdio.h>

#include "model/view.h"

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Writes the whole exposition, up to "# EOF". `version`: of mmviz, for mmviz_build_info. */
void export_metrics(FILE *out, const struct view *view, const char *version);

#endif
