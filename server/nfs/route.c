/*
 * route.c - see nfs/route.h. Client ids and session ids carry the index of their
 * loop; an owner's loop is its hash.
 */
#include "server/nfs/route.h"

#include "server/client/clients.h"
#include "server/client/session.h"
#include "server/nfs/compound.h"
#include "server/server.h"

unsigned owner_loop(const struct server *server, struct xdr_bytes owner)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (uint32_t i = 0; i < owner.len; i++)
        h = (h ^ owner.data[i]) * 16777619u;
    return (h ^ h >> 16) % server->loop_count;
}

struct principal principal_of(const struct compound *c)
{
    return (struct principal){.flavor = c->cred.flavor, .uid = c->cred.uid};
}

struct client_table *client_table_of(const struct compound *c)
{
    return clients_table(c->server->clients, loop_index(c->loop));
}

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
