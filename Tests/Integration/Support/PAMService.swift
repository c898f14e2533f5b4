import Foundation
import Glibc

/// A service in /etc/pam.d for one test, and a provider directory whose helper asks it. Both go with the object.
final class PAMService {
    /// Files there and local users can be made by root only.
    static let isPossible = geteuid() == 0

    let name: String
    let directory: TemporaryDirectory
    private var user: String?

    /// - Parameter lines: of the service's file.
    init(_ lines: [String]) throws {
        name = "perdition-test-\(UUID().uuidString.prefix(8).lowercased())"
        directory = try TemporaryDirectory()
        try write(lines)
        let helper = try Programs.authPAM.get()
        try directory.write(
            "#!/bin/sh\nexec \(helper) --service \(name) \"$@\"\n", to: "perdition-auth-pam")
        chmod(directory.file("perdition-auth-pam"), 0o755)
    }

    deinit {
        unlink("/etc/pam.d/\(name)")
        if let user { _ = try? ChildProcess.run(Programs.debian("userdel"), [user]) }
    }

    /// Changes the service.
    func write(_ lines: [String]) throws {
        try Data(lines.map { "\($0)\n" }.joined().utf8).write(to: URL(fileURLWithPath: "/etc/pam.d/\(name)"))
    }

    /// Makes a local user, who goes with the object.
    func makeUser(password: String) throws -> String {
        let user = "pt\(UUID().uuidString.prefix(8).lowercased())"
        let made = try ChildProcess.run(
            Programs.debian("useradd"), ["--no-create-home", "--shell", "/bin/false", user])
        guard made.status == 0 else { throw Failure("useradd: \(made)") }
        self.user = user
        let set = try ChildProcess.run(Programs.debian("chpasswd"), input: "\(user):\(password)\n")
        guard set.status == 0 else { throw Failure("chpasswd: \(set)") }
        return user
    }

    /// A service whose password is always `secret`, with a program that says so, and notes what it was asked.
    convenience init(seconds: Double = 0) throws {
        try self.init([])
        let script = """
            #!/bin/sh
            password=$(tr -d '\\0')
            echo "$PAM_SERVICE $PAM_TYPE $PAM_USER $PAM_RUSER $PAM_RHOST" >> \(directory.file("asked"))
            sleep \(seconds)
            [ "$password" = secret ]

            """
        try directory.write(script, to: "check")
        chmod(directory.file("check"), 0o755)
        try write([
            "auth required pam_exec.so quiet expose_authtok \(directory.file("check"))",
            "account required pam_permit.so",
        ])
    }

    /// What the program was asked so far.
    var asked: [String] { directory.text("asked").split(separator: "\n").map(String.init) }

    /// What perdition is started with.
    var options: [String] { ["--authenticate_in", "--map_provider_dir", directory.path] }
}
