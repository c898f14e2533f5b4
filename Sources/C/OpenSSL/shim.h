/* OpenSSL for Swift; each function below stands for a macro Swift cannot see. */
#ifndef COPENSSL_H
#define COPENSSL_H

#include <openssl/bio.h>
#include <openssl/dh.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* The SSL_OP constants are function-like macros that shift a 64-bit one. */
static const uint64_t openssl_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t openssl_OP_CLEANSE_PLAINTEXT = SSL_OP_CLEANSE_PLAINTEXT;
static const uint64_t openssl_OP_IGNORE_UNEXPECTED_EOF = SSL_OP_IGNORE_UNEXPECTED_EOF;
static const uint64_t openssl_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t openssl_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t openssl_OP_NO_TICKET = SSL_OP_NO_TICKET;
static const uint64_t openssl_OP_PRIORITIZE_CHACHA = SSL_OP_PRIORITIZE_CHACHA;

/* SSL_CTX_set_mode is a macro around SSL_CTX_ctrl. */
static inline void openssl_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }

/* SSL_set_mode is a macro around SSL_ctrl. */
static inline void openssl_release_buffers(SSL *ssl) { SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS); }

/* SSL_CTX_set_read_ahead is a macro around SSL_CTX_ctrl. */
static inline void openssl_set_read_ahead(SSL_CTX *context) { SSL_CTX_set_read_ahead(context, 1); }

/* SSL_CTX_set_min_proto_version is a macro around SSL_CTX_ctrl. */
static inline int openssl_set_min_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}

/* SSL_CTX_set_max_proto_version is a macro around SSL_CTX_ctrl. */
static inline int openssl_set_max_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_max_proto_version(context, version);
}

/* SSL_CTX_set_session_cache_mode is a macro around SSL_CTX_ctrl. */
static inline void openssl_set_session_cache_mode(SSL_CTX *context, long mode) {
    SSL_CTX_set_session_cache_mode(context, mode);
}

/* SSL_CTX_set_dh_auto is a macro around SSL_CTX_ctrl. */
static inline void openssl_set_dh_auto(SSL_CTX *context) { SSL_CTX_set_dh_auto(context, 1); }

/* SSL_CTX_add0_chain_cert is a macro around SSL_CTX_ctrl. */
static inline int openssl_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return (int)SSL_CTX_add0_chain_cert(context, certificate);
}

/* SSL_CTX_build_cert_chain is a macro around SSL_CTX_ctrl. */
static inline int openssl_build_chain(SSL_CTX *context, int flags) {
    return (int)SSL_CTX_build_cert_chain(context, flags);
}

/* SSL_CTX_get0_chain_certs, sk_X509_num and sk_X509_value are macros. Lends a certificate; NULL beyond the last. */
static inline X509 *openssl_chain_certificate(SSL_CTX *context, int index) {
    STACK_OF(X509) *chain = NULL;
    if (SSL_CTX_get0_chain_certs(context, &chain) != 1 || chain == NULL || index >= sk_X509_num(chain)) return NULL;
    return sk_X509_value(chain, index);
}

/* SSL_set_tlsext_host_name is a macro around SSL_ctrl that casts away const. */
static inline int openssl_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

/* sk_SSL_COMP_num is a type-checking macro; whether this OpenSSL was built with any compression. */
static inline int openssl_compression_methods(void) {
    STACK_OF(SSL_COMP) *methods = SSL_COMP_get_compression_methods();
    return methods == NULL ? 0 : sk_SSL_COMP_num(methods);
}

/* sk_X509_pop is a type-checking macro. Lets go of what only the check of a chain needed, which OpenSSL would keep for as
   long as the connection: all but the peer's own certificate. Both functions return the stack that the SSL frees. */
static inline void openssl_drop_chain(SSL *ssl) {
    STACK_OF(X509) *shown = SSL_get_peer_cert_chain(ssl);
    while (shown != NULL && sk_X509_num(shown) > 1) X509_free(sk_X509_pop(shown));
    STACK_OF(X509) *verified = SSL_get0_verified_chain(ssl);
    while (verified != NULL && sk_X509_num(verified) > 0) X509_free(sk_X509_pop(verified));
}

/* SSL_get_tmp_key and SSL_get_peer_tmp_key are macros around SSL_ctrl, sk_SSL_CIPHER_reserve is a type-checking one. Lets
   go of what only a handshake needs and OpenSSL would keep for as long as the connection: the keys both sides made for it,
   ours with its private part, and the list of ciphers the client offered. The SSL frees what is left of them. */
static inline void openssl_drop_handshake(SSL *ssl) {
    EVP_PKEY *keys[2] = {NULL, NULL};
    if (!SSL_get_tmp_key(ssl, &keys[0])) keys[0] = NULL;
    if (!SSL_get_peer_tmp_key(ssl, &keys[1])) keys[1] = NULL;
    for (int index = 0; index < 2; index++) {
        if (keys[index] == NULL) continue;
        /* A key of no type is empty; that there is no such type is what it complains of. */
        EVP_PKEY_set_type(keys[index], EVP_PKEY_NONE);
        EVP_PKEY_free(keys[index]);
    }
    STACK_OF(SSL_CIPHER) *offered = SSL_get_client_ciphers(ssl);
    if (offered != NULL) {
        sk_SSL_CIPHER_zero(offered);
        sk_SSL_CIPHER_reserve(offered, 0);
    }
    ERR_clear_error();
}

/* sk_X509_new_null, sk_X509_push and sk_X509_pop_free are type-checking macros; a chain owns its certificates. */
static inline STACK_OF(X509) *openssl_new_chain(void) { return sk_X509_new_null(); }
static inline int openssl_push_chain(STACK_OF(X509) *chain, X509 *next) { return sk_X509_push(chain, next); }
static inline void openssl_free_chain(STACK_OF(X509) *chain) { sk_X509_pop_free(chain, X509_free); }

/* sk_GENERAL_NAME_num is a type-checking macro. */
static inline int openssl_names_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }

/* sk_GENERAL_NAME_value is a type-checking macro, and GENERAL_NAME holds a union. */
static inline const ASN1_STRING *openssl_names_value(const GENERAL_NAMES *names, int index, int *type) {
    return (const ASN1_STRING *)GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, index), type);
}

/* OSSL_PARAM is an array that ends with a macro's value; the code that a ticket is signed with. */
static inline int openssl_set_ticket_mac(EVP_MAC_CTX *mac, unsigned char *key, size_t size) {
    OSSL_PARAM settings[] = {
        OSSL_PARAM_construct_octet_string("key", key, size),
        OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, settings);
}

#endif
