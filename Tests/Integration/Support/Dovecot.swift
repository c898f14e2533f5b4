import Foundation
import Glibc

/// A real mail store: Debian's Dovecot with its own configuration, users and mail, as root or not.
final class Dovecot {
    let imapPort: UInt16
    let pop3Port: UInt16
    /// Where Pigeonhole's ManageSieve listens; 0 where it does not.
    let sievePort: UInt16
    /// Where it speaks TLS from the first byte; nil without a certificate.
    let imapsPort: UInt16?
    let pop3sPort: UInt16?
    private let directory: TemporaryDirectory
    private let process: ChildProcess

    /// Starts it and waits until it listens.
    ///
    /// - Parameters:
    ///   - users: Names and passwords.
    ///   - label: Stands in the welcome message that each user finds.
    ///   - identity: Its certificate, for TLS; nil: it speaks none.
    ///   - demandsTLS: It takes no password in clear text.
    ///   - sieve: Whether users may keep Sieve scripts.
    ///   - extra: Further files by name, where FOLDER stands for their folder; `dovecot.conf` is added to the
    ///     configuration, which then keeps the passwords of `users` to mechanisms that send one.
    init(
        users: [String: String], label: String = "A", identity: Authority.Identity? = nil, demandsTLS: Bool = false,
        sieve: Bool = false, extra: [String: String] = [:]
    ) throws {
        directory = try TemporaryDirectory()
        imapPort = try FreePort.next()
        pop3Port = try FreePort.next()
        imapsPort = try identity.map { _ in try FreePort.next() }
        pop3sPort = try identity.map { _ in try FreePort.next() }
        sievePort = sieve ? try FreePort.next() : 0
        try directory.write(users.map { "\($0.key):\($0.value)\n" }.joined(), to: "users")
        let further = extra.mapValues { [folder = directory.path] in $0.replacing("FOLDER", with: folder) }
        for (name, text) in further where name != "dovecot.conf" {
            if let folder = name.lastIndex(of: "/") { _ = try directory.folder(String(name[..<folder])) }
            try directory.write(text, to: name)
        }
        let config = try directory.write(
            (further["dovecot.conf"] ?? "") + "\n"
                + Dovecot.configuration(
                    folder: directory.path, tls: Dovecot.tls(identity, isDemanded: demandsTLS),
                    logins: [Dovecot.login("imap", imapPort, imapsPort), Dovecot.login("pop3", pop3Port, pop3sPort)],
                    mechanisms: extra.isEmpty ? "" : "mechanisms = plain login")
                + (sieve ? Dovecot.sieve(sievePort) : ""),
            to: "dovecot.conf")
        for user in users.keys {
            for folder in ["new", "cur", "tmp"] { _ = try directory.folder("home/\(user)/Maildir/\(folder)") }
            let text = "Subject: Welcome to \(label)\n\nHello \(user), this is \(label).\n"
            try directory.write(text, to: "home/\(user)/Maildir/new/1.\(user).welcome")
        }
        try Dovecot.giveAway(directory.file("home"))
        process = try ChildProcess(Programs.debian("dovecot"), ["-F", "-c", config], log: directory.file("log"))
        try process.waitUntilListening(on: imapPort)
        for port in [pop3Port, imapsPort, pop3sPort].compactMap(\.self) { try process.waitUntilListening(on: port) }
        if sieve { try process.waitUntilListening(on: sievePort) }
    }

    func port(_ flavour: Flavour) -> UInt16 {
        flavour == .imap4 ? imapPort : pop3Port
    }

    /// Where it speaks TLS from the first byte.
    func securePort(_ flavour: Flavour) throws -> UInt16 {
        guard let port = flavour == .imap4 ? imapsPort : pop3sPort else { throw Failure("this Dovecot has no TLS") }
        return port
    }

    /// Puts a message into a user's mailbox, as a mail server would.
    func deliver(_ message: Data, to user: String, name: String) throws {
        let waiting = "home/\(user)/Maildir/tmp/\(name)"
        try directory.write(message, to: waiting)
        try Dovecot.giveAway(directory.file(waiting))
        guard rename(directory.file(waiting), directory.file("home/\(user)/Maildir/new/\(name)")) == 0 else {
            throw Failure.system("rename")
        }
    }

    var log: String { process.log }

    /// Root must not own mail: it goes to nobody then.
    private static func giveAway(_ path: String) throws {
        guard getuid() == 0 else { return }
        let (uid, gid) = (owner.uid, owner.gid)
        chown(path, uid, gid)
        let inside = FileManager.default.enumerator(atPath: path)
        while let name = inside?.nextObject() as? String { chown("\(path)/\(name)", uid, gid) }
    }

    private static var owner: (uid: uid_t, gid: gid_t) {
        guard getuid() == 0, let nobody = getpwnam("nobody") else { return (getuid(), getgid()) }
        return (nobody.pointee.pw_uid, nobody.pointee.pw_gid)
    }

    private static func tls(_ identity: Authority.Identity?, isDemanded: Bool) -> String {
        guard let identity else { return "ssl = no" }
        return """
            ssl = \(isDemanded ? "required" : "yes")
            ssl_cert = <\(identity.chain)
            ssl_key = <\(identity.key)
            """
    }

    private static func configuration(
        folder: String, tls: String, logins: [String], mechanisms: String
    ) -> String {
        let isRoot = getuid() == 0
        let me = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "nobody"
        let group = getgrgid(getgid()).map { String(cString: $0.pointee.gr_name) } ?? "nogroup"
        return """
            protocols = imap pop3
            listen = 127.0.0.1
            base_dir = \(folder)/run
            state_dir = \(folder)/state
            log_path = \(folder)/log
            \(tls)
            disable_plaintext_auth = no
            auth_failure_delay = 0
            mail_max_userip_connections = 0
            default_internal_user = \(isRoot ? "dovecot" : me)
            default_internal_group = \(isRoot ? "dovecot" : group)
            default_login_user = \(isRoot ? "dovenull" : me)
            mail_location = maildir:~/Maildir
            first_valid_uid = \(owner.uid)
            passdb {
              driver = passwd-file
              \(mechanisms)
              args = scheme=PLAIN \(folder)/users
            }
            userdb {
              driver = static
              args = uid=\(owner.uid) gid=\(owner.gid) home=\(folder)/home/%u
            }
            \(logins.joined(separator: "\n"))
            service imap {
              service_count = 0
            }
            service pop3 {
              service_count = 0
            }
            service anvil {
              chroot =
              unix_listener anvil-auth-penalty {
                mode = 0
              }
            }
            service stats {
              chroot =
            }
            """
    }

    private static func sieve(_ port: UInt16) -> String {
        """

        protocols = imap pop3 sieve
        plugin {
          sieve = file:~/sieve;active=~/.dovecot.sieve
        }
        service managesieve-login {
          chroot =
          service_count = 0
          inet_listener sieve {
            port = \(port)
          }
        }
        """
    }

    private static func login(_ name: String, _ port: UInt16, _ securePort: UInt16?) -> String {
        """
        service \(name)-login {
          chroot =
          service_count = 0
          inet_listener \(name) {
            port = \(port)
          }
          inet_listener \(name)s {
            port = \(securePort ?? 0)
          }
        }
        """
    }
}
