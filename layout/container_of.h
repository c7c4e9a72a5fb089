/*
 * container_of.h - from what is embedded in a thing to the thing: calls, messages and jobs are
 * embedded in what they are about.
 */
#ifndef SEALNFS_LAYOUT_CONTAINER_OF_H
#define SEALNFS_LAYOUT_CONTAINER_OF_H

#include <stddef.h>

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
