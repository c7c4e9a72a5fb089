/*
 * Memory that a program reads into and writes from often: registered with every data path by RDMA
 * there is and will be. See sealio.h. Any thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "client/device.h"

int sealio_buffer_register(struct sealio_session *session, void *memory, size_t size,
                           struct sealio_buffer **out)
{
    if (size == 0)
        return -EINVAL;
    struct sealio_buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer)
        return -ENOMEM;
    *buffer = (struct sealio_buffer){.session = session, .memory = memory, .size = size};
    pthread_mutex_lock(&session->buffers_lock);
    buffer->next = session->buffers;
    session->buffers = buffer;
    sealio_volumes_add_memory(session, memory, size);
    pthread_mutex_unlock(&session->buffers_lock);
    *out = buffer;
    return 0;
}

void sealio_buffer_release(struct sealio_buffer *buffer)
{
    if (!buffer)
        return;
    struct sealio_session *session = buffer->session;
    pthread_mutex_lock(&session->buffers_lock);
    struct sealio_buffer **at = &session->buffers;
    while (*at != buffer)
        at = &(*at)->next;
    *at = buffer->next;
    sealio_volumes_remove_memory(session, buffer->memory);
    pthread_mutex_unlock(&session->buffers_lock);
    free(buffer);
}
