/*
 * container_of.h - from what is embedded in a thing to the thing: messages, jobs and calls are
 * embedded in what they are about.
 */
#ifndef SEALNFS_SERVER_BASE_CONTAINER_OF_H
#define SEALNFS_SERVER_BASE_CONTAINER_OF_H

#include <stddef.h>

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
