import Foundation
import Testing

/// Which libraries each program needs: the proxy none of a database, each provider its own and no other.
@Suite(.staged) struct LinkTests {
    /// What a program may need beyond the C and C++ libraries; a new program needs a line.
    static let allowed: [String: Set<String>] = [
        "perdition": ["libssl", "libcrypto"],
        "perdition-map-gdbm": ["libgdbm"], "makegdbm": ["libgdbm"],
        "perdition-map-ldap": ["libldap", "libldap-2.5", "liblber", "liblber-2.5"],
        "perdition-map-mysql": ["libmariadb"], "perdition-map-postgres": ["libpq"],
        "perdition-map-bdb": ["libdb", "libdb-5.3"], "makebdb": ["libdb", "libdb-5.3"],
        "perdition-map-nis": ["libnsl", "libtirpc"], "perdition-map-regex": [],
        "perdition-auth-pam": ["libpam"], "perditionctl": [],
    ]
    static let common: Set<String> = [
        "libc", "libm", "libgcc_s", "libstdc++", "libpthread", "libdl", "librt", "libresolv", "libutil", "libatomic",
        "ld-linux-x86-64", "ld-linux-aarch64",
    ]
    /// Swift's own, where a build does not link them statically.
    static let swift = ["libswift", "libFoundation", "lib_Foundation", "libdispatch", "libBlocksRuntime"]

    /// The programs that Package.swift builds.
    static let products: [String] = {
        let text = (try? String(contentsOfFile: "\(Programs.source)/Package.swift", encoding: .utf8)) ?? ""
        return text.matches(of: /\.executable\(\s*name: "([^"]+)"/).map { String($0.1) }
    }()

    /// The libraries a file names itself; what these need in turn is their affair.
    private func libraries(_ path: String) throws -> Set<String> {
        let (status, output) = try ChildProcess.run(Programs.debian("readelf"), ["--dynamic", "--wide", path])
        guard status == 0 else { throw Failure("readelf: \(output)") }
        return Set(output.matches(of: /\(NEEDED\).*\[(.+?)\.so[^\]]*\]/).map { String($0.1) })
    }

    @Test(arguments: products) func theProgramNeedsItsOwnLibrariesOnly(program: String) throws {
        let own = try #require(Self.allowed[program], "say here what \(program) may need")
        let needed = try libraries("\(Programs.binaries)/\(program)").filter { name in
            !Self.swift.contains(where: name.hasPrefix)
        }
        #expect(needed.contains("libc"))
        #expect(needed.subtracting(Self.common).isSubset(of: own), "\(needed.sorted())")
        #expect(own.isEmpty || !needed.isDisjoint(with: own), "it uses what it is for: \(needed.sorted())")
    }

    /// The dynamic linker looks nothing up once a program runs: it would leave registers on the stack, passwords among
    /// them, and the table it writes to would have to stay writable.
    @Test(arguments: products) func theProgramIsBoundAtItsStart(program: String) throws {
        let (status, output) = try ChildProcess.run(
            Programs.debian("readelf"), ["--dynamic", "--program-headers", "--wide", "\(Programs.binaries)/\(program)"])
        #expect(status == 0 && output.contains("GNU_RELRO"))
        #expect(output.contains(/\(FLAGS_1\).*\bNOW\b/))
    }

    /// With all that its libraries need in turn.
    @Test func theProxyLoadsNoDatabaseLibrary() throws {
        let (status, output) = try ChildProcess.run(Programs.debian("ldd"), [Programs.perdition.get()])
        #expect(status == 0 && output.contains("libssl.so"))
        for (program, libraries) in Self.allowed where program.hasPrefix("perdition-map-") {
            for library in libraries { #expect(!output.contains("\(library).so"), "\(library) of \(program)") }
        }
    }

    @Test func thereAreTheProgramsThisIsAbout() {
        #expect(Set(["perdition", "perdition-map-gdbm"]).isSubset(of: Self.products))
        let databases = Self.allowed.filter { $0.key.hasPrefix("perdition-map-") }.values.reduce(into: Set<String>()) {
            $0.formUnion($1)
        }
        #expect(databases.isDisjoint(with: Self.allowed["perdition"] ?? []))
    }
}
