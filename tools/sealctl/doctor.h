/*
 * doctor.h - "sealctl doctor": one report, made to be sent to somebody else: no secrets are in it.
 */
#ifndef SEALNFS_TOOLS_SEALCTL_DOCTOR_H
#define SEALNFS_TOOLS_SEALCTL_DOCTOR_H

#include <stdbool.h>

/* config: the server's configuration file. The exit status: 0, 1 where there are problems, 3 where
 * the server does not answer. */
int sealctl_doctor(const char *socket, const char *config, bool json);

#endif
