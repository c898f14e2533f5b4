/* OpenLDAP's client library for Swift; each function below stands for what Swift cannot call itself. */
#ifndef CLDAP_H
#define CLDAP_H

#include <errno.h>
#include <lber.h>
#include <ldap.h>
#include <openldap.h>

/* LDAP_OPT_OFF is a pointer cast from a number. */
static inline int ldap_chase_no_referrals(LDAP *ld) { return ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF); }

/* Sockbuf is an incomplete type behind a typedef, and ber_sockbuf_ctrl takes any pointer for any option. */
static inline int ldap_limit_message(LDAP *ld, ber_len_t bytes) {
    Sockbuf *buffer = NULL;
    if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &buffer) != LDAP_OPT_SUCCESS || buffer == NULL) return -1;
    return ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &bytes);
}

/* Waits until a descriptor can be read, or written; 0 where it is not to wait any longer. */
typedef int (*ldap_wait)(void *context, int writing);

/* A layer between the socket and TLS that waits where the socket has nothing yet. In C because the calls of the layer
   below are macros over tables of functions. */
struct ldap_waiting {
    ldap_wait wait;
    void *context;
};

static inline int ldap_waiting_setup(Sockbuf_IO_Desc *layer, void *argument) {
    layer->sbiod_pvt = argument;
    return 0;
}

static inline int ldap_waiting_ctrl(Sockbuf_IO_Desc *layer, int option, void *argument) {
    return LBER_SBIOD_CTRL_NEXT(layer, option, argument);
}

static inline int ldap_waiting_again(Sockbuf_IO_Desc *layer, int writing) {
    struct ldap_waiting *waiting = (struct ldap_waiting *)layer->sbiod_pvt;
    if (errno != EAGAIN && errno != EINTR) return 0;
    if (waiting->wait(waiting->context, writing)) return 1;
    errno = ETIMEDOUT;
    return 0;
}

static inline ber_slen_t ldap_waiting_read(Sockbuf_IO_Desc *layer, void *buffer, ber_len_t size) {
    ber_slen_t count;
    do count = LBER_SBIOD_READ_NEXT(layer, buffer, size);
    while (count < 0 && ldap_waiting_again(layer, 0));
    return count;
}

static inline ber_slen_t ldap_waiting_write(Sockbuf_IO_Desc *layer, void *buffer, ber_len_t size) {
    ber_slen_t count;
    do count = LBER_SBIOD_WRITE_NEXT(layer, buffer, size);
    while (count < 0 && ldap_waiting_again(layer, 1));
    return count;
}

/* ldap_install_tls(3) that ends: with GnuTLS the library tries for ever, without a pause, while the other end is silent,
   whatever LDAP_OPT_NETWORK_TIMEOUT says. */
static inline int ldap_install_tls_waiting(LDAP *ld, ldap_wait wait, void *context) {
    static Sockbuf_IO layer = {
        ldap_waiting_setup, NULL, ldap_waiting_ctrl, ldap_waiting_read, ldap_waiting_write, NULL,
    };
    struct ldap_waiting waiting = {wait, context};
    Sockbuf *buffer = NULL;
    int code;
    if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &buffer) != LDAP_OPT_SUCCESS || buffer == NULL) return LDAP_LOCAL_ERROR;
    if (ber_sockbuf_add_io(buffer, &layer, LBER_SBIOD_LEVEL_PROVIDER + 1, &waiting) != 0) return LDAP_LOCAL_ERROR;
    code = ldap_install_tls(ld);
    ber_sockbuf_remove_io(buffer, &layer, LBER_SBIOD_LEVEL_PROVIDER + 1);
    return code;
}

#endif
