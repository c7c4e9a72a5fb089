/*
 * errors_allowed.h - which errors each operation may answer with: the table of RFC 8881
 * section 15.2. The fixtures ask it of every answer that passes through them.
 */
#ifndef SEALNFS_TESTS_UNIT_SERVER_ERRORS_ALLOWED_H
#define SEALNFS_TESTS_UNIT_SERVER_ERRORS_ALLOWED_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/types.h"

bool error_is_allowed(uint32_t op, nfsstat4 status);
/* "op_lookup" is OP_LOOKUP; 0: it names none. */
uint32_t op_of_handler(const char *handler);

#endif
