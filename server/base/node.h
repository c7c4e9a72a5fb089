/*
 * node.h - this machine, as one of those that may run the server one after the other. Any thread.
 */
#ifndef SEALNFS_SERVER_BASE_NODE_H
#define SEALNFS_SERVER_BASE_NODE_H

#include <stdbool.h>

enum { NODE_NAME_SIZE = 65, NODE_BOOT_SIZE = 9, NODE_TAG_SIZE = 9 };

/* Letters, digits, '.', '_' and '-', 64 at most. */
bool node_name_is_good(const char *name);
/* What a machine is called that was given no name: its machine-id(5), else its host name. */
void node_default_name(char name[NODE_NAME_SIZE]);
/* The first digits of the kernel's boot id. 0 or -errno. */
int node_boot(char boot[NODE_BOOT_SIZE]);
/* Eight digits that stand for the name where there is no room for it. */
void node_tag(const char *name, char tag[NODE_TAG_SIZE]);
/*
 * The file by which ocf:sealnfs:disks remembers until the next boot that this machine took the
 * disks: it may have their file systems mounted, or what it wrote to them in memory. So a key that
 * was on them and is gone is not registered again: this node was fenced. It has text in it when the
 * disks were left since, without that key. SEALNFS_TAKEN names another file, for tests.
 */
const char *node_taken_file(void);
bool node_has_taken(void);

#endif
