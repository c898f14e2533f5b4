extension Options {
    /// What is in force, for the log of a start with `--debug`: one line without and one with the ssl_ options, each
    /// `name=value` with a comma and a blank between. Secrets are `***`, in a `map_library_opt` the password alone where it
    /// is known for certain which part that is.
    public var dumpLines: [String] {
        let shown = OptionList.all.filter { $0.kind.action.isSetting && $0.replacement == nil }
        let tls = shown.filter { $0.section == .tls }
        return [shown.filter { $0.section != .tls }, tls].map { options in
            options.sorted { $0.name < $1.name }.map(dumpItem).joined(separator: ", ")
        }
    }

    private func dumpItem(_ option: OptionDeclaration) -> String {
        guard option.name == "map_library_opt", !mapLibraryOpt.isEmpty else {
            return "\(option.name)=\(dumpText(of: option))"
        }
        return shownMapOptions.map { "\(option.name)=\"\($0)\"" }.joined(separator: ", ")
    }

    /// The option strings with their passwords masked; all of them, those without effect as well.
    private var shownMapOptions: [String] {
        guard let maps = try? MapList(self) else { return mapLibraryOpt.map { _ in MapOptionMask.mark } }
        let libraries = maps.entries.filter(\.takesOptions).map(\.library)
        return mapLibraryOpt.enumerated().map { number, text in
            let library = libraries.count > 1 ? libraries[min(number, libraries.count - 1)] : libraries.first
            return MapOptionMask.text(text, library: library ?? "")
        }
    }

    private func dumpText(of option: OptionDeclaration) -> String {
        if option.name == "pid_file" { return "\"\(pidFilePath ?? "")\"" }
        if option.name == "outgoing_port" { return "\"\(outgoingPortText)\"" }
        let value = option.kind.show(self)
        if option.kind.isNumber || option.kind.valueName == nil { return value }
        return option.kind.isSecret && !value.isEmpty ? "\"\(MapOptionMask.mark)\"" : "\"\(value)\""
    }

    /// The same for equal options and, but for chance, different for others: 8 hex digits of the greeting, by which a
    /// perdition that was sent to itself knows its own voice (FNV-1a).
    ///
    /// It is made of ``dumpLines``, with nothing of `map_library_opt`: a sum that every client sees must not depend on a
    /// secret, and the worker does not know it.
    public var checksum: UInt32 {
        var shown = self
        shown.mapLibraryOpt = mapLibraryOpt.map { _ in MapOptionMask.mark }
        var sum: UInt32 = 2_166_136_261
        for byte in shown.dumpLines.joined(separator: "\n").utf8 {
            sum = (sum ^ UInt32(byte)) &* 16_777_619
        }
        return sum
    }

    /// ``checksum`` as the greeting has it.
    public var checksumText: String {
        let digits = String(checksum, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
