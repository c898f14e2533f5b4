/* OpenLDAP's client library for Swift; each function below stands for what Swift cannot call itself. */
#ifndef CLDAP_H
#define CLDAP_H

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

#endif
