import Foundation
import Testing

@testable import Proxy

/// The table and everything that is made from it or has to agree with it.
@Suite struct OptionsTableTests {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func document(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// `text` with single blanks between its words.
    static func words(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    /// ssl_ca_file of sslCaFile.
    static func optionName(of property: String) -> String {
        property.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
    }

    @Test func namesAndLettersAreUnique() {
        let names = OptionList.all.map(\.name)
        let letters = OptionList.all.compactMap(\.letter)
        #expect(Set(names).count == names.count)
        #expect(Set(letters).count == letters.count)
        #expect(names.allSatisfy { $0.count > 1 })
    }

    @Test func everyPropertyIsAnOption() {
        let properties = Mirror(reflecting: Options()).children.compactMap(\.label)
        let derived = ["programName", "addDomainDepth"]
        let fromProperties = properties.filter { !derived.contains($0) }
            .map { $0 == "protocolName" ? "protocol" : Self.optionName(of: $0) }
        let inTable = OptionList.all.filter { $0.replacement == nil && $0.kind.action.isSetting }
        #expect(Set(fromProperties) == Set(inTable.map(\.name)))
    }

    /// What perdition(8) of the C program lists, by its names.
    @Test func everyOptionOfTheOriginalIsThere() {
        let original = """
            A add_domain, authenticate_timeout, a authenticate_in, B no_bind_banner, b bind_address, C connection_logging,
            connect_relog, c client_server_specification, D domain_delimiter, d debug, e explicit_domain, F log_facility,
            f config_file, g group, h help, I capability, imap_capability, i inetd_mode, L connection_limit,
            l listen_port, login_disabled, log_passwd, lower_case, managesieve_capability, M map_library,
            m map_library_opt, no_daemon, n no_lookup, O ok_line, server_ok_line, o server_resp_line, P protocol,
            p outgoing_port, s outgoing_server, pid_file, pop_capability, S strip_domain, t timeout, tcp_keepalive,
            u username, U username_from_database, q quiet, query_key, ssl_mode, ssl_ca_chain_file, ssl_ca_file,
            ssl_ca_path, ssl_ca_accept_self_signed, ssl_cert_file, ssl_dh_params_file, ssl_cert_accept_self_signed,
            ssl_cert_accept_expired, ssl_cert_accept_not_yet_valid, ssl_cert_verify_depth, ssl_key_file,
            ssl_listen_ciphers, ssl_outgoing_ciphers, ssl_no_cert_verify, ssl_no_client_cert_verify, ssl_no_cn_verify,
            ssl_passphrase_fd, ssl_passphrase_file, ssl_listen_min_proto_version, ssl_outgoing_min_proto_version,
            ssl_listen_max_proto_version, ssl_outgoing_max_proto_version, ssl_listen_compression,
            ssl_outgoing_compression, ssl_no_cipher_server_preference
            """
        for entry in original.split(separator: ",") {
            let words = entry.split(whereSeparator: \.isWhitespace).map(String.init)
            let option = OptionList.all.first { $0.name == words.last }
            #expect(option != nil, "\(entry)")
            #expect(option?.letter.map(String.init) == (words.count == 2 ? words[0] : nil), "\(entry)")
        }
    }

    @Test func everyValueCanBeGivenAgain() throws {
        for option in OptionList.all where option.kind.valueName != nil && option.kind.action == .set {
            let text = option.kind.show(Options())
            if option.kind.accumulates && text.isEmpty { continue }
            var options = Options()
            try option.kind.take(&options, text, option)
            #expect(option.kind.show(options) == text, "\(option.name)")
        }
    }

    // MARK: Help

    @Test func helpNamesEveryOptionOnceAndIsNarrow() {
        let lines = OptionHelp.text(OptionList.all).split(separator: "\n").map(String.init)
        for option in OptionList.all {
            #expect(lines.filter { $0 == " \(option.usage)" }.count == 1, "\(option.usage)")
        }
        let wide = lines.filter { $0.count > 80 }
        #expect(wide == [])
    }

    // MARK: Sample configuration

    @Test func theSampleIsTheOneInTheRepository() throws {
        let text = SampleConfiguration.text(OptionList.all)
        #expect(
            try Self.document("docs/examples/perdition.conf") == text,
            "make it again: perdition --print_sample_configuration > docs/examples/perdition.conf")
    }

    @Test func theSampleSetsNothing() throws {
        var options = try parseOptions([], file: SampleConfiguration.text(OptionList.all))
        options.configFile = nil
        #expect(options == Options())
    }

    @Test func theSamplesLinesSetDefaults() throws {
        let lines = SampleConfiguration.text(OptionList.all).split(separator: "\n")
            .filter { $0.hasPrefix("#") && !$0.hasPrefix("# ") && !$0.hasPrefix("##") && $0 != "#" }
            .map { String($0.dropFirst()) }
        let settable = OptionList.all.filter { $0.kind.action == .set && $0.replacement == nil }
        #expect(lines.map { $0.split(separator: " ")[0] } == settable.map { $0.name[...] })
        let valued = zip(lines, settable).filter { line, option in
            // States and modes have no empty value to write down.
            option.kind.valueName != nil && !(option.kind.accumulates)
                // What is left open by default has none either.
                && option.defaultNote == nil
        }
        var options = try parseOptions([], file: valued.map(\.0).joined(separator: "\n"))
        options.configFile = nil
        #expect(options == Options())
    }

    @Test(arguments: ["", "a b", "'", "\"", "\\", "a'b\"c\\d#", "\\u,\\D", " x "])
    func quotedTextIsReadBack(text: String) throws {
        #expect(
            try parseOptions([], file: "domain_delimiter \(SampleConfiguration.quote(text))").domainDelimiter == text)
    }

    // MARK: Manual page

    @Test(arguments: OptionList.all.map(\.name))
    func theManualPageHasTheOption(name: String) throws {
        let option = try #require(OptionList.all.first { $0.name == name })
        let page = try Self.document("docs/man/perdition.8")
        let head = option.letter.map { ".It Fl \($0) , Fl Fl \(name)" } ?? ".It Fl Fl \(name)"
        let items = page.components(separatedBy: "\n.It ").map { ".It " + $0 }
        let found = items.filter { $0.hasPrefix(head + "\n") || $0.hasPrefix(head + " ") }
        #expect(found.count == 1, "\(head)")
        let item = try #require(found.first)
        #expect(item.split(separator: "\n")[0].contains(" Ar ") == (option.kind.valueName != nil), "\(name)")
        guard option.kind.valueName != nil, option.defaultNote == nil, !option.kind.show(Options()).isEmpty else {
            return
        }
        let value = Self.words(option.kind.show(Options()))
        let text = Self.words(item.replacingOccurrences(of: "\\&", with: ""))
        #expect(text.contains("Default: \(value)") || text.contains("Default: \"\(value)\""), "\(name): \(value)")
    }

    @Test func theManualPageHasNoOtherOption() throws {
        let page = try Self.document("docs/man/perdition.8")
        let named = page.matches(of: /(?m)^\.It (?:Fl . , )?Fl Fl ([a-z_]+)/).map { String($0.1) }
        #expect(Set(named) == Set(OptionList.all.map(\.name)))
    }

    // MARK: Dump and checksum

    @Test func theDumpNamesEveryOptionAndNoSecret() throws {
        var options = Options()
        options.mapLibrary = "/usr/local/sbin/mymap"
        options.mapLibraryOpt = ["host=db password=swordfish"]
        let lines = options.dumpLines
        #expect(lines.count == 2)
        let shown = OptionList.all.filter { $0.replacement == nil && $0.kind.action.isSetting }
        for option in shown {
            let line = lines[option.section == .tls ? 1 : 0]
            #expect(", \(line)".contains(", \(option.name)="), "\(option.name)")
        }
        #expect(lines[0].contains("map_library_opt=\"***\""))
        #expect(!lines.joined().contains("swordfish"))
        #expect(lines[0].contains("timeout=1800, trusted_networks=\"127.0.0.0/8,::1\", username=\"nobody\""))
        #expect(lines[0].contains("no_lookup=off"))
    }

    @Test func equalOptionsHaveEqualSums() throws {
        let one = try parseOptions(["-n", "-t", "5"])
        let other = try parseOptions(["-n"], file: "t 5")
        var third = other
        third.configFile = one.configFile
        #expect(one.checksum == third.checksum)
        #expect(one.checksumText.count == 8)
        var fourth = one
        fourth.timeout = 6
        #expect(one.checksum != fourth.checksum)
        var fifth = one
        fifth.mapLibraryOpt = ["password=a"]
        var sixth = one
        sixth.mapLibraryOpt = ["password=b"]
        #expect(fifth.checksum == sixth.checksum)
    }
}
