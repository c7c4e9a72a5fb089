/*
 * route.c - see nfs/route.h. Client ids and session ids carry the index of their
 * loop; an owner's loop is its hash.
 */
#include "server/nfs/route.h"

#include "server/client/client.h"
#include "server/client/session.h"
#include "server/nfs/compound.h"
#include "server/nfs/op_client.h"
#include "server/server.h"

struct loop *compound_route(const struct compound *c)
{
    unsigned index = loop_index(c->loop);
    switch (c->op) {
    case OP_SEQUENCE:
        index = session_loop(c->args.sequence.sa_sessionid);
        break;
    case OP_BIND_CONN_TO_SESSION:
        index = session_loop(c->args.bind_conn_to_session.bctsa_sessid);
        break;
    case OP_DESTROY_SESSION:
        index = session_loop(c->args.destroy_session.dsa_sessionid);
        break;
    case OP_CREATE_SESSION:
        index = client_id_loop(c->args.create_session.csa_clientid);
        break;
    case OP_DESTROY_CLIENTID:
        index = client_id_loop(c->args.destroy_clientid.dca_clientid);
        break;
    case OP_EXCHANGE_ID:
        index = owner_loop(c->server, c->args.exchange_id.eia_clientowner.co_ownerid);
        break;
    default:
        break;
    }
    return index < c->server->loop_count ? c->server->loops[index] : c->loop;
}
