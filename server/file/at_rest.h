/*
 * at_rest.h - which files policy at-rest may seal, by their path below the export: at_rest_include
 * and at_rest_exclude. Any thread; nothing blocks.
 */
#ifndef SEALNFS_SERVER_FILE_AT_REST_H
#define SEALNFS_SERVER_FILE_AT_REST_H

#include <stdbool.h>

struct config_export;
struct export;
struct file;

/* Do the patterns let a file of this path below the export be sealed? */
bool at_rest_path_is_wanted(const struct config_export *config, const char *below);
/* The same for a file as it is called just now. One whose name is not known is not wanted where
 * there are patterns. */
bool at_rest_is_wanted(const struct export *export, const struct file *file);

#endif
