import Glibc

/// The program that authenticates for `--authenticate_in`, with rights the worker does not have.
enum Authenticator {
    /// The name of its file.
    static let name = "perdition-auth-pam"
    /// The service of PAM it asks, a file in /etc/pam.d.
    static let service = "perdition"

    /// Why there is none; a sentence that names the option and the remedy.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Its file, where the option asks for it.
    /// - Parameters:
    ///   - directories: where it may be: beside the map providers.
    ///   - isProgram: whether a file can be executed.
    static func find(
        _ options: Options, directories: [String], isProgram: (String) -> Bool = { access($0, X_OK) == 0 }
    ) throws(Failure) -> String? {
        guard options.authenticateIn else { return nil }
        for directory in directories where isProgram("\(directory)/\(name)") { return "\(directory)/\(name)" }
        throw Failure(
            description: """
                --authenticate_in: there is no \(name) in \(directories.joined(separator: " or ")); install it, or say \
                where it is with --map_provider_dir
                """)
    }

    /// What is to be said about it at the start.
    static func warning(_ options: Options, isRoot: Bool) -> String? {
        guard options.authenticateIn, !isRoot else { return nil }
        return """
            --authenticate_in without root's rights: modules of PAM that need them, pam_unix for one, will refuse every \
            user; start perdition as root
            """
    }
}
