/* The name under which RFC 5663's .x includes the structures of RFC 5662. */
#include "nfs4_prot.h"
