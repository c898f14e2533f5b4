import Glibc
import Lookup

/// What finds a user's real server, and checks passwords.
extension Check {
    mutating func checkMaps() {
        guard let list = try? MapList(options) else { return }
        var found: [(entry: MapList.Entry, place: String)] = []
        for entry in list.entries {
            do {
                _ = try MapProvider.choose(entry.library, directories: Master.providerDirectories(options))
                found.append((entry, "--map_library \(entry.library)"))
            } catch {
                self.error("map_library", "\(error)")
            }
            if !entry.takesOptions { checkSocket(entry.library) }
        }
        for (entry, place) in found {
            do {
                let answer = try MapInquiry.ask(entry, options, directory: directory, identity: identity)
                switch answer {
                case .found, .notFound: break
                case .temporary(let reason), .permanent(let reason):
                    error("map_library", "\(place): the map cannot be asked: \(Printable.text(reason.utf8))")
                }
            } catch {
                self.error("map_library", "\(place): \(error)")
            }
        }
    }

    /// A provider that runs already is asked here with rights that the worker does not have.
    private mutating func checkSocket(_ library: String) {
        let socket = String(library.dropFirst(MapList.socketPrefix.utf8.count))
        guard let identity, access(socket, F_OK) == 0 else { return }
        let option = "map_library"
        let (user, group) = (options.username, options.group)
        if let directory = Self.barrier(above: socket, identity) {
            error(
                option,
                "--\(option) \(library): \(user) (--username) must not enter \(directory): let it with chmod, or say "
                    + "--username and --group of somebody who may")
        } else if !Self.canWrite(socket, identity) {
            error(
                option,
                "--\(option) \(library): \(user) (--username) must not write to that socket: give it to the group "
                    + "\(group) with mode 660 (SocketGroup= of its unit), or say --group of one who may")
        }
    }

    mutating func checkPAM() {
        guard options.authenticateIn else { return }
        let option = "authenticate_in"
        do throws(Authenticator.Failure) {
            _ = try Authenticator.find(options, directories: Master.providerDirectories(options))
        } catch {
            self.error(option, "\(error)")
        }
        if let text = Authenticator.warning(options, isRoot: isRoot) { warning(option, text) }
        let services = ["/etc/pam.d", "/usr/lib/pam.d"].map { "\($0)/\(Authenticator.service)" }
        if !services.contains(where: { access($0, F_OK) == 0 }) {
            error(
                option,
                "--\(option): there is no \(services[0]), and PAM's service for others refuses everybody: make it, as in "
                    + "docs/examples/pam.d")
        }
    }

    mutating func checkRouting() {
        for format in options.queryKey where QueryKey(format) == nil {
            warning(
                "query_key",
                "--query_key \(format): it holds an unknown escape, and is left out: --help has those there are")
        }
        if options.mapLibrary.isEmpty, options.outgoingServer.isEmpty, !options.clientServerSpecification {
            findings.warning(
                "nobody has a real server: give --map_library, --outgoing_server or --client_server_specification")
        }
        guard !options.outgoingServer.isEmpty else { return }
        let faults = (try? NameInquiry.faults(of: options.outgoingServer, options)) ?? []
        for (server, reason) in faults { warning("outgoing_server", "--outgoing_server \(server): \(reason)") }
    }
}
