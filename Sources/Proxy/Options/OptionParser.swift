/// Turns command line and configuration file into ``Options``. The command line wins in everything.
struct OptionParser {
    let list: [OptionDeclaration]
    let directory: String
    let files: OptionFiles

    /// What has been read so far.
    struct Reading {
        var options = Options()
        var notes: [String] = []
        var places = OptionPlaces()
        /// What is wrong, where reading goes on after it; nil where the first fault ends it.
        var faults: [OptionError]?

        /// Takes note of a fault, or throws it.
        mutating func note(_ fault: OptionError) throws(OptionError) {
            guard faults != nil else { throw fault }
            faults?.append(fault)
        }
    }

    /// Reads everything, up to the first fault.
    func parse(_ arguments: [String]) throws(OptionError) -> Invocation {
        let words = try CommandLineWords(arguments.dropFirst(), list: list).words
        if words.contains(where: { $0.option.kind.action == .help }) { return .print(OptionHelp.text(list)) }
        if words.contains(where: { $0.option.kind.action == .sample }) { return .print(SampleConfiguration.text(list)) }
        if let word = words.last(where: { $0.option.kind.action == .completion }) { return try completion(word) }
        var reading = Reading()
        try read(words, program: arguments.first, into: &reading)
        let connects = words.contains { $0.option.kind.action == .connect }
        if let user = words.last(where: { $0.option.kind.action == .explain })?.value {
            return .explain(reading.options, user: user, connects: connects)
        }
        guard !connects else { throw OptionError("--connect: it goes with --explain: write --explain USER --connect") }
        return .serve(reading.options, notes: reading.notes)
    }

    /// Reads everything, whatever is wrong with it; that is in the reading's faults.
    func check(_ arguments: [String]) -> Reading {
        var reading = Reading()
        let (words, fault) = CommandLineWords.asFarAsPossible(arguments.dropFirst(), list: list)
        reading.faults = fault.map { [$0] } ?? []
        do throws(OptionError) {
            try read(words, program: arguments.first, into: &reading)
        } catch {
            reading.faults?.append(error)
        }
        return reading
    }

    private func read(
        _ words: [CommandLineWords.Word], program: String?, into reading: inout Reading
    ) throws(OptionError) {
        let defaultName = reading.options.programName
        reading.options.programName = program?.split(separator: "/").last.map(String.init) ?? defaultName
        reading.options.protocolName = ProtocolName(programName: reading.options.programName)
        let chosen = words.last { $0.option.kind.action == .configFile }?.value
        var file: FoundFile?
        do throws(OptionError) {
            file = try configurationFile(chosen, programName: reading.options.programName)
        } catch {
            try reading.note(error)
        }
        if let file { try apply(file, to: &reading) }
        try apply(words, to: &reading)
        reading.options.configFile = file?.path
        for fault in reading.options.finish(reading.places) { try reading.note(fault) }
    }

    private func completion(_ word: CommandLineWords.Word) throws(OptionError) -> Invocation {
        var unused = Options()
        do {
            try word.option.kind.take(&unused, word.value, word.option)
        } catch {
            throw OptionError(error.original)
        }
        return .print(ShellCompletion.Shell(rawValue: word.value)?.script(list) ?? "")
    }

    // MARK: Command line

    private func apply(_ words: [CommandLineWords.Word], to reading: inout Reading) throws(OptionError) {
        var seen: Set<String> = []
        for word in words {
            let option = word.option
            if seen.insert(option.name).inserted {
                if option.kind.accumulates { option.kind.reset(&reading.options) }
                reading.places.forget(option)
            }
            do {
                try option.kind.take(&reading.options, word.value, option)
            } catch {
                try reading.note(OptionError(error.original))
            }
            note(option, at: "", in: &reading.notes)
        }
    }

    private func note(_ option: OptionDeclaration, at place: String, in notes: inout [String]) {
        guard let replacement = option.replacement else { return }
        notes.append("\(place)--\(option.name) is deprecated: use \(replacement)")
    }

    // MARK: Configuration file

    private struct FoundFile {
        let path: String
        let bytes: [UInt8]
    }

    /// The file that `--config_file` chose, or the first that exists of those the program's name stands for.
    private func configurationFile(_ chosen: String?, programName: String) throws(OptionError) -> FoundFile? {
        if let chosen {
            guard !chosen.isEmpty else { return nil }
            let path = chosen.hasPrefix("/") || directory.isEmpty ? chosen : "\(directory)/\(chosen)"
            switch files.read(path) {
            case .bytes(let bytes): return FoundFile(path: path, bytes: bytes)
            case .absent: throw OptionError("\(path): there is no such configuration file")
            case .failed(let reason): throw OptionError("\(path): the configuration file cannot be read: \(reason)")
            }
        }
        for path in OptionFiles.candidates(programName: programName) {
            switch files.read(path) {
            case .bytes(let bytes): return FoundFile(path: path, bytes: bytes)
            case .absent: continue
            case .failed(let reason): throw OptionError("\(path): the configuration file cannot be read: \(reason)")
            }
        }
        return nil
    }

    private func apply(_ file: FoundFile, to reading: inout Reading) throws(OptionError) {
        var fault: OptionError?
        let content = ConfigurationFile(path: file.path, bytes: file.bytes, fault: &fault)
        if let fault { try reading.note(fault) }
        for entry in content.entries {
            do throws(OptionError) {
                try apply(entry, at: "\(file.path):\(entry.line)", to: &reading)
            } catch {
                try reading.note(error)
            }
        }
    }

    private func apply(
        _ entry: ConfigurationFile.Entry, at place: String, to reading: inout Reading
    ) throws(OptionError) {
        let option = try declaration(of: entry, at: place)
        guard option.kind.action == .set else { return }
        if option.kind.valueName == nil, let value = entry.value {
            throw OptionError(
                "\(place): option \(entry.key): \"\(value)\" follows an option that takes no value: "
                    + "write \(entry.key) alone, or leave the line out")
        }
        guard option.kind.valueName == nil || entry.value != nil else {
            throw OptionError(
                "\(place): option \(entry.key): the value is missing: "
                    + "write it behind the name, or \"\" for an empty one")
        }
        do {
            try option.kind.take(&reading.options, entry.value ?? "", option)
        } catch {
            throw OptionError("\(place): option \(entry.key): \(error.wrong): \(error.instead)")
        }
        reading.places.note(option, at: place)
        note(option, at: "\(place): ", in: &reading.notes)
    }

    private func declaration(of entry: ConfigurationFile.Entry, at place: String) throws(OptionError)
        -> OptionDeclaration
    {
        let key = entry.key
        let found = list.first { option in
            key.count == 1 ? option.letter.map(String.init) == key : option.name == key
        }
        if let found { return found }
        let advice: String
        var shown = key
        if key.hasPrefix("-") {
            advice = "write it without dashes"
        } else if let sign = key.firstIndex(of: "=") {
            let name = key[..<sign]
            let meant = list.first { $0.name == name || $0.letter.map(String.init) == String(name) }
            if meant?.kind.isSecret == true {
                shown = "\(name)=\(MapOptionMask.mark)"
            }
            advice = "write a blank instead of =, as in \(key[..<sign]) VALUE"
        } else if let near = nearest(to: key) {
            advice = "did you mean \(near)?"
        } else {
            advice = "--help lists those there are"
        }
        throw OptionError("\(place): option \(shown): there is no such option: \(advice)")
    }

    /// The option whose name differs from `key` least, if by two letters at most.
    private func nearest(to key: String) -> String? {
        let wanted = Array(key.lowercased().utf8.prefix(64))
        let distances = list.map { (name: $0.name, distance: editDistance(wanted, Array($0.name.utf8))) }
        return distances.filter { $0.distance <= 2 }.min { $0.distance < $1.distance }?.name
    }
}

/// How many letters have to be added, removed or replaced to make one word of the other.
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (i, byte) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in right.enumerated() {
            let replaced = diagonal + (byte == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[right.count]
}
