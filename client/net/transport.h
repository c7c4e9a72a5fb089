/*
 * TCP to a server, blocking, with deadlines. Stateless helpers; any thread. Deadlines are times of
 * sealio_now_ms().
 */
#ifndef CLIENT_NET_TRANSPORT_H
#define CLIENT_NET_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t sealio_now_ms(void);

/* Connects to the first address of host that answers. 0 and a blocking socket with TCP_NODELAY,
 * -ENOENT when the name is not known, or the last address's error. */
int sealio_connect(const char *host, uint16_t port, uint64_t deadline_ms, int *out);

/* Is the other end on this machine, by its address? Who reaches himself does so from the address
 * that he asks for, or within 127.0.0.0/8. */
bool sealio_is_local(int fd);
bool sealio_is_one_machine(const struct sockaddr_storage *own, const struct sockaddr_storage *peer);

/* Sends everything; iov is used up. 0, -ETIMEDOUT, or a negative errno: the stream is then cut in
 * the middle of a record. */
int sealio_send(int fd, struct iovec *iov, unsigned count, uint64_t deadline_ms);

#endif
