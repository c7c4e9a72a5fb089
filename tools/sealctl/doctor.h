/*
 * doctor.h - "sealctl doctor": one report, made to be sent to somebody else: no secrets are in it.
 */
#ifndef SEALNFS_TOOLS_SEALCTL_DOCTOR_H
#define SEALNFS_TOOLS_SEALCTL_DOCTOR_H

#include <stdbool.h>

struct doctor_options {
    const char *socket;
    const char *config;    /* the configuration to look at; NULL: the running server's */
    const char *otherwise; /* or this one, where it says none */
    long patience_s;       /* for its answer; 0 or less: as long as is usual */
    bool json;
};

/* The exit status: 0, 1 where there are problems, 3 where the server does not answer. */
int sealctl_doctor(const struct doctor_options *options);

#endif
