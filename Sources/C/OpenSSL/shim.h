/* OpenSSL for Swift; each function below stands for a macro Swift cannot see. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
