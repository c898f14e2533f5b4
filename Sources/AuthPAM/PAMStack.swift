import Authentication
import CPAM
import Glibc

/// A service of PAM, as /etc/pam.d has it.
struct PAMStack {
    /// Its name.
    let service: String

    /// A verdict, and what PAM said to come to it.
    struct Outcome {
        /// What the proxy hears.
        var verdict: AuthenticationVerdict
        /// PAM's words, for the log.
        var reason: String
    }

    /// Results that say no: the user, the password or the account is at fault.
    ///
    /// PAM_SYSTEM_ERR is among them because it is what pam_exec(8) makes of a program that says no. All others mean that
    /// a module, or what it asks, does not work.
    private static let refusals: Set<Int32> = [
        PAM_AUTH_ERR, PAM_USER_UNKNOWN, PAM_MAXTRIES, PAM_PERM_DENIED, PAM_ACCT_EXPIRED, PAM_CRED_EXPIRED,
        PAM_NEW_AUTHTOK_REQD, PAM_AUTHTOK_EXPIRED, PAM_SYSTEM_ERR,
    ]

    /// Authenticates a user and looks whether the account may be used. Blocks as long as the modules do.
    /// - Parameters:
    ///   - user: the name.
    ///   - client: where the user connects from, for the modules; may be empty.
    ///   - password: what the modules get when they ask for one.
    func check(
        user: UnsafePointer<CChar>, client: UnsafePointer<CChar>, password: UnsafePointer<CChar>
    ) -> Outcome {
        // Modules would ask for a name where there is none.
        guard user.pointee != 0 else { return Outcome(verdict: .refused(delay: 0), reason: "no user name") }
        var conversation = Conversation(user: user, password: password)
        var step = "pam_start"
        var handle: OpaquePointer?
        var results: (last: Int32, reason: String) = (PAM_SUCCESS, "")
        results = conversation.withPAM { functions in
            var result = pam_start(service, user, functions, &handle)
            guard result == PAM_SUCCESS, let handle else { return (result, "cannot start") }
            if client.pointee != 0 { result = pam_set_item(handle, PAM_RHOST, client) }
            if result == PAM_SUCCESS { result = pam_set_item(handle, PAM_RUSER, user) }
            if result == PAM_SUCCESS { result = pam_set_fail_delay(handle, Conversation.noteDelay) }
            if result == PAM_SUCCESS {
                step = "pam_authenticate"
                result = pam_authenticate(handle, 0)
            }
            if result == PAM_SUCCESS {
                step = "pam_acct_mgmt"
                result = pam_acct_mgmt(handle, 0)
            }
            let reason = pam_strerror(handle, result).map { String(cString: $0) } ?? "error \(result)"
            pam_end(handle, result)
            return (result, reason)
        }
        let reason = "\(step): \(results.reason)"
        if results.last == PAM_SUCCESS, handle != nil { return Outcome(verdict: .accepted, reason: reason) }
        if step != "pam_start", Self.refusals.contains(results.last) {
            return Outcome(verdict: .refused(delay: UInt64(conversation.delay / 1000)), reason: reason)
        }
        return Outcome(verdict: .unavailable("PAM service \(service): \(reason)"), reason: reason)
    }
}
