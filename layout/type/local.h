/*
 * What a local program is granted over a sealed file: see type/local.c. The number is never on the
 * wire; the host refuses it from NFS clients, and so does the engine.
 */
#ifndef LAYOUT_TYPE_LOCAL_H
#define LAYOUT_TYPE_LOCAL_H

#include "layout/type/layout_type.h"

#define LAYOUT_TYPE_LOCAL ((layouttype4)0xffffffff)

extern const struct layout_type local_layout_type;

#endif
