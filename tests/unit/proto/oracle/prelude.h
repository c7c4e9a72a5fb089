/* What the RFC's .x takes from <rpc/auth_sys.h>, under libtirpc's names. */
#include <rpc/rpc.h>

typedef struct authunix_parms authsys_parms;
#define xdr_authsys_parms xdr_authunix_parms
