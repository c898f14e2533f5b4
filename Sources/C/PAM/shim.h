/* Linux-PAM for Swift; each function below stands for what Swift cannot call itself. */
#include <security/pam_appl.h>

/* PAM_FAIL_DELAY takes a function where pam_set_item(3) has a pointer to data. */
static inline int pam_set_fail_delay(pam_handle_t *handle, void (*delay)(int, unsigned, void *)) {
    union {
        void (*function)(int, unsigned, void *);
        const void *data;
    } item = {.function = delay};
    return pam_set_item(handle, PAM_FAIL_DELAY, item.data);
}
