import Daemon
import Glibc
import Loop

/// `--check`: looks at everything the program would need to serve, goes on after what is wrong, and changes nothing.
///
/// Each step uses what the start uses; only what would disturb a program that serves is done in another way: ports are
/// bound and not listened on, log and pid file are not made.
struct Check {
    /// Days a certificate is to be good for yet.
    static let certificateDays = 14

    var findings = Findings()
    let options: Options
    let places: OptionPlaces
    let directory: String
    let isRoot = geteuid() == 0
    /// Who would serve; nil where nobody of that name is found, or nobody changes.
    private(set) var identity: Identity?

    /// Checks everything that a command line asks for.
    /// - Returns: what to print, and the exit status.
    static func run(
        _ arguments: [String], directory: String, files: OptionFiles = .system
    ) -> (text: String, status: Int32) {
        let reading = OptionParser(list: OptionList.all, directory: directory, files: files).check(arguments)
        var check = Check(reading, directory: directory)
        check.checkEverything()
        return (check.findings.text, check.findings.status)
    }

    init(_ reading: OptionParser.Reading, directory: String) {
        options = reading.options
        places = reading.places
        self.directory = directory
        for fault in reading.faults ?? [] { findings.error(fault.description) }
        for note in reading.notes { findings.warning(note) }
    }

    mutating func checkEverything() {
        checkIdentity()
        checkLog()
        checkPidFile()
        checkTLS()
        checkPorts()
        checkMaps()
        checkPAM()
        checkRouting()
    }

    // MARK: What is found

    /// Takes note of an error about an option, with the place where it was set.
    mutating func error(_ option: String, _ text: String) {
        findings.error(places.prefix(option) + text)
    }

    /// Takes note of something less about an option, with the place where it was set.
    mutating func warning(_ option: String, _ text: String) {
        findings.warning(places.prefix(option) + text)
    }

    /// Takes note of what only root can tell for certain.
    mutating func rootsError(_ option: String, _ text: String) {
        if isRoot {
            error(option, text)
        } else {
            warning(option, "\(text) (without root's rights; root may do better)")
        }
    }

    // MARK: Process

    mutating func checkIdentity() {
        var isKnown = true
        for (option, user, group) in [("username", options.username, "0"), ("group", "0", options.group)] {
            do throws(DaemonError) {
                _ = try Identity(user: user, group: group)
            } catch {
                isKnown = false
                let text = "\(error): make one, or name another"
                if isRoot { self.error(option, text) } else { warning(option, text) }
            }
        }
        if isRoot, isKnown { identity = try? Identity(user: options.username, group: options.group) }
    }

    mutating func checkLog() {
        guard case .file(let path)? = try? LogDestination(options.logFacility) else { return }
        let option = "log_facility"
        guard access(path, F_OK) == 0 else {
            if let fault = Self.faultOfDirectory(of: path) {
                rootsError(option, "--\(option) \(path): no file can be made there: \(fault)")
            }
            return
        }
        do throws(DaemonError) {
            // What exists is opened, and no more.
            _ = try LogSink(.file(path), name: options.programName)
        } catch {
            return rootsError(option, "--\(option) \(path): \(error)")
        }
        if let identity, !Self.canWrite(path, identity) {
            warning(
                option,
                "--\(option) \(path): \(options.username) must not write to it, so that SIGHUP cannot open it anew: chown it"
            )
        }
    }

    mutating func checkPidFile() {
        guard let path = options.pidFilePath else { return }
        do throws(DaemonError) {
            // A program that runs with this file is as it should be.
            if let pid = try PidFile.process(at: path) {
                let name = PortOwner.name(of: pid)
                guard !name.hasPrefix("perdition") else { return }
                // Numbers are given anew: after a crash of the machine, say. No start takes such a file away.
                return self.error(
                    "pid_file",
                    "--pid_file \(path): it names process \(pid) (\(name)), which is no perdition: remove the file")
            }
        } catch {
            return self.error("pid_file", "--pid_file \(path): \(error): remove it, or name another file")
        }
        if let fault = Self.faultOfDirectory(of: path, canBeMade: true) {
            rootsError("pid_file", "--pid_file \(path): it cannot be written: \(fault)")
        }
    }

    /// Why no file can be made in the directory of a path; nil where one can.
    /// - Parameter canBeMade: whether the directory would be made where it is missing.
    static func faultOfDirectory(of path: String, canBeMade: Bool = false) -> String? {
        let directory = parent(of: path)
        if access(directory, W_OK | X_OK) == 0 { return nil }
        let error = Errno.last
        guard canBeMade, error == Errno(ENOENT) else { return fault(directory, error) }
        let above = parent(of: directory)
        return access(above, W_OK | X_OK) == 0 ? nil : fault(above, .last)
    }

    private static func fault(_ directory: String, _ error: Errno) -> String {
        let remedy = error == Errno(ENOENT) ? "make that directory" : "let it be written there"
        return "\(directory): \(error): \(remedy), or name another place"
    }

    private static func parent(of path: String) -> String {
        let end = path.lastIndex(of: "/") ?? path.startIndex
        return end == path.startIndex ? "/" : String(path[..<end])
    }

    /// Whether a file's mode lets somebody write.
    static func canWrite(_ path: String, _ identity: Identity) -> Bool {
        allows(path, identity, S_IWUSR, S_IWGRP, S_IWOTH)
    }

    /// The first directory above a file whose mode does not let somebody go through; nil where none is in the way.
    static func barrier(above path: String, _ identity: Identity) -> String? {
        var way = ""
        for part in path.split(separator: "/").dropLast() {
            way += "/\(part)"
            if !allows(way, identity, S_IXUSR, S_IXGRP, S_IXOTH) { return way }
        }
        return nil
    }

    private static func allows(
        _ path: String, _ identity: Identity, _ owner: mode_t, _ group: mode_t, _ others: mode_t
    ) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0, identity.user != 0 else { return identity.user == 0 }
        if status.st_uid == identity.user { return status.st_mode & owner != 0 }
        if status.st_gid == identity.group { return status.st_mode & group != 0 }
        return status.st_mode & others != 0
    }
}
