/*
 * none.c - a build without the RDMA libraries: nothing is ever registered.
 */
#include "server/keeper/rdma/rdma.h"

const struct keeper_rdma_ops *const keeper_rdma_ops = NULL;
