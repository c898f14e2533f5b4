import Daemon
import Glibc
import Loop

/// Where clients come in.
extension Check {
    mutating func checkPorts() {
        guard !options.inetdMode else { return }
        for trial in Listening.trials(options) {
            let option = trial.option.split(separator: " ").first.map { String($0.dropFirst(2)) } ?? "listen"
            let place = places.prefix(option, mention: options.listen.isEmpty ? nil : trial.place)
            guard let fault = trial.fault else { continue }
            guard let address = trial.address, fault.code == Errno(EADDRINUSE) else {
                if fault.code == Errno(EACCES), !isRoot {
                    findings.warning("\(place)\(fault) (without root's rights; root may do better)")
                } else {
                    findings.error("\(place)\(fault)")
                }
                continue
            }
            let owners = PortOwner.all(of: address)
            if owners.contains(where: { isOurs($0.pid) }) { continue }
            guard let owner = owners.first else {
                findings.error("\(place)\(fault): end whoever listens there, or take another port")
                continue
            }
            let who = "\(trial.option): \(address) is taken by process \(owner.pid) (\(owner.name))"
            if owner.pid == 1 {
                findings.warning("\(place)\(who): well if that is this service's own socket unit")
            } else {
                findings.error("\(place)\(who): end it, or take another port")
            }
        }
    }

    /// Whether a process is a perdition that runs with this configuration already.
    private func isOurs(_ pid: pid_t) -> Bool {
        if let path = options.pidFilePath { return (try? PidFile.process(at: path)) == pid }
        // Without a pid file, by its command line.
        guard let words = PortOwner.commandLine(of: pid),
            let reading = try? OptionParser(
                list: OptionList.all, directory: PortOwner.directory(of: pid), files: .system
            )
            .parse(words),
            case .serve(let theirs, _) = reading
        else { return false }
        return theirs.programName == options.programName && theirs.configFile == options.configFile
            && theirs.listen == options.listen && theirs.bindAddress == options.bindAddress
            && theirs.listenPort == options.listenPort
    }
}
