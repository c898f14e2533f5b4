import PopmapFile

@testable import Proxy
@testable import QuotedText

/// Configuration files, and what the options make of them.
@Sendable func configuration(_ bytes: [UInt8]) {
    let path = "/c.conf"
    let parser = OptionParser(
        list: OptionList.all, directory: "/", files: OptionFiles { $0 == path ? .bytes(bytes) : .absent })
    let result: Result<Invocation, OptionError>
    do throws(OptionError) {
        result = .success(try parser.parse(["perdition.imap4", "-f", path]))
    } catch {
        result = .failure(error)
    }
    if case .success(.serve(let options, let notes)) = result {
        for line in options.dumpLines { check(!line.utf8.contains { $0 == 10 || $0 == 13 }, "an option is one line") }
        check(options.checksumText.utf8.count == 8, "a checksum has eight digits")
        check(notes.count <= bytes.count, "a note is about a line")
        _ = Settings(options)
    }

    guard let file = try? ConfigurationFile(path: path, bytes: bytes) else {
        if case .success = result { fatalError("property broken: no options from a broken file") }
        return
    }
    var written: [UInt8] = []
    var size = 0
    for entry in file.entries {
        check(entry.line >= 1 && entry.line <= bytes.count + 1, "an entry has its line")
        size += entry.key.utf8.count + (entry.value?.utf8.count ?? 0)
        written += escaped(entry.key)
        if let value = entry.value { written += [32] + escaped(value) }
        written.append(10)
    }
    check(size <= bytes.count, "entries are a part of their file")
    guard let again = try? ConfigurationFile(path: path, bytes: written) else {
        fatalError("property broken: what was read can be written")
    }
    check(
        again.entries.map(\.key) == file.entries.map(\.key) && again.entries.map(\.value) == file.entries.map(\.value),
        "a file is read as it was written")
}

private func escaped(_ text: String) -> [UInt8] {
    text.isEmpty ? Array("\"\"".utf8) : text.utf8.flatMap { [UInt8(ascii: "\\"), $0] }
}

/// Lines of the text that databases are made of, and the tokens of popmap.re.
@Sendable func popmap(_ bytes: [UInt8]) {
    if case .entry(let key, let value) = PopmapText.line(bytes[...]) {
        check(key + [UInt8(ascii: ":")] + value == bytes, "an entry is its line")
        check(!key.isEmpty && !value.isEmpty && !key.contains(UInt8(ascii: ":")), "a key, a colon and a value")
    }
    var source = QuotedText(bytes)
    var tokens = 0
    do throws(QuotedText.Failure) {
        while !source.isAtEnd {
            if case .byte(0, bare: true) = try source.token() { fatalError("property broken: no bare NUL") }
            tokens += 1
            check(tokens <= bytes.count * 2 + 1, "the end of a text is reached")
        }
    } catch {
        check(error.line >= 1 && error.line <= bytes.count + 1, "a fault has its line")
    }
}

/// Option strings of map providers as the log shows them: never with the password.
@Sendable func mapOptions(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let kind = input.byte()
    let library = ["mysql", "postgres", "ldap", "/usr/libexec/perdition/perdition-map-mysql"][Int(kind) & 3]
    // Brackets are a host's alone: around an address they take the fields there for it, and the provider does as well.
    let words = (0..<9).map { clean(input.text(), without: ":?,@=/ '\"\\;&" + ($0 == 0 ? "" : "[]")) }
    let secret = "Zq9" + clean(input.text(), without: ":?,@=/ '\"\\;&#%[]").filter(\.isASCII)
    guard !words.contains(where: { $0.contains("Zq9") }) else { return }
    let options: String =
        switch (kind >> 2) & 3 {
        case _ where kind & 3 == 2:
            "ldap://\(words[0])/\(words[1])?\(words[2])?sub?\(words[3])?bindname=\(words[4]),x-bindpw=\(secret)"
        case 0: "\(words[0]):3306:\(words[1]):\(words[2]):\(words[3]):\(secret):\(words[4])"
        case 1: "host=\(words[0]) user=\(words[1]) password=\(secret) dbname=\(words[2])"
        case 2: "password = '\(secret)' host='\(words[0])'"
        default: "postgresql://\(words[0]):\(secret)@\(words[1])/\(words[2])?\(words[3])=\(words[4])"
        }
    check(!MapOptionMask.text(options, library: library).contains(secret), "no password is shown: \(options)")
    // Any text at all: an answer, in no more words than there were.
    let all = String(decoding: bytes, as: UTF8.self)
    let shown = MapOptionMask.text(all, library: library)
    check(shown.utf8.count <= all.utf8.count * 4 + 8, "no more is shown than there is")
}

private func clean(_ text: String, without letters: String) -> String {
    String(text.filter { !letters.contains($0) && !$0.isWhitespace && !$0.isNewline })
}
